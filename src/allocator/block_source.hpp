// Room allocator/: one device's allocator.
//
//   device_allocator   finds the stream heap of a request, and walks the ladder when nothing cached fits
//   stream heap        what one stream owns: its slabs and its front; has its own lock              (stream_heap.hpp)
//   block source       where large blocks come from, shared by the streams; has its own lock        (this file)
//     range              the expandable one: one address range that chunks are mapped into          (range.hpp)
//     plain segments     one cuMemAlloc each, cut by PyTorch's native rules (plain_segments.hpp)
//
// An allocator has one source of each kind that its settings have asked for so far, and takes new blocks from the one
// that they ask for now; a stream has a heap for each.
//
// Locks, in the order in which they are taken: growth (a mutex; held across driver calls, by misses alone), that of
// the list of heaps, a heap's (never two, but in `validate` and `shutdown`, in the order of the heaps), the source's. A
// heap's and a source's are spin locks, and no driver call is made under them: who finds what he needs cached waits for
// nobody's driver.
//
// Stream order: a free block knows the stream that used it last, its `user`. That stream may take it at once. Others
// may only once the user's work has finished, as a wait for the device shows, and the user has been taken away: then the
// block is idle. The range does so at once. Plain segments leave a stream what is its own for as long as they can, since
// a segment that several streams have cut cannot be given back.
//
// This file: the free blocks of a source, and how they are cut and merged. Both sources differ only in rules and in
// where new segments come from.
//
// Invariants: those of block.hpp; indexed: a block is in the index of its user and pool (idle blocks: in the source's
// own) exactly if it is free.
#pragma once

#include <cstddef>
#include <cstdint>
#include <limits>
#include <mutex>
#include <vector>

#include "base/spin_lock.hpp"
#include "heap/block.hpp"
#include "heap/free_index.hpp"
#include "heap/front.hpp"
#include "heap/object_pool.hpp"
#include "heap/slab.hpp"
#include "memory/device_memory.hpp"

namespace terrazzo::detail {

/// When a free block serves a request, and when what is left of it is cut off. Bytes.
struct cutting_rules {
  /// Requests up to this size are served from segments of the small pool.
  std::size_t small_pool_limit = 0;
  /// Blocks of this size or more are oversize: they serve oversize requests alone, and whole.
  std::size_t oversize = std::numeric_limits<std::size_t>::max();
  /// How much larger than an oversize request the block may be that serves it.
  std::size_t oversize_slack = 0;
  /// What is left of a block of the large pool is cut off if it is at least this large.
  std::size_t least_rest = block_alignment;

  [[nodiscard]] block_pool pool_of(std::size_t bytes) const noexcept {
    return bytes <= small_pool_limit ? block_pool::small : block_pool::large;
  }
  [[nodiscard]] bool may_serve(std::size_t block_bytes, std::size_t bytes) const noexcept {
    if (bytes < oversize) return block_bytes < oversize;
    return block_bytes - bytes < oversize_slack;
  }
  [[nodiscard]] bool cuts(std::size_t bytes, std::size_t rest, block_pool pool) const noexcept {
    if (rest == 0) return false;
    return pool == block_pool::small || (bytes < oversize && rest >= least_rest);
  }
};

class block_source {
 public:
  block_source(device_memory& memory, const cutting_rules& rules) noexcept : memory_(memory), rules_(rules) {}
  virtual ~block_source() = default;
  block_source(const block_source&) = delete;
  block_source& operator=(const block_source&) = delete;

  /// Takes the best-fitting block that this stream may use; null if none fits. Makes no driver call. The block is busy:
  /// whoever hands it out says so under the heap's lock, so that no stray free of its address finds it before.
  [[nodiscard]] block* take(stream_heap& heap, std::size_t bytes, std::size_t alignment) noexcept;

  /// Takes a block back, to be used again by its user. REQUIRES: no other thread knows it.
  void give(block& freed) noexcept;
  /// Takes back all that a front holds, under one lock. REQUIRES: the lock of its heap is held.
  void give_all(front& from) noexcept;

  /// Brings device memory and takes a block from it, as `take`. Driver calls; REQUIRES: growth is held. `last_try`:
  /// what wastes less memory is right even if it is slower later. Errors: out_of_memory, driver_error,
  /// out_of_host_memory.
  [[nodiscard]] virtual status grow(stream_heap& heap, std::size_t bytes, std::size_t alignment, bool last_try,
                                    block*& found) = 0;

  /// Tells what a wait for the device that begins now will have covered; hand it to `finish_wait` afterwards.
  [[nodiscard]] std::uint64_t begin_wait() noexcept;
  /// Notes that whatever was given before `covered` is finished.
  virtual void finish_wait(std::uint64_t covered) noexcept;

  /// Makes idle memory available for a request of `bytes` that could not be had, in another place or from the driver.
  virtual void reclaim(std::size_t bytes) noexcept = 0;

  /// Gives idle memory back to the driver until at most `keep_bytes` are held on the device, as far as there is any.
  virtual void trim(std::size_t keep_bytes) noexcept = 0;

  /// Forgets all blocks, live ones included: none can be taken or found afterwards. REQUIRES: growth is held, and the
  /// locks of all heaps are.
  void abandon() noexcept;
  /// Gives all device memory back. REQUIRES: `abandon` before; growth; a context_scope.
  virtual void close() noexcept = 0;

  /// A slab's descriptor; null without host memory. Blocks under slabs are taken and given like any other.
  [[nodiscard]] slab* new_slab() noexcept;
  void recycle(slab& unused) noexcept;

  /// Tells the largest free block that a stream used last; null: the largest idle one.
  [[nodiscard]] std::size_t largest_free_bytes(const stream_heap* heap) const noexcept;
  [[nodiscard]] std::size_t segment_count() const noexcept;

  /// Checks the invariants; returns the name of the first that is broken, or null. REQUIRES: growth is held, and the
  /// locks of all heaps are.
  [[nodiscard]] const char* validate() const;

  /// Calls `visit(const block&)` for every block. REQUIRES: as `validate`.
  template <typename Visit>
  void for_each_block(Visit visit) const {
    const std::lock_guard guard(lock_);
    for (const segment* each : segments_)
      for (const block* one = each->first; one != nullptr; one = one->next) visit(*one);
  }

 protected:
  // REQUIRES for all of these: lock_ is held.
  /// Tells whether no work can still touch a free block.
  [[nodiscard]] bool is_finished(const block& one) const noexcept {
    return one.last_user() == nullptr || one.stamp <= finished_;
  }
  /// Takes the user of all finished blocks away, so that neighbours become one and every stream may have them.
  void make_finished_idle() noexcept;
  void give_locked(block& freed) noexcept;
  [[nodiscard]] free_index& index_for(const block& one) noexcept;
  [[nodiscard]] block* take_locked(stream_heap& heap, std::size_t bytes, std::size_t alignment) noexcept;
  /// Makes `bytes` at `at` inside a block of no index a busy block of `heap`; what is left becomes free, used last by
  /// the block's user.
  [[nodiscard]] block& cut(block& from, std::uintptr_t at, std::size_t bytes, bool keep_rest,
                           stream_heap& heap) noexcept;
  /// Puts a block into its index, merged with free neighbours of the same user.
  void insert(block& freed) noexcept;
  void add_segment(segment& added);
  void drop_segment(const segment& gone) noexcept;
  /// What the derived source knows of a segment's blocks beyond the common invariants; null if all is well.
  [[nodiscard]] virtual const char* validate_block(const block&) const noexcept { return nullptr; }

  device_memory& memory_;
  cutting_rules rules_;  // guarded by lock_; changed by the derived source alone, with growth held
  mutable spin_lock lock_;
  object_pool<block, &block::next> blocks_;
  std::vector<segment*> segments_;
  std::uint64_t clock_ = 0;     // counts what is given: a block's stamp
  std::uint64_t finished_ = 0;  // what has a stamp up to this is finished

 private:
  object_pool<slab, &slab::next, 64> slabs_;
  free_index idle_[block_pool_count];
};

}  // namespace terrazzo::detail
