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
// Locks, in the order in which they are taken: growth (a mutex; held across driver calls, by misses and whoever asks marks), that of
// the list of heaps, a heap's (never two, but in `validate` and `shutdown`, in the order of the heaps), the source's. A
// heap's and a source's are spin locks, and no driver call is made under them: who finds what he needs cached waits for
// nobody's driver.
//
// Stream order: a free block knows the stream that used it last, its `user`. That stream may take it at once. Others
// may only once the user's work has finished, as a mark in its stream (marks.hpp) or a wait for the device shows, and the
// user has been taken away: then the block is idle. The range does so at once. Plain segments leave a stream what is its
// own for as long as they can, since a segment that several streams have cut cannot be given back.
//
// This file: the free blocks of a source, and how they are cut and merged. Both sources differ only in rules and in
// where new segments come from.
//
// Invariants: those of block.hpp; indexed: a block is in the index of its user and pool (idle blocks: in the source's
// own) exactly if it is free.
#pragma once

#include <atomic>
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
#include "terrazzo/config.hpp"

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

  /// Changes the rules for what is taken from now on. REQUIRES: growth is held.
  virtual void set_rules(const config& settings) noexcept = 0;

  /// Makes a heap known whose blocks come from here. REQUIRES: the lock of the heaps is held.
  void add_heap(stream_heap& added);

  /// Makes a live block longer, in place: by free memory behind it, else by memory that is brought there. On failure
  /// it is as it was. Driver calls; REQUIRES: growth is held. Errors: out_of_memory, also if something lies behind it;
  /// driver_error, out_of_host_memory.
  [[nodiscard]] virtual status extend(stream_heap& heap, block& live, std::size_t requested_bytes) noexcept = 0;
  /// Does so by free memory alone, without a driver call; false if there is none. REQUIRES: the heap's lock is held.
  [[nodiscard]] bool extend_cached(stream_heap& heap, block& live, std::size_t bytes) noexcept;

  /// Tells the stamp of what was given last: what a wait that begins now, or a mark that is set now, will have covered.
  [[nodiscard]] std::uint64_t stamp() const noexcept;
  /// Notes that whatever was given up to a stamp is finished, after a wait for the device.
  void finish_wait(std::uint64_t covered) noexcept;
  /// Asks the marks of all streams how far they have come. Driver calls, one or two a stream that has set marks;
  /// REQUIRES: growth is held.
  void ask_marks() noexcept;
  /// Counts the heaps that take part in sharing; returns how many do now.
  std::size_t add_sharer() noexcept { return sharer_count_.fetch_add(1, std::memory_order_relaxed) + 1; }
  [[nodiscard]] std::size_t sharer_count() const noexcept { return sharer_count_.load(std::memory_order_relaxed); }

  /// Notes that a heap has set a mark; tells whether another has since all were asked.
  void note_mark(const stream_heap& marker) noexcept {
    const auto own = reinterpret_cast<std::uintptr_t>(&marker);
    const std::uintptr_t before = marker_.exchange(own, std::memory_order_relaxed);
    if (before != 0 && before != own) marker_.store(several_markers, std::memory_order_relaxed);
  }
  [[nodiscard]] bool has_news(const stream_heap& asking) const noexcept {
    const std::uintptr_t marker = marker_.load(std::memory_order_relaxed);
    return marker != 0 && marker != reinterpret_cast<std::uintptr_t>(&asking);
  }

  /// Makes idle memory available for a request of `bytes` that could not be had, by giving it back to the driver.
  virtual void reclaim(std::size_t) noexcept {}

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
  [[nodiscard]] static bool is_finished(const block& one) noexcept;
  /// Takes the user of a heap's finished blocks away, so that neighbours become one and every stream may have them.
  void make_finished_idle(stream_heap& heap) noexcept;
  /// Gives back what a freed block has of chunks that are mapped elsewhere; false if that was all of it, and the
  /// descriptor is gone.
  [[nodiscard]] virtual bool return_edges(block&) noexcept { return true; }
  /// Hears that more of a heap's work is finished.
  virtual void on_finished(stream_heap&) noexcept {}
  void give_locked(block& freed) noexcept;
  /// Puts a free block into its index, unmerged, or takes it out.
  void enlist(block& one) noexcept;
  void delist(block& one) noexcept;
  /// Memory under free blocks. Bytes.
  [[nodiscard]] std::size_t free_bytes() const noexcept { return free_bytes_; }
  /// Idle blocks of a pool, in the order of their size.
  [[nodiscard]] const free_index& idle(block_pool pool) const noexcept { return idle_[static_cast<std::size_t>(pool)]; }
  [[nodiscard]] block* take_locked(stream_heap& heap, std::size_t bytes, std::size_t alignment) noexcept;
  /// Tells whether a stream may have a block at once.
  [[nodiscard]] static bool is_usable(const block& one, const stream_heap& heap) noexcept {
    return one.in_state(block_state::free) && (one.last_user() == nullptr || one.last_user() == &heap);
  }
  /// Makes `bytes` at `at` inside a block of no index a busy block of `heap`; what is left becomes free, used last by
  /// the block's user.
  [[nodiscard]] block& cut(block& from, std::uintptr_t at, std::size_t bytes, bool cuts_rest,
                           stream_heap& heap) noexcept;
  /// Puts a block into its index, merged with free neighbours of the same user.
  void insert(block& freed) noexcept;
  void add_segment(segment& added);
  void drop_segment(const segment& gone) noexcept;
  /// What the derived source knows of a segment's blocks beyond the common invariants; null if all is well.
  [[nodiscard]] virtual const char* validate_block(const block&) const noexcept { return nullptr; }
  [[nodiscard]] virtual const char* validate_own() const noexcept { return nullptr; }

  device_memory& memory_;
  cutting_rules rules_;  // guarded by lock_; changed by the derived source alone, with growth held
  mutable spin_lock lock_;
  object_pool<block, &block::next> blocks_;
  std::vector<segment*> segments_;
  std::vector<stream_heap*> heaps_;
  std::uint64_t clock_ = 0;  // counts what is given: a block's stamp

 private:
  [[nodiscard]] free_index& index_for(const block& one) noexcept;

  static constexpr std::uintptr_t several_markers = 1;  // no heap's address
  std::atomic<std::uintptr_t> marker_{0};               // who has set marks that nobody has asked yet; 0: nobody
  std::atomic<std::size_t> sharer_count_{0};
  std::size_t free_bytes_ = 0;
  object_pool<slab, &slab::next, 64> slabs_;
  free_index idle_[block_pool_count];
};

}  // namespace terrazzo::detail
