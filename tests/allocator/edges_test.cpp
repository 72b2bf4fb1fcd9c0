// Sizes, devices and lives at the edges of what an allocator is made for.
#include <algorithm>
#include <cstring>
#include <thread>

#include "fixture.hpp"
#include "terrazzo/allocator.hpp"

using namespace terrazzo;
using namespace terrazzo::test;

namespace {

constexpr std::size_t kib = 1024;

std::size_t trim_all(session& on) {
  std::size_t given_back = 0;
  REQUIRE(on.allocator->trim(0, given_back) == status::ok);
  return given_back;
}

}  // namespace

TEST_CASE("edges: sizes beside every border at every alignment are served apart and freed") {
  for (const char* conf :
       {"expandable_segments:True", "expandable_segments:False", "expandable_segments:True,roundup_power2_divisions:4",
        "expandable_segments:False,roundup_power2_divisions:16,max_split_size_mb:20"}) {
    CAPTURE(std::string(conf));
    session on("memory=1GiB;backed=0", conf);
    std::vector<std::pair<std::uintptr_t, std::size_t>> blocks;
    for (const std::size_t border : {512 * std::size_t{1}, 8 * kib, 64 * kib, mib, 2 * mib, 10 * mib}) {
      for (const std::size_t bytes : {border - 1, border, border + 1}) {
        for (std::size_t alignment = 512; alignment <= 2 * mib; alignment *= 4) {
          CAPTURE(bytes);
          CAPTURE(alignment);
          void* block = on.allocate(bytes, 0, alignment);
          REQUIRE(block != nullptr);
          REQUIRE(reinterpret_cast<std::uintptr_t>(block) % alignment == 0);
          blocks.emplace_back(reinterpret_cast<std::uintptr_t>(block), bytes);
        }
      }
    }
    CHECK(on.is_valid());
    std::sort(blocks.begin(), blocks.end());
    for (std::size_t i = 1; i < blocks.size(); ++i)
      REQUIRE(blocks[i - 1].first + blocks[i - 1].second <= blocks[i].first);
    for (const auto& [begin, bytes] : blocks) REQUIRE(on.deallocate(reinterpret_cast<void*>(begin)) == status::ok);
    CHECK(on.is_valid());
    trim_all(on);
    CHECK(on.reserved() == 0);
  }
}

TEST_CASE("edges: a tiny device is used to its last chunk") {
  for (const kind_case& kind : kinds) {
    CAPTURE(std::string(kind.name));
    session on("memory=4MiB", kind.conf);
    void* whole = on.allocate(4 * mib);
    REQUIRE(whole != nullptr);
    CHECK(on.allocate(1) == nullptr);
    CHECK(on.last == status::out_of_memory);
    CHECK(on.allocate(4 * mib + 1) == nullptr);
    REQUIRE(on.deallocate(whole) == status::ok);
    std::vector<void*> blocks;
    while (void* block = on.allocate(64 * kib)) blocks.push_back(block);
    CHECK(blocks.size() == 64);
    CHECK(on.is_valid());
    for (void* block : blocks) CHECK(on.deallocate(block) == status::ok);
    CHECK(on.allocate(4 * mib, 1) != nullptr);  // all of it, for another stream
    CHECK(on.is_valid());
  }
}

TEST_CASE("edges: on a full device a small request is served from any class that keeps its alignment") {
  session on("memory=2MiB", "expandable_segments:True");
  void* first = on.allocate(1536);  // opens a slab of 64 KiB, with room for more
  REQUIRE(first != nullptr);
  REQUIRE(on.allocate(2 * mib - 64 * kib) != nullptr);
  const std::uint64_t calls = on.allocator->stats().driver_calls;
  for (const std::size_t alignment : {std::size_t{1}, std::size_t{512}}) {
    CAPTURE(alignment);
    CHECK(on.allocate(512, 0, alignment) != nullptr);
  }
  CHECK(on.allocator->stats().driver_calls > calls);
  CHECK(on.allocate(512, 0, 1024) == nullptr);
  CHECK(on.last == status::out_of_memory);
  CHECK(on.is_valid());
}

TEST_CASE("edges: an aligned small request costs no more than a class whose blocks are multiples of it") {
  session on("memory=64MiB", "expandable_segments:True");
  const auto cost = [&](std::size_t bytes, std::size_t alignment) {
    const std::size_t before = on.allocator->stats().allocated_bytes.current;
    void* block = on.allocate(bytes, 0, alignment);
    REQUIRE(reinterpret_cast<std::uintptr_t>(block) % alignment == 0);
    return on.allocator->stats().allocated_bytes.current - before;
  };
  CHECK(cost(5 * kib, 1 * kib) == 5 * kib);
  CHECK(cost(5 * kib, 4 * kib) == 8 * kib);
  CHECK(cost(9 * kib, 4 * kib) == 12 * kib);
  CHECK(cost(40 * kib, 16 * kib) == 48 * kib);
  CHECK(cost(1, 64 * kib) == 64 * kib);
}

TEST_CASE("edges: a granularity larger than the device leaves plain segments") {
  session on("memory=4MiB;granularity=32MiB", "expandable_segments:True");
  CHECK(on.allocator->kind() == segment_kind::plain);
  CHECK(on.allocate(3 * mib) != nullptr);
}

TEST_CASE("edges: a limit below what is held takes nothing new and gives what is cached") {
  for (const kind_case& kind : kinds) {
    CAPTURE(std::string(kind.name));
    session on("memory=256MiB", kind.conf);
    void* cached = on.allocate(30 * mib);
    void* kept = on.allocate(30 * mib);
    REQUIRE(on.deallocate(cached) == status::ok);
    on.allocator->set_limit(0);
    CHECK(on.allocator->stats().limit_bytes == 0);
    void* again = on.allocate(30 * mib);
    CHECK(again == cached);
    CHECK(on.allocate(mib) == nullptr);
    CHECK(on.last == status::out_of_memory);
    CHECK(on.deallocate(kept) == status::ok);
    CHECK(on.deallocate(again) == status::ok);
    CHECK(trim_all(on) >= 60 * mib);
    CHECK(on.allocate(1) == nullptr);
    on.allocator->set_limit(SIZE_MAX);
    CHECK(on.allocate(1) != nullptr);
    CHECK(on.is_valid());
  }
}

TEST_CASE("edges: ten thousand streams have heaps of their own and what they free serves all") {
  for (const kind_case& kind : kinds) {
    CAPTURE(std::string(kind.name));
    constexpr std::size_t stream_count = 10000;
    session on("memory=1GiB;backed=0", kind.conf, 0, stream_count + 1);
    std::vector<void*> blocks;
    for (std::size_t stream = 1; stream <= stream_count; ++stream) {
      blocks.push_back(on.allocate(700, stream));
      if (blocks.back() == nullptr) FAIL("stream " << stream << ": " << last_error_message());
    }
    CHECK(on.allocator->stats().allocations.current == stream_count);
    CHECK(on.is_valid());
    for (void* block : blocks) {
      if (on.deallocate(block) != status::ok) FAIL(last_error_message());
    }
    CHECK(on.allocate(mib * 1000, 1) != nullptr);
    CHECK(on.is_valid());
  }
}

TEST_CASE("edges: an allocator at the address of one that is gone owes it nothing") {
  session on("memory=256MiB");
  for (int life = 0; life < 20; ++life) {
    CAPTURE(life);
    void* block = on.allocate(1000);
    REQUIRE(block != nullptr);
    REQUIRE(on.allocate(3 * mib) != nullptr);
    CHECK(on.allocator->stats().allocations.current == 2);
    // This thread's cache still names a heap of the one that goes; its blocks are live.
    on.allocator.reset();
    on.open("");
    CHECK(on.deallocate(block) == status::foreign_pointer);
    CHECK(on.is_valid());
  }
}

TEST_CASE("edges: an allocator can be moved with its blocks live") {
  allocator_options options;
  options.settings = parse_config("");
  options.driver_path = TERRAZZO_SOFTGPU_LIBRARY;
  allocator first(options);
  void* block = first.allocate(3 * mib);
  allocator second(std::move(first));
  CHECK(second.requested_bytes(block) == 3 * mib);
  first = allocator(options);
  CHECK(first.try_deallocate(block) == status::wrong_device);
  first = std::move(second);  // what `first` was gives its memory back
  first.deallocate(block);
  first.validate();
  CHECK(first.stats().allocations.current == 0);
}

TEST_CASE("edges: the allocators of two devices keep their blocks apart") {
  session on("memory=64MiB;devices=2");
  std::unique_ptr<detail::device_allocator> other;
  REQUIRE(detail::device_allocator::open(on.gpu.api, 1, parse_config(""), other) == status::ok);
  std::vector<void*> here;
  std::vector<void*> there;
  // One stream handle, one thread, two allocators in turn: the thread's cache must not mix them up.
  for (int i = 0; i < 50; ++i) {
    here.push_back(on.allocate(2000, 7));
    void* block = nullptr;
    REQUIRE(other->allocate(2000, on.streams[7], 512, block) == status::ok);
    there.push_back(block);
  }
  CHECK(on.allocator->stats().allocations.current == 50);
  CHECK(other->stats().allocations.current == 50);
  CHECK(on.gpu.count("used_bytes", 0) == on.reserved());
  CHECK(on.gpu.count("used_bytes", 1) == other->stats().reserved_bytes.current);
  CHECK(on.deallocate(there[0]) == status::wrong_device);
  for (void* block : here) CHECK(on.deallocate(block) == status::ok);
  for (void* block : there) CHECK(other->deallocate(block) == status::ok);
  CHECK(on.is_valid());
  CHECK(other->validate() == status::ok);
}

TEST_CASE("edges: shutdown under the feet of other threads loses nothing and hands out nothing") {
  for (const kind_case& kind : kinds) {
    CAPTURE(std::string(kind.name));
    for (int round = 0; round < 10; ++round) {
      session on("memory=64MiB", kind.conf);
      std::atomic<int> inside{0};
      std::atomic<int> wrong{0};
      std::vector<std::thread> threads;
      for (std::size_t number = 1; number <= 3; ++number)
        threads.emplace_back([&, number] {
          ++inside;
          for (std::size_t step = 0;; ++step) {
            void* block = nullptr;
            const status taken =
                on.allocator->allocate(step % 2 == 0 ? 60000 : 100000, on.streams[number % 2], 512, block);
            if (taken == status::shut_down) return;
            const status freed = on.allocator->deallocate(block);
            if (taken != status::ok || (freed != status::ok && freed != status::shut_down)) ++wrong;
          }
        });
      while (inside < 3) std::this_thread::yield();
      on.allocator->shutdown();
      CHECK(on.gpu.count("used_bytes") == 0);
      for (std::thread& each : threads) each.join();
      CHECK(wrong == 0);
      CHECK(on.allocator->stats().allocations.current == 0);
      CHECK(on.allocator->stats().allocated_bytes.current == 0);
    }
  }
}
