// Random programs beside a naive list of what is live: no block overlaps another, contents stay through every move,
// counters agree, and the books hold after every step.
//
// Streams are slow: whoever frees a block leaves work behind that writes into it, through its old address, when the
// software GPU comes to it. Memory that was lent to another stream too early, or mapped elsewhere, is then overwritten,
// and the contents of its new owner tell.
#include <algorithm>
#include <deque>
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

/// Writes where chunks begin and end, and at the ends and in the middle of a block.
template <typename Visit>
void for_each_sample(std::uintptr_t begin, std::size_t bytes, Visit visit) {
  auto* contents = reinterpret_cast<unsigned char*>(begin);
  visit(contents[0]);
  visit(contents[bytes / 2]);
  visit(contents[bytes - 1]);
  for (std::uintptr_t at = (begin / (2 * mib) + 1) * (2 * mib); at < begin + bytes; at += 2 * mib) {
    visit(contents[at - begin]);
    visit(contents[at - begin - 1]);
  }
}

/// The work that was using a block when it was freed.
struct last_use {
  std::uintptr_t begin;
  std::size_t bytes;
  std::size_t stream;
  bool done = false;
  static void run(void* self) {
    auto& one = *static_cast<last_use*>(self);
    for_each_sample(one.begin, one.bytes, [](unsigned char& sample) { sample = 0xdb; });
    one.done = true;
  }
};

struct oracle {
  explicit oracle(session& session) : on(session) {}

  session& on;
  std::map<std::uintptr_t, live_block> live;
  std::deque<last_use> uses;  // their addresses are with the software GPU
  std::size_t requested_bytes = 0;

  void add(void* block, std::size_t bytes, std::size_t stream, unsigned char mark) {
    const auto at = reinterpret_cast<std::uintptr_t>(block);
    const auto next = live.lower_bound(at);
    REQUIRE((next == live.end() || at + bytes <= next->first));
    if (next != live.begin()) {
      const auto before = std::prev(next);
      REQUIRE(before->first + before->second.bytes <= at);
    }
    // The new owner's first work comes after all that its own stream had to do, and after nothing else.
    terrazzo_softgpu_complete(on.streams.at(stream), UINT64_MAX);
    while (!uses.empty() && uses.front().done) uses.pop_front();
    REQUIRE(std::none_of(uses.begin(), uses.end(), [&](const last_use& use) {
      return !use.done && use.begin < at + bytes && at < use.begin + use.bytes;
    }));
    live.emplace(at, live_block{bytes, stream, mark});
    write(at);
    requested_bytes += bytes;
  }

  void write(std::uintptr_t at) {
    const live_block& block = live.at(at);
    for_each_sample(at, block.bytes, [&](unsigned char& sample) { sample = block.mark; });
  }
  void check(std::uintptr_t at) {
    const live_block& block = live.at(at);
    bool intact = true;
    for_each_sample(at, block.bytes, [&](const unsigned char& sample) { intact = intact && sample == block.mark; });
    REQUIRE(intact);
  }

  std::uintptr_t any(std::mt19937_64& random) {
    auto one = live.lower_bound(live.begin()->first + random() % (live.rbegin()->first - live.begin()->first + 1));
    return (one == live.end() ? live.begin() : one)->first;
  }

  void free_any(std::mt19937_64& random) {
    const std::uintptr_t at = any(random);
    check(at);
    const live_block block = live.at(at);
    requested_bytes -= block.bytes;
    live.erase(at);
    uses.push_back({at, block.bytes, block.stream});
    REQUIRE(terrazzo_softgpu_enqueue(on.streams.at(block.stream), last_use::run, &uses.back(), 0) == 0);
    REQUIRE(on.deallocate(reinterpret_cast<void*>(at)) == status::ok);
  }

  /// True if it could be extended.
  bool extend_any(std::mt19937_64& random, std::size_t more) {
    const std::uintptr_t at = any(random);
    live_block& block = live.at(at);
    const std::size_t bytes = block.bytes + more;
    const status extended = on.allocator->extend(reinterpret_cast<void*>(at), bytes);
    check(at);
    if (extended != status::ok) {
      REQUIRE(extended == status::out_of_memory);
      return false;
    }
    const live_block longer{bytes, block.stream, block.mark};
    requested_bytes -= block.bytes;
    live.erase(at);
    add(reinterpret_cast<void*>(at), longer.bytes, longer.stream, longer.mark);
    return true;
  }
};

std::size_t any_size(std::mt19937_64& random) {
  const std::size_t octave = std::size_t{1} << (random() % 23);  // up to 8 MiB, small ones as likely as large ones
  return octave + random() % octave;
}

struct tally {
  int failures = 0;
  int extended = 0;
};

void run_program(const char* conf, std::uint64_t seed, std::size_t stream_count, int steps, tally& sum) {
  CAPTURE(std::string(conf));
  CAPTURE(seed);
  session on(seed % 3 == 0 ? "memory=36MiB" : "memory=36MiB;completion=manual", conf);
  const current_context current(on.gpu);
  std::mt19937_64 random(seed);
  oracle known(on);
  for (int step = 0; step < steps; ++step) {
    CAPTURE(step);
    const unsigned what = random() % 1000;
    if (what < 2) {
      std::size_t given_back = 0;
      REQUIRE(on.allocator->trim(random() % 2 == 0 ? 0 : 32 * mib, given_back) == status::ok);
    } else if (what < 4) {
      on.allocator->set_limit((16 + random() % 32) * mib);
    } else if (what < 60) {
      terrazzo_softgpu_complete(on.streams.at(random() % stream_count), 1 + random() % 8);
    } else if (known.live.empty() || what < 560) {
      const std::size_t bytes = any_size(random);
      const std::size_t alignment = random() % 8 == 0 ? std::size_t{1} << (9 + random() % 13) : 512;
      const std::size_t stream = random() % stream_count;
      void* block = on.allocate(bytes, stream, alignment);
      if (block == nullptr) {
        REQUIRE(on.last == status::out_of_memory);
        ++sum.failures;
        for (int i = 0; i < 20 && !known.live.empty(); ++i) known.free_any(random);
      } else {
        REQUIRE(reinterpret_cast<std::uintptr_t>(block) % alignment == 0);
        known.add(block, bytes, stream, static_cast<unsigned char>(random()));
      }
    } else if (what < 600) {
      if (known.extend_any(random, any_size(random))) ++sum.extended;
    } else {
      known.free_any(random);
    }
    if (step % 16 == 0) REQUIRE(on.is_valid());
    if (step % 64 == 0)
      for (const auto& [at, block] : known.live) known.check(at);
  }
  REQUIRE(on.is_valid());
  const statistics now = on.allocator->stats();
  CHECK(now.allocations.current == known.live.size());
  CHECK(now.requested_bytes.current == known.requested_bytes);
  while (!known.live.empty()) known.free_any(random);
  std::size_t given_back = 0;
  REQUIRE(on.allocator->trim(0, given_back) == status::ok);
  CHECK(on.reserved() == 0);
  CHECK(on.is_valid());
}

}  // namespace

// The programs must reach the ladder's end now and then, or they prove little: each case checks that some did.

TEST_CASE("oracle: random programs on one stream") {
  for (const kind_case& kind : kinds) {
    tally sum;
    for (std::uint64_t seed = 1; seed <= 6; ++seed) run_program(kind.conf, seed, 1, 3000, sum);
    CHECK(sum.failures > 0);
    CHECK(sum.extended > 0);
  }
}

TEST_CASE("oracle: random programs on several streams") {
  for (const kind_case& kind : kinds) {
    tally sum;
    for (std::uint64_t seed = 11; seed <= 16; ++seed) run_program(kind.conf, seed, 4, 3000, sum);
    CHECK(sum.failures > 0);
    CHECK(sum.extended > 0);
  }
}

TEST_CASE("oracle: random programs under settings that change sizes and splits") {
  for (const char* conf : {"expandable_segments:False,max_split_size_mb:20,garbage_collection_threshold:0.6",
                           "expandable_segments:False,large_segment_size_mb:12,roundup_power2_divisions:4",
                           "expandable_segments:True,roundup_power2_divisions:8"}) {
    tally sum;
    for (std::uint64_t seed = 21; seed <= 23; ++seed) run_program(conf, seed, 2, 3000, sum);
    CHECK(sum.failures > 0);
  }
}
