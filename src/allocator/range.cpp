#include "allocator/range.hpp"

#include <algorithm>
#include <array>

#include "allocator/stream_heap.hpp"
#include "base/failure.hpp"
#include "heap/address_map.hpp"

namespace terrazzo::detail {

void range::close() noexcept {
  unmapped_ = nullptr;
  stretches_.clear();
  store_.trim(0);
}

status range::grow(stream_heap& heap, std::size_t bytes, std::size_t alignment, bool, block*& found) {
  for (;;) {
    claim claimed;
    place chosen;
    {
      const std::lock_guard guard(lock_);
      // Another thread may have grown the range, or freed, since the caller looked.
      found = take_locked(heap, bytes, alignment);
      if (found != nullptr) return status::ok;
      if (!blocks_.ensure(6)) return fail(status::out_of_host_memory, "no host memory for the books of a block");
      chosen = find_place(heap, bytes, alignment);
      if (chosen.first != nullptr) claimed = take_claim(chosen, bytes);
    }
    if (chosen.first == nullptr) {
      const status added = add_stretch(round_up(bytes + alignment, memory_.chunk_bytes()));
      if (added != status::ok) return added;
      continue;
    }
    const status mapped = map_claim(claimed);
    const std::lock_guard guard(lock_);
    if (mapped != status::ok) {
      give_claim_back(claimed);
      return mapped;
    }
    found = &settle(claimed, chosen.begin, bytes, heap);
    return status::ok;
  }
}

status range::add_stretch(std::size_t least_bytes) {
  // Twice the device, so that free addresses are found at the end of a run even when much is free elsewhere.
  const std::size_t wanted = std::max(least_bytes, round_up(2 * memory_.total_bytes(), memory_.chunk_bytes()));
  try {
    auto made = std::make_unique<stretch>(memory_);
    const status opened = made->books.open(wanted, least_bytes);
    if (opened != status::ok) return opened;
    made->address = made->books.address();
    made->bytes = made->books.bytes();
    if (made->address + made->bytes > std::uintptr_t{1} << address_map::address_bits)
      return fail(status::not_supported,
                  "the driver reserved addresses from {:#x} on, which the address map cannot hold", made->address);
    stretches_.reserve(stretches_.size() + 1);
    const std::lock_guard guard(lock_);
    if (!blocks_.ensure(1)) return fail(status::out_of_host_memory, "no host memory for the books of a reservation");
    add_segment(*made);
    block& all = blocks_.take();
    all.address.store(made->address, std::memory_order_relaxed);
    all.bytes = made->bytes;
    all.set_state(block_state::unmapped);
    all.set_user(nullptr);
    all.home = made.get();
    all.prev = all.next = nullptr;
    made->first = &all;
    list_unmapped(all);
    stretches_.push_back(std::move(made));
  } catch (const std::bad_alloc&) {
    return fail(status::out_of_host_memory, "no host memory for the books of a reservation of {} bytes", wanted);
  }
  return status::ok;
}

// The window of `bytes` from `begin` on: what must be mapped for it, in whole chunks.
void range::consider(const block& from, std::uintptr_t begin, std::size_t bytes, place& best) const noexcept {
  const std::size_t unit = memory_.chunk_bytes();
  const std::uintptr_t end = begin + bytes;
  std::size_t new_bytes = 0;
  for (const block* one = &from; one != nullptr && one->begin() < end; one = one->next) {
    if (!one->in_state(block_state::unmapped)) continue;
    const std::uintptr_t low = std::max(one->begin(), round_down(begin, unit));
    const std::uintptr_t high = std::min(one->end(), round_up(end, unit));
    new_bytes += high - low;
  }
  if (new_bytes >= best.new_bytes) return;
  best.first = const_cast<block*>(&from);
  best.begin = begin;
  best.new_bytes = new_bytes;
}

range::place range::find_place(const stream_heap& heap, std::size_t bytes, std::size_t alignment) const noexcept {
  const auto usable = [&](const block* one) {
    if (one == nullptr) return false;
    if (one->in_state(block_state::unmapped)) return true;
    return one->in_state(block_state::free) && (one->last_user() == nullptr || one->last_user() == &heap);
  };
  place best;
  for (block* unmapped = unmapped_; unmapped != nullptr; unmapped = unmapped->right) {
    // A stretch of usable addresses with several unmapped blocks is looked at once, from the first of them.
    block* first = unmapped;
    bool seen = false;
    while (usable(first->prev)) {
      first = first->prev;
      if (first->in_state(block_state::unmapped)) {
        seen = true;
        break;
      }
    }
    if (seen) continue;
    const block* last = unmapped;
    while (usable(last->next)) last = last->next;
    if (last->end() - first->begin() < bytes) continue;

    for (const block* one = first;; one = one->next) {
      const std::uintptr_t begin = round_up(one->begin(), alignment);
      if (begin < one->end() && begin + bytes <= last->end()) consider(*one, begin, bytes, best);
      if (one == last) break;
    }
    // Windows that end where a free block ends take all of it, and leave the rest of the chunk they begin in.
    for (const block *one = last, *from = last;; one = one->prev) {
      if (one->in_state(block_state::free) && one->end() - first->begin() >= bytes) {
        const std::uintptr_t begin = round_down(one->end() - bytes, alignment);
        if (begin >= first->begin()) {
          if (from->begin() > one->begin()) from = one;
          while (from->begin() > begin) from = from->prev;
          consider(*from, begin, bytes, best);
        }
      }
      if (one == first) break;
    }
  }
  return best;
}

// Takes the window out of the books: free blocks become busy, unmapped ones mapping, cut at the window's ends, which
// lie at chunk borders where they fall among unmapped addresses.
range::claim range::take_claim(const place& chosen, std::size_t bytes) noexcept {
  const std::size_t unit = memory_.chunk_bytes();
  const std::uintptr_t end = chosen.begin + bytes;
  claim claimed;
  block* one = chosen.first;
  do {
    const bool unmapped = one->in_state(block_state::unmapped);
    const std::uintptr_t low = std::max(one->begin(), unmapped ? round_down(chosen.begin, unit) : chosen.begin);
    const std::uintptr_t high = std::min(one->end(), unmapped ? round_up(end, unit) : end);
    take_out(*one);
    one = &cut_out(*one, low, high);
    one->set_state(unmapped ? block_state::mapping : block_state::busy);
    if (unmapped) claimed.chunk_count += one->bytes / unit;
    if (claimed.first == nullptr) claimed.first = one;
    claimed.last = one;
    one = one->next;
  } while (claimed.last->end() < end);
  for (int i = 0; i < 2; ++i) {
    block& spare = blocks_.take();
    spare.next = claimed.spare_descriptors;
    claimed.spare_descriptors = &spare;
  }
  return claimed;
}

void range::return_spares(const claim& claimed) noexcept {
  for (block* spare = claimed.spare_descriptors; spare != nullptr;) {
    block* next = spare->next;
    blocks_.put(*spare);
    spare = next;
  }
}

void range::give_claim_back(const claim& claimed) noexcept {
  return_spares(claimed);
  for (block* one = claimed.first;;) {
    const bool was_last = one == claimed.last;
    block* const next = one->next;
    if (one->in_state(block_state::mapping)) {
      one->set_state(block_state::unmapped);
      if (next != nullptr && next->in_state(block_state::unmapped)) {
        unlist_unmapped(*next);
        blocks_.put(*absorb_next(*one));
      }
      block* before = one->prev;
      if (before != nullptr && before->in_state(block_state::unmapped)) blocks_.put(*absorb_next(*before));
      else list_unmapped(*one);
    } else {
      insert(*one);
    }
    if (was_last) return;
    one = next;
  }
}

status range::map_claim(const claim& claimed) noexcept {
  const std::size_t unit = memory_.chunk_bytes();
  if (!address_map::cover(claimed.first->begin(), claimed.last->end() - claimed.first->begin()))
    return fail(status::out_of_host_memory, "no host memory for the address map");
  std::vector<chunk_handle> chunks;
  std::vector<chunk_handle> left_over;
  try {
    left_over.reserve(claimed.chunk_count);
  } catch (const std::bad_alloc&) {
    return fail(status::out_of_host_memory, "no host memory to list {} chunks", claimed.chunk_count);
  }
  status result = store_.take(claimed.chunk_count, chunks);
  if (result != status::ok) return result;

  std::size_t used = 0;
  block* one = claimed.first;
  for (; used < chunks.size(); one = one->next) {
    if (!one->in_state(block_state::mapping)) continue;
    const std::size_t count = one->bytes / unit;
    result = books_of(*one).map(books_of(*one).place_of(one->begin()), chunks.data() + used, count);
    if (result != status::ok) break;
    used += count;
  }
  if (result == status::ok) return result;

  for (block* done = claimed.first; done != one; done = done->next) {
    if (!done->in_state(block_state::mapping)) continue;
    reservation& books = books_of(*done);
    // What cannot be unmapped stays where it is, as free memory.
    if (books.unmap(books.place_of(done->begin()), done->bytes / unit, left_over) != status::ok)
      done->set_state(block_state::busy);
  }
  left_over.insert(left_over.end(), chunks.begin() + static_cast<std::ptrdiff_t>(used), chunks.end());
  store_.put(left_over);
  return result;
}

// What was mapped becomes one block with the program; the ends of chunks that it does not need become free. New and
// spare chunks are idle: no stream has used them since they were finished.
block& range::settle(const claim& claimed, std::uintptr_t begin, std::size_t bytes, stream_heap& heap) noexcept {
  block* const stop = claimed.last->next;
  block* whole = claimed.first;
  while (whole->next != stop) blocks_.put(*absorb_next(*whole));
  whole->set_user(nullptr);
  return_spares(claimed);
  return cut(*whole, begin, bytes, whole->end() > begin + bytes, heap);
}

void range::finish_wait(std::uint64_t covered) noexcept {
  block_source::finish_wait(covered);
  const std::lock_guard guard(lock_);
  make_finished_idle();
}

void range::reclaim(std::size_t) noexcept { harvest(); }

void range::trim(std::size_t keep_bytes) noexcept {
  harvest();
  const std::size_t spare_bytes = store_.spare_count() * memory_.chunk_bytes();
  const std::size_t used_bytes = memory_.held_bytes() - spare_bytes;
  store_.trim(keep_bytes <= used_bytes ? 0 : (keep_bytes - used_bytes) / memory_.chunk_bytes());
}

// Takes the whole chunks from under idle blocks into the store, some runs at a time, so that the lock is never held for
// long.
void range::harvest() noexcept {
  const std::size_t unit = memory_.chunk_bytes();
  std::array<block*, 64> found;
  std::size_t found_count = 0;
  std::vector<chunk_handle> chunks;
  status result = status::ok;
  do {
    found_count = 0;
    {
      const std::lock_guard guard(lock_);
      if (!blocks_.ensure(2 * found.size())) return;
      for (segment* each : segments_) {
        for (block* one = each->first; one != nullptr && found_count < found.size(); one = one->next) {
          if (!one->in_state(block_state::free) || one->last_user() != nullptr) continue;
          const std::uintptr_t low = round_up(one->begin(), unit);
          const std::uintptr_t high = round_down(one->end(), unit);
          if (low >= high) continue;
          take_out(*one);
          one = &cut_out(*one, low, high);
          one->set_state(block_state::mapping);
          found[found_count++] = one;
        }
      }
    }
    for (std::size_t i = 0; i < found_count; ++i) {
      block& run = *found[i];
      const std::size_t count = run.bytes / unit;
      if (result == status::ok) {
        try {
          chunks.clear();
          chunks.reserve(count);
          result = books_of(run).unmap(books_of(run).place_of(run.begin()), count, chunks);
        } catch (const std::bad_alloc&) {
          result = status::out_of_host_memory;
        }
        if (result == status::ok) store_.put(chunks);
      }
      const std::lock_guard guard(lock_);
      if (result != status::ok) run.set_state(block_state::busy);
      give_claim_back({&run, &run});
    }
  } while (found_count == found.size() && result == status::ok);
}

void range::take_out(block& one) noexcept {
  if (one.in_state(block_state::unmapped)) unlist_unmapped(one);
  else index_for(one).remove(one);
}

void range::put_in(block& one) noexcept {
  if (one.in_state(block_state::unmapped)) list_unmapped(one);
  else index_for(one).insert(one);
}

block& range::cut_out(block& whole, std::uintptr_t low, std::uintptr_t high) noexcept {
  block* middle = &whole;
  if (low > whole.begin()) {
    block& rest = blocks_.take();
    split_block(whole, low - whole.begin(), rest);
    put_in(whole);
    middle = &rest;
  }
  if (high < middle->end()) {
    block& rest = blocks_.take();
    split_block(*middle, high - middle->begin(), rest);
    put_in(rest);
  }
  return *middle;
}

void range::list_unmapped(block& added) noexcept {
  added.left = nullptr;
  added.right = unmapped_;
  if (unmapped_ != nullptr) unmapped_->left = &added;
  unmapped_ = &added;
}

void range::unlist_unmapped(block& gone) noexcept {
  if (gone.left != nullptr) gone.left->right = gone.right;
  else unmapped_ = gone.right;
  if (gone.right != nullptr) gone.right->left = gone.left;
  gone.left = gone.right = nullptr;
}

const char* range::validate_block(const block& one) const noexcept {
  const std::size_t unit = memory_.chunk_bytes();
  const reservation& books = books_of(one);
  const bool unmapped = one.in_state(block_state::unmapped);
  if (unmapped && (one.begin() % unit != 0 || one.bytes % unit != 0)) return "range.whole";
  if (unmapped && one.next != nullptr && one.next->in_state(block_state::unmapped)) return "range.merged";
  for (std::size_t at = books.place_of(one.begin()); at <= books.place_of(one.end() - 1); ++at)
    if (books.is_mapped(at) == unmapped) return "range.mapped";
  if (unmapped) {
    for (const block* listed = unmapped_; listed != nullptr; listed = listed->right)
      if (listed == &one) return nullptr;
    return "range.listed";
  }
  return nullptr;
}

}  // namespace terrazzo::detail
