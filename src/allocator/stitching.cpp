// Stitching: how a request that nothing cached serves gets one contiguous run of mapped addresses, made of chunks that
// come from anywhere.
#include <algorithm>
#include <limits>

#include "allocator/range.hpp"
#include "allocator/stream_heap.hpp"
#include "base/failure.hpp"
#include "heap/address_map.hpp"

namespace terrazzo::detail {

status range::grow(stream_heap& heap, std::size_t bytes, std::size_t alignment, bool last_try, block*& found) {
  retire_edges();
  const status result = stitch(heap, bytes, alignment, found);
  // Chunks that were made for it would be lost to everybody else.
  if (last_try && result == status::out_of_memory) store_.trim(0);
  return result;
}

status range::stitch(stream_heap& heap, std::size_t bytes, std::size_t alignment, block*& found) {
  for (effort how = effort::as_usual;;) {
    claim claimed;
    place chosen;
    edge_choice edges;
    {
      const std::lock_guard guard(lock_);
      // Another thread may have grown the range, or freed, since the caller looked.
      found = take_locked(heap, bytes, alignment);
      if (found != nullptr) return status::ok;
      if (!blocks_.ensure(10) || !reserve_edges())
        return fail(status::out_of_host_memory, "no host memory for the books of a block");
      chosen = find_place(heap, bytes, alignment);
      if (chosen.first != nullptr) edges = place_with_edges(heap, bytes, alignment, how, chosen);
      if (chosen.first != nullptr && (how != effort::last_edges || edges.found())) {
        claimed = take_claim(chosen, bytes);
        take_edges(edges);
      }
    }
    if (chosen.first == nullptr) {
      const status added = add_stretch(round_up(bytes + alignment, memory_.chunk_bytes()) + memory_.chunk_bytes());
      if (added != status::ok) return added;
      continue;
    }
    if (claimed.first == nullptr)
      return fail(status::out_of_memory, "{} bytes are not free, not even in whole chunks and two edges", bytes);
    std::vector<chunk_handle> chunks;
    status result = gather(heap, claimed.chunk_count - (edges.suffix != nullptr) - (edges.prefix != nullptr), chunks);
    if (result == status::ok) result = map_claim(claimed, edges, chunks);
    const std::lock_guard guard(lock_);
    if (result == status::ok) {
      found = &settle(claimed, edges, chosen.begin, bytes, heap);
      return result;
    }
    give_claim_back(claimed);
    give_edges_back(edges);
    if (how == effort::last_edges) return result;
    if (result == status::out_of_memory) how = effort::last_edges;
    else if (result == status::driver_error && edges.found()) how = effort::whole_chunks;
    else return result;
  }
}

status range::extend(stream_heap& heap, block& live, std::size_t requested_bytes) noexcept {
  const std::uintptr_t address = live.begin();
  const std::size_t bytes = round_up(requested_bytes, block_alignment);
  const auto refuse = [&] {
    return fail(status::out_of_memory, "the block at {:#x} cannot grow to {} bytes: other blocks lie behind it",
                address, bytes);
  };
  retire_edges();
  claim claimed;
  std::uintptr_t end = 0;
  {
    const std::lock_guard heap_guard(heap.lock);
    const std::lock_guard guard(lock_);
    if (!blocks_.ensure(6)) return fail(status::out_of_host_memory, "no host memory for the books of a block");
    end = live.end();
    if (end >= address + bytes) {  // another thread was faster
      heap.count_extended(live, live.bytes, requested_bytes);
      return status::ok;
    }
    std::uintptr_t covered = end;
    for (const block* one = live.next; covered < address + bytes; one = one->next) {
      if (!is_open(one, heap)) return refuse();
      covered = one->end();
    }
    claimed = take_claim({live.next, end, 0}, address + bytes - end);
  }
  std::vector<chunk_handle> chunks;
  status result = gather(heap, claimed.chunk_count, chunks);
  if (result == status::ok) result = map_claim(claimed, {}, chunks);
  if (result != status::ok) {
    if (result == status::out_of_memory) store_.trim(0);  // made for it alone
    const std::lock_guard guard(lock_);
    give_claim_back(claimed);
    return result;
  }
  const std::lock_guard heap_guard(heap.lock);
  const std::lock_guard guard(lock_);
  block& more = settle(claimed, {}, end, address + bytes - end, heap);
  // The program may not free a block while it grows; if it has, what was brought is free memory.
  if (live.next != &more || live.begin() != address || !live.in_state(block_state::allocated)) {
    more.stamp = ++clock_;
    insert(more);
    return refuse();
  }
  const std::size_t bytes_before = live.bytes;
  blocks_.put(*absorb_next(live));
  heap.count_extended(live, bytes_before, requested_bytes);
  return result;
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
    } else if (!one->in_state(block_state::shadow)) {
      insert(*one);
    }
    if (was_last) return;
    one = next;
  }
}

// `chunks` are those that were gathered. On failure they are spare ones.
status range::map_claim(const claim& claimed, const edge_choice& edges, std::vector<chunk_handle>& chunks) noexcept {
  const std::size_t unit = memory_.chunk_bytes();
  std::vector<chunk_handle> left_over;
  try {
    left_over.reserve(claimed.chunk_count);
    chunks.reserve(claimed.chunk_count);
  } catch (const std::bad_alloc&) {
    store_.put(chunks);
    return fail(status::out_of_host_memory, "no host memory to list {} chunks", claimed.chunk_count);
  }
  if (!address_map::cover(claimed.first->begin(), claimed.last->end() - claimed.first->begin())) {
    store_.put(chunks);
    return fail(status::out_of_host_memory, "no host memory for the address map");
  }
  if (edges.suffix != nullptr) chunks.insert(chunks.begin(), chunk_under(*edges.suffix));
  if (edges.prefix != nullptr) chunks.push_back(chunk_under(*edges.prefix));
  status result = status::ok;
  std::size_t used = 0;
  block* one = claimed.first;
  for (; used < claimed.chunk_count; one = one->next) {
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
    const std::size_t first_place = books.place_of(done->begin());
    if (books.unmap(first_place, done->bytes / unit, left_over) == status::ok) continue;
    // What cannot be unmapped stays where it is: as free memory, or as nobody's where others have some of it.
    done->set_state(edges.found() ? block_state::shadow : block_state::busy);
    for (const block* piece : {edges.suffix, edges.prefix})
      for (std::size_t i = first_place; piece != nullptr && i < first_place + done->bytes / unit; ++i)
        if (books.chunk_at(i) == chunk_under(*piece)) books.set_alias(i);
  }
  left_over.insert(left_over.end(), chunks.begin() + static_cast<std::ptrdiff_t>(used), chunks.end());
  for (const block* piece : {edges.suffix, edges.prefix})
    if (piece != nullptr) std::erase(left_over, chunk_under(*piece));
  store_.put(left_over);
  return result;
}

// What was mapped becomes one block with the program; the ends of chunks that it does not need become free, or shadows
// of an edge that is shared. New and spare chunks are idle: no stream has used them since they were finished.
block& range::settle(const claim& claimed, const edge_choice& edges, std::uintptr_t begin, std::size_t bytes,
                     stream_heap& heap) noexcept {
  block* const stop = claimed.last->next;
  block* piece = claimed.first;
  while (piece->next != stop) blocks_.put(*absorb_next(*piece));
  piece->set_state(block_state::busy);
  piece->set_user(nullptr);
  return_spares(claimed);
  block* head = nullptr;
  if (begin > piece->begin()) {
    head = piece;
    piece = &blocks_.take();
    split_block(*head, begin - head->begin(), *piece);
  }
  block* rest = nullptr;
  if (piece->bytes > bytes) {
    rest = &blocks_.take();
    split_block(*piece, bytes, *rest);
  }
  if (edges.suffix != nullptr) share(*piece, *edges.suffix, *head);
  else if (head != nullptr) insert(*head);
  if (edges.prefix != nullptr) share(*piece, *edges.prefix, *rest);
  else if (rest != nullptr) insert(*rest);
  piece->set_user(&heap);
  return *piece;
}

}  // namespace terrazzo::detail
