// What holds for an allocator whatever its segments are.
#include <algorithm>
#include <cstring>
#include <limits>
#include <map>

#include "fixture.hpp"

using namespace terrazzo;
using namespace terrazzo::test;

namespace {

/// Runs a test for both kinds of segments.
template <typename Test>
void for_each_kind(const char* spec, Test test) {
  for (const kind_case& kind : kinds) {
    CAPTURE(std::string(kind.name));
    session on(spec, kind.conf);
    test(on);
    on.allocator.reset();
  }
}

constexpr std::size_t some_sizes[] = {1,       511,      512,      513,          4096,        4097, 8192,
                                      20000,   65536,    65537,    100000,       mib - 1,     mib,  mib + 1,
                                      3 * mib, 10 * mib, 20 * mib, 20 * mib + 1, 33 * mib + 7};

}  // namespace

TEST_CASE("allocator: blocks are aligned distinct writable and as large as asked") {
  for_each_kind("memory=1GiB", [](session& on) {
    std::map<std::uintptr_t, std::size_t> blocks;
    for (int round = 0; round < 3; ++round) {
      for (const std::size_t bytes : some_sizes) {
        CAPTURE(bytes);
        void* block = on.allocate(bytes);
        REQUIRE(block != nullptr);
        CHECK(reinterpret_cast<std::uintptr_t>(block) % 512 == 0);
        std::memset(block, round, bytes);
        CHECK(blocks.emplace(reinterpret_cast<std::uintptr_t>(block), bytes).second);
        std::size_t told = 0;
        CHECK(on.allocator->find_requested_bytes(block, told) == status::ok);
        CHECK(told == bytes);
      }
      CHECK(on.is_valid());
    }
    std::uintptr_t end = 0;
    for (const auto& [begin, bytes] : blocks) {
      CHECK(begin >= end);
      end = begin + bytes;
    }
    for (const auto& [begin, bytes] : blocks) CHECK(on.deallocate(reinterpret_cast<void*>(begin)) == status::ok);
    CHECK(on.is_valid());
    CHECK(on.allocator->stats().allocated_bytes.current == 0);
    CHECK(on.allocator->stats().requested_bytes.current == 0);
  });
}

TEST_CASE("allocator: every alignment up to 2 MiB is kept") {
  for_each_kind("memory=2GiB", [](session& on) {
    std::vector<void*> blocks;
    for (std::size_t alignment = 1; alignment <= allocator::max_alignment; alignment *= 2) {
      for (const std::size_t bytes :
           {std::size_t{1}, std::size_t{700}, std::size_t{5000}, std::size_t{70000}, 3 * mib}) {
        CAPTURE(alignment);
        CAPTURE(bytes);
        void* block = on.allocate(bytes, 0, alignment);
        REQUIRE(block != nullptr);
        CHECK(reinterpret_cast<std::uintptr_t>(block) % alignment == 0);
        blocks.push_back(block);
        blocks.push_back(on.allocate(1536));  // so that the next does not fall on an aligned place by chance
      }
    }
    CHECK(on.is_valid());
    for (void* block : blocks) CHECK(on.deallocate(block) == status::ok);
    CHECK(on.is_valid());
    for (const std::size_t alignment :
         {std::size_t{0}, std::size_t{3}, std::size_t{768}, 2 * allocator::max_alignment}) {
      CAPTURE(alignment);
      CHECK(on.allocate(512, 0, alignment) == nullptr);
      CHECK(on.last == status::invalid_argument);
      CHECK(std::string(last_error_message()).find(std::to_string(alignment)) != std::string::npos);
    }
  });
}

TEST_CASE("allocator: bad requests and bad frees give a status and lose nothing") {
  for_each_kind("memory=256MiB;devices=2", [](session& on) {
    CHECK(on.allocate(0) == nullptr);
    CHECK(on.last == status::ok);
    CHECK(on.deallocate(nullptr) == status::ok);

    for (const std::size_t huge :
         {std::size_t{1} << 40, std::size_t{1} << 49, std::size_t{1} << 63, std::numeric_limits<std::size_t>::max(),
          std::numeric_limits<std::size_t>::max() - 511}) {
      CAPTURE(huge);
      CHECK(on.allocate(huge) == nullptr);
      CHECK(on.last == status::out_of_memory);
      CHECK(on.allocate(huge, 0, allocator::max_alignment) == nullptr);
      CHECK(on.last == status::out_of_memory);
    }

    void* small = on.allocate(3000);
    void* large = on.allocate(3 * mib);
    REQUIRE(small != nullptr);
    REQUIRE(large != nullptr);
    const statistics before = on.allocator->stats();
    int outside = 0;
    CHECK(on.deallocate(&outside) == status::foreign_pointer);
    CHECK(on.deallocate(static_cast<char*>(small) + 512) != status::ok);
    CHECK(on.deallocate(static_cast<char*>(small) + 1) == status::foreign_pointer);
    CHECK(on.deallocate(static_cast<char*>(large) + 512) == status::foreign_pointer);
    CHECK(on.deallocate(static_cast<char*>(large) + mib) == status::foreign_pointer);

    std::unique_ptr<detail::device_allocator> other;
    REQUIRE(detail::device_allocator::open(on.gpu.api, 1, parse_config(""), other) == status::ok);
    CHECK(other->deallocate(small) == status::wrong_device);
    CHECK(other->deallocate(large) == status::wrong_device);
    CHECK(std::string(last_error_message()).find("device 0") != std::string::npos);
    other.reset();

    const statistics after = on.allocator->stats();
    CHECK(after.allocated_bytes.current == before.allocated_bytes.current);
    CHECK(after.allocations.current == 2);
    CHECK(after.invalid_free_count == 5);

    CHECK(on.deallocate(small) == status::ok);
    CHECK(on.deallocate(large) == status::ok);
    CHECK(on.deallocate(small) == status::double_free);
    CHECK(on.deallocate(large) == status::double_free);
    std::size_t bytes = 0;
    CHECK(on.allocator->find_requested_bytes(large, bytes) == status::double_free);
    CHECK(on.is_valid());
  });
}

TEST_CASE("allocator: a double free is told after the block was merged and its slab closed") {
  for_each_kind("memory=256MiB", [](session& on) {
    std::vector<void*> blocks;
    for (int i = 0; i < 40; ++i) blocks.push_back(on.allocate(2 * mib));
    for (int i = 0; i < 400; ++i) blocks.push_back(on.allocate(4096));
    for (void* block : blocks) CHECK(on.deallocate(block) == status::ok);
    for (void* block : blocks) {
      CAPTURE(block);
      CHECK(on.deallocate(block) == status::double_free);
    }
    CHECK(on.is_valid());
  });
}

TEST_CASE("allocator: what was freed is handed out again without a driver call") {
  for_each_kind("memory=1GiB", [](session& on) {
    std::vector<void*> blocks;
    for (int round = 0; round < 5; ++round) {
      const std::uint64_t calls = on.gpu.api->call_count();
      for (const std::size_t bytes : some_sizes) blocks.push_back(on.allocate(bytes));
      for (void* block : blocks) REQUIRE(on.deallocate(block) == status::ok);
      blocks.clear();
      if (round > 0) CHECK(on.gpu.api->call_count() == calls);
    }
  });
}

TEST_CASE("allocator: the limit holds to the byte and can be moved") {
  for_each_kind("memory=1GiB", [](session& on) {
    on.allocator->set_limit(64 * mib);
    CHECK(on.allocator->stats().limit_bytes == 64 * mib);
    std::vector<void*> blocks;
    while (void* block = on.allocate(4 * mib)) blocks.push_back(block);
    CHECK(on.last == status::out_of_memory);
    CHECK(blocks.size() == 16);
    CHECK(on.reserved() <= 64 * mib);
    CHECK(std::string(last_error_message()).find("limit") != std::string::npos);
    on.allocator->set_limit(128 * mib);
    CHECK(on.allocate(4 * mib) != nullptr);
    on.allocator->set_limit(mib);
    CHECK(on.allocate(100 * mib) == nullptr);
    CHECK(on.is_valid());
  });
}

TEST_CASE("allocator: the headroom is left free") {
  for_each_kind("memory=256MiB", [](session& on) {
    on.allocator->set_headroom(100 * mib);
    std::vector<void*> blocks;
    while (void* block = on.allocate(8 * mib)) blocks.push_back(block);
    CHECK(on.last == status::out_of_memory);
    CHECK(on.gpu.count("free_bytes") >= 100 * mib);
    CHECK(on.gpu.count("free_bytes") < 120 * mib);
    CHECK(std::string(last_error_message()).find("headroom") != std::string::npos);
  });
}

TEST_CASE("allocator: trim gives idle memory back and keeps what is live") {
  for_each_kind("memory=1GiB", [](session& on) {
    void* kept = on.allocate(5 * mib);
    std::memset(kept, 0x5a, 5 * mib);
    std::vector<void*> blocks;
    for (int i = 0; i < 20; ++i) blocks.push_back(on.allocate(16 * mib));
    for (int i = 0; i < 100; ++i) blocks.push_back(on.allocate(30000, 1));
    for (void* block : blocks) CHECK(on.deallocate(block) == status::ok);
    std::size_t given_back = 0;
    const std::size_t before = on.reserved();
    CHECK(on.allocator->trim(0, given_back) == status::ok);
    CHECK(given_back == before - on.reserved());
    CHECK(on.reserved() <= 22 * mib);
    CHECK(on.is_valid());
    CHECK(std::all_of(static_cast<char*>(kept), static_cast<char*>(kept) + 5 * mib, [](char c) { return c == 0x5a; }));
    CHECK(on.deallocate(kept) == status::ok);
    CHECK(on.allocator->trim(0, given_back) == status::ok);
    CHECK(on.reserved() == 0);
    CHECK(on.allocate(5 * mib) != nullptr);
    CHECK(on.is_valid());
  });
}

TEST_CASE("allocator: trim stops at what is to be kept") {
  for_each_kind("memory=1GiB", [](session& on) {
    std::vector<void*> blocks;
    for (int i = 0; i < 10; ++i) blocks.push_back(on.allocate(20 * mib));
    for (void* block : blocks) CHECK(on.deallocate(block) == status::ok);
    std::size_t given_back = 0;
    CHECK(on.allocator->trim(100 * mib, given_back) == status::ok);
    CHECK(on.reserved() <= 100 * mib);
    CHECK(on.reserved() >= 80 * mib);
  });
}

TEST_CASE("allocator: after shutdown every call says so and nothing is left") {
  for_each_kind("memory=256MiB", [](session& on) {
    void* small = on.allocate(100);
    void* large = on.allocate(5 * mib);
    on.allocator->shutdown();
    CHECK(on.gpu.count("used_bytes") == 0);
    CHECK(on.allocate(100) == nullptr);
    CHECK(on.last == status::shut_down);
    CHECK(on.allocate(5 * mib, 3) == nullptr);
    CHECK(on.last == status::shut_down);
    CHECK(on.deallocate(small) == status::shut_down);
    CHECK(on.deallocate(large) == status::shut_down);
    std::size_t given_back = 0;
    CHECK(on.allocator->trim(0, given_back) == status::shut_down);
    CHECK(on.allocator->validate() == status::shut_down);
    CHECK(on.allocator->stats().allocated_bytes.current == 0);
    on.allocator->shutdown();
  });
}

TEST_CASE("allocator: counters and peaks are exact on one stream") {
  for_each_kind("memory=1GiB", [](session& on) {
    void* a = on.allocate(1000);  // 1024
    void* b = on.allocate(600);   // 1024
    void* c = on.allocate(2 * mib);
    statistics now = on.allocator->stats();
    CHECK(now.requested_bytes.current == 1600 + 2 * mib);
    CHECK(now.allocated_bytes.current == 2048 + 2 * mib);
    CHECK(now.allocations.current == 3);
    on.deallocate(c);
    on.deallocate(a);
    now = on.allocator->stats();
    CHECK(now.allocated_bytes.current == 1024);
    CHECK(now.allocated_bytes.peak == 2048 + 2 * mib);
    CHECK(now.requested_bytes.peak == 1600 + 2 * mib);
    CHECK(now.allocation_count == 3);
    CHECK(now.deallocation_count == 2);
    CHECK(now.reserved_bytes.current >= 2 * mib);
    CHECK(now.active_bytes.current == now.allocated_bytes.current);
    on.allocator->reset_peaks();
    CHECK(on.allocator->stats().allocated_bytes.peak == 1024);
    on.deallocate(b);
  });
}

TEST_CASE("allocator: one stream does not get what another freed before its work is done") {
  for_each_kind("memory=64MiB;completion=manual", [](session& on) {
    void* first = on.allocate(24 * mib, 1);
    on.work_on(1);
    CHECK(on.deallocate(first) == status::ok);
    void* other = on.allocate(24 * mib, 2);
    CHECK(other != first);
    void* same = on.allocate(24 * mib, 1);
    CHECK(same == first);
    on.work_on(1);
    CHECK(on.deallocate(same) == status::ok);
    on.work_on(2);
    CHECK(on.deallocate(other) == status::ok);
    // Now the card has no room: the allocator waits for the device, and then may give anything to anybody.
    const std::uint64_t waits = on.gpu.calls("cuCtxSynchronize");
    void* whole = on.allocate(48 * mib, 3);
    CHECK(whole != nullptr);
    CHECK(on.gpu.calls("cuCtxSynchronize") == waits + 1);
    CHECK(on.allocator->stats().retry_count == 1);
    CHECK(on.is_valid());
  });
}

TEST_CASE("allocator: neighbours that two streams have freed do not become one") {
  for_each_kind("memory=256MiB;completion=manual", [](session& on) {
    for (const std::size_t stream : {1, 2}) on.work_on(stream);
    // Side by side: one after the other in new memory, or cut from one segment that is idle.
    REQUIRE(on.deallocate(on.allocate(20 * mib)) == status::ok);
    std::size_t given_back = 0;
    REQUIRE(on.allocator->trim(256 * mib, given_back) == status::ok);
    std::uintptr_t begins[2];
    for (std::size_t stream = 0; stream < 2; ++stream)
      begins[stream] = reinterpret_cast<std::uintptr_t>(on.allocate(9 * mib, stream + 1));
    for (const std::uintptr_t begin : begins) REQUIRE(on.deallocate(reinterpret_cast<void*>(begin)) == status::ok);
    const std::uint64_t waits = on.gpu.calls("cuCtxSynchronize");
    for (int round = 0; round < 2; ++round) {  // the first misses bring the blocks from the fronts to the source
      for (std::size_t stream = 0; stream < 2; ++stream) {
        CAPTURE(stream);
        const auto at = reinterpret_cast<std::uintptr_t>(on.allocate(12 * mib, stream + 1));
        const std::uintptr_t other = begins[1 - stream];
        REQUIRE(at != 0);
        CHECK((at + 12 * mib <= other || other + 9 * mib <= at));
      }
    }
    CHECK(on.gpu.calls("cuCtxSynchronize") == waits);
    CHECK(on.is_valid());
  });
}

TEST_CASE("allocator: the legacy stream has two handles and is one stream") {
  for_each_kind("memory=256MiB", [](session& on) {
    void* block = nullptr;
    REQUIRE(on.allocator->allocate(5 * mib, nullptr, 512, block) == status::ok);
    void* const first = block;
    REQUIRE(on.deallocate(block) == status::ok);
    REQUIRE(on.allocator->allocate(5 * mib, reinterpret_cast<stream_handle>(1), 512, block) == status::ok);
    CHECK(block == first);
  });
}

TEST_CASE("allocator: a request that can never be had leaves the cache as it is, and waits for nobody") {
  for_each_kind("memory=64MiB", [](session& on) {
    std::vector<void*> blocks;
    for (const std::size_t bytes : {20 * mib, 4 * mib, std::size_t{4096}}) blocks.push_back(on.allocate(bytes));
    for (void* each : blocks) REQUIRE(on.deallocate(each) == status::ok);
    const std::uint64_t waits = on.gpu.calls("cuCtxSynchronize");
    CHECK(on.allocate(65 * mib) == nullptr);
    CHECK(on.last == status::out_of_memory);
    on.allocator->set_limit(32 * mib);
    CHECK(on.allocate(33 * mib) == nullptr);
    CHECK(std::string(last_error_message()).find("of the 32 MiB that it may") != std::string::npos);
    CHECK(on.gpu.calls("cuCtxSynchronize") == waits);
    CHECK(on.allocator->stats().out_of_memory_count == 2);
    CHECK(on.allocator->stats().retry_count == 0);
    const std::uint64_t calls = on.allocator->stats().driver_calls;
    for (const std::size_t bytes : {20 * mib, 4 * mib, std::size_t{4096}}) CHECK(on.allocate(bytes) != nullptr);
    CHECK(on.allocator->stats().driver_calls == calls);
    CHECK(on.is_valid());
  });
}

TEST_CASE("allocator: the error of a full device tells what was asked and what is there") {
  for_each_kind("memory=64MiB;other=16MiB", [](session& on) {
    std::vector<void*> blocks;
    while (void* block = on.allocate(4 * mib)) blocks.push_back(block);
    CHECK(on.allocate(40 * mib) == nullptr);
    CHECK(on.last == status::out_of_memory);
    const std::string message = last_error_message();
    CAPTURE(message);
    for (const char* part : {"device 0: 40 MiB were asked for", "Of the device's 64 MiB", "16 MiB are held by others",
                             "terrazzo holds 48 MiB: 48 MiB allocated, 0 bytes cached", "To try: "}) {
      CAPTURE(part);
      CHECK(message.find(part) != std::string::npos);
    }
    CHECK(on.allocator->stats().out_of_memory_count == 2);
    CHECK(on.is_valid());
  });
}

TEST_CASE("allocator: settings that a program has set field by field are checked") {
  softgpu_session gpu("memory=64MiB");
  config settings;
  settings.per_process_memory_fraction = 1.5;
  std::unique_ptr<detail::device_allocator> one;
  CHECK(detail::device_allocator::open(gpu.api, 0, settings, one) == status::invalid_config);
  CHECK(std::string(last_error_message()).find("per_process_memory_fraction") != std::string::npos);
  CHECK(one == nullptr);
}
