#include <doctest/doctest.h>

#include <cstdint>
#include <string>
#include <thread>
#include <vector>

#include "capi/guard.hpp"
#include "terrazzo/terrazzo.h"

namespace {

// An allocator on the software GPU that the environment names.
struct session {
  explicit session(const char* config = "") {
    terrazzo_allocator_options_t options = TERRAZZO_ALLOCATOR_OPTIONS_INIT;
    options.config = config;
    const terrazzo_status_t code = terrazzo_allocator_create(&options, &allocator);
    REQUIRE_MESSAGE(code == terrazzo_status_ok, terrazzo_last_error_message());
  }
  ~session() { terrazzo_allocator_destroy(allocator); }
  terrazzo_allocator_t* allocator = nullptr;
};

std::string message() { return terrazzo_last_error_message(); }

bool says(const char* part) { return message().find(part) != std::string::npos; }

}  // namespace

TEST_CASE("capi: statuses have the numbers and names of the table") {
  int count = 0;
#define TERRAZZO_CHECK_STATUS(name, number, sentence)        \
  ++count;                                                   \
  CHECK(static_cast<int>(terrazzo_status_##name) == number); \
  CHECK(std::string(terrazzo_status_name(number)) == #name); \
  CHECK(std::string(terrazzo_status_sentence(number)) == sentence);
  TERRAZZO_STATUS_CODES(TERRAZZO_CHECK_STATUS)
#undef TERRAZZO_CHECK_STATUS
  CHECK(count == 19);
  CHECK(std::string(terrazzo_status_name(12345)) == "unknown");
  CHECK(terrazzo_status_sentence(-1) != nullptr);
}

TEST_CASE("capi: a null argument is refused by its name") {
  const session open;
  terrazzo_allocator_t* none = nullptr;
  void* block = nullptr;
  std::size_t bytes = 0;
  terrazzo_stats_t stats{};
  stats.struct_size = sizeof(stats);
  struct {
    terrazzo_status_t code;
    std::string said;
    const char* expected;
  } const rows[] = {
      {terrazzo_allocator_create(nullptr, nullptr), message(), "terrazzo_allocator_create: allocator is null"},
      {terrazzo_allocator_shutdown(none), message(), "terrazzo_allocator_shutdown: allocator is null"},
      {terrazzo_allocator_allocate(none, 1, 0, nullptr, &block), message(),
       "terrazzo_allocator_allocate: allocator is null"},
      {terrazzo_allocator_allocate(open.allocator, 1, 0, nullptr, nullptr), message(),
       "terrazzo_allocator_allocate: block is null"},
      {terrazzo_allocator_deallocate(none, &block), message(), "terrazzo_allocator_deallocate: allocator is null"},
      {terrazzo_allocator_trim(none, 0, nullptr), message(), "terrazzo_allocator_trim: allocator is null"},
      {terrazzo_allocator_set_limit(none, 0), message(), "terrazzo_allocator_set_limit: allocator is null"},
      {terrazzo_allocator_set_headroom(none, 0), message(), "terrazzo_allocator_set_headroom: allocator is null"},
      {terrazzo_allocator_set_config(none, ""), message(), "terrazzo_allocator_set_config: allocator is null"},
      {terrazzo_allocator_config(none, nullptr, 0, &bytes), message(), "terrazzo_allocator_config: allocator is null"},
      {terrazzo_allocator_config(open.allocator, nullptr, 1, &bytes), message(),
       "terrazzo_allocator_config: text is null"},
      {terrazzo_allocator_extend(none, &block, 1), message(), "terrazzo_allocator_extend: allocator is null"},
      {terrazzo_allocator_requested_bytes(none, &block, &bytes), message(),
       "terrazzo_allocator_requested_bytes: allocator is null"},
      {terrazzo_allocator_requested_bytes(open.allocator, &block, nullptr), message(),
       "terrazzo_allocator_requested_bytes: bytes is null"},
      {terrazzo_allocator_stats(none, &stats), message(), "terrazzo_allocator_stats: allocator is null"},
      {terrazzo_allocator_stats(open.allocator, nullptr), message(), "terrazzo_allocator_stats: stats is null"},
      {terrazzo_allocator_reset_peaks(none), message(), "terrazzo_allocator_reset_peaks: allocator is null"},
      {terrazzo_allocator_validate(none), message(), "terrazzo_allocator_validate: allocator is null"},
  };
  for (const auto& row : rows) {
    CHECK(row.code == terrazzo_status_invalid_argument);
    CHECK(row.said == row.expected);
  }
  CHECK(terrazzo_allocator_deallocate(open.allocator, nullptr) == terrazzo_status_ok);
  terrazzo_allocator_destroy(nullptr);
}

TEST_CASE("capi: options that cannot be met give no allocator") {
  struct {
    int device;
    const char* config;
    const char* driver_path;
    terrazzo_status_t code;
    const char* part;
  } const rows[] = {
      {0, "max_split_size_mb:1", nullptr, terrazzo_status_invalid_config, "config string, column 19"},
      {77, "", nullptr, terrazzo_status_invalid_device, "77"},
      {-1, "", nullptr, terrazzo_status_invalid_device, "-1"},
      {0, "", "/nowhere/libcuda.so.1", terrazzo_status_driver_not_found, "/nowhere/libcuda.so.1"},
  };
  for (const auto& row : rows) {
    CAPTURE(std::string(row.part));
    terrazzo_allocator_options_t options = TERRAZZO_ALLOCATOR_OPTIONS_INIT;
    options.device = row.device;
    options.config = row.config;
    options.driver_path = row.driver_path;
    int dummy = 0;
    auto* allocator = reinterpret_cast<terrazzo_allocator_t*>(&dummy);
    CHECK(terrazzo_allocator_create(&options, &allocator) == row.code);
    CHECK(allocator == nullptr);
    CHECK_MESSAGE(says(row.part), message());
  }
}

TEST_CASE("capi: structs of other versions of the header are understood or refused") {
  struct newer {
    terrazzo_allocator_options_t known;
    const char* later;
  };
  newer options{TERRAZZO_ALLOCATOR_OPTIONS_INIT, nullptr};
  options.known.struct_size = sizeof(newer);
  options.known.config = "";
  terrazzo_allocator_t* allocator = nullptr;
  REQUIRE(terrazzo_allocator_create(&options.known, &allocator) == terrazzo_status_ok);

  struct newer_stats {
    terrazzo_stats_t known;
    std::uint64_t later;
  };
  newer_stats stats{{}, 7};
  stats.known.struct_size = sizeof(newer_stats);
  CHECK(terrazzo_allocator_stats(allocator, &stats.known) == terrazzo_status_ok);
  CHECK(stats.known.struct_size == sizeof(newer_stats));
  CHECK(stats.later == 0);
  for (const std::size_t size : {std::size_t{0}, sizeof(terrazzo_stats_t) - 1, SIZE_MAX}) {
    CAPTURE(size);
    stats.known.struct_size = size;
    CHECK(terrazzo_allocator_stats(allocator, &stats.known) == terrazzo_status_invalid_argument);
    CHECK(says("struct_size"));
    CHECK(stats.known.struct_size == size);
  }
  terrazzo_allocator_destroy(allocator);

  options.later = "something";
  CHECK(terrazzo_allocator_create(&options.known, &allocator) == terrazzo_status_not_supported);
  CHECK(allocator == nullptr);
  for (const std::size_t size : {std::size_t{0}, std::size_t{8}, SIZE_MAX}) {
    CAPTURE(size);
    options.known.struct_size = size;
    CHECK(terrazzo_allocator_create(&options.known, &allocator) == terrazzo_status_invalid_argument);
    CHECK(says("struct_size"));
  }
}

TEST_CASE("capi: misuse gives a status and changes nothing") {
  const session open("limit_mb:64");
  void* block = nullptr;
  REQUIRE(terrazzo_allocator_allocate(open.allocator, 4096, 4096, nullptr, &block) == terrazzo_status_ok);
  CHECK(reinterpret_cast<std::uintptr_t>(block) % 4096 == 0);

  void* other = &block;
  CHECK(terrazzo_allocator_allocate(open.allocator, 1, 3, nullptr, &other) == terrazzo_status_invalid_argument);
  CHECK(other == nullptr);
  other = &block;
  CHECK(terrazzo_allocator_allocate(open.allocator, std::size_t{1} << 30, 0, nullptr, &other) ==
        terrazzo_status_out_of_memory);
  CHECK(other == nullptr);
  CHECK(terrazzo_allocator_allocate(open.allocator, SIZE_MAX, 0, nullptr, &other) == terrazzo_status_out_of_memory);
  CHECK(terrazzo_allocator_allocate(open.allocator, 0, 0, nullptr, &other) == terrazzo_status_ok);
  CHECK(other == nullptr);
  int local = 0;
  CHECK(terrazzo_allocator_deallocate(open.allocator, &local) == terrazzo_status_foreign_pointer);
  std::size_t bytes = 99;
  CHECK(terrazzo_allocator_requested_bytes(open.allocator, &local, &bytes) == terrazzo_status_foreign_pointer);
  CHECK(terrazzo_allocator_extend(open.allocator, &local, 1) == terrazzo_status_foreign_pointer);
  CHECK(bytes == 99);

  CHECK(terrazzo_allocator_requested_bytes(open.allocator, block, &bytes) == terrazzo_status_ok);
  CHECK(bytes == 4096);
  CHECK(terrazzo_allocator_extend(open.allocator, block, 4097) == terrazzo_status_out_of_memory);  // a small block
  CHECK(terrazzo_allocator_extend(open.allocator, block, 4000) == terrazzo_status_ok);
  CHECK(terrazzo_allocator_requested_bytes(open.allocator, block, &bytes) == terrazzo_status_ok);
  CHECK(bytes == 4000);
  CHECK(terrazzo_allocator_validate(open.allocator) == terrazzo_status_ok);
  CHECK(terrazzo_allocator_deallocate(open.allocator, block) == terrazzo_status_ok);
}

TEST_CASE("capi: statistics are those of the C++ API") {
  const session open("limit_mb:128");
  std::vector<void*> blocks(3, nullptr);
  for (void*& block : blocks)
    REQUIRE(terrazzo_allocator_allocate(open.allocator, 3000, 0, nullptr, &block) == terrazzo_status_ok);
  REQUIRE(terrazzo_allocator_deallocate(open.allocator, blocks[0]) == terrazzo_status_ok);
  CHECK(terrazzo_allocator_deallocate(open.allocator, blocks[0]) == terrazzo_status_double_free);
  void* none = nullptr;
  CHECK(terrazzo_allocator_allocate(open.allocator, std::size_t{1} << 40, 0, nullptr, &none) ==
        terrazzo_status_out_of_memory);
  terrazzo_stats_t stats{};
  stats.struct_size = sizeof(stats);
  REQUIRE(terrazzo_allocator_stats(open.allocator, &stats) == terrazzo_status_ok);
  CHECK(stats.requested_bytes.current == 6000);
  CHECK(stats.requested_bytes.peak == 9000);
  CHECK(stats.allocations.current == 2);
  CHECK(stats.allocations.peak == 3);
  CHECK(stats.allocation_count == 3);
  CHECK(stats.deallocation_count == 1);
  CHECK(stats.invalid_free_count == 1);
  CHECK(stats.out_of_memory_count == 1);
  CHECK(stats.limit_bytes == std::size_t{128} << 20);
  CHECK(stats.requested_bytes.current <= stats.allocated_bytes.current);
  CHECK(stats.allocated_bytes.current <= stats.active_bytes.current);
  CHECK(stats.active_bytes.current <= stats.reserved_bytes.current);
  CHECK(stats.driver_calls > 0);
  CHECK(stats.segment_count > 0);
  CHECK(terrazzo_allocator_reset_peaks(open.allocator) == terrazzo_status_ok);
  REQUIRE(terrazzo_allocator_stats(open.allocator, &stats) == terrazzo_status_ok);
  CHECK(stats.allocations.peak == 2);
  REQUIRE(terrazzo_allocator_set_limit(open.allocator, std::size_t{32} << 20) == terrazzo_status_ok);
  REQUIRE(terrazzo_allocator_stats(open.allocator, &stats) == terrazzo_status_ok);
  CHECK(stats.limit_bytes == std::size_t{32} << 20);
}

TEST_CASE("capi: the last message belongs to the thread that failed") {
  const session open;
  int local = 0;
  REQUIRE(terrazzo_allocator_deallocate(open.allocator, &local) == terrazzo_status_foreign_pointer);
  const std::string mine = message();
  std::string theirs = "not asked";
  std::thread([&] { theirs = message(); }).join();
  CHECK_FALSE(mine.empty());
  CHECK(theirs.empty());
}

TEST_CASE("capi: whatever a body throws becomes a status with a message") {
  using terrazzo::status;
  using terrazzo::detail::guarded;
  CHECK(guarded([] {}) == terrazzo_status_ok);
  CHECK(guarded([] { return status::busy; }) == terrazzo_status_busy);
  CHECK(guarded([] { throw terrazzo::error(status::shut_down, "x"); }) == terrazzo_status_shut_down);
  CHECK(guarded([] { throw terrazzo::out_of_memory("x"); }) == terrazzo_status_out_of_memory);
  CHECK(guarded([] { throw std::bad_alloc(); }) == terrazzo_status_out_of_host_memory);
  CHECK(guarded([] { throw std::runtime_error("surprise"); }) == terrazzo_status_corrupted);
  CHECK(says("surprise"));
  CHECK(guarded([] { throw 1; }) == terrazzo_status_corrupted);
}
