// A block: a piece of a segment. The blocks of a segment form a list in address order.
//
// States, and the lock that guards a block in that state:
//   free       nobody's, mapped, in the free index of `user`       the source's lock
//   unmapped   free addresses without memory behind them           the source's lock
//   shadow     addresses whose memory a block at other            the source's lock
//              addresses has: an edge that is shared
//   busy       taken out of its index by a thread that is about    the source's lock, by the thread that set it
//              to map, unmap or hand out
//   mapping    likewise, but without memory behind it yet          the source's lock, by the thread that set it
//   allocated  with the program                                    the lock of `user`
//   cut_up     under a slab                                        the lock of `user`
//   remote     freed by another thread, on `user`'s remote list    atomic
//   front      freed, in `user`'s front                            the lock of `user`
//
// Invariants (names as `validate` reports them):
//   tiling       next->address == address + bytes, next->prev == this; both ends of the list are the segment's ends
//   granular     address and bytes are multiples of block_alignment, bytes > 0
//   merged       no two neighbours are both free with the same user, or both unmapped
#pragma once

#include <atomic>
#include <cstddef>
#include <cstdint>

#include "config/rounding.hpp"

namespace terrazzo::detail {

class stream_heap;
struct segment;
struct slab;

inline constexpr std::size_t block_alignment = min_block_bytes;

enum class block_state : std::uint8_t { free, unmapped, shadow, busy, mapping, allocated, cut_up, remote, front };

struct block {
  std::atomic<std::uintptr_t> address{0};
  std::size_t bytes = 0;
  std::atomic<block_state> state{block_state::busy};
  bool shares_edges = false;  ///< begins or ends in a chunk that is mapped elsewhere too; guarded as the state is
  /// The stream that holds the block, or used it last; null: no stream's work can still touch it.
  std::atomic<stream_heap*> user{nullptr};
  std::size_t requested_bytes = 0;
  slab* slab_on_top = nullptr;  ///< in state cut_up: the slab

  segment* home = nullptr;
  block* prev = nullptr;
  block* next = nullptr;

  // In a free index, or on a list; a block is never on two.
  block* left = nullptr;
  block* right = nullptr;
  std::uint64_t stamp = 0;  ///< when it was freed, in the owner's count: tells age, and what a wait has covered

  [[nodiscard]] std::uintptr_t begin() const noexcept { return address.load(std::memory_order_relaxed); }
  [[nodiscard]] std::uintptr_t end() const noexcept { return begin() + bytes; }
  [[nodiscard]] bool in_state(block_state wanted) const noexcept {
    return state.load(std::memory_order_relaxed) == wanted;
  }
  void set_state(block_state wanted) noexcept { state.store(wanted, std::memory_order_relaxed); }
  [[nodiscard]] stream_heap* last_user() const noexcept { return user.load(std::memory_order_relaxed); }
  void set_user(stream_heap* heap) noexcept { user.store(heap, std::memory_order_relaxed); }
};

/// Which of a source's free indexes a segment's blocks are in: PyTorch's rules keep segments for requests up to 1 MiB
/// apart.
enum class block_pool : std::uint8_t { small, large };
inline constexpr std::size_t block_pool_count = 2;

/// A contiguous address range that blocks are cut from.
struct segment {
  std::uintptr_t address = 0;
  std::size_t bytes = 0;
  block* first = nullptr;
  block_pool pool = block_pool::large;
};

/// Cuts `piece` after `bytes`: `rest` becomes its successor, with the same state, user, stamp and home.
/// REQUIRES: 0 < bytes < piece.bytes; `rest` is unused; `piece` is in no index.
inline void split_block(block& piece, std::size_t bytes, block& rest) noexcept {
  rest.address.store(piece.begin() + bytes, std::memory_order_relaxed);
  rest.bytes = piece.bytes - bytes;
  rest.set_state(piece.state.load(std::memory_order_relaxed));
  rest.set_user(piece.last_user());
  rest.stamp = piece.stamp;
  rest.requested_bytes = 0;
  rest.slab_on_top = nullptr;
  rest.shares_edges = false;
  rest.home = piece.home;
  rest.prev = &piece;
  rest.next = piece.next;
  if (rest.next != nullptr) rest.next->prev = &rest;
  piece.next = &rest;
  piece.bytes = bytes;
}

/// Joins `piece` and its successor, whose descriptor is unused afterwards and is returned. The later stamp is kept.
/// REQUIRES: both are in no index.
[[nodiscard]] inline block* absorb_next(block& piece) noexcept {
  block* gone = piece.next;
  piece.bytes += gone->bytes;
  if (gone->stamp > piece.stamp) piece.stamp = gone->stamp;
  piece.next = gone->next;
  if (piece.next != nullptr) piece.next->prev = &piece;
  gone->address.store(0, std::memory_order_relaxed);
  gone->home = nullptr;
  return gone;
}

}  // namespace terrazzo::detail
