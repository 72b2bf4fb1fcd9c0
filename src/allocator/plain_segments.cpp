#include "allocator/plain_segments.hpp"

#include <algorithm>

#include "allocator/stream_heap.hpp"
#include "base/failure.hpp"
#include "heap/address_map.hpp"

namespace terrazzo::detail {
namespace {

constexpr std::size_t small_request_limit = 1 * mib;
constexpr std::size_t small_segment_bytes = 2 * mib;
constexpr std::size_t own_segment_from = 10 * mib;
constexpr std::size_t own_segment_unit = 2 * mib;

cutting_rules rules_of(const config& settings) noexcept {
  cutting_rules rules;
  rules.small_pool_limit = small_request_limit;
  rules.oversize = settings.max_split_size_bytes;
  rules.oversize_slack = settings.max_non_split_rounding_bytes.value_or(settings.large_segment_size_bytes);
  rules.least_rest = small_request_limit + block_alignment;
  return rules;
}

}  // namespace

plain_segments::plain_segments(device_memory& memory, const config& settings) noexcept
    : block_source(memory, rules_of(settings)), settings_(settings) {}

void plain_segments::set_rules(const config& settings) noexcept {
  settings_ = settings;
  const std::lock_guard guard(lock_);
  rules_ = rules_of(settings);
}

status plain_segments::extend(stream_heap&, block& live, std::size_t bytes) noexcept {
  return fail(status::out_of_memory, "the block at {:#x} cannot grow to {} bytes in its plain segment", live.begin(),
              bytes);
}

void plain_segments::close() noexcept {
  for (const auto& each : pieces_) memory_.free_plain(each->driver_address, each->driver_bytes);
  pieces_.clear();
}

status plain_segments::grow(stream_heap& heap, std::size_t bytes, std::size_t alignment, bool last_try, block*& found) {
  found = take(heap, bytes, alignment);
  if (found != nullptr) return status::ok;

  // cuMemAlloc aligns to 512 B or better; more has to be made room for.
  const std::size_t needed = alignment > block_alignment ? bytes + alignment : bytes;
  const std::size_t own = round_up(needed, own_segment_unit);
  std::size_t segment_bytes = own;
  if (bytes <= small_request_limit) segment_bytes = std::max(small_segment_bytes, own);
  else if (bytes < own_segment_from) segment_bytes = std::max(settings_.large_segment_size_bytes, own);

  if (settings_.garbage_collection_threshold > 0.0) collect_garbage();
  status result = add_piece(heap, segment_bytes, bytes, alignment, found);
  if (result != status::out_of_memory || !last_try) return result;
  if (own < segment_bytes) result = add_piece(heap, own, bytes, alignment, found);
  if (result != status::out_of_memory) return result;
  // `reclaim` may have given back no more than one oversize segment: now all that is whole goes.
  if (release([](const block&) { return true; }, [] { return false; }) != 0)
    result = add_piece(heap, own, bytes, alignment, found);
  if (result != status::out_of_memory) return result;
  // At last what other streams have left in pieces, though none of it can be given back then.
  {
    const std::lock_guard guard(lock_);
    for (stream_heap* each : heaps_) make_finished_idle(*each);
  }
  found = take(heap, bytes, alignment);
  return found != nullptr ? status::ok : result;
}

status plain_segments::add_piece(stream_heap& heap, std::size_t segment_bytes, std::size_t bytes, std::size_t alignment,
                                 block*& found) {
  std::uintptr_t address = 0;
  status result = memory_.allocate_plain(segment_bytes, address);
  if (result != status::ok) return result;

  const std::uintptr_t begin = round_up(address, block_alignment);
  const std::uintptr_t end = round_down(address + segment_bytes, block_alignment);
  const std::uintptr_t at = round_up(begin, alignment);
  if (at + bytes > end) {
    result =
        fail(status::driver_error, "the driver gave a segment at {:#x}, which is not aligned to 512 bytes", address);
  } else if (!address_map::cover(begin, end - begin)) {
    result = fail(status::out_of_host_memory, "no host memory for the address map");
  } else {
    try {
      pieces_.reserve(pieces_.size() + 1);
      auto made = std::make_unique<piece>();
      made->address = begin;
      made->bytes = end - begin;
      made->pool = rules_.pool_of(bytes);
      made->driver_address = address;
      made->driver_bytes = segment_bytes;
      const std::lock_guard guard(lock_);
      if (!blocks_.ensure(3)) throw std::bad_alloc();
      add_segment(*made);
      block& whole = blocks_.take();
      whole.address.store(begin, std::memory_order_relaxed);
      whole.bytes = made->bytes;
      whole.home = made.get();
      whole.prev = whole.next = nullptr;
      whole.set_state(block_state::busy);
      whole.set_user(&heap);  // PyTorch's way: a segment is its stream's from the start
      whole.stamp = ++clock_;
      made->first = &whole;
      found = &cut(whole, at, bytes, rules_.cuts(bytes, end - at - bytes, made->pool), heap);
      pieces_.push_back(std::move(made));
      return status::ok;
    } catch (const std::bad_alloc&) {
      result = fail(status::out_of_host_memory, "no host memory for the books of a segment");
    }
  }
  memory_.free_plain(address, segment_bytes);
  return result;
}

block* plain_segments::join_if_finished(const piece& one) noexcept {
  for (const block* each = one.first; each != nullptr; each = each->next)
    if (!each->in_state(block_state::free) || !is_finished(*each)) return nullptr;
  block& whole = *one.first;
  delist(whole);
  while (whole.next != nullptr) {
    delist(*whole.next);
    blocks_.put(*absorb_next(whole));
  }
  // The latest stamp may be another stream's, and later than what is known of this one.
  if (whole.last_user() != nullptr) whole.stamp = std::min(whole.stamp, whole.last_user()->finished);
  insert(whole);
  return &whole;
}

template <typename Chosen, typename Enough>
std::size_t plain_segments::release(Chosen chosen, Enough enough) noexcept {
  std::size_t released = 0;
  for (std::size_t i = 0; i < pieces_.size() && !enough();) {
    piece& one = *pieces_[i];
    {
      const std::lock_guard guard(lock_);
      block* whole = join_if_finished(one);
      if (whole == nullptr || !chosen(*whole)) {
        ++i;
        continue;
      }
      delist(*whole);
      drop_segment(one);
      blocks_.put(*whole);
    }
    address_map::forget(one.address, one.bytes);
    memory_.free_plain(one.driver_address, one.driver_bytes);
    pieces_[i] = std::move(pieces_.back());
    pieces_.pop_back();
    ++released;
  }
  return released;
}

void plain_segments::reclaim(std::size_t bytes) noexcept {
  // Oversize segments first, and no more of them than needed: they serve nothing but oversize requests.
  if (rules_.oversize != std::numeric_limits<std::size_t>::max()) {
    const std::size_t wanted = std::max(bytes, rules_.oversize);
    const std::size_t before = memory_.held_bytes();
    if (release([&](const block& whole) { return whole.bytes >= wanted; },
                [&] { return memory_.held_bytes() < before; }) != 0)
      return;
  }
  release([](const block&) { return true; }, [] { return false; });
}

void plain_segments::trim(std::size_t keep_bytes) noexcept {
  release([](const block&) { return true; }, [&] { return memory_.held_bytes() <= keep_bytes; });
}

// Above the threshold's share of the limit, releases unsplit cached segments of the large pool whose age is at least
// the mean age, again and again until enough is free or nothing is left that may go. Age is counted in frees.
void plain_segments::collect_garbage() noexcept {
  const auto threshold =
      static_cast<std::size_t>(settings_.garbage_collection_threshold * static_cast<double>(memory_.limit_bytes()));
  if (memory_.limit_bytes() >= memory_.total_bytes() || memory_.held_bytes() <= threshold) return;
  const std::uint64_t covered = stamp();
  if (memory_.wait_for_device() != status::ok) return;
  finish_wait(covered);
  for (;;) {
    std::uint64_t age_sum = 0;
    std::uint64_t count = 0;
    std::uint64_t now = 0;
    {
      const std::lock_guard guard(lock_);
      now = clock_;
      for (const auto& each : pieces_) {
        const block& whole = *each->first;
        if (each->pool != block_pool::large || whole.next != nullptr || !whole.in_state(block_state::free)) continue;
        age_sum += now - whole.stamp;
        ++count;
      }
    }
    if (count == 0) return;
    const auto old_enough = [&](const block& whole) {
      return whole.home->pool == block_pool::large && (now - whole.stamp) * count >= age_sum;
    };
    const auto done = [&] { return memory_.held_bytes() <= threshold; };
    if (release(old_enough, done) == 0 || done()) return;
  }
}

}  // namespace terrazzo::detail
