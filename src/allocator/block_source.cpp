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

  index_for(*found).remove(*found);
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
  insert(freed);
}

void block_source::insert(block& freed) noexcept {
  const auto joins = [&](const block* neighbour) {
    return neighbour != nullptr && neighbour->in_state(block_state::free) &&
           neighbour->last_user() == freed.last_user();
  };
  block* merged = &freed;
  merged->set_state(block_state::free);
  if (joins(merged->next)) {
    index_for(*merged->next).remove(*merged->next);
    blocks_.put(*absorb_next(*merged));
  }
  if (joins(merged->prev)) {
    merged = merged->prev;
    index_for(*merged).remove(*merged);
    blocks_.put(*absorb_next(*merged));
  }
  index_for(*merged).insert(*merged);
}

std::uint64_t block_source::begin_wait() noexcept {
  const std::lock_guard guard(lock_);
  return clock_;
}

void block_source::finish_wait(std::uint64_t covered) noexcept {
  const std::lock_guard guard(lock_);
  finished_ = std::max(finished_, covered);
}

void block_source::make_finished_idle() noexcept {
  for (segment* each : segments_) {
    for (block* one = each->first; one != nullptr; one = one->next) {
      if (!one->in_state(block_state::free) || one->last_user() == nullptr || !is_finished(*one)) continue;
      index_for(*one).remove(*one);
      one->set_user(nullptr);
      block* before = one->prev;
      insert(*one);
      // `insert` may have merged it into the block before, whose descriptor then stands for both.
      if (before != nullptr && before->next != one) one = before;
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
  return indexed_count == free_count ? nullptr : "block.indexed";
}

}  // namespace terrazzo::detail
