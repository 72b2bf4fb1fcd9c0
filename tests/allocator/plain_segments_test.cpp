// PyTorch's native rules for plain segments, with the figures of its own tests.
#include "fixture.hpp"

using namespace terrazzo;
using namespace terrazzo::test;

namespace {

constexpr const char* plain = "expandable_segments:False";

// A driver that aligns its segments to 512 bytes and no better, as CUDA promises no more.
constexpr CUdeviceptr shift = 512;

CUresult allocate_shifted(CUdeviceptr* address, std::size_t bytes) {
  const CUresult code = cuMemAlloc_v2(address, bytes + shift);
  if (code == CUDA_SUCCESS) *address += shift;
  return code;
}

CUresult free_shifted(CUdeviceptr address) { return cuMemFree_v2(address - shift); }

void* look_up_shifted(const char* name) {
  const std::string wanted = name;
  if (wanted == "cuMemAlloc_v2") return reinterpret_cast<void*>(&allocate_shifted);
  if (wanted == "cuMemFree_v2") return reinterpret_cast<void*>(&free_shifted);
  return terrazzo_softgpu_symbol(name);
}

}  // namespace

TEST_CASE("plain: segment sizes are those of PyTorch's table") {
  struct {
    std::size_t bytes;
    std::size_t reserved;
  } const table[] = {{512, 2 * mib},        {mib, 2 * mib},
                     {mib + 512, 20 * mib}, {10 * mib - 512, 20 * mib},
                     {10 * mib, 10 * mib},  {10 * mib + 512, 12 * mib},
                     {33 * mib, 34 * mib}};
  for (const auto& row : table) {
    CAPTURE(row.bytes);
    session on("memory=256MiB", plain);
    CHECK(on.allocate(row.bytes) != nullptr);
    CHECK(on.reserved() == row.reserved);
    CHECK(on.gpu.calls("cuMemAlloc") == 1);
  }
}

TEST_CASE("plain: large_segment_size_mb is the size of segments below 10 MiB") {
  session on("memory=256MiB", "expandable_segments:False,large_segment_size_mb:32");
  CHECK(on.allocate(3 * mib) != nullptr);
  CHECK(on.reserved() == 32 * mib);
}

TEST_CASE("plain: a large block is cut only if more than 1 MiB is left") {
  session on("memory=256MiB", plain);
  void* whole = on.allocate(18 * mib);
  REQUIRE(on.deallocate(whole) == status::ok);
  void* most = on.allocate(17 * mib);
  CHECK(most == whole);
  CHECK(on.allocator->stats().allocated_bytes.current == 18 * mib);
  REQUIRE(on.deallocate(most) == status::ok);
  CHECK(on.allocate(16 * mib) == whole);
  CHECK(on.allocator->stats().allocated_bytes.current == 16 * mib);
}

TEST_CASE("plain: blocks of max_split_size_mb or more stay whole and serve large requests alone") {
  session on("memory=512MiB", "expandable_segments:False,max_split_size_mb:40");
  void* oversize = on.allocate(100 * mib);
  REQUIRE(on.deallocate(oversize) == status::ok);
  void* smaller = on.allocate(30 * mib);
  CHECK(smaller != oversize);
  CHECK(on.allocate(90 * mib) == oversize);  // within max_non_split_rounding_mb of 20
  CHECK(on.allocator->stats().allocated_bytes.current == 130 * mib);
  CHECK(on.is_valid());
}

TEST_CASE("plain: an oversize block that is too large for an oversize request is left alone") {
  session on("memory=512MiB", "expandable_segments:False,max_split_size_mb:40");
  void* oversize = on.allocate(100 * mib);
  REQUIRE(on.deallocate(oversize) == status::ok);
  CHECK(on.allocate(60 * mib) != oversize);
}

TEST_CASE("plain: cached segments are released before a request fails") {
  session on("memory=128MiB", plain);
  std::vector<void*> blocks;
  for (int i = 0; i < 6; ++i) blocks.push_back(on.allocate(20 * mib));
  for (void* block : blocks) REQUIRE(on.deallocate(block) == status::ok);
  CHECK(on.allocate(100 * mib) != nullptr);
  CHECK(on.allocator->stats().retry_count == 1);
  CHECK(on.is_valid());
}

TEST_CASE("plain: a segment that is used in part cannot be released and the request fails") {
  session on("memory=64MiB", plain);
  std::vector<void*> rests;
  for (int i = 0; i < 3; ++i) {
    CHECK(on.allocate(2 * mib) != nullptr);
    rests.push_back(on.allocate(17 * mib));
  }
  for (void* rest : rests) REQUIRE(on.deallocate(rest) == status::ok);
  CHECK(on.allocate(40 * mib) == nullptr);
  CHECK(on.last == status::out_of_memory);
  CHECK(std::string(last_error_message()).find("expandable_segments:True") != std::string::npos);
}

TEST_CASE("plain: the last try takes a segment of the request's own size") {
  session on("memory=24MiB", plain);
  CHECK(on.allocate(18 * mib) != nullptr);
  CHECK(on.allocate(3 * mib) != nullptr);  // 20 MiB do not fit any more, 4 do
  CHECK(on.reserved() == 22 * mib);
}

TEST_CASE("plain: segments that are aligned to 512 bytes alone serve every alignment") {
  softgpu_session gpu("memory=256MiB");
  std::shared_ptr<const detail::driver> api;
  REQUIRE(detail::driver::load_from(look_up_shifted, "a driver that aligns to 512 bytes", true, api) == status::ok);
  std::unique_ptr<detail::device_allocator> one;
  REQUIRE(detail::device_allocator::open(api, 0, parse_config(plain), one) == status::ok);
  std::vector<void*> blocks;
  for (std::size_t alignment = 512; alignment <= 2 * mib; alignment *= 2) {
    for (const std::size_t bytes : {std::size_t{3000}, mib, 2 * mib, 12 * mib}) {
      CAPTURE(alignment);
      CAPTURE(bytes);
      void* block = nullptr;
      REQUIRE(one->allocate(bytes, nullptr, alignment, block) == status::ok);
      CHECK(reinterpret_cast<std::uintptr_t>(block) % alignment == 0);
      blocks.push_back(block);
      if (blocks.size() % 3 == 0) {
        CHECK(one->deallocate(blocks.back()) == status::ok);
        blocks.pop_back();
      }
    }
  }
  CHECK(one->validate() == status::ok);
  for (void* block : blocks) CHECK(one->deallocate(block) == status::ok);
  std::size_t given_back = 0;
  CHECK(one->trim(0, given_back) == status::ok);
  CHECK(one->stats().reserved_bytes.current == 0);
}

TEST_CASE("plain: garbage collection releases old segments above the threshold of the limit") {
  session on("memory=1GiB", "expandable_segments:False,garbage_collection_threshold:0.5,limit_mb:200");
  std::vector<void*> old;
  for (int i = 0; i < 3; ++i) old.push_back(on.allocate((20 + 2 * static_cast<std::size_t>(i)) * mib));
  for (void* block : old) REQUIRE(on.deallocate(block) == status::ok);
  void* live = on.allocate(50 * mib);
  REQUIRE(live != nullptr);
  const std::uint64_t frees = on.gpu.calls("cuMemFree");
  CHECK(on.allocate(60 * mib) != nullptr);
  CHECK(on.gpu.calls("cuMemFree") > frees);
  CHECK(on.allocator->stats().retry_count == 0);
  CHECK(on.is_valid());
}

TEST_CASE("plain_segments: where one oversize segment given back is not enough all that is whole goes") {
  session on("memory=64MiB", "expandable_segments:False,max_split_size_mb:20");
  void* const small = on.allocate(512, 0);
  void* const other_small = on.allocate(512, 2);
  void* const large = on.allocate(5 * mib, 3);  // in a segment of 20 MiB, which is oversize
  for (void* block : {small, other_small, large}) CHECK(on.deallocate(block) == status::ok);
  REQUIRE(on.reserved() == 24 * mib);
  on.allocator->set_limit(4 * mib);
  CHECK(on.allocate(2 * mib) != nullptr);
  CHECK(on.is_valid());
}
