// The out-of-memory ladder: what is tried, in this order, when nothing cached serves a request. After every rung the
// cache is searched again. What can never be had is refused before.
//   1. what the heap itself holds back: its remote list, its front, its empty slabs
//   2. what other streams have finished, as their marks tell
//   3. more memory in one piece: stitched from spare, new and idle chunks and shared edges, or a new segment
//   4. a wait for the device: what others have freed becomes everybody's; segments that hold nothing, and what other
//      settings have left behind, go back to the driver; then rung 3 again
//   5. for small blocks: a slab of the least size, then room in slabs of larger classes
// Rungs 2 to 4 hold the growth mutex, so that one thread's misses do not undo another's, and no lock of a fast path.

#include <algorithm>

#include "allocator/device_allocator.hpp"
#include "base/bytes.hpp"
#include "base/failure.hpp"

namespace terrazzo::detail {

status device_allocator::allocate_on_miss(stream_heap& heap, const request& wanted, void*& result) noexcept {
  // What can never be had must not cost others their cache.
  if (!wanted.is_small() && wanted.block_bytes > std::min(memory_.limit_bytes(), memory_.total_bytes())) {
    const context_scope scope(context());
    return tell_out_of_memory(heap, wanted);
  }
  {
    const std::lock_guard guard(heap.lock);
    heap.flush();
  }
  const std::lock_guard growth(growth_);
  if (is_shut_down()) return refuse_after_shutdown();
  const status climbed = check_books(2, climb(heap, wanted, result));
  if (climbed != status::ok) result = nullptr;
  return climbed;
}

status device_allocator::climb(stream_heap& heap, const request& wanted, void*& result) noexcept {
  result = take_cached(heap, wanted);
  if (result != nullptr) return status::ok;

  const context_scope scope(context());
  if (scope.result() != status::ok) return scope.result();
  end_epoch(heap);
  heap.source().ask_marks();
  result = take_cached(heap, wanted);
  if (result != nullptr) return status::ok;
  status grown = grow(heap, wanted, false, result);
  if (grown != status::out_of_memory) return grown;

  retry_count_.fetch_add(1, std::memory_order_relaxed);
  const status waited = wait_for_everything();
  if (waited != status::ok) return waited;
  result = take_cached(heap, wanted);
  if (result != nullptr) return status::ok;

  // What other settings have left behind serves nobody now, and goes back to the driver.
  for_each_source([&](block_source& each) {
    if (&each == &heap.source()) each.reclaim(wanted.block_bytes);
    else each.trim(0);
  });
  grown = grow(heap, wanted, true, result);
  if (grown != status::out_of_memory) return grown;

  if (wanted.is_small()) result = take_any_slab(heap, wanted);
  if (result != nullptr) return status::ok;
  return tell_out_of_memory(heap, wanted);
}

status device_allocator::grow(stream_heap& heap, const request& wanted, bool last_try, void*& result) noexcept {
  block* found = nullptr;
  const status grown = heap.source().grow(heap, wanted.block_bytes, wanted.alignment, last_try, found);
  if (grown != status::ok) return grown;
  const std::lock_guard guard(heap.lock);
  if (!wanted.is_small()) {
    heap.hand_out(*found, wanted.requested_bytes);
    result = reinterpret_cast<void*>(found->begin());
    return status::ok;
  }
  if (!heap.open_slab(wanted.size_class, *found))
    return fail(status::out_of_host_memory, "no host memory for the books of a slab");
  result = heap.take_small(wanted.size_class, wanted.requested_bytes);
  return status::ok;
}

void* device_allocator::take_any_slab(stream_heap& heap, const request& wanted) noexcept {
  const std::lock_guard guard(heap.lock);
  block* under = heap.take_from_source(slab_unit_bytes, slab_unit_bytes);
  if (under != nullptr && heap.open_slab(wanted.size_class, *under))
    return heap.take_small(wanted.size_class, wanted.requested_bytes);
  for (std::size_t larger = wanted.size_class + 1; larger < size_class_count; ++larger) {
    if (size_classes[larger].block_bytes % wanted.small_alignment != 0) continue;
    void* found = heap.take_small(larger, wanted.requested_bytes);
    if (found != nullptr) return found;
  }
  return nullptr;
}

void device_allocator::flush_all() noexcept {
  const std::lock_guard guard(heaps_mutex_);
  for (const auto& heap : heaps_) {
    const std::lock_guard heap_guard(heap->lock);
    heap->flush();
  }
}

status device_allocator::wait_for_everything() noexcept {
  flush_all();
  std::uint64_t covered[kind_count];
  std::size_t count = 0;
  for_each_source([&](block_source& each) { covered[count++] = each.stamp(); });
  const status waited = memory_.wait_for_device();
  if (waited != status::ok) return waited;
  count = 0;
  for_each_source([&](block_source& each) { each.finish_wait(covered[count++]); });
  return waited;
}

status device_allocator::trim(std::size_t keep_bytes, std::size_t& given_back) noexcept {
  given_back = 0;
  const std::lock_guard growth(growth_);
  if (is_shut_down()) return refuse_after_shutdown();
  const context_scope scope(context());
  if (scope.result() != status::ok) return scope.result();
  const std::size_t before = memory_.held_bytes();
  const status waited = wait_for_everything();
  if (waited != status::ok) return waited;
  for_each_source([&](block_source& each) { each.trim(keep_bytes); });
  given_back = before - memory_.held_bytes();
  return check_books(1, status::ok);
}

status device_allocator::tell_out_of_memory(const stream_heap& heap, const request& wanted) noexcept {
  out_of_memory_count_.fetch_add(1, std::memory_order_relaxed);
  std::size_t free_bytes = 0;
  const bool free_known = memory_.query_free_bytes(free_bytes) == status::ok;
  const std::size_t held = memory_.held_bytes();
  const std::size_t limit = memory_.limit_bytes();
  const statistics now = stats();
  const std::size_t unused = held - std::min(held, now.allocated_bytes.current);
  const std::size_t largest =
      std::max(heap.source().largest_free_bytes(nullptr), heap.source().largest_free_bytes(&heap));

  const char* advice = "free blocks, or use a smaller batch, context or model";
  if (wanted.block_bytes > memory_.total_bytes()) advice = "ask for less: the request alone is larger than the device";
  else if (held + wanted.block_bytes > limit && limit < memory_.total_bytes())
    advice = "raise the limit (limit_mb or per_process_memory_fraction), or free blocks";
  else if (memory_.headroom_bytes() != 0 && free_known && free_bytes >= wanted.block_bytes)
    advice = "lower the headroom (headroom_mb), or free blocks";
  else if (free_known && memory_.total_bytes() - std::min(memory_.total_bytes(), free_bytes) > 2 * held)
    advice = "see which other processes or libraries hold the device's memory";
  else if (kind() == segment_kind::plain && memory_.has_virtual_memory() && unused >= wanted.block_bytes)
    advice = "set expandable_segments:True, which needs no contiguous piece of memory";
  else if (kind() == segment_kind::expandable && settings().on_miss == growth_policy::fail &&
           unused >= wanted.block_bytes)
    advice = "set on_miss:move, so that idle memory is brought to where it is needed";
  try {
    const std::string others =
        free_known
            ? fmt::format("{} are free and {} are held by others", format_bytes(free_bytes),
                          format_bytes(memory_.total_bytes() - std::min(memory_.total_bytes(), free_bytes + held)))
            : std::string("the driver does not tell how much is free");
    const std::string allowed =
        limit < memory_.total_bytes() ? fmt::format(" of the {} that it may", format_bytes(limit)) : std::string();
    return fail(status::out_of_memory,
                "out of memory on device {}: {} were asked for. Of the device's {}, {}; terrazzo holds {}{}: {} "
                "allocated, {} cached. The largest free run for this stream is {}. To try: {}",
                context().device(), format_bytes(wanted.requested_bytes), format_bytes(memory_.total_bytes()), others,
                format_bytes(held), allowed, format_bytes(now.allocated_bytes.current), format_bytes(unused),
                format_bytes(largest), advice);
  } catch (const std::bad_alloc&) {
    return fail(status::out_of_memory, "out of memory on device {}: {} bytes were asked for", context().device(),
                wanted.requested_bytes);
  }
}

}  // namespace terrazzo::detail
