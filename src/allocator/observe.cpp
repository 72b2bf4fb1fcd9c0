// What the allocator tells of itself: the statistics, and the walk over all its books.

#include <algorithm>

#include "allocator/device_allocator.hpp"
#include "base/failure.hpp"

namespace terrazzo::detail {

statistics device_allocator::stats() const noexcept {
  statistics sum;
  const std::lock_guard guard(heaps_mutex_);
  const auto add = [](counter& total, std::size_t current, std::size_t peak) {
    total.current += current;
    total.peak += peak;
  };
  for_each_source([&](const block_source& each) {
    sum.segment_count += each.segment_count();
    if (!is_shut_down()) sum.largest_free_bytes = std::max(sum.largest_free_bytes, each.largest_free_bytes(nullptr));
  });
  for (const auto& heap : heaps_) {
    {
      const std::lock_guard heap_guard(heap->lock);
      heap->drain();
      const heap_counters& now = heap->counters();
      add(sum.requested_bytes, now.requested_bytes, now.requested_peak);
      add(sum.allocated_bytes, now.allocated_bytes, now.allocated_peak);
      add(sum.allocations, now.live_count, now.live_peak);
      sum.allocation_count += now.allocation_count;
      sum.deallocation_count += now.deallocation_count;
      sum.invalid_free_count += now.invalid_free_count;
    }
    sum.largest_free_bytes = std::max(sum.largest_free_bytes, heap->source().largest_free_bytes(heap.get()));
  }
  sum.reserved_bytes = {memory_.held_bytes(), memory_.held_peak_bytes()};
  // The streams' peaks need not have been at one time: their sum is an upper bound, and so is what was reserved.
  for (counter* each : {&sum.requested_bytes, &sum.allocated_bytes})
    each->peak = std::max(each->current, std::min(each->peak, sum.reserved_bytes.peak));
  sum.active_bytes = sum.allocated_bytes;
  sum.driver_calls = context().api().call_count();
  sum.out_of_memory_count = out_of_memory_count_.load(std::memory_order_relaxed);
  sum.retry_count = retry_count_.load(std::memory_order_relaxed);
  sum.invalid_free_count += invalid_free_count_.load(std::memory_order_relaxed);
  sum.limit_bytes = memory_.limit_bytes();
  return sum;
}

void device_allocator::reset_peaks() noexcept {
  const std::lock_guard guard(heaps_mutex_);
  for (const auto& heap : heaps_) {
    const std::lock_guard heap_guard(heap->lock);
    heap->drain();
    heap->reset_peaks();
  }
  memory_.reset_peak();
}

namespace {

/// What the blocks say of a heap's counters.
struct tally {
  std::size_t requested_bytes = 0;
  std::size_t allocated_bytes = 0;
  std::size_t live_count = 0;
  bool operator==(const tally&) const = default;
};

const char* count_slab(const slab& one, tally& sum) {
  std::size_t used = 0;
  for (std::uint32_t i = 0; i < one.capacity; ++i) {
    if (!slab::is_allocated(one.record(i))) continue;
    ++used;
    sum.requested_bytes += slab::requested_of(one.record(i));
    sum.allocated_bytes += one.block_bytes;
  }
  sum.live_count += used;
  if (used != one.used) return "slab.used";
  std::size_t free = 0;
  for (std::uint32_t at = one.first_free; at != slab::end_of_list; at = one.record(at), ++free)
    if (free >= one.capacity || at >= one.capacity || slab::is_allocated(one.record(at))) return "slab.used";
  return used + free == one.capacity ? nullptr : "slab.used";
}

}  // namespace

void device_allocator::visit_blocks(const std::function<void(const block&)>& visit) const {
  const std::lock_guard growth(growth_);
  const std::lock_guard guard(heaps_mutex_);
  for_each_source([&](const block_source& each) { each.for_each_block(visit); });
}

status device_allocator::validate() const noexcept {
  const std::lock_guard growth(growth_);
  return is_shut_down() ? refuse_after_shutdown() : walk_books();
}

status device_allocator::walk_books() const noexcept {
  const std::lock_guard guard(heaps_mutex_);
  for (const auto& heap : heaps_) heap->lock.lock();
  const char* broken = nullptr;
  try {
    for_each_source([&](const block_source& each) {
      if (const char* wrong = each.validate()) broken = wrong;
    });
    std::unordered_map<const stream_heap*, tally> tallies;
    std::size_t mapped_bytes = 0;
    const auto tally_block = [&](const block& one) {
      if (!one.in_state(block_state::unmapped) && !one.in_state(block_state::shadow)) mapped_bytes += one.bytes;
      const bool cut_up = one.in_state(block_state::cut_up);
      if (!cut_up && !one.in_state(block_state::allocated) && !one.in_state(block_state::remote)) return;
      tally& sum = tallies[one.last_user()];
      if (cut_up) {
        if (one.slab_on_top->heap.load() != one.last_user() || one.slab_on_top->backing != &one) broken = "slab.heap";
        if (const char* wrong = count_slab(*one.slab_on_top, sum)) broken = wrong;
        return;
      }
      sum.requested_bytes += one.requested_bytes;
      sum.allocated_bytes += one.bytes;
      ++sum.live_count;
    };
    for_each_source([&](const block_source& each) { each.for_each_block(tally_block); });
    if (mapped_bytes > memory_.held_bytes()) broken = "memory.held";
    for (const auto& heap : heaps_) {
      if (const char* wrong = heap->validate()) broken = wrong;
      const heap_counters& now = heap->counters();
      if (tallies[heap.get()] != tally{now.requested_bytes, now.allocated_bytes, now.live_count})
        broken = "heap.counted";
    }
  } catch (const std::bad_alloc&) {
    for (const auto& heap : heaps_) heap->lock.unlock();
    return fail(status::out_of_host_memory, "no host memory to walk the books");
  }
  for (const auto& heap : heaps_) heap->lock.unlock();
  if (broken == nullptr) return status::ok;
  return fail(status::corrupted, "the invariant {} does not hold on device {}", broken, context().device());
}

status device_allocator::check_books(int level, status result) const noexcept {
  if (level > TERRAZZO_CHECK_LEVEL) return result;
  return walk_books() == status::corrupted ? status::corrupted : result;
}

}  // namespace terrazzo::detail
