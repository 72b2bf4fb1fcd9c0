// The front of a stream heap: the large blocks that its stream freed last, whole and not merged with their neighbours.
// A program that frees a tensor and asks for one of the same size gets it back without the source's lock or search.
// Only a block of exactly the wanted size is taken, so that the front never wastes a byte.
// Guarded by the heap's lock.
#pragma once

#include <array>
#include <cstddef>

#include "base/bits.hpp"
#include "heap/block.hpp"

namespace terrazzo::detail {

class front {
 public:
  static constexpr std::size_t capacity = 8;

  /// Takes out a block of exactly these bytes, aligned as asked; null if there is none.
  [[nodiscard]] block* take(std::size_t bytes, std::size_t alignment) noexcept {
    for (std::size_t i = 0; i < capacity; ++i) {
      if (bytes_[i] != bytes) continue;
      block* found = blocks_[i];
      if (!is_aligned(found->begin(), alignment)) continue;
      bytes_[i] = 0;
      blocks_[i] = nullptr;
      cursor_ = i;  // the next block freed goes where this one was
      return found;
    }
    return nullptr;
  }

  /// Puts a block in; returns the one that had to leave for it, or null.
  [[nodiscard]] block* put(block& freed) noexcept {
    block* pushed_out = blocks_[cursor_];
    bytes_[cursor_] = freed.bytes;
    blocks_[cursor_] = &freed;
    cursor_ = (cursor_ + 1) % capacity;
    return pushed_out;
  }

  /// Takes any block out; null when the front is empty.
  [[nodiscard]] block* take_any() noexcept {
    for (std::size_t i = 0; i < capacity; ++i) {
      block* found = blocks_[i];
      if (found == nullptr) continue;
      bytes_[i] = 0;
      blocks_[i] = nullptr;
      return found;
    }
    return nullptr;
  }

  template <typename Visit>
  void for_each(Visit visit) const {
    for (block* one : blocks_)
      if (one != nullptr) visit(*one);
  }

 private:
  std::array<std::size_t, capacity> bytes_{};  // one cache line to search; 0: an empty place
  std::array<block*, capacity> blocks_{};
  std::size_t cursor_ = 0;
};

}  // namespace terrazzo::detail
