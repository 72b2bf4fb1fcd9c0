#include "config/rounding.hpp"

#include <doctest/doctest.h>

#include <cstdint>
#include <random>

using namespace terrazzo::detail;
using divisions_array = std::array<std::size_t, terrazzo::config::roundup_bucket_count>;

namespace {
divisions_array all(std::size_t divisions) {
  divisions_array result;
  result.fill(divisions);
  return result;
}
}  // namespace

TEST_CASE("config: requests are rounded as PyTorch rounds them") {
  struct {
    std::size_t bytes, divisions, rounded;
  } const rows[] = {
      {0, 0, 512},
      {1, 0, 512},
      {512, 0, 512},
      {513, 0, 1024},
      {1200, 0, 1536},
      {1200, 1, 1536},          // one division means none
      {1200, 4, 1536},          // not above 512 * 4
      {2048, 4, 2048},          // a power of two stays
      {2049, 4, 2560},          // the first size that divisions act on
      {84 * mib, 4, 96 * mib},  // PyTorch's test_allocator_settings: 64 MiB in quarters
      {400 * mib, 4, 448 * mib},
      {400 * mib, 2, 512 * mib},
      {400 * mib, 8, 416 * mib},
      {(std::size_t{1} << 62) + 1, 2, (std::size_t{1} << 62) + (std::size_t{1} << 61)},
      {(std::size_t{1} << 63) - 1, 2, std::size_t{1} << 63},
      {(std::size_t{1} << 63) - 1, 0, std::size_t{1} << 63},
      {std::size_t{1} << 63, 4, std::size_t{1} << 63},
      {1000 * mib, 3, 1024 * mib},  // three counts as two
  };
  for (const auto& row : rows) {
    CAPTURE(row.bytes);
    CAPTURE(row.divisions);
    CHECK(round_request(row.bytes, all(row.divisions)) == row.rounded);
  }
}

TEST_CASE("config: a size finds its bucket of divisions") {
  struct {
    std::size_t bytes, bucket;
  } const rows[] = {{1, 0},        {mib, 0},       {2 * mib - 1, 0}, {2 * mib, 1},   {64 * mib, 6},
                    {1 * gib, 10}, {16 * gib, 14}, {32 * gib, 15},   {64 * gib, 15}, {SIZE_MAX, 15}};
  for (const auto& row : rows) {
    CAPTURE(row.bytes);
    CHECK(roundup_bucket(row.bytes) == row.bucket);
  }
  divisions_array divisions{};
  divisions[roundup_bucket(100 * mib)] = 2;
  CHECK(round_request(100 * mib, divisions) == 128 * mib);
  CHECK(round_request(50 * mib, divisions) == 50 * mib);
  CHECK(round_request(200 * mib, divisions) == 200 * mib);
}

TEST_CASE("config: rounding never shrinks a request nor wraps for any size and any divisions") {
  std::mt19937_64 random(1);
  for (int i = 0; i < 50'000; ++i) {
    const std::size_t bytes = static_cast<std::size_t>(random()) >> (random() % 64);
    const std::size_t divisions = static_cast<std::size_t>(random()) >> (random() % 64);
    CAPTURE(bytes);
    CAPTURE(divisions);
    const std::size_t rounded = round_request(bytes, all(divisions));
    REQUIRE(rounded >= bytes);
    if (bytes <= max_rounded_bytes) {
      REQUIRE(rounded <= max_rounded_bytes);
      REQUIRE(rounded % min_block_bytes == 0);
      REQUIRE(round_request(rounded, all(divisions)) == rounded);
    }
  }
  CHECK(round_request(SIZE_MAX, all(0)) == SIZE_MAX);
  CHECK(round_request(SIZE_MAX - 1, all(SIZE_MAX)) == SIZE_MAX - 1);
}
