// Free blocks ordered by (bytes, address), for best fit: the smallest that holds a request, the lowest of equals.
// A treap whose priorities are a hash of the address: expected O(log n) for all operations, no host memory of its own
// (the links are in the blocks), and the same tree for the same blocks, whatever the order they came in.
//
// Invariants: order: left < node < right by (bytes, address); heap: no child's priority is above its parent's.
// Guarded by the lock of the source whose blocks it holds.
// Source: Seidel and Aragon, Randomized Search Trees, 1996.
#pragma once

#include <cstddef>
#include <cstdint>
#include <utility>

#include "base/bits.hpp"
#include "heap/block.hpp"

namespace terrazzo::detail {

class free_index {
 public:
  [[nodiscard]] std::size_t count() const noexcept { return count_; }

  void insert(block& added) noexcept {
    const std::uint64_t rank = priority(added);
    block** place = &root_;
    while (*place != nullptr && priority(**place) >= rank)
      place = less(added, **place) ? &(*place)->left : &(*place)->right;
    // Everything below `place` moves under the new block, parted at its key.
    block** below = &added.left;
    block** above = &added.right;
    block* rest = *place;
    while (rest != nullptr) {
      if (less(*rest, added)) {
        *below = rest;
        below = &rest->right;
        rest = rest->right;
      } else {
        *above = rest;
        above = &rest->left;
        rest = rest->left;
      }
    }
    *below = nullptr;
    *above = nullptr;
    *place = &added;
    ++count_;
  }

  /// REQUIRES: `gone` is in this index, with the bytes and address it had when it was inserted.
  void remove(block& gone) noexcept {
    block** place = &root_;
    while (*place != &gone) place = less(gone, **place) ? &(*place)->left : &(*place)->right;
    block* low = gone.left;
    block* high = gone.right;
    while (low != nullptr && high != nullptr) {
      if (priority(*low) >= priority(*high)) {
        *place = low;
        place = &low->right;
        low = low->right;
      } else {
        *place = high;
        place = &high->left;
        high = high->left;
      }
    }
    *place = low != nullptr ? low : high;
    gone.left = gone.right = nullptr;
    --count_;
  }

  /// Takes all blocks out; returns them as a list, linked by `right`, the smallest first.
  [[nodiscard]] block* take_all() noexcept {
    // Day, Stout and Warren's way: left children are rotated up until the tree is a list.
    block** place = &root_;
    while (*place != nullptr) {
      block* node = *place;
      if (block* low = node->left) {
        node->left = low->right;
        low->right = node;
        *place = low;
      } else {
        place = &node->right;
      }
    }
    count_ = 0;
    return std::exchange(root_, nullptr);
  }

  /// Finds the smallest block that holds `bytes` at an address that is a multiple of `alignment`; null if none does.
  [[nodiscard]] block* best_fit(std::size_t bytes, std::size_t alignment) const noexcept {
    block* found = lower_bound(root_, bytes);
    if (alignment <= block_alignment) return found;
    // A block that is too small by the alignment's gap is passed over; one larger by `alignment` always fits.
    for (; found != nullptr && !fits(*found, bytes, alignment); found = successor(*found)) {
    }
    return found;
  }

  [[nodiscard]] block* largest() const noexcept {
    block* last = root_;
    while (last != nullptr && last->right != nullptr) last = last->right;
    return last;
  }

  [[nodiscard]] block* smallest() const noexcept { return lower_bound(root_, 0); }

  /// The next block in (bytes, address) order; null after the last.
  [[nodiscard]] block* successor(const block& of) const noexcept {
    block* found = nullptr;
    for (block* node = root_; node != nullptr;) {
      if (less(of, *node)) {
        found = node;
        node = node->left;
      } else {
        node = node->right;
      }
    }
    return found;
  }

  [[nodiscard]] static bool fits(const block& candidate, std::size_t bytes, std::size_t alignment) noexcept {
    const std::size_t gap = round_up(candidate.begin(), alignment) - candidate.begin();
    return candidate.bytes >= gap && candidate.bytes - gap >= bytes;
  }

  /// Checks order and heap; returns the broken invariant's name, or null.
  [[nodiscard]] const char* validate() const noexcept {
    std::size_t found = 0;
    const block* before = nullptr;
    for (const block* node = smallest(); node != nullptr; node = successor(*node)) {
      if (before != nullptr && !less(*before, *node)) return "free_index.order";
      if (node->left != nullptr && (priority(*node->left) > priority(*node) || !less(*node->left, *node)))
        return "free_index.heap";
      if (node->right != nullptr && (priority(*node->right) > priority(*node) || !less(*node, *node->right)))
        return "free_index.heap";
      before = node;
      if (++found > count_) break;
    }
    return found == count_ ? nullptr : "free_index.count";
  }

 private:
  [[nodiscard]] static bool less(const block& a, const block& b) noexcept {
    return a.bytes != b.bytes ? a.bytes < b.bytes : a.begin() < b.begin();
  }
  [[nodiscard]] static std::uint64_t priority(const block& of) noexcept {
    return (of.begin() >> 9) * 0x9E3779B97F4A7C15u;
  }
  [[nodiscard]] static block* lower_bound(block* node, std::size_t bytes) noexcept {
    block* found = nullptr;
    while (node != nullptr) {
      if (node->bytes >= bytes) {
        found = node;
        node = node->left;
      } else {
        node = node->right;
      }
    }
    return found;
  }

  block* root_ = nullptr;
  std::size_t count_ = 0;
};

}  // namespace terrazzo::detail
