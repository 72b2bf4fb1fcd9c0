#include "heap/front.hpp"

#include <doctest/doctest.h>

#include <deque>

using namespace terrazzo::detail;

namespace {

std::deque<block> make_blocks(std::size_t count) {
  std::deque<block> blocks(count);
  for (std::size_t i = 0; i < count; ++i) {
    blocks[i].address = (i + 1) << 24;
    blocks[i].bytes = (i + 1) * 100 * 1024;
  }
  return blocks;
}

}  // namespace

TEST_CASE("front: only a block of exactly the size and the alignment is taken") {
  std::deque<block> blocks = make_blocks(2);
  blocks[0].address = (1 << 24) + 512;
  front one;
  CHECK(one.put(blocks[0]) == nullptr);
  CHECK(one.put(blocks[1]) == nullptr);
  CHECK(one.take(blocks[0].bytes - 512, 512) == nullptr);
  CHECK(one.take(blocks[0].bytes, 1024) == nullptr);
  CHECK(one.take(blocks[0].bytes, 512) == &blocks[0]);
  CHECK(one.take(blocks[0].bytes, 512) == nullptr);
  CHECK(one.take(blocks[1].bytes, std::size_t{1} << 21) == &blocks[1]);
}

TEST_CASE("front: the block freed longest ago leaves when it is full") {
  std::deque<block> blocks = make_blocks(front::capacity + 2);
  front one;
  for (std::size_t i = 0; i < front::capacity; ++i) CHECK(one.put(blocks[i]) == nullptr);
  CHECK(one.put(blocks[front::capacity]) == &blocks[0]);
  CHECK(one.put(blocks[front::capacity + 1]) == &blocks[1]);
  std::size_t left = 0;
  while (one.take_any() != nullptr) ++left;
  CHECK(left == front::capacity);
}
