#include "memory/device_memory.hpp"

#include <limits>

#include "fixture.hpp"

using namespace terrazzo;
using namespace terrazzo::test;

TEST_CASE("device_memory: a trial mapping decides what is possible and leaves nothing behind") {
  struct {
    const char* spec;
    std::size_t chunk_bytes;  // 0: no virtual memory management
    std::size_t granularity_bytes;
  } const table[] = {{"memory=64MiB;granularity=2MiB", 2 * mib, 2 * mib},
                     {"memory=64MiB;granularity=64KiB", 2 * mib, 64 * detail::kib},
                     {"memory=64MiB;granularity=32MiB", 32 * mib, 32 * mib},
                     {"memory=4MiB", 2 * mib, 2 * mib},
                     {"memory=4MiB;granularity=32MiB", 0, 32 * mib},
                     {"memory=64MiB;vmm=0", 0, 0}};
  for (const auto& row : table) {
    CAPTURE(std::string(row.spec));
    const memory_session on(row.spec);
    CHECK(on.memory.has_virtual_memory() == (row.chunk_bytes != 0));
    CHECK(on.memory.virtual_memory_reason().empty() == (row.chunk_bytes != 0));
    if (row.chunk_bytes != 0) CHECK(on.memory.chunk_bytes() == row.chunk_bytes);
    CHECK(on.memory.granularity_bytes() == row.granularity_bytes);
    CHECK(on.memory.held_bytes() == 0);
    CHECK(on.memory.held_peak_bytes() == 0);
    CHECK(on.memory.limit_bytes() == on.memory.total_bytes());
    CHECK(on.gpu.count("used_bytes") == 0);
    CHECK(on.gpu.count("reservations") == 0);
  }
}

TEST_CASE("device_memory: a full device is not taken for one without virtual memory management") {
  memory_session on("memory=64MiB;other=64MiB");
  CHECK(on.memory.has_virtual_memory());
  CHECK(on.create(1).empty());
  CHECK(on.last == status::out_of_memory);
  REQUIRE(terrazzo_softgpu_set_other_memory(0, 0) == 0);
  const std::vector<chunk_handle> chunks = on.create(1);
  CHECK(chunks.size() == 1);
  on.release(chunks);
}

TEST_CASE("device_memory: what is held is what the driver has given") {
  memory_session on("memory=64MiB");
  std::uintptr_t first = 0;
  std::uintptr_t second = 0;
  REQUIRE(on.memory.allocate_plain(3 * mib, first) == status::ok);
  REQUIRE(on.memory.allocate_plain(512, second) == status::ok);
  CHECK(on.memory.held_bytes() == 3 * mib + 512);
  const std::vector<chunk_handle> chunks = on.create(4);
  CHECK(chunks.size() == 4);
  CHECK(on.memory.held_bytes() == 11 * mib + 512);
  CHECK(on.memory.held_peak_bytes() == 11 * mib + 512);
  CHECK(on.memory.free_plain(first, 3 * mib) == status::ok);
  CHECK(on.memory.held_bytes() == 8 * mib + 512);
  on.release(chunks);
  CHECK(on.memory.held_bytes() == 512);
  CHECK(on.memory.held_peak_bytes() == 11 * mib + 512);
  on.memory.reset_peak();
  CHECK(on.memory.held_peak_bytes() == 512);
  CHECK(on.memory.free_plain(second, 512) == status::ok);
  CHECK(on.memory.held_bytes() == 0);
}

TEST_CASE("device_memory: the limit holds to the byte and counts chunks and plain segments together") {
  memory_session on("memory=64MiB");
  const auto plain = [&](std::size_t bytes, std::uintptr_t& address) {
    const std::uint64_t calls = on.gpu.api->call_count();
    const status result = on.memory.allocate_plain(bytes, address);
    if (result == status::out_of_memory) CHECK(on.gpu.api->call_count() == calls);
    return result;
  };
  on.memory.set_limit(10 * mib);
  std::uintptr_t segment = 0;
  std::uintptr_t none = 0;
  CHECK(plain(10 * mib + 1, none) == status::out_of_memory);
  CHECK(plain(std::numeric_limits<std::size_t>::max(), none) == status::out_of_memory);
  CHECK(plain(6 * mib, segment) == status::ok);
  CHECK(plain(std::numeric_limits<std::size_t>::max(), none) == status::out_of_memory);
  CHECK(on.create(3).empty());
  CHECK(on.last == status::out_of_memory);
  CHECK(std::string(last_error_message()).find("limit") != std::string::npos);
  const std::vector<chunk_handle> chunks = on.create(2);
  CHECK(chunks.size() == 2);
  CHECK(on.memory.held_bytes() == 10 * mib);
  CHECK(plain(1, none) == status::out_of_memory);

  on.memory.set_limit(mib);  // below what is held: nothing new, and nothing lost
  CHECK(plain(1, none) == status::out_of_memory);
  CHECK(on.create(1).empty());
  on.release(chunks);
  CHECK(on.memory.free_plain(segment, 6 * mib) == status::ok);
  CHECK(plain(mib, segment) == status::ok);
  CHECK(on.memory.free_plain(segment, mib) == status::ok);
  CHECK(on.counts_agree());
}

TEST_CASE("device_memory: the headroom is left free to the byte whoever holds the rest") {
  memory_session on("memory=64MiB");
  on.memory.set_headroom(20 * mib);
  REQUIRE(terrazzo_softgpu_set_other_memory(0, 34 * mib) == 0);
  std::uintptr_t segment = 0;
  CHECK(on.memory.allocate_plain(12 * mib, segment) == status::out_of_memory);
  CHECK(std::string(last_error_message()).find("headroom") != std::string::npos);
  CHECK(on.create(6).empty());
  CHECK(on.memory.held_bytes() == 0);
  const std::vector<chunk_handle> chunks = on.create(5);  // 10 MiB: then exactly the headroom is free
  CHECK(chunks.size() == 5);
  CHECK(on.create(1).empty());
  REQUIRE(terrazzo_softgpu_set_other_memory(0, 50 * mib) == 0);  // less than the headroom is free
  CHECK(on.memory.allocate_plain(512, segment) == status::out_of_memory);
  REQUIRE(terrazzo_softgpu_set_other_memory(0, 0) == 0);
  on.gpu.fail("cuMemGetInfo", 1, CUDA_ERROR_UNKNOWN);
  CHECK(on.create(1).empty());
  CHECK(on.last == status::driver_error);
  CHECK(on.memory.held_bytes() == 10 * mib);
  on.release(chunks);
  CHECK(on.counts_agree());
}

TEST_CASE("device_memory: a full device is out of memory and other failures are driver errors") {
  memory_session on("memory=16MiB");
  std::uintptr_t segment = 0;
  REQUIRE(terrazzo_softgpu_set_other_memory(0, 10 * mib) == 0);
  CHECK(on.memory.allocate_plain(8 * mib, segment) == status::out_of_memory);
  CHECK(on.create(4).empty());
  CHECK(on.last == status::out_of_memory);
  on.gpu.fail("cuMemAlloc", 1, CUDA_ERROR_UNKNOWN);
  CHECK(on.memory.allocate_plain(mib, segment) == status::driver_error);
  CHECK(std::string(last_error_message()).find("cuMemAlloc") != std::string::npos);
  CHECK(on.memory.held_bytes() == 0);
  CHECK(on.memory.held_peak_bytes() == 6 * mib);  // the chunks that could be created
  CHECK(on.gpu.count("used_bytes") == 0);
}

TEST_CASE("device_memory: what could be created before a failure is there and counted") {
  for (std::uint64_t k = 1; k <= 5; ++k) {
    CAPTURE(k);
    memory_session on("memory=64MiB");
    std::vector<chunk_handle> chunks = on.create(2);
    chunks.reserve(12);
    on.gpu.fail("cuMemCreate", k, CUDA_ERROR_UNKNOWN);
    CHECK(on.memory.create_chunks(5, chunks) == status::driver_error);
    CHECK(chunks.size() == 2 + k - 1);
    CHECK(on.memory.held_bytes() == chunks.size() * 2 * mib);
    CHECK(on.gpu.count("chunks") == chunks.size());
    CHECK(on.memory.create_chunks(5, chunks) == status::ok);
    CHECK(chunks.size() == 2 + k - 1 + 5);
    CHECK(on.memory.held_peak_bytes() == on.memory.held_bytes());
    CHECK(on.counts_agree());
    on.release(chunks);
  }
}

TEST_CASE("device_memory: limit and headroom let through as many chunks as fit") {
  memory_session on("memory=64MiB");
  std::vector<chunk_handle> chunks;
  chunks.reserve(32);
  on.memory.set_limit(7 * mib);
  CHECK(on.memory.create_chunks(5, chunks) == status::out_of_memory);
  CHECK(chunks.size() == 3);
  on.memory.set_limit(64 * mib);
  on.memory.set_headroom(51 * mib);
  CHECK(on.memory.create_chunks(5, chunks) == status::out_of_memory);
  CHECK(chunks.size() == 6);
  CHECK(on.counts_agree());
  on.release(chunks);
}

TEST_CASE("device_memory: chunks are mapped all or none wherever it fails") {
  memory_session on("memory=64MiB");
  const std::vector<chunk_handle> chunks = on.create(4);
  std::uintptr_t address = 0;
  REQUIRE(on.memory.reserve(8 * mib, address) == status::ok);
  struct {
    const char* function;
    std::uint64_t k;
  } const table[] = {{"cuMemMap", 1}, {"cuMemMap", 2}, {"cuMemMap", 4}, {"cuMemSetAccess", 1}};
  for (const auto& row : table) {
    CAPTURE(std::string(row.function));
    CAPTURE(row.k);
    on.gpu.fail(row.function, row.k, CUDA_ERROR_UNKNOWN);
    CHECK(on.memory.map(address, chunks.data(), 4) == status::driver_error);
    CHECK(std::string(last_error_message()).find(row.function) != std::string::npos);
    CHECK(on.gpu.count("mappings") == 0);
  }
  REQUIRE(on.memory.map(address, chunks.data(), 4) == status::ok);
  CHECK(on.gpu.count("mappings") == 4);
  *reinterpret_cast<volatile char*>(address + 8 * mib - 1) = 1;  // readable and writable to the last byte
  CHECK(on.memory.unmap(address, 8 * mib) == status::ok);
  CHECK(on.memory.unreserve(address, 8 * mib) == status::ok);
  on.release(chunks);
}

TEST_CASE("device_memory: what is given back is asked of the driver twice and counted until it is") {
  memory_session on("memory=64MiB");
  const std::vector<chunk_handle> chunks = on.create(1);
  std::uintptr_t segment = 0;
  REQUIRE(on.memory.allocate_plain(mib, segment) == status::ok);
  struct {
    const char* function;
    std::uint64_t times;
    status expected;
    std::size_t held_bytes;
  } const table[] = {{"cuMemRelease", 2, status::driver_error, 3 * mib},
                     {"cuMemRelease", 1, status::ok, mib},
                     {"cuMemFree", 2, status::driver_error, mib},
                     {"cuMemFree", 1, status::ok, 0}};
  for (const auto& row : table) {
    CAPTURE(std::string(row.function));
    CAPTURE(row.times);
    REQUIRE(terrazzo_softgpu_fail(row.function, 1, CUDA_ERROR_UNKNOWN, row.times) == 0);
    const bool chunk = std::string(row.function) == "cuMemRelease";
    CHECK((chunk ? on.memory.release_chunk(chunks[0]) : on.memory.free_plain(segment, mib)) == row.expected);
    CHECK(on.memory.held_bytes() == row.held_bytes);
    CHECK(on.counts_agree());
  }
}
