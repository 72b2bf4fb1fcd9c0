// Settings that change while the allocator lives: what is allocated stays, what comes next follows the new ones.
#include <atomic>
#include <random>
#include <thread>
#include <vector>

#include "allocator/fixture.hpp"

using terrazzo::config;
using terrazzo::parse_config;
using terrazzo::segment_kind;
using terrazzo::status;
using terrazzo::test::mib;
using terrazzo::test::session;

namespace {

void change(session& on, const char* conf) {
  REQUIRE(on.allocator->set_settings(parse_config(conf)) == status::ok);
  REQUIRE(on.is_valid());
}

}  // namespace

TEST_CASE("settings: rounding, limit and headroom follow a change at once") {
  session on("memory=256MiB");
  const auto cost = [&](std::size_t bytes) {
    const std::size_t before = on.allocator->stats().allocated_bytes.current;
    void* block = on.allocate(bytes);
    REQUIRE(block != nullptr);
    const std::size_t taken = on.allocator->stats().allocated_bytes.current - before;
    REQUIRE(on.deallocate(block) == status::ok);
    return taken;
  };
  CHECK(cost(5 * mib) == 5 * mib);
  change(on, "roundup_power2_divisions:2,limit_mb:16,headroom_mb:1");
  CHECK(cost(5 * mib) == 6 * mib);
  CHECK(on.allocator->stats().limit_bytes == 16 * mib);
  CHECK(on.allocator->memory().headroom_bytes() == 1 * mib);
  CHECK(on.allocate(17 * mib) == nullptr);
  CHECK(on.last == status::out_of_memory);
  on.allocator->set_limit(64 * mib);
  change(on, "per_process_memory_fraction:0.125");
  CHECK(on.allocator->stats().limit_bytes == 32 * mib);
  CHECK(cost(5 * mib) == 5 * mib);
  CHECK(on.allocator->settings() == parse_config("per_process_memory_fraction:0.125"));
}

TEST_CASE("settings: what is out of range changes nothing") {
  session on("memory=256MiB", "limit_mb:64");
  config wrong = on.allocator->settings();
  wrong.per_process_memory_fraction = 1.5;
  wrong.limit_bytes = 1;
  CHECK(on.allocator->set_settings(wrong) == status::invalid_config);
  CHECK(std::string(terrazzo::last_error_message()).find("per_process_memory_fraction") != std::string::npos);
  CHECK(on.allocator->settings() == parse_config("limit_mb:64"));
  CHECK(on.allocator->stats().limit_bytes == 64 * mib);
  on.allocator->shutdown();
  CHECK(on.allocator->set_settings(config{}) == status::shut_down);
}

TEST_CASE("settings: blocks of both kinds live side by side, and a kind's memory serves that kind alone") {
  session on("memory=256MiB");
  CHECK(on.allocator->kind() == segment_kind::expandable);
  void* const mapped = on.allocate(8 * mib);
  void* const mapped_small = on.allocate(4096);
  change(on, "expandable_segments:False");
  CHECK(on.allocator->kind() == segment_kind::plain);
  void* const plain = on.allocate(8 * mib);
  void* const plain_small = on.allocate(4096);
  CHECK(on.gpu.count("allocations") == 2);  // one segment of the large pool, one of the small
  CHECK(on.allocator->stats().allocations.current == 4);
  CHECK(on.allocator->stats().segment_count == 3);

  // Freed while the other kind is in force, they wait until theirs is again.
  CHECK(on.deallocate(mapped) == status::ok);
  CHECK(on.deallocate(mapped_small) == status::ok);
  const std::uint64_t calls = on.allocator->stats().driver_calls;
  void* const another = on.allocate(8 * mib);
  CHECK(another != mapped);
  CHECK(on.deallocate(another) == status::ok);
  CHECK(on.deallocate(plain) == status::ok);
  CHECK(on.deallocate(plain_small) == status::ok);
  CHECK(on.deallocate(plain) == status::double_free);
  change(on, "expandable_segments:True");
  CHECK(on.allocate(8 * mib) == mapped);
  CHECK(on.allocate(4096) == mapped_small);
  CHECK(on.allocator->stats().driver_calls == calls);
  REQUIRE(on.is_valid());
  std::size_t given_back = 0;
  CHECK(on.allocator->trim(0, given_back) == status::ok);
  CHECK(on.gpu.count("allocations") == 0);
}

TEST_CASE("settings: memory that the kind before has left behind is given up for a request") {
  for (const bool first_expandable : {false, true}) {
    CAPTURE(first_expandable);
    session on("memory=64MiB", first_expandable ? "" : "expandable_segments:False");
    void* const block = on.allocate(60 * mib);
    REQUIRE(block != nullptr);
    change(on, first_expandable ? "expandable_segments:False" : "");
    CHECK(on.allocate(60 * mib) == nullptr);  // the block still lives
    CHECK(on.deallocate(block) == status::ok);
    CHECK(on.allocate(60 * mib) != nullptr);
    CHECK(on.is_valid());
  }
}

TEST_CASE("settings: split rules of plain segments follow a change") {
  session on("memory=512MiB", "expandable_segments:False");
  void* const whole = on.allocate(100 * mib);
  CHECK(on.deallocate(whole) == status::ok);
  change(on, "expandable_segments:False,max_split_size_mb:64,large_segment_size_mb:32");
  void* const other = on.allocate(40 * mib);  // may not be cut from the cached 100 MiB any more
  CHECK(on.reserved() == 140 * mib);
  CHECK(on.allocate(2 * mib) != nullptr);
  CHECK(on.reserved() == 172 * mib);
  change(on, "expandable_segments:False");
  CHECK(on.allocate(50 * mib) == whole);
  CHECK(on.deallocate(other) == status::ok);
  CHECK(on.is_valid());
}

TEST_CASE("settings: random operations under changing settings keep the books") {
  const char* const confs[] = {"", "expandable_segments:False", "roundup_power2_divisions:4",
                               "expandable_segments:False,max_split_size_mb:20", "limit_mb:96"};
  session on("memory=192MiB");
  std::mt19937_64 random(4);
  struct live {
    void* block;
    std::size_t bytes;
  };
  std::vector<live> blocks;
  for (int step = 0; step < 4000; ++step) {
    if (random() % 40 == 0) change(on, confs[random() % std::size(confs)]);
    if (random() % 2 == 0 || blocks.empty()) {
      const std::size_t bytes = std::size_t{1} << (random() % 25);
      void* block = on.allocate(bytes, 1 + random() % 3);
      if (block == nullptr) CHECK(on.last == status::out_of_memory);
      else blocks.push_back({block, bytes});
    } else {
      std::swap(blocks[random() % blocks.size()], blocks.back());
      std::size_t bytes = 0;
      CHECK(on.allocator->find_requested_bytes(blocks.back().block, bytes) == status::ok);
      CHECK(bytes == blocks.back().bytes);
      CHECK(on.deallocate(blocks.back().block) == status::ok);
      blocks.pop_back();
    }
  }
  REQUIRE(on.is_valid());
  CHECK(on.allocator->stats().allocations.current == blocks.size());
  for (const live& each : blocks) CHECK(on.deallocate(each.block) == status::ok);
}

TEST_CASE("settings: threads allocate while the settings change") {
  session on("memory=1GiB");
  std::atomic<int> wrong{0};
  std::atomic<bool> stop{false};
  std::vector<std::thread> threads;
  for (std::size_t i = 1; i <= 3; ++i) {
    threads.emplace_back([&, i] {
      std::mt19937_64 random(i);
      std::vector<void*> blocks(16);
      for (int step = 0; step < 3000; ++step) {
        void*& place = blocks[random() % blocks.size()];
        if (place != nullptr && on.allocator->deallocate(place) != status::ok) ++wrong;
        place = nullptr;
        const std::size_t bytes = std::size_t{1} << (random() % 22);
        if (on.allocator->allocate(bytes, on.streams[i], 512, place) != status::ok) ++wrong;
      }
      for (void* each : blocks)
        if (each != nullptr && on.allocator->deallocate(each) != status::ok) ++wrong;
    });
  }
  std::thread changer([&] {
    const config confs[] = {parse_config(""), parse_config("expandable_segments:False"),
                            parse_config("roundup_power2_divisions:8")};
    for (std::size_t i = 0; !stop; ++i) {
      if (on.allocator->set_settings(confs[i % std::size(confs)]) != status::ok) ++wrong;
      std::this_thread::yield();
    }
  });
  for (std::thread& one : threads) one.join();
  stop = true;
  changer.join();
  CHECK(wrong == 0);
  CHECK(on.allocator->stats().allocations.current == 0);
  CHECK(on.is_valid());
}
