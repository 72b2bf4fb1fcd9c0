// Random programs beside a naive list of what is live (support/program_blocks.hpp): no block overlaps another, contents stay
// through every move, no stream has memory that another's pending work still uses, counters agree, and the books hold.
#include <random>

#include "streams_fixture.hpp"

using namespace terrazzo;
using namespace terrazzo::test;

namespace {

struct live_block {
  void* address;
  std::size_t bytes;
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
  session_on_streams on("memory=36MiB", conf);
  std::mt19937_64 random(seed);
  std::vector<live_block> live;
  std::size_t requested_bytes = 0;
  const auto free_any = [&] {
    live_block& one = live[random() % live.size()];
    if (random() % 4 != 0) on.use(one.address);
    REQUIRE(on.deallocate(one.address) == status::ok);
    requested_bytes -= one.bytes;
    one = live.back();
    live.pop_back();
  };
  for (int step = 0; step < steps; ++step) {
    CAPTURE(step);
    const unsigned what = random() % 1000;
    if (what < 2) {
      REQUIRE(on.trim(random() % 2 == 0 ? 0 : 32 * mib) == status::ok);
    } else if (what < 4) {
      on.allocator->set_limit((16 + random() % 32) * mib);
    } else if (what < 60) {
      on.complete(random() % stream_count, 1 + random() % 8);
    } else if (live.empty() || what < 560) {
      const std::size_t bytes = any_size(random);
      const std::size_t alignment = random() % 8 == 0 ? std::size_t{1} << (9 + random() % 13) : 512;
      void* block = on.allocate(bytes, random() % stream_count, alignment);
      if (block == nullptr) {
        REQUIRE(on.last == status::out_of_memory);
        ++sum.failures;
        for (int i = 0; i < 20 && !live.empty(); ++i) free_any();
      } else {
        REQUIRE(reinterpret_cast<std::uintptr_t>(block) % alignment == 0);
        live.push_back({block, bytes});
        requested_bytes += bytes;
      }
    } else if (what < 600) {
      live_block& one = live[random() % live.size()];
      const std::size_t bytes = one.bytes + any_size(random);
      if (on.extend(one.address, bytes) == status::ok) {
        ++sum.extended;
        requested_bytes += bytes - one.bytes;
        one.bytes = bytes;
      } else {
        REQUIRE(on.last == status::out_of_memory);
      }
    } else {
      free_any();
    }
    if (seed % 3 == 0) terrazzo_softgpu_complete_all();  // a device that keeps up
    if (step % 16 == 0) REQUIRE(on.is_valid());
    REQUIRE(on.blocks.problem() == "");
  }
  REQUIRE(on.is_valid());
  const statistics now = on.allocator->stats();
  CHECK(now.allocations.current == live.size());
  CHECK(now.requested_bytes.current == requested_bytes);
  while (!live.empty()) free_any();
  REQUIRE(on.trim(0) == status::ok);
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
    for (std::uint64_t seed = 11; seed <= 20; ++seed) run_program(kind.conf, seed, 4, 3000, sum);
    CHECK(sum.failures > 0);
    CHECK(sum.extended > 0);
  }
}

TEST_CASE("oracle: random programs under settings that change sizes and splits") {
  for (const char* conf : {"expandable_segments:False,max_split_size_mb:20,garbage_collection_threshold:0.6",
                           "expandable_segments:False,large_segment_size_mb:12,roundup_power2_divisions:4",
                           "expandable_segments:True,roundup_power2_divisions:8", "on_miss:create,limit_mb:30",
                           "on_miss:fail", "garbage_collection_threshold:0.5,per_process_memory_fraction:0.9"}) {
    tally sum;
    for (std::uint64_t seed = 21; seed <= 23; ++seed) run_program(conf, seed, 2, 3000, sum);
    CHECK(sum.failures > 0);
  }
}
