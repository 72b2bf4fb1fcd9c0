// A stream heap: what one stream of a device owns of one source. Small blocks come from its slabs, one list of partly
// used slabs for each size class; large ones from its front, else from the source.
//
// Freed by another thread while the lock is taken: the block goes on the remote list, one atomic push, and is freed by
// whoever takes the lock for this heap next. So nobody waits for a thread that was descheduled with the lock.
//
// Epochs: while several heaps take part in sharing the source, each sets a mark in its stream (marks.hpp) whenever it has given back
// some memory since the last one, so that others can see it finished.
//
// Invariants: counted: the counters equal what slabs and blocks say; listed: as in slab.hpp.
// Everything is guarded by `lock`, but for the remote lists and `runs`, which the source guards.
#pragma once

#include <array>
#include <atomic>
#include <cstddef>
#include <cstdint>

#include "allocator/block_source.hpp"
#include "allocator/marks.hpp"
#include "base/platform.hpp"
#include "base/spin_lock.hpp"
#include "heap/address_map.hpp"
#include "heap/front.hpp"
#include "heap/size_class.hpp"
#include "heap/slab.hpp"

namespace terrazzo::detail {

class device_allocator;

/// What tells streams apart: the handle, but for the per-thread default stream, which is another in each thread.
struct stream_key {
  CUstream stream = nullptr;
  std::uint64_t thread = 0;  ///< 0: the handle means the same to all threads

  [[nodiscard]] static stream_key of(CUstream handle) noexcept;
  friend auto operator<=>(const stream_key&, const stream_key&) = default;
};

/// A heap's share of the statistics. Bytes and counts.
struct heap_counters {
  std::size_t requested_bytes = 0;
  std::size_t requested_peak = 0;
  std::size_t allocated_bytes = 0;
  std::size_t allocated_peak = 0;
  std::size_t live_count = 0;
  std::size_t live_peak = 0;
  std::uint64_t allocation_count = 0;
  std::uint64_t deallocation_count = 0;
  std::uint64_t invalid_free_count = 0;
};

class alignas(64) stream_heap {
 public:
  stream_heap(const device_allocator& owner, block_source& source, stream_key key) noexcept;
  stream_heap(const stream_heap&) = delete;
  stream_heap& operator=(const stream_heap&) = delete;

  [[nodiscard]] const device_allocator& owner() const noexcept { return owner_; }
  [[nodiscard]] block_source& source() const noexcept { return source_; }
  [[nodiscard]] const stream_key& key() const noexcept { return key_; }

  // REQUIRES for all from here on, if not said otherwise: `lock` is held.

  /// Takes a small block from a slab; null if the class has none free.
  [[nodiscard]] TERRAZZO_ALWAYS_INLINE void* take_small(std::size_t size_class, std::size_t requested_bytes) noexcept {
    slab* from = partial_[size_class];
    if (from == nullptr) return nullptr;
    const std::uint32_t index = from->take(requested_bytes);
    if (from->used == from->capacity) unlist(*from);
    count_allocated(requested_bytes, from->block_bytes);
    return reinterpret_cast<void*>(from->address_of(index));
  }

  /// Frees a small block. REQUIRES: it is allocated.
  TERRAZZO_ALWAYS_INLINE void give_small(slab& to, std::uint32_t index) noexcept {
    count_freed(slab::requested_of(to.record(index)), to.block_bytes);
    to.put(index);
    if (to.used + 1 == to.capacity) list(to);
    // The last partial slab of its class stays, so that a program that lives at a slab's edge does not open one each
    // time.
    if (to.used == 0 && (to.next != nullptr || partial_[to.size_class] != &to)) close_slab(to);
  }

  /// Takes a large block from the front; null if none there has exactly these bytes.
  [[nodiscard]] TERRAZZO_ALWAYS_INLINE block* take_from_front(std::size_t bytes, std::size_t requested_bytes,
                                                              std::size_t alignment = block_alignment) noexcept {
    block* found = front_.take(bytes, alignment);
    if (found == nullptr) return nullptr;
    count_handed_out(*found, requested_bytes);
    return found;
  }

  /// Takes a large block from the front, else from the source; null if neither has one. Makes no driver call.
  [[nodiscard]] block* take_large(std::size_t bytes, std::size_t alignment, std::size_t requested_bytes) noexcept {
    block* found = take_from_front(bytes, requested_bytes, alignment);
    if (found != nullptr) return found;
    found = take_from_source(bytes, alignment);
    if (found != nullptr) hand_out(*found, requested_bytes);
    return found;
  }

  /// Takes a block from the source; null if it has none. The front goes back first: what it holds could have been merged
  /// or fit better, and a block cut in its place is what fragments memory. Measured on tests/traces: with the front left
  /// alone, serve_streams needs 2.36 times its peak in plain segments, so 2.03.
  [[nodiscard]] block* take_from_source(std::size_t bytes, std::size_t alignment) noexcept {
    source_.give_all(front_);
    return source_.take(*this, bytes, alignment);
  }

  /// Makes a block that the source has given the program's: from here on its address is known.
  void hand_out(block& given, std::size_t requested_bytes) noexcept {
    address_map::set_block(given);
    count_handed_out(given, requested_bytes);
  }

  /// Frees a large block into the front. REQUIRES: it is in state allocated or remote, and this heap's.
  TERRAZZO_ALWAYS_INLINE void give_large(block& freed) noexcept {
    count_freed(freed.requested_bytes, freed.bytes);
    count_unmarked(freed.bytes);
    freed.set_state(block_state::front);
    block* pushed_out = front_.put(freed);
    if (pushed_out != nullptr) source_.give(*pushed_out);
  }

  /// Notes that the program asks for other bytes of a live block, which was `bytes_before` large.
  void count_extended(block& live, std::size_t bytes_before, std::size_t requested_bytes) noexcept;
  void extend_small(slab& in, std::uint32_t index, std::size_t requested_bytes) noexcept;

  /// Opens a slab on a block of the source's; false without host memory, and the block is given back.
  [[nodiscard]] bool open_slab(std::size_t size_class, block& under) noexcept;

  /// Frees what other threads have put on the remote lists.
  TERRAZZO_ALWAYS_INLINE void drain() noexcept {
    if (remote_slabs_.load(std::memory_order_relaxed) != nullptr ||
        remote_blocks_.load(std::memory_order_relaxed) != nullptr)
      drain_lists();
  }

  /// Gives the front, empty slabs and what is remote back to the source, merged with what lies beside it.
  void flush() noexcept;

  /// Tells whether enough has been freed since the last mark for a new one.
  [[nodiscard]] TERRAZZO_ALWAYS_INLINE bool is_epoch_over() const noexcept {
    return unmarked_bytes_.load(std::memory_order_relaxed) >= epoch_bytes_;
  }
  /// Counts memory that others cannot have before the next mark. REQUIRES: the heap's lock or the source's is held; a
  /// count that is lost between the two makes an epoch longer, and nothing worse.
  TERRAZZO_ALWAYS_INLINE void count_unmarked(std::size_t bytes) noexcept {
    unmarked_bytes_.store(unmarked_bytes_.load(std::memory_order_relaxed) + bytes, std::memory_order_relaxed);
  }
  /// Begins an epoch that lasts until `epoch_bytes` are freed. Returns the stamp of what a mark that is set now covers:
  /// all that has been freed.
  std::uint64_t begin_epoch(std::size_t epoch_bytes) noexcept;
  /// Tells whether this heap takes part in sharing: it has asked the source more than once. Whoever does so once, for a
  /// workspace it may be, has nothing that others could want. Without the lock.
  [[nodiscard]] bool takes_part() const noexcept { return takes_part_.load(std::memory_order_relaxed); }
  /// Makes it take part from its second request on; true if it does from now on. REQUIRES: the heaps' mutex.
  [[nodiscard]] bool join() noexcept {
    const std::lock_guard guard(lock);
    if (takes_part() || counters_.allocation_count == 0) return false;
    takes_part_.store(true, std::memory_order_relaxed);
    return true;
  }
  void set_epoch_bytes(std::size_t bytes) noexcept {
    const std::lock_guard guard(lock);
    epoch_bytes_ = bytes;
  }

  /// Without the lock. Puts the small block at an address on the remote list; false if there is none that is live, or
  /// it is on the list already. The slab may have been closed, and opened anew elsewhere, since the caller found it.
  [[nodiscard]] bool give_small_remotely(slab& to, std::uintptr_t address) noexcept;
  /// Without the lock. Does the same with a large block.
  [[nodiscard]] bool give_large_remotely(block& freed, std::uintptr_t address) noexcept;

  [[nodiscard]] const heap_counters& counters() const noexcept { return counters_; }
  void count_invalid_free() noexcept { ++counters_.invalid_free_count; }
  void reset_peaks() noexcept;

  /// Forgets all slabs and blocks, whose memory is about to go.
  void abandon() noexcept;

  /// Checks the slabs and the front; returns the name of the first broken invariant, or null.
  [[nodiscard]] const char* validate() const noexcept;

  mutable spin_lock lock;
  /// Free blocks that this stream used last, by pool. Guarded by the source's lock.
  free_index runs[block_pool_count];
  /// What was given back up to this stamp is finished. Guarded by the source's lock.
  std::uint64_t finished = 0;
  stream_marks marks;

 private:
  void count_requested(std::size_t before, std::size_t now) noexcept;
  void list(slab& has_room) noexcept;
  void unlist(slab& full) noexcept;
  void close_slab(slab& empty) noexcept;
  void drain_lists() noexcept;

  [[nodiscard]] bool leave_on_remote_list(slab& to, std::uintptr_t address) noexcept;

  TERRAZZO_ALWAYS_INLINE void count_handed_out(block& given, std::size_t requested_bytes) noexcept {
    given.requested_bytes = requested_bytes;
    given.state.store(block_state::allocated, std::memory_order_release);
    count_allocated(requested_bytes, given.bytes);
  }
  TERRAZZO_ALWAYS_INLINE void count_allocated(std::size_t requested_bytes, std::size_t block_bytes) noexcept {
    heap_counters& now = counters_;
    now.requested_bytes += requested_bytes;
    now.allocated_bytes += block_bytes;
    ++now.live_count;
    ++now.allocation_count;
    if (now.requested_bytes > now.requested_peak) now.requested_peak = now.requested_bytes;
    if (now.allocated_bytes > now.allocated_peak) now.allocated_peak = now.allocated_bytes;
    if (now.live_count > now.live_peak) now.live_peak = now.live_count;
  }
  TERRAZZO_ALWAYS_INLINE void count_freed(std::size_t requested_bytes, std::size_t block_bytes) noexcept {
    counters_.requested_bytes -= requested_bytes;
    counters_.allocated_bytes -= block_bytes;
    --counters_.live_count;
    ++counters_.deallocation_count;
  }

  const device_allocator& owner_;
  block_source& source_;
  const stream_key key_;
  std::atomic<slab*> remote_slabs_{nullptr};
  std::atomic<block*> remote_blocks_{nullptr};
  heap_counters counters_;
  front front_;
  std::atomic<std::size_t> unmarked_bytes_{0};
  std::atomic<bool> takes_part_{false};
  std::size_t epoch_bytes_ = std::numeric_limits<std::size_t>::max();
  std::array<slab*, size_class_count> partial_{};
};

}  // namespace terrazzo::detail
