#include "heap/free_index.hpp"

#include <doctest/doctest.h>

#include <deque>
#include <random>
#include <set>
#include <utility>

using namespace terrazzo::detail;

namespace {

void place(block& one, std::uintptr_t address, std::size_t bytes) {
  one.address = address;
  one.bytes = bytes;
}

}  // namespace

TEST_CASE("free_index: the smallest block that fits is found and the lowest of equals") {
  std::deque<block> blocks(5);
  free_index index;
  const std::pair<std::uintptr_t, std::size_t> at[] = {
      {0x5000, 1024}, {0x1000, 4096}, {0x9000, 1024}, {0x20000, 8192}, {0x3000, 2048}};
  for (std::size_t i = 0; i < blocks.size(); ++i) {
    place(blocks[i], at[i].first, at[i].second);
    index.insert(blocks[i]);
  }
  CHECK(index.best_fit(512, 512) == &blocks[0]);
  CHECK(index.best_fit(1024, 512) == &blocks[0]);
  CHECK(index.best_fit(1536, 512) == &blocks[4]);
  CHECK(index.best_fit(8192, 512) == &blocks[3]);
  CHECK(index.best_fit(8704, 512) == nullptr);
  CHECK(index.largest() == &blocks[3]);
  index.remove(blocks[0]);
  CHECK(index.best_fit(1024, 512) == &blocks[2]);
  CHECK(index.validate() == nullptr);
}

TEST_CASE("free_index: an aligned fit passes over blocks that only look large enough") {
  std::deque<block> blocks(3);
  free_index index;
  place(blocks[0], 0x10200, 0x10000);  // 64 KiB, but not from a multiple of 64 KiB on
  place(blocks[1], 0x30200, 0x18000);
  place(blocks[2], 0x50000, 0x20000);
  for (block& each : blocks) index.insert(each);
  CHECK(index.best_fit(0x10000, 512) == &blocks[0]);
  CHECK(index.best_fit(0x10000, 0x10000) == &blocks[2]);
  CHECK(index.best_fit(0x8000, 0x10000) == &blocks[1]);
}

TEST_CASE("free_index: random insertions and removals agree with a set") {
  std::mt19937_64 random(7);
  std::deque<block> blocks(2000);
  free_index index;
  std::set<std::pair<std::size_t, std::uintptr_t>> oracle;
  std::vector<block*> in;
  std::vector<block*> out;
  for (block& each : blocks) out.push_back(&each);
  for (int step = 0; step < 40000; ++step) {
    const bool adds = !out.empty() && (in.empty() || random() % 2 == 0);
    std::vector<block*>& from = adds ? out : in;
    std::swap(from[random() % from.size()], from.back());
    block* one = from.back();
    from.pop_back();
    if (adds) {
      const auto serial = static_cast<std::uintptr_t>(one - &blocks.front());
      place(*one, (random() % 64 * 100000 + serial + 1) * 512, (1 + random() % 50) * 512);
      index.insert(*one);
      oracle.insert({one->bytes, one->begin()});
      in.push_back(one);
    } else {
      oracle.erase({one->bytes, one->begin()});
      index.remove(*one);
      out.push_back(one);
    }
    const std::size_t bytes = (1 + random() % 52) * 512;
    const auto expected = oracle.lower_bound({bytes, 0});
    const block* found = index.best_fit(bytes, 512);
    REQUIRE((found == nullptr) == (expected == oracle.end()));
    if (found != nullptr) REQUIRE(found->begin() == expected->second);
    REQUIRE(index.count() == oracle.size());
    if (step % 1000 == 0) REQUIRE(index.validate() == nullptr);
  }
}
