#include "allocator/stream_heap.hpp"

#include <algorithm>

#include "allocator/device_allocator.hpp"

namespace terrazzo::detail {

stream_key stream_key::of(CUstream handle) noexcept {
  if (handle != CU_STREAM_PER_THREAD) return {one_handle_of(handle), 0};
  static std::atomic<std::uint64_t> next_thread{1};
  thread_local const std::uint64_t thread = next_thread.fetch_add(1, std::memory_order_relaxed);
  return {handle, thread};
}

stream_heap::stream_heap(const device_allocator& owner, block_source& source, stream_key key) noexcept
    : marks(owner.context(), key.stream), owner_(owner), source_(source), key_(key) {}

std::uint64_t stream_heap::begin_epoch(std::size_t epoch_bytes) noexcept {
  drain();
  source_.give_all(front_);
  unmarked_bytes_.store(0, std::memory_order_relaxed);
  epoch_bytes_ = epoch_bytes;
  return source_.stamp();
}

void stream_heap::list(slab& has_room) noexcept {
  slab*& head = partial_[has_room.size_class];
  has_room.prev = nullptr;
  has_room.next = head;
  if (head != nullptr) head->prev = &has_room;
  head = &has_room;
}

void stream_heap::unlist(slab& full) noexcept {
  if (full.prev != nullptr) full.prev->next = full.next;
  else partial_[full.size_class] = full.next;
  if (full.next != nullptr) full.next->prev = full.prev;
  full.prev = full.next = nullptr;
}

void stream_heap::count_extended(block& live, std::size_t bytes_before, std::size_t requested_bytes) noexcept {
  count_requested(live.requested_bytes, requested_bytes);
  counters_.allocated_bytes += live.bytes - bytes_before;
  counters_.allocated_peak = std::max(counters_.allocated_peak, counters_.allocated_bytes);
  live.requested_bytes = requested_bytes;
}

void stream_heap::count_requested(std::size_t before, std::size_t now) noexcept {
  counters_.requested_bytes += now - before;
  counters_.requested_peak = std::max(counters_.requested_peak, counters_.requested_bytes);
}

void stream_heap::extend_small(slab& in, std::uint32_t index, std::size_t requested_bytes) noexcept {
  count_requested(slab::requested_of(in.record(index)), requested_bytes);
  in.set_requested(index, requested_bytes);
}

bool stream_heap::open_slab(std::size_t size_class, block& under) noexcept {
  slab* made = source_.new_slab();
  if (made == nullptr) {
    source_.give(under);
    return false;
  }
  made->open(under, size_class, this);
  under.slab_on_top = made;
  under.set_state(block_state::cut_up);
  address_map::set_slab(*made, under.bytes);
  list(*made);
  return true;
}

void stream_heap::close_slab(slab& empty) noexcept {
  // A thread may still be about to put this slab on the remote list, for a block that another thread's push has freed
  // meanwhile, or have it there, for a block that was freed twice: it must stay what it is until drained. Whoever
  // becomes a visitor after this look finds no heap.
  empty.heap.store(nullptr, std::memory_order_seq_cst);
  if (empty.visitors.load(std::memory_order_seq_cst) != 0 || empty.queued.load(std::memory_order_relaxed)) {
    empty.heap.store(this, std::memory_order_release);
    return;
  }
  unlist(empty);
  block& under = *empty.backing;
  count_unmarked(under.bytes);
  address_map::set_freed_slab(under.begin(), under.bytes);
  source_.give(under);
  source_.recycle(empty);
}

bool stream_heap::give_small_remotely(slab& to, std::uintptr_t address) noexcept {
  to.visitors.fetch_add(1, std::memory_order_seq_cst);
  const bool given = to.heap.load(std::memory_order_seq_cst) == this && leave_on_remote_list(to, address);
  to.visitors.fetch_sub(1, std::memory_order_seq_cst);
  return given;
}

bool stream_heap::leave_on_remote_list(slab& to, std::uintptr_t address) noexcept {
  const std::uint32_t index = to.index_of(address);
  if (index == slab::no_index || !slab::is_allocated(to.record(index))) return false;
  const std::uint64_t bit = std::uint64_t{1} << (index % 64);
  if ((to.remote[index / 64].fetch_or(bit, std::memory_order_acq_rel) & bit) != 0) return false;
  if (to.queued.exchange(true, std::memory_order_acq_rel)) return true;
  slab* head = remote_slabs_.load(std::memory_order_relaxed);
  do to.remote_next = head;
  while (!remote_slabs_.compare_exchange_weak(head, &to, std::memory_order_release, std::memory_order_relaxed));
  return true;
}

bool stream_heap::give_large_remotely(block& freed, std::uintptr_t address) noexcept {
  block_state expected = block_state::allocated;
  if (!freed.state.compare_exchange_strong(expected, block_state::remote, std::memory_order_acq_rel)) return false;
  // Only now does the descriptor stay what it is. It stands for another block if this address was freed twice.
  if (freed.last_user() != this || freed.begin() != address) {
    freed.state.store(block_state::allocated, std::memory_order_release);
    return false;
  }
  block* head = remote_blocks_.load(std::memory_order_relaxed);
  do freed.right = head;
  while (!remote_blocks_.compare_exchange_weak(head, &freed, std::memory_order_release, std::memory_order_relaxed));
  return true;
}

void stream_heap::drain_lists() noexcept {
  for (block* freed = remote_blocks_.exchange(nullptr, std::memory_order_acquire); freed != nullptr;) {
    block* next = freed->right;
    freed->right = nullptr;
    // What was pushed while `shutdown` took everything down is nobody's any more; so with slabs.
    if (freed->in_state(block_state::remote)) give_large(*freed);
    freed = next;
  }
  for (slab* touched = remote_slabs_.exchange(nullptr, std::memory_order_acquire); touched != nullptr;) {
    slab* const next = touched->remote_next;
    // Off the list first: a thread that sets a bit from here on puts the slab on it again.
    touched->queued.store(false, std::memory_order_release);
    std::uint64_t bits[slab_max_blocks / 64];
    const auto for_each_bit = [&](auto visit) {
      for (std::uint32_t word = 0; word < slab_max_blocks / 64; ++word)
        for (std::uint64_t rest = bits[word]; rest != 0; rest &= rest - 1)
          visit(word, static_cast<std::uint32_t>(std::countr_zero(rest)));
    };
    for (std::uint32_t word = 0; word < slab_max_blocks / 64; ++word)
      bits[word] = touched->remote[word].exchange(0, std::memory_order_acq_rel);
    const bool ours = touched->heap.load(std::memory_order_relaxed) == this;
    // First what two threads freed at once, as can be seen only now: the slab may close with the last block given.
    for_each_bit([&](std::uint32_t word, std::uint32_t bit) {
      if (ours && slab::is_allocated(touched->record(word * 64 + bit))) return;
      bits[word] &= ~(std::uint64_t{1} << bit);
      count_invalid_free();
    });
    for_each_bit([&](std::uint32_t word, std::uint32_t bit) { give_small(*touched, word * 64 + bit); });
    touched = next;
  }
}

void stream_heap::flush() noexcept {
  drain();
  source_.give_all(front_);
  for (slab*& head : partial_) {
    for (slab* one = head; one != nullptr;) {
      slab* next = one->next;
      if (one->used == 0) close_slab(*one);
      one = next;
    }
  }
}

void stream_heap::reset_peaks() noexcept {
  counters_.requested_peak = counters_.requested_bytes;
  counters_.allocated_peak = counters_.allocated_bytes;
  counters_.live_peak = counters_.live_count;
}

void stream_heap::abandon() noexcept {
  partial_.fill(nullptr);
  front_ = front();
  for (free_index& each : runs) each = free_index();
  remote_slabs_.store(nullptr, std::memory_order_relaxed);
  remote_blocks_.store(nullptr, std::memory_order_relaxed);
  counters_.requested_bytes = counters_.allocated_bytes = counters_.live_count = 0;
}

const char* stream_heap::validate() const noexcept {
  for (std::size_t size_class = 0; size_class < size_class_count; ++size_class) {
    const slab* before = nullptr;
    for (const slab* one = partial_[size_class]; one != nullptr; before = one, one = one->next) {
      if (one->prev != before || one->size_class != size_class) return "slab.list";
      if (one->used >= one->capacity) return "slab.listed";
    }
  }
  const char* broken = nullptr;
  front_.for_each([&](const block& one) {
    if (!one.in_state(block_state::front) || one.last_user() != this) broken = "front.state";
  });
  return broken;
}

}  // namespace terrazzo::detail
