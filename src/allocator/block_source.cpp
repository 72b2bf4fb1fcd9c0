#include "allocator/block_source.hpp"

#include <algorithm>

#include "allocator/stream_heap.hpp"
#include "heap/address_map.hpp"

namespace terrazzo::detail {

free_index& block_source::index_for(const block& one) noexcept {
  const auto pool = static_cast<std::size_t>(one.home->pool);
  stream_heap* user = one.last_user();
  return user != nullptr ? user->runs[pool] : idle_[pool];
}

block* block_source::take(stream_heap& heap, std::size_t bytes, std::size_t alignment) noexcept {
  const std::lock_guard guard(lock_);
  return take_locked(heap, bytes, alignment);
}

block* block_source::take_locked(stream_heap& heap, std::size_t bytes, std::size_t alignment) noexcept {
  const block_pool pool = rules_.pool_of(bytes);
  block* own = heap.runs[static_cast<std::size_t>(pool)].best_fit(bytes, alignment);
  block* idle = idle_[static_cast<std::size_t>(pool)].best_fit(bytes, alignment);
  if (own != nullptr && !rules_.may_serve(own->bytes, bytes)) own = nullptr;
  if (idle != nullptr && !rules_.may_serve(idle->bytes, bytes)) idle = nullptr;
  block* found = own;
  if (found == nullptr || (idle != nullptr && idle->bytes < own->bytes)) found = idle;
  if (found == nullptr || !blocks_.ensure(2)) return nullptr;

  delist(*found);
  const std::uintptr_t at = round_up(found->begin(), alignment);
  return &cut(*found, at, bytes, rules_.cuts(bytes, found->end() - at - bytes, pool), heap);
}

block& block_source::cut(block& from, std::uintptr_t at, std::size_t bytes, bool cuts_rest,
                         stream_heap& heap) noexcept {
  block* piece = &from;
  piece->set_state(block_state::busy);  // so that what is cut off does not merge with it again
  if (at > piece->begin()) {
    block& rest = blocks_.take();
    split_block(*piece, at - piece->begin(), rest);
    insert(*piece);
    piece = &rest;
  }
  if (cuts_rest) {
    block& rest = blocks_.take();
    split_block(*piece, bytes, rest);
    insert(rest);
  }
  piece->set_user(&heap);
  return *piece;
}

bool block_source::extend_cached(stream_heap& heap, block& live, std::size_t bytes) noexcept {
  const std::lock_guard guard(lock_);
  block* const next = live.next;
  const std::size_t more = bytes - live.bytes;
  if (next == nullptr || !is_usable(*next, heap) || next->bytes < more || !blocks_.ensure(1)) return false;
  delist(*next);
  (void)cut(*next, next->begin(), more, rules_.cuts(bytes, next->bytes - more, live.home->pool), heap);
  blocks_.put(*absorb_next(live));
  return true;
}

void block_source::give(block& freed) noexcept {
  const std::lock_guard guard(lock_);
  give_locked(freed);
}

void block_source::give_all(front& from) noexcept {
  block* one = from.take_any();
  if (one == nullptr) return;
  const std::lock_guard guard(lock_);
  for (; one != nullptr; one = from.take_any()) give_locked(*one);
}

void block_source::give_locked(block& freed) noexcept {
  if (freed.slab_on_top != nullptr) freed.slab_on_top = nullptr;  // its heap has marked the addresses as a freed slab's
  else address_map::set_freed_block(freed.begin());
  freed.stamp = ++clock_;
  if (!freed.shares_edges || return_edges(freed)) insert(freed);
}

// An idle neighbour becomes its stream's who frees beside it: whoever asks next from there needs both in one piece more
// than others need the idle one now, and they get it back with the next mark.
void block_source::insert(block& freed) noexcept {
  stream_heap* const user = freed.last_user();
  const auto absorbs = [&](const block* neighbour) {
    if (neighbour == nullptr || !neighbour->in_state(block_state::free)) return false;
    if (neighbour->last_user() == user) return true;
    if (neighbour->last_user() != nullptr) return false;
    user->count_unmarked(neighbour->bytes);
    return true;
  };
  block* merged = &freed;
  merged->set_state(block_state::free);
  // More than one on a side: behind an idle neighbour there may be another of this stream's.
  while (absorbs(merged->next)) {
    delist(*merged->next);
    blocks_.put(*absorb_next(*merged));
  }
  while (absorbs(merged->prev)) {
    merged = merged->prev;
    delist(*merged);
    blocks_.put(*absorb_next(*merged));
    merged->set_user(user);
  }
  enlist(*merged);
}

void block_source::enlist(block& one) noexcept {
  index_for(one).insert(one);
  free_bytes_ += one.bytes;
}

void block_source::delist(block& one) noexcept {
  index_for(one).remove(one);
  free_bytes_ -= one.bytes;
}

bool block_source::is_finished(const block& one) noexcept {
  return one.last_user() == nullptr || one.stamp <= one.last_user()->finished;
}

void block_source::add_heap(stream_heap& added) {
  const std::lock_guard guard(lock_);
  heaps_.push_back(&added);
  // What the first has finished was nobody else's business so far.
  if (heaps_.size() == 2) on_finished(*heaps_.front());
}

std::uint64_t block_source::stamp() const noexcept {
  const std::lock_guard guard(lock_);
  return clock_;
}

void block_source::finish_wait(std::uint64_t covered) noexcept {
  const std::lock_guard guard(lock_);
  for (stream_heap* each : heaps_) {
    each->finished = std::max(each->finished, covered);
    on_finished(*each);
  }
}

void block_source::ask_marks() noexcept {
  marker_.store(0, std::memory_order_relaxed);
  for (std::size_t i = 0;; ++i) {
    stream_heap* heap = nullptr;
    {
      const std::lock_guard guard(lock_);  // others may add heaps meanwhile
      if (i == heaps_.size()) return;
      heap = heaps_[i];
    }
    const std::uint64_t reached = heap->marks.ask();
    if (reached == 0) continue;
    const std::lock_guard guard(lock_);
    if (heap->finished >= reached) continue;
    heap->finished = reached;
    on_finished(*heap);
  }
}

void block_source::make_finished_idle(stream_heap& heap) noexcept {
  for (free_index& index : heap.runs) {
    // All out first: what is put back merges with its neighbours, which must not be in a list of ours then.
    block* all = index.take_all();
    for (block* one = all; one != nullptr; one = one->right) {
      free_bytes_ -= one->bytes;
      one->set_state(block_state::busy);
    }
    for (block* one = all; one != nullptr;) {
      block* const next = one->right;
      one->right = nullptr;
      if (is_finished(*one)) {
        one->set_user(nullptr);
        insert(*one);
      } else {
        // As it was, and not with an idle neighbour: nothing was freed here.
        one->set_state(block_state::free);
        enlist(*one);
      }
      one = next;
    }
  }
}

slab* block_source::new_slab() noexcept {
  const std::lock_guard guard(lock_);
  return slabs_.ensure(1) ? &slabs_.take() : nullptr;
}

void block_source::recycle(slab& unused) noexcept {
  const std::lock_guard guard(lock_);
  slabs_.put(unused);
}

void block_source::add_segment(segment& added) { segments_.push_back(&added); }

void block_source::drop_segment(const segment& gone) noexcept {
  segments_.erase(std::find(segments_.begin(), segments_.end(), &gone));
}

void block_source::abandon() noexcept {
  const std::lock_guard guard(lock_);
  for (const segment* each : segments_) {
    for (block* one = each->first; one != nullptr; one = one->next) {
      if (one->slab_on_top != nullptr) one->slab_on_top->heap.store(nullptr, std::memory_order_relaxed);
      one->set_state(block_state::unmapped);
    }
    address_map::forget(each->address, each->bytes);
  }
  segments_.clear();
  free_bytes_ = 0;
  for (free_index& each : idle_) each = free_index();
}

std::size_t block_source::largest_free_bytes(const stream_heap* heap) const noexcept {
  const std::lock_guard guard(lock_);
  std::size_t largest = 0;
  for (const free_index& each : heap != nullptr ? heap->runs : idle_)
    if (const block* one = each.largest()) largest = std::max(largest, one->bytes);
  return largest;
}

std::size_t block_source::segment_count() const noexcept {
  const std::lock_guard guard(lock_);
  return segments_.size();
}

const char* block_source::validate() const {
  const std::lock_guard guard(lock_);
  std::size_t free_count = 0;
  std::size_t bytes_of_free = 0;
  std::vector<const free_index*> indexes{&idle_[0], &idle_[1]};
  for (const segment* each : segments_) {
    std::uintptr_t at = each->address;
    const block* before = nullptr;
    for (const block* one = each->first; one != nullptr; before = one, one = one->next) {
      if (one->begin() != at || one->prev != before || one->home != each) return "block.tiling";
      if (one->bytes == 0 || one->bytes % block_alignment != 0 || at % block_alignment != 0) return "block.granular";
      at += one->bytes;
      const bool free = one->in_state(block_state::free);
      if (before != nullptr && free && before->in_state(block_state::free) && before->last_user() == one->last_user())
        return "block.merged";
      if (one->in_state(block_state::busy) || one->in_state(block_state::mapping)) return "block.busy";
      const address_map::entry entry = address_map::find(one->begin());
      if (one->in_state(block_state::allocated) && entry.as_block() != one) return "address_map.entry";
      if (one->in_state(block_state::cut_up) && entry.as_slab() != one->slab_on_top) return "address_map.entry";
      if (free) {
        ++free_count;
        bytes_of_free += one->bytes;
        const free_index& index = const_cast<block_source*>(this)->index_for(*one);
        if (std::find(indexes.begin(), indexes.end(), &index) == indexes.end()) indexes.push_back(&index);
        const block* first_fit = index.best_fit(one->bytes, block_alignment);
        if (first_fit == nullptr || first_fit->bytes != one->bytes) return "block.indexed";
      }
      if (const char* broken = validate_block(*one)) return broken;
    }
    if (at != each->address + each->bytes) return "block.tiling";
  }
  std::size_t indexed_count = 0;
  for (const free_index* index : indexes) {
    if (const char* broken = index->validate()) return broken;
    indexed_count += index->count();
  }
  if (const char* broken = validate_own()) return broken;
  if (bytes_of_free != free_bytes_) return "source.free_bytes";
  return indexed_count == free_count ? nullptr : "block.indexed";
}

}  // namespace terrazzo::detail
