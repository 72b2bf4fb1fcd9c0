// Edges shared by aliasing: how a request is served that whole chunks alone do not hold. It begins in the free end of a
// chunk that others use too, goes on through whole chunks, and ends in the free beginning of another such chunk; these
// two are mapped a second time, at the request's addresses:
//
//   chunk A  [ in use | lent ]                       [ lent | in use ]  chunk B
//                       \                              /
//   the block  [ shadow | A's end | chunk | chunk | B's beginning | shadow ]
//
// What is lent is nobody's at its own address, as the shadows are at the block's. When the block is freed, what was lent
// is free memory again at once; the second mappings go once the work of its stream is finished.
//
// A request that whole chunks cannot serve shares two edges if it must: a mapping for each of its chunks, before anybody
// waits. While memory is tight, any miss shares one if that saves a chunk.
#include <algorithm>
#include <limits>
#include <utility>

#include "allocator/range.hpp"
#include "allocator/stream_heap.hpp"

namespace terrazzo::detail {

std::size_t range::count_finished(const stream_heap& heap) const noexcept {
  std::size_t count = 0;
  for (const segment* each : segments_) {
    for (const block* one = each->first; one != nullptr; one = one->next) {
      if (is_usable(*one, heap) && is_finished(*one)) count += whole_chunks(*one);
    }
  }
  return count;
}

// A block aligned to more than 512 bytes begins that far from the border.
std::size_t range::suffix_bytes(const block& one, std::size_t alignment) const noexcept {
  const std::uintptr_t border = round_up(one.begin(), memory_.chunk_bytes());
  return border > one.end() ? 0 : round_down(border - one.begin(), alignment);
}

std::size_t range::prefix_bytes(const block& one) const noexcept {
  const std::uintptr_t border = round_down(one.end(), memory_.chunk_bytes());
  return border < one.begin() ? 0 : one.end() - border;
}

// One edge that holds what whole chunks lack, of the smallest blocks that may have one: a few are looked at. A window that
// begins in free memory takes the blocks it lies on, and only has an end to share.
range::edge_choice range::choose_edge(const stream_heap& heap, std::size_t lacking, std::size_t alignment,
                                      const window* taken) const noexcept {
  constexpr int looked_at = 128;
  edge_choice best;
  if (lacking == 0 || lacking >= memory_.chunk_bytes()) return best;
  constexpr auto pool = static_cast<std::size_t>(block_pool::large);
  for (const free_index* runs : {&idle(block_pool::large), &heap.runs[pool]}) {
    block* one = runs->best_fit(lacking, block_alignment);
    for (int i = 0; one != nullptr && i < looked_at; ++i, one = runs->successor(*one)) {
      if (taken != nullptr && one->begin() < taken->end && taken->begin < one->end()) continue;
      const std::size_t at_begin = taken == nullptr ? suffix_bytes(*one, alignment) : 0;
      const std::size_t at_end = prefix_bytes(*one);
      if (at_begin >= lacking && (!best.found() || at_begin < best.suffix_bytes + best.prefix_bytes))
        best = {one, nullptr, at_begin, 0};
      if (at_end >= lacking && (!best.found() || at_end < best.suffix_bytes + best.prefix_bytes))
        best = {nullptr, one, 0, at_end};
    }
  }
  if (best.suffix != nullptr) best.suffix_bytes = round_up(lacking, alignment);
  if (best.prefix != nullptr) best.prefix_bytes = lacking;
  return best;
}

// One edge or two, if any hold it: the largest end, and the smallest beginning that holds the rest. Looks at all blocks.
range::edge_choice range::choose_two_edges(const stream_heap& heap, std::size_t lacking,
                                           std::size_t alignment) const noexcept {
  edge_choice best;
  if (lacking == 0) return best;
  const auto for_each_usable = [&](auto visit) {
    for (const segment* each : segments_)
      for (block* one = each->first; one != nullptr; one = one->next)
        if (is_usable(*one, heap)) visit(*one);
  };
  for_each_usable([&](block& one) {
    const std::size_t at_begin = suffix_bytes(one, alignment);
    if (at_begin > best.suffix_bytes) best.suffix = &one, best.suffix_bytes = at_begin;
  });
  if (best.suffix_bytes >= lacking) {
    best.suffix_bytes = round_up(lacking, alignment);
    return best;
  }
  const std::size_t rest = lacking - best.suffix_bytes;
  best.prefix_bytes = std::numeric_limits<std::size_t>::max();
  for_each_usable([&](block& one) {
    const std::size_t at_end = prefix_bytes(one);
    if (at_end >= rest && at_end < best.prefix_bytes) best.prefix = &one, best.prefix_bytes = at_end;
  });
  if (best.prefix == nullptr) return {};
  best.prefix_bytes = rest;
  return best;
}

// Where a request goes that shares edges. At the last all whole chunks there are, at an address with nothing beside it.
// While memory is only tight, one chunk less than without: the end of a request that begins in free memory, else both.
range::edge_choice range::place_with_edges(const stream_heap& heap, std::size_t bytes, std::size_t alignment,
                                           effort how, place& chosen) const noexcept {
  const std::size_t unit = memory_.chunk_bytes();
  const bool last_try = how == effort::last_edges;
  if (alignment > unit || !memory_.has_aliases() || policy_ == growth_policy::fail || how == effort::whole_chunks ||
      !(last_try || is_tight()))
    return {};
  const bool fresh =
      last_try || (chosen.first->in_state(block_state::unmapped) && chosen.begin == chosen.first->begin());
  if (!fresh) {
    const std::uintptr_t end = chosen.begin + bytes;
    const block* last = chosen.first;
    while (last->end() < end) last = last->next;
    if (!last->in_state(block_state::unmapped) || end % unit == 0) return {};
    const window taken{chosen.begin, end};
    return choose_edge(heap, end % unit, alignment, &taken);
  }
  const std::size_t most_chunks = last_try ? store_.spare_count() + count_finished(heap) : chosen.new_bytes / unit - 1;
  const std::size_t chunk_count = std::min(most_chunks, bytes / unit);
  const std::size_t lacking = bytes - chunk_count * unit;
  edge_choice edges = choose_edge(heap, lacking, alignment, nullptr);
  if (!edges.found() && last_try) edges = choose_two_edges(heap, lacking, alignment);
  if (!edges.found()) return {};
  const std::size_t place_bytes = (chunk_count + (edges.suffix != nullptr) + (edges.prefix != nullptr)) * unit;
  block* tightest = nullptr;
  for (block* one = unmapped_; one != nullptr; one = one->right)
    if (one->bytes >= place_bytes && (tightest == nullptr || one->bytes < tightest->bytes)) tightest = one;
  if (tightest == nullptr) {
    chosen.first = nullptr;  // a reservation has to be added
    return edges;
  }
  chosen.first = tightest;
  chosen.begin = tightest->begin() + (edges.suffix != nullptr ? unit - edges.suffix_bytes : 0);
  return edges;
}

bool range::reserve_edges() noexcept {
  try {
    edges_.reserve(edges_.size() + 2);
  } catch (const std::bad_alloc&) {
    return false;
  }
  return true;
}

void range::take_edges(edge_choice& edges) noexcept {
  const std::size_t unit = memory_.chunk_bytes();
  const auto take = [&](block*& from, std::uintptr_t low, std::uintptr_t high) {
    delist(*from);
    from = &cut_out(*from, low, high);
    from->set_state(block_state::busy);
  };
  const bool one_run = edges.suffix == edges.prefix;
  if (edges.suffix != nullptr) {
    const std::uintptr_t border = round_up(edges.suffix->begin(), unit);
    take(edges.suffix, border - edges.suffix_bytes, border);
    if (one_run) edges.prefix = edges.suffix->next;
  }
  if (edges.prefix != nullptr) {
    const std::uintptr_t border = round_down(edges.prefix->end(), unit);
    take(edges.prefix, border, border + edges.prefix_bytes);
  }
}

void range::give_edges_back(const edge_choice& edges) noexcept {
  for (block* piece : {edges.suffix, edges.prefix})
    if (piece != nullptr) insert(*piece);
}

chunk_handle range::chunk_under(const block& piece) noexcept {
  return books_of(piece).chunk_at(books_of(piece).place_of(piece.begin()));
}

void range::share(block& owner, block& lent, block& shadow) noexcept {
  lent.set_state(block_state::shadow);
  shadow.set_state(block_state::shadow);
  shadow.set_user(nullptr);
  books_of(shadow).set_alias(books_of(shadow).place_of(shadow.begin()));
  owner.shares_edges = true;
  edges_.push_back({&owner, &lent, &shadow});
}

bool range::return_edges(block& freed) noexcept {
  const std::size_t unit = memory_.chunk_bytes();
  freed.shares_edges = false;
  for (edge& each : edges_) {
    if (each.owner != &freed) continue;
    each.owner = nullptr;
    block& lent = *std::exchange(each.lent, nullptr);
    lent.set_user(freed.last_user());
    lent.stamp = freed.stamp;
    insert(lent);
    // The border between the shadow and the block moves, so that all of the place is shadow.
    block& shadow = *each.shadow;
    shadow.set_user(freed.last_user());
    shadow.stamp = freed.stamp;
    const std::size_t moved = unit - shadow.bytes;
    if (freed.prev == &shadow) freed.address.store(freed.begin() + moved, std::memory_order_relaxed);
    else shadow.address.store(shadow.begin() - moved, std::memory_order_relaxed);
    shadow.bytes += moved;
    freed.bytes -= moved;
  }
  if (freed.bytes != 0) return true;
  freed.prev->next = freed.next;
  freed.next->prev = freed.prev;
  freed.address.store(0, std::memory_order_relaxed);
  freed.home = nullptr;
  blocks_.put(freed);
  return false;
}

void range::retire_edges() noexcept {
  for (std::size_t i = 0; i < edges_.size();) {
    block* shadow = nullptr;
    {
      const std::lock_guard guard(lock_);
      if (edges_[i].owner == nullptr && is_finished(*edges_[i].shadow)) shadow = edges_[i].shadow;
    }
    std::vector<chunk_handle> none;  // an alias gives no chunk
    // What cannot be unmapped now is tried again next time.
    if (shadow == nullptr ||
        books_of(*shadow).unmap(books_of(*shadow).place_of(shadow->begin()), 1, none) != status::ok) {
      ++i;
      continue;
    }
    const std::lock_guard guard(lock_);
    edges_[i] = edges_.back();
    edges_.pop_back();
    shadow->set_user(nullptr);
    shadow->set_state(block_state::mapping);
    give_claim_back({shadow, shadow});
  }
}

const char* range::validate_own() const noexcept {
  const std::size_t unit = memory_.chunk_bytes();
  for (const edge& each : edges_) {
    const block& shadow = *each.shadow;
    const reservation& books = books_of(shadow);
    if (!shadow.in_state(block_state::shadow) || !books.is_alias(books.place_of(shadow.begin()))) return "range.edges";
    if (each.owner == nullptr) {
      if (shadow.bytes != unit || each.lent != nullptr) return "range.edges";
      continue;
    }
    const block& lent = *each.lent;
    if (!each.owner->shares_edges || !lent.in_state(block_state::shadow) || lent.bytes + shadow.bytes != unit ||
        (each.owner->prev != &shadow && each.owner->next != &shadow))
      return "range.edges";
    if (books_of(lent).chunk_at(books_of(lent).place_of(lent.begin())) !=
        books.chunk_at(books.place_of(shadow.begin())))
      return "range.edges";
  }
  return nullptr;
}

}  // namespace terrazzo::detail
