// Where chunks come from and where they go: spare ones, new ones, those under free addresses; how many of which, and when
// they are given back.
#include <algorithm>
#include <limits>

#include "allocator/range.hpp"
#include "allocator/stream_heap.hpp"
#include "base/failure.hpp"

namespace terrazzo::detail {

// Chunks for a request: spare ones; new ones as far as the policy makes them before moving; those under free addresses;
// then new ones again. Until all are there nothing is unmapped, so that a request that fails costs nobody his cache.
status range::gather(const stream_heap& heap, std::size_t count, std::vector<chunk_handle>& chunks) noexcept {
  std::vector<block*> moving;
  try {
    chunks.reserve(count);
    moving.reserve(count);
  } catch (const std::bad_alloc&) {
    return fail(status::out_of_host_memory, "no host memory to list {} chunks", count);
  }
  if (!store_.reserve(count)) return fail(status::out_of_host_memory, "no host memory to list {} chunks", count);
  const auto missing = [&] { return count - std::min(count, store_.spare_count()); };
  if (missing() != 0) {
    collect_garbage();
    const status made = store_.make(count_to_make_first(missing()));
    if (made != status::ok && made != status::out_of_memory) return made;
  }
  std::size_t moved = 0;
  if (missing() != 0 && policy_ != growth_policy::fail) moved = claim_finished(&heap, missing(), moving);
  status result = moved < missing() ? store_.make(missing() - moved) : status::ok;
  result = unmap_runs(moving, result);
  if (result == status::ok) store_.take(count, chunks);
  return result;
}

bool range::is_tight() const noexcept {
  return memory_.held_bytes() >= std::min(memory_.limit_bytes(), memory_.total_bytes()) / 2;
}

std::size_t range::garbage_from_bytes() const noexcept {
  if (garbage_threshold_ == 0 || memory_.limit_bytes() >= memory_.total_bytes())
    return std::numeric_limits<std::size_t>::max();
  return static_cast<std::size_t>(garbage_threshold_ * static_cast<double>(memory_.limit_bytes()));
}

// Moving a chunk costs less than making one, and leaves memory to others; but a program whose memory moves again and again
// pays each time. So a little is made first: what the program needed at once at its peak, and a little more. And a
// program that holds more than half of its limit takes the rest of it too, up to where garbage is collected.
std::size_t range::count_to_make_first(std::size_t missing) noexcept {
  const std::size_t unit = memory_.chunk_bytes();
  const std::size_t held = memory_.held_bytes();
  const std::lock_guard guard(lock_);
  const std::size_t needed = held - store_.spare_count() * unit - free_bytes() + missing * unit;
  needed_peak_ = std::max(needed_peak_, needed);
  std::size_t wanted = needed_peak_ + needed_peak_ / (sharer_count() > 1 ? 32 : 256);
  if (policy_ != growth_policy::move || is_tight()) wanted = std::min(held + missing * unit, garbage_from_bytes());
  return std::min(missing, (wanted - std::min(wanted, held)) / unit);
}

// Releases finished chunks that have been idle for longer than the mean, until no more than the threshold's share of the
// limit is held. Age is counted in frees.
void range::collect_garbage() noexcept {
  const std::size_t unit = memory_.chunk_bytes();
  const std::size_t threshold = garbage_from_bytes();
  if (memory_.held_bytes() <= threshold) return;
  const auto surplus = [&] { return (memory_.held_bytes() - std::min(memory_.held_bytes(), threshold)) / unit; };
  std::vector<block*> runs;
  {
    const std::lock_guard guard(lock_);
    std::uint64_t age_sum = 0;
    std::uint64_t count = 0;
    const auto for_each_finished = [&](auto visit) {
      for (const segment* each : segments_)
        for (block* one = each->first; one != nullptr; one = one->next)
          if (one->in_state(block_state::free) && is_finished(*one) && whole_chunks(*one) != 0) visit(*one);
    };
    for_each_finished([&](const block& one) {
      age_sum += clock_ - one.stamp;
      ++count;
    });
    std::size_t claimed = store_.spare_count();
    try {
      runs.reserve(count);
    } catch (const std::bad_alloc&) {
      return;
    }
    for_each_finished([&](block& one) {
      if ((clock_ - one.stamp) * count < age_sum || claimed >= surplus() || !blocks_.ensure(2)) return;
      runs.push_back(&claim_whole(one, surplus() - claimed));
      claimed += runs.back()->bytes / unit;
    });
  }
  if (unmap_runs(runs) == status::ok) store_.trim(store_.spare_count() - std::min(store_.spare_count(), surplus()));
}

std::size_t range::whole_chunks(const block& one) const noexcept {
  const std::uintptr_t low = round_up(one.begin(), memory_.chunk_bytes());
  const std::uintptr_t high = round_down(one.end(), memory_.chunk_bytes());
  return low < high ? (high - low) / memory_.chunk_bytes() : 0;
}

// Of a run that has more than is needed, the end beside unmapped addresses goes: they become one.
block& range::claim_whole(block& run, std::size_t most_chunks) noexcept {
  const std::size_t unit = memory_.chunk_bytes();
  std::uintptr_t low = round_up(run.begin(), unit);
  std::uintptr_t high = round_down(run.end(), unit);
  if (high - low > most_chunks * unit) {
    if (run.prev != nullptr && run.prev->in_state(block_state::unmapped)) high = low + most_chunks * unit;
    else low = high - most_chunks * unit;
  }
  delist(run);
  block& claimed = cut_out(run, low, high);
  claimed.set_state(block_state::busy);
  return claimed;
}

std::size_t range::claim_finished(const stream_heap* heap, std::size_t count, std::vector<block*>& runs) noexcept {
  const std::size_t unit = memory_.chunk_bytes();
  std::size_t claimed = 0;
  const std::lock_guard guard(lock_);
  const free_index& idle_runs = idle(block_pool::large);
  const free_index none;
  const free_index& own_runs = heap != nullptr ? heap->runs[static_cast<std::size_t>(block_pool::large)] : none;
  block* idle_run = idle_runs.best_fit(unit, block_alignment);
  block* own_run = own_runs.best_fit(unit, block_alignment);
  while (claimed < count && (idle_run != nullptr || own_run != nullptr)) {
    block* run = nullptr;
    if (own_run == nullptr || (idle_run != nullptr && idle_run->bytes <= own_run->bytes)) {
      run = idle_run;
      idle_run = idle_runs.successor(*run);
    } else {
      run = own_run;
      own_run = own_runs.successor(*run);
      if (!is_finished(*run)) continue;
    }
    if (whole_chunks(*run) == 0) continue;
    if (!blocks_.ensure(2)) break;
    run = &claim_whole(*run, count - claimed);
    runs.push_back(run);
    claimed += run->bytes / unit;
  }
  return claimed;
}

// Takes the chunks from under claimed runs into the store, if `result` is ok so far, and puts the runs back.
status range::unmap_runs(const std::vector<block*>& runs, status result) noexcept {
  std::vector<chunk_handle> chunks;
  for (block* run : runs) {
    if (result == status::ok) {
      const std::size_t count = run->bytes / memory_.chunk_bytes();
      try {
        chunks.clear();
        chunks.reserve(count);
        result = books_of(*run).unmap(books_of(*run).place_of(run->begin()), count, chunks);
      } catch (const std::bad_alloc&) {
        result = fail(status::out_of_host_memory, "no host memory to list {} chunks", count);
      }
      if (result == status::ok) {
        store_.put(chunks);
        run->set_state(block_state::mapping);
      }
    }
    const std::lock_guard guard(lock_);
    give_claim_back({run, run});
  }
  return result;
}

void range::trim(std::size_t keep_bytes) noexcept {
  constexpr std::size_t at_once = 256;  // chunks, so that the lock is never held for long
  const std::size_t unit = memory_.chunk_bytes();
  const stream_heap* only_heap = nullptr;  // of several, all that is finished is idle
  {
    const std::lock_guard guard(lock_);
    if (heaps_.size() == 1) only_heap = heaps_.front();
  }
  std::vector<block*> runs;
  status result = status::ok;
  retire_edges();
  const auto surplus = [&] {
    return (memory_.held_bytes() - std::min(memory_.held_bytes(), keep_bytes) + unit - 1) / unit;
  };
  while (result == status::ok && store_.spare_count() < surplus()) {
    runs.clear();
    try {
      runs.reserve(at_once);
    } catch (const std::bad_alloc&) {
      break;
    }
    if (claim_finished(only_heap, std::min(at_once, surplus() - store_.spare_count()), runs) == 0) break;
    result = unmap_runs(runs);
  }
  store_.trim(store_.spare_count() - std::min(store_.spare_count(), surplus()));
}

}  // namespace terrazzo::detail
