// Stitching: what a request can be made of when nothing cached serves it, and what it may cost.
#include <algorithm>
#include <cstring>
#include <map>
#include <random>

#include "fixture.hpp"

using namespace terrazzo;
using namespace terrazzo::test;
using detail::block_state;

namespace {

constexpr std::size_t kib = 1024;

/// What could still be had on a device that this allocator has to itself, by the room's promise.
struct remains {
  std::size_t whole_chunks = 0;  // free, spare, or not made yet
  std::size_t largest_suffix = 0;
  std::size_t largest_prefix = 0;

  explicit remains(const session& on) {
    struct use {
      std::uintptr_t first = UINTPTR_MAX;
      std::uintptr_t end = 0;
    };
    std::map<std::uintptr_t, use> used;  // by place
    std::size_t mapped = 0;
    std::size_t part_shadows = 0;
    std::size_t whole_shadows = 0;
    on.allocator->visit_blocks([&](const detail::block& one) {
      if (one.in_state(block_state::unmapped)) return;
      if (one.in_state(block_state::shadow)) ++(one.bytes == 2 * mib ? whole_shadows : part_shadows);
      for (std::uintptr_t place = one.begin() / (2 * mib) * (2 * mib); place < one.end(); place += 2 * mib) {
        const bool is_new = used.find(place) == used.end();
        use& here = used[place];
        if (is_new) ++mapped;
        if (one.in_state(block_state::free)) continue;
        here.first = std::min(here.first, std::max(one.begin(), place));
        here.end = std::max(here.end, std::min(one.end(), place + 2 * mib));
      }
    });
    for (const auto& [place, here] : used) {
      if (here.end == 0) ++whole_chunks;
      if (here.end == 0) continue;
      largest_prefix = std::max(largest_prefix, here.first - place);
      largest_suffix = std::max(largest_suffix, place + 2 * mib - here.end);
    }
    // An edge that is shared has a shadow at either address; one that is to go, a whole one at the second.
    const std::size_t aliases = part_shadows / 2 + whole_shadows;
    const detail::device_memory& memory = on.allocator->memory();
    whole_chunks += memory.held_bytes() / (2 * mib) - (mapped - aliases);
    const std::size_t limit = std::min(memory.limit_bytes(), memory.total_bytes());
    whole_chunks += (limit - std::min(limit, memory.held_bytes())) / (2 * mib);
  }

  [[nodiscard]] std::size_t bytes() const { return whole_chunks * 2 * mib + largest_suffix + largest_prefix; }
};

/// A device of four chunks: A, B and C partly used, the fourth free. The middle of B is used, so that nothing free is
/// larger than a chunk and the ends of two others.
struct four_chunks {
  explicit four_chunks(session& on) {
    // Chunk by chunk: 2 MiB, as 1.5 and 0.5, 0.5 and 1 and 0.5, 0.5 and 1.5, 2.
    std::vector<void*> blocks;
    for (const std::size_t size : {1536, 512, 512, 1024, 512, 512, 1536, 2048}) {
      blocks.push_back(on.allocate(size * kib));
      REQUIRE(blocks.back() != nullptr);
    }
    a = blocks[0];
    b = blocks[3];
    c = blocks[6];
    for (const std::size_t i : {1, 2, 4, 5, 7}) REQUIRE(on.deallocate(blocks[i]) == status::ok);
    std::memset(a, 'a', 1536 * kib);
    std::memset(b, 'b', 1024 * kib);
    std::memset(c, 'c', 1536 * kib);
  }
  [[nodiscard]] bool intact() const {
    const auto all = [](const void* block, char mark, std::size_t bytes) {
      const char* contents = static_cast<const char*>(block);
      return std::all_of(contents, contents + bytes, [&](char each) { return each == mark; });
    };
    return all(a, 'a', 1536 * kib) && all(b, 'b', 1024 * kib) && all(c, 'c', 1536 * kib);
  }
  void* a;
  void* b;
  void* c;
};

}  // namespace

TEST_CASE("stitching: a request begins in the end of one chunk and ends in the beginning of another") {
  session on("memory=8MiB");
  const four_chunks held(on);
  const std::uint64_t created = on.gpu.calls("cuMemCreate");
  void* large = on.allocate(3 * mib);
  REQUIRE(large != nullptr);
  CHECK(on.gpu.calls("cuMemCreate") == created);
  CHECK(on.reserved() == 8 * mib);
  std::memset(large, 'x', 3 * mib);
  CHECK(held.intact());
  CHECK(on.is_valid());
  // What was lent cannot be had a second time.
  CHECK(on.allocate(mib + 512 * kib) == nullptr);
  CHECK(on.deallocate(large) == status::ok);
  std::memset(held.a, 'a', 1536 * kib);
  CHECK(on.is_valid());
  large = on.allocate(3 * mib);
  REQUIRE(large != nullptr);
  std::memset(large, 'y', 3 * mib);
  CHECK(held.intact());
}

TEST_CASE("stitching: what was lent comes back and its chunk is whole again") {
  session on("memory=8MiB");
  const four_chunks held(on);
  void* large = on.allocate(3 * mib);
  REQUIRE(large != nullptr);
  for (void* block : {held.a, held.b, held.c}) REQUIRE(on.deallocate(block) == status::ok);
  CHECK(on.allocate(5 * mib + 512) == nullptr);
  CHECK(on.is_valid());
  REQUIRE(on.deallocate(large) == status::ok);
  CHECK(on.is_valid());
  void* all = on.allocate(8 * mib);
  REQUIRE(all != nullptr);
  std::memset(all, 'z', 8 * mib);
  CHECK(on.gpu.count("mappings") == 4);  // the second ones have gone
  CHECK(on.is_valid());
}

TEST_CASE("stitching: a second mapping goes once somebody has waited for the work of its stream") {
  session on("memory=8MiB;completion=manual");
  const four_chunks held(on);
  void* large = on.allocate(3 * mib);
  REQUIRE(large != nullptr);
  CHECK(on.gpu.count("mappings") == 6);  // of four chunks: the fourth moved, and two are mapped twice
  const current_context current(on.gpu);
  on.work_on(0);
  REQUIRE(on.deallocate(large) == status::ok);
  const std::uint64_t waits = on.gpu.calls("cuCtxSynchronize");
  CHECK(on.gpu.count("mappings") == 6);
  REQUIRE(on.allocate(2 * mib) != nullptr);  // what the same stream has freed; the rest of it comes back
  CHECK(on.gpu.calls("cuCtxSynchronize") == waits);
  CHECK(on.gpu.count("mappings") == 6);
  CHECK(on.allocate(2 * mib) == nullptr);
  CHECK(on.gpu.calls("cuCtxSynchronize") == waits + 1);
  CHECK(on.gpu.count("mappings") == 4);
  CHECK(held.intact());
  CHECK(on.is_valid());
}

TEST_CASE("stitching: without aliases a request that needs them fails and nothing else does") {
  softgpu_session gpu("memory=8MiB");
  REQUIRE(terrazzo_softgpu_fail("cuMemMap", 2, CUDA_ERROR_NOT_SUPPORTED, 1) == 0);  // the probe's second mapping
  std::unique_ptr<detail::device_allocator> one;
  REQUIRE(detail::device_allocator::open(gpu.api, 0, config(), one) == status::ok);
  CHECK(one->kind() == segment_kind::expandable);
  CHECK_FALSE(one->memory().has_aliases());
  std::vector<void*> blocks;
  for (const std::size_t size : {1536, 512, 512, 1024, 512, 512, 1536, 2048}) {
    blocks.push_back(nullptr);
    REQUIRE(one->allocate(size * kib, nullptr, 512, blocks.back()) == status::ok);
  }
  for (const std::size_t i : {1, 2, 4, 5, 7}) REQUIRE(one->deallocate(blocks[i]) == status::ok);
  void* large = nullptr;
  CHECK(one->allocate(3 * mib, nullptr, 512, large) == status::out_of_memory);
  CHECK(one->allocate(2 * mib, nullptr, 512, large) == status::ok);
  CHECK(one->validate() == status::ok);
}

TEST_CASE("stitching: a request that an edge would save a chunk is served without it if it cannot be mapped") {
  session on("memory=16MiB");
  void* beginning = on.allocate(512 * kib);  // of a chunk that is used otherwise
  REQUIRE(on.allocate(1536 * kib) != nullptr);
  REQUIRE(on.allocate(8 * mib) != nullptr);  // more than half of the device is held
  REQUIRE(on.deallocate(beginning) == status::ok);
  const std::size_t held = on.reserved();
  void* sharing = on.allocate(2 * mib + 256 * kib);
  REQUIRE(sharing != nullptr);
  CHECK(on.reserved() == held + 2 * mib);
  REQUIRE(on.deallocate(sharing) == status::ok);
  std::size_t given_back = 0;
  REQUIRE(on.allocator->trim(0, given_back) == status::ok);
  REQUIRE(on.reserved() == held);
  on.gpu.fail("cuMemMap", 1, CUDA_ERROR_NOT_SUPPORTED);
  void* block = on.allocate(2 * mib + 256 * kib);
  REQUIRE(block != nullptr);
  CHECK(terrazzo_softgpu_failures() == 1);
  CHECK(on.reserved() == held + 4 * mib);
  std::memset(block, 'x', 2 * mib + 256 * kib);
  CHECK(on.is_valid());
}

TEST_CASE("stitching: a request shares no edge of what it lies on itself") {
  session on("memory=32MiB;completion=manual");
  for (const std::size_t stream : {1, 2}) REQUIRE(on.allocate(100, stream) != nullptr);
  // Side by side, with the border in the middle of a chunk: one that its stream alone may have, one that is idle.
  void* own = on.allocate(12 * mib + 384 * kib, 1);  // behind two slabs of 64 KiB
  void* idle = on.allocate(3 * mib + 512 * kib, 2);
  REQUIRE(idle == static_cast<char*>(own) + 12 * mib + 384 * kib);
  on.work_on(1);
  REQUIRE(on.deallocate(own) == status::ok);
  REQUIRE(on.deallocate(idle) == status::ok);
  terrazzo_softgpu_complete(on.streams[2], UINT64_MAX);
  CHECK(on.allocate(16 * mib + 128 * kib, 1) == own);  // both, and a little more
  CHECK(on.is_valid());
}

TEST_CASE("stitching: what one stream has finished serves the second that comes") {
  session on("memory=256MiB;backed=0", "on_miss:create");
  void* first = on.allocate(20 * mib, 1);
  REQUIRE(on.allocate(2 * mib, 1) != nullptr);
  REQUIRE(on.deallocate(first) == status::ok);
  REQUIRE(on.allocate(21 * mib, 1) != nullptr);  // a miss, which sees that what was freed is finished
  const std::size_t reserved = on.reserved();
  CHECK(on.allocate(20 * mib, 2) == first);
  CHECK(on.reserved() == reserved);
  CHECK(on.gpu.calls("cuCtxSynchronize") == 0);
}

TEST_CASE("stitching: no request fails that whole chunks and the best two edges hold") {
  for (const std::size_t stream_count : {1, 3}) {
    CAPTURE(stream_count);
    int failures = 0;
    int edges = 0;
    for (std::uint64_t seed = 1; seed <= 30; ++seed) {
      CAPTURE(seed);
      session on("memory=64MiB;backed=0");
      std::mt19937_64 random(seed);
      std::vector<void*> live;
      for (int step = 0; step < 600; ++step) {
        CAPTURE(step);
        if (live.empty() || random() % 100 < 58) {
          const std::size_t bytes = std::size_t{512} * (130 + random() % (std::size_t{1} << (4 + random() % 11)));
          void* block = on.allocate(bytes, random() % stream_count);
          if (block != nullptr) {
            live.push_back(block);
          } else {
            ++failures;
            REQUIRE(on.is_valid());
            const remains left(on);
            CAPTURE(left.whole_chunks);
            REQUIRE(left.bytes() < bytes);
          }
        } else {
          const std::size_t i = random() % live.size();
          REQUIRE(on.deallocate(live[i]) == status::ok);
          live[i] = live.back();
          live.pop_back();
        }
        on.allocator->visit_blocks([&](const detail::block& one) { edges += one.in_state(block_state::shadow); });
      }
      REQUIRE(on.is_valid());
    }
    CHECK(failures > 100);
    CHECK(edges > 100);
  }
}

TEST_CASE("stitching: idle chunks are moved before new ones are made") {
  session on("memory=1GiB;backed=0");
  std::vector<void*> blocks;
  for (int i = 0; i < 64; ++i) blocks.push_back(on.allocate(2 * mib));
  for (std::size_t i = 0; i < 64; i += 2) REQUIRE(on.deallocate(blocks[i]) == status::ok);
  REQUIRE(on.allocate(64 * mib) != nullptr);
  CHECK(on.reserved() == 128 * mib);
  CHECK(on.is_valid());
}

TEST_CASE("stitching: the policy create makes chunks first and moves them on a full device") {
  session on("memory=192MiB;backed=0", "on_miss:create");
  std::vector<void*> blocks;
  for (int i = 0; i < 64; ++i) blocks.push_back(on.allocate(2 * mib));
  for (std::size_t i = 0; i < 64; i += 2) REQUIRE(on.deallocate(blocks[i]) == status::ok);
  REQUIRE(on.allocate(64 * mib) != nullptr);
  CHECK(on.reserved() == 192 * mib);
  REQUIRE(on.allocate(64 * mib) != nullptr);
  CHECK(on.reserved() == 192 * mib);
}

TEST_CASE("stitching: the policy fail moves nothing and shares no edge") {
  session on("memory=128MiB;backed=0", "on_miss:fail");
  std::vector<void*> blocks;
  for (int i = 0; i < 64; ++i) blocks.push_back(on.allocate(2 * mib));
  for (std::size_t i = 0; i < 64; i += 2) REQUIRE(on.deallocate(blocks[i]) == status::ok);
  const std::uint64_t unmapped = on.gpu.calls("cuMemUnmap");
  CHECK(on.allocate(64 * mib) == nullptr);
  CHECK(on.last == status::out_of_memory);
  CHECK(std::string(last_error_message()).find("on_miss:move") != std::string::npos);
  CHECK(on.gpu.calls("cuMemUnmap") == unmapped);
  CHECK(on.allocate(2 * mib) != nullptr);
  REQUIRE(on.allocator->set_settings(parse_config("")) == status::ok);
  CHECK(on.allocate(62 * mib) != nullptr);
}

TEST_CASE("stitching: a request that fails leaves the cache as it was") {
  session on("memory=64MiB;backed=0");
  std::vector<void*> blocks;
  for (int i = 0; i < 32; ++i) blocks.push_back(on.allocate(2 * mib));
  for (std::size_t i = 0; i < 32; i += 2) REQUIRE(on.deallocate(blocks[i]) == status::ok);
  CHECK(on.allocate(34 * mib) == nullptr);
  const std::uint64_t calls = on.gpu.calls("cuMemMap") + on.gpu.calls("cuMemUnmap");
  for (std::size_t i = 0; i < 32; i += 2) CHECK(on.allocate(2 * mib) == blocks[i]);
  CHECK(on.gpu.calls("cuMemMap") + on.gpu.calls("cuMemUnmap") == calls);
}

TEST_CASE("stitching: a periodic program makes no memory call to the driver after two periods") {
  for (const std::size_t stream_count : {1, 4}) {
    CAPTURE(stream_count);
    session on("memory=210MiB;backed=0");
    std::vector<std::pair<std::size_t, std::size_t>> requests;  // bytes, and after how many requests it is freed
    std::mt19937_64 random(5);
    std::size_t live = 0;
    const auto run = [&](bool plan) {
      std::vector<void*> blocks;
      std::vector<std::size_t> due;
      for (std::size_t i = 0; i < 400; ++i) {
        if (plan) requests.push_back({std::size_t{512} * (200 + random() % 20000), 1 + random() % 40});
        for (std::size_t k = 0; k < blocks.size(); ++k) {
          if (blocks[k] == nullptr || due[k] > i) continue;
          REQUIRE(on.deallocate(blocks[k]) == status::ok);
          live -= requests[k].first;
          blocks[k] = nullptr;
        }
        if (plan)
          while (live + requests[i].first > 200 * mib) requests[i].first = std::size_t{512} * (200 + random() % 2000);
        blocks.push_back(on.allocate(requests[i].first, i / 50 % stream_count));
        due.push_back(i + requests[i].second);
        REQUIRE(blocks[i] != nullptr);
        live += requests[i].first;
      }
      for (std::size_t k = 0; k < blocks.size(); ++k)
        if (blocks[k] != nullptr) REQUIRE(on.deallocate(blocks[k]) == status::ok);
      live = 0;
    };
    run(true);
    run(false);
    const auto memory_calls = [&] {
      std::uint64_t sum = 0;
      for (const char* name : {"cuMemCreate", "cuMemMap", "cuMemUnmap", "cuMemSetAccess", "cuMemRelease"})
        sum += on.gpu.calls(name);
      return sum;
    };
    const std::uint64_t before = memory_calls();
    for (int period = 0; period < 5; ++period) run(false);
    CHECK(memory_calls() == before);
    CHECK(on.is_valid());
  }
}

TEST_CASE("stitching: garbage is collected by age above its share of the limit") {
  session on("memory=256MiB;backed=0", "limit_mb:128,garbage_collection_threshold:0.5");
  void* old = on.allocate(30 * mib);
  void* fence = on.allocate(2 * mib);
  void* young = on.allocate(30 * mib);
  REQUIRE(on.deallocate(old) == status::ok);
  for (int i = 0; i < 20; ++i) REQUIRE(on.deallocate(on.allocate(mib)) == status::ok);
  REQUIRE(on.deallocate(young) == status::ok);
  REQUIRE(on.deallocate(fence) == status::ok);
  void* large = on.allocate(100 * mib);
  REQUIRE(large != nullptr);
  CHECK(on.reserved() <= 102 * mib);
  REQUIRE(on.deallocate(large) == status::ok);
  // More than the threshold is held: the next request that brings memory gives old memory back.
  REQUIRE(on.allocate(mib) != nullptr);
  REQUIRE(on.allocate(104 * mib) != nullptr);
  CHECK(on.is_valid());
}

TEST_CASE("stitching: ranges are chained when the first is used up") {
  session on("memory=256MiB;backed=0", "expandable_segments_reserve:0.25");
  std::vector<void*> blocks;
  for (int i = 0; i < 24; ++i) {
    blocks.push_back(on.allocate(10 * mib));
    REQUIRE(blocks.back() != nullptr);
  }
  CHECK(on.gpu.count("reservations") >= 4);
  CHECK(on.is_valid());
  for (void* block : blocks) REQUIRE(on.deallocate(block) == status::ok);
  CHECK(on.allocate(250 * mib) != nullptr);  // larger than any: a range of its own
  CHECK(on.is_valid());
}
