// Random programs beside a naive list of what is live: no block overlaps another, contents stay, counters agree, no
// stream gets what another has freed since the last wait for the device, and the books hold after every step.
#include <algorithm>
#include <map>
#include <random>

#include "fixture.hpp"

using namespace terrazzo;
using namespace terrazzo::test;

namespace {

struct live_block {
  std::size_t bytes;
  std::size_t stream;
  unsigned char mark;
};

/// Memory that a stream may still be using.
struct pending_run {
  std::uintptr_t begin;
  std::uintptr_t end;
  std::size_t stream;
};

struct oracle {
  std::map<std::uintptr_t, live_block> live;
  std::vector<pending_run> pending;
  std::uint64_t waits = 0;
  std::size_t requested_bytes = 0;

  void add(void* block, std::size_t bytes, std::size_t stream, unsigned char mark) {
    const auto at = reinterpret_cast<std::uintptr_t>(block);
    const std::uint64_t waits_now = softgpu_session::calls("cuCtxSynchronize");
    if (waits_now != waits) pending.clear();
    waits = waits_now;
    REQUIRE(std::none_of(pending.begin(), pending.end(), [&](const pending_run& run) {
      return run.stream != stream && run.begin < at + bytes && at < run.end;
    }));
    const auto next = live.lower_bound(at);
    REQUIRE((next == live.end() || at + bytes <= next->first));
    if (next != live.begin()) {
      const auto before = std::prev(next);
      REQUIRE(before->first + before->second.bytes <= at);
    }
    // The ends and the middle: enough to notice memory given twice, and cheap.
    auto* contents = static_cast<unsigned char*>(block);
    contents[0] = contents[bytes / 2] = contents[bytes - 1] = mark;
    live.emplace(at, live_block{bytes, stream, mark});
    requested_bytes += bytes;
  }

  void* take_any(std::mt19937_64& random) {
    auto one = live.lower_bound(live.begin()->first + random() % (live.rbegin()->first - live.begin()->first + 1));
    if (one == live.end()) one = live.begin();
    const auto* contents = reinterpret_cast<const unsigned char*>(one->first);
    const live_block& block = one->second;
    REQUIRE(contents[0] == block.mark);
    REQUIRE(contents[block.bytes / 2] == block.mark);
    REQUIRE(contents[block.bytes - 1] == block.mark);
    void* address = reinterpret_cast<void*>(one->first);
    requested_bytes -= block.bytes;
    pending.push_back({one->first, one->first + block.bytes, block.stream});
    live.erase(one);
    return address;
  }
};

std::size_t any_size(std::mt19937_64& random) {
  const std::size_t octave = std::size_t{1} << (random() % 23);  // up to 8 MiB, small ones as likely as large ones
  return octave + random() % octave;
}

/// Returns how many requests failed for want of memory.
int run_program(const char* conf, std::uint64_t seed, std::size_t stream_count, int steps) {
  CAPTURE(std::string(conf));
  CAPTURE(seed);
  session on("memory=36MiB", conf);
  std::mt19937_64 random(seed);
  oracle known;
  int failures = 0;
  for (int step = 0; step < steps; ++step) {
    CAPTURE(step);
    const unsigned what = random() % 1000;
    if (what < 2) {
      std::size_t given_back = 0;
      REQUIRE(on.allocator->trim(random() % 2 == 0 ? 0 : 32 * mib, given_back) == status::ok);
    } else if (what < 4) {
      on.allocator->set_limit((16 + random() % 32) * mib);
    } else if (known.live.empty() || what < 560) {
      const std::size_t bytes = any_size(random);
      const std::size_t alignment = random() % 8 == 0 ? std::size_t{1} << (9 + random() % 13) : 512;
      const std::size_t stream = random() % stream_count;
      void* block = on.allocate(bytes, stream, alignment);
      if (block == nullptr) {
        REQUIRE(on.last == status::out_of_memory);
        ++failures;
        for (int i = 0; i < 20 && !known.live.empty(); ++i)
          REQUIRE(on.deallocate(known.take_any(random)) == status::ok);
      } else {
        REQUIRE(reinterpret_cast<std::uintptr_t>(block) % alignment == 0);
        known.add(block, bytes, stream, static_cast<unsigned char>(random()));
      }
    } else {
      REQUIRE(on.deallocate(known.take_any(random)) == status::ok);
    }
    if (step % 16 == 0) REQUIRE(on.is_valid());
  }
  REQUIRE(on.is_valid());
  const statistics now = on.allocator->stats();
  CHECK(now.allocations.current == known.live.size());
  CHECK(now.requested_bytes.current == known.requested_bytes);
  while (!known.live.empty()) REQUIRE(on.deallocate(known.take_any(random)) == status::ok);
  std::size_t given_back = 0;
  REQUIRE(on.allocator->trim(0, given_back) == status::ok);
  CHECK(on.reserved() == 0);
  CHECK(on.is_valid());
  return failures;
}

}  // namespace

// The programs must reach the ladder's end now and then, or they prove little: each case checks that some did.

TEST_CASE("oracle: random programs on one stream") {
  for (const kind_case& kind : kinds) {
    int failures = 0;
    for (std::uint64_t seed = 1; seed <= 6; ++seed) failures += run_program(kind.conf, seed, 1, 3000);
    CHECK(failures > 0);
  }
}

TEST_CASE("oracle: random programs on several streams") {
  for (const kind_case& kind : kinds) {
    int failures = 0;
    for (std::uint64_t seed = 11; seed <= 16; ++seed) failures += run_program(kind.conf, seed, 4, 3000);
    CHECK(failures > 0);
  }
}

TEST_CASE("oracle: random programs under settings that change sizes and splits") {
  for (const char* conf : {"expandable_segments:False,max_split_size_mb:20,garbage_collection_threshold:0.6",
                           "expandable_segments:False,large_segment_size_mb:12,roundup_power2_divisions:4",
                           "expandable_segments:True,roundup_power2_divisions:8"}) {
    int failures = 0;
    for (std::uint64_t seed = 21; seed <= 23; ++seed) failures += run_program(conf, seed, 2, 3000);
    CHECK(failures > 0);
  }
}
