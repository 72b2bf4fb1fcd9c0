// The range over chunks: where it grows, and how idle chunks come to where they are needed.
#include <cstring>

#include "fixture.hpp"

using namespace terrazzo;
using namespace terrazzo::test;

TEST_CASE("range: a free run is extended by the chunks that are missing and no more") {
  session on("memory=256MiB");
  void* first = on.allocate(8 * mib);
  CHECK(on.gpu.count("chunks") == 4);
  CHECK(on.deallocate(first) == status::ok);
  void* larger = on.allocate(20 * mib);
  CHECK(larger == first);
  CHECK(on.gpu.count("chunks") == 10);
  CHECK(on.reserved() == 20 * mib);
  CHECK(on.is_valid());
}

TEST_CASE("range: requests that grow step by step strand nothing") {
  session on("memory=256MiB");
  void* block = on.allocate(mib);
  for (std::size_t size = 2; size <= 64; ++size) {
    REQUIRE(on.deallocate(block) == status::ok);
    block = on.allocate(size * mib);
    REQUIRE(block != nullptr);
  }
  CHECK(on.reserved() == 64 * mib);
}

TEST_CASE("range: one set access opens each contiguous run") {
  session on("memory=256MiB");
  const std::uint64_t before = on.gpu.calls("cuMemSetAccess");
  CHECK(on.allocate(64 * mib) != nullptr);
  CHECK(on.gpu.calls("cuMemSetAccess") == before + 1);
  CHECK(on.gpu.calls("cuMemMap") >= 32);
}

TEST_CASE("range: scattered idle chunks serve one contiguous request on a full device") {
  session on("memory=128MiB");
  std::vector<void*> blocks;
  while (void* block = on.allocate(2 * mib)) blocks.push_back(block);
  CHECK(blocks.size() == 64);
  for (std::size_t i = 0; i < blocks.size(); ++i) std::memset(blocks[i], static_cast<int>(i), 2 * mib);
  for (std::size_t i = 0; i < blocks.size(); i += 2) REQUIRE(on.deallocate(blocks[i]) == status::ok);
  const std::uint64_t created = on.gpu.calls("cuMemCreate");
  void* large = on.allocate(64 * mib);
  REQUIRE(large != nullptr);
  CHECK(on.gpu.calls("cuMemCreate") == created);
  std::memset(large, 0xff, 64 * mib);
  for (std::size_t i = 1; i < blocks.size(); i += 2) {
    const auto* contents = static_cast<const unsigned char*>(blocks[i]);
    CAPTURE(i);
    CHECK(contents[0] == i);
    CHECK(contents[2 * mib - 1] == i);
  }
  CHECK(on.is_valid());
}

TEST_CASE("range: without virtual memory management the allocator falls back to plain segments") {
  session on("memory=256MiB;vmm=0", "expandable_segments:True");
  CHECK(on.allocator->kind() == segment_kind::plain);
  CHECK_FALSE(on.allocator->memory().virtual_memory_reason().empty());
  CHECK(on.allocate(5 * mib) != nullptr);
  CHECK(on.gpu.count("chunks") == 0);
}

TEST_CASE("range: a device whose mappings fail is found out by the probe") {
  for (const char* function : {"cuMemMap", "cuMemSetAccess", "cuMemCreate", "cuMemAddressReserve"}) {
    CAPTURE(function);
    softgpu_session gpu("memory=256MiB");
    REQUIRE(terrazzo_softgpu_fail(function, 1, CUDA_ERROR_UNKNOWN, UINT64_MAX) == 0);
    std::unique_ptr<detail::device_allocator> one;
    REQUIRE(detail::device_allocator::open(gpu.api, 0, config(), one) == status::ok);
    CHECK(one->kind() == segment_kind::plain);
    CHECK(one->memory().virtual_memory_reason().find(function) != std::string::npos);
    void* block = nullptr;
    CHECK(one->allocate(mib, nullptr, 512, block) == status::ok);
  }
}

TEST_CASE("range: a device that is full at the start is not taken for one without virtual memory management") {
  session on("memory=64MiB;other=64MiB");
  CHECK(on.allocator->kind() == segment_kind::expandable);
  CHECK(on.allocate(mib) == nullptr);
  CHECK(on.last == status::out_of_memory);
  REQUIRE(terrazzo_softgpu_set_other_memory(0, 0) == 0);
  CHECK(on.allocate(mib) != nullptr);
}

TEST_CASE("range: large granularity is the chunk") {
  session on("memory=1GiB;granularity=32MiB");
  CHECK(on.allocator->memory().chunk_bytes() == 32 * mib);
  CHECK(on.allocate(1000) != nullptr);
  CHECK(on.reserved() == 32 * mib);
  CHECK(on.allocate(40 * mib) != nullptr);
  CHECK(on.is_valid());
}

TEST_CASE("range: small granularity is gathered into chunks of 2 MiB") {
  session on("memory=64MiB;granularity=64KiB");
  CHECK(on.allocator->memory().chunk_bytes() == 2 * mib);
  CHECK(on.allocate(3 * mib) != nullptr);
  CHECK(on.reserved() == 4 * mib);
}

TEST_CASE("range: small blocks are served from holes when no slab of the usual size fits") {
  session on("memory=32MiB");
  std::vector<void*> blocks;
  while (void* block = on.allocate(mib)) blocks.push_back(block);
  REQUIRE(on.deallocate(blocks[5]) == status::ok);
  // 1 MiB is left: slabs of 512 KiB for 40000 bytes fit twice, and what remains serves single small slabs.
  std::size_t served = 0;
  while (on.allocate(40000) != nullptr) ++served;
  CHECK(served >= 20);
  CHECK(on.is_valid());
}
