#include "allocator/range.hpp"

#include <algorithm>

#include "allocator/stream_heap.hpp"
#include "base/failure.hpp"
#include "heap/address_map.hpp"

namespace terrazzo::detail {
namespace {

// Addresses are not endless either: 128 TiB are a process's own, and programs were seen to use them up (pytorch #192269).
constexpr std::size_t most_addresses = std::size_t{16} << 40;

}  // namespace

void range::close() noexcept {
  unmapped_ = nullptr;
  edges_.clear();
  stretches_.clear();
  store_.trim(0);
}

void range::set_rules(const config& settings) noexcept {
  // Twice the device, so that free addresses are found at the end of a run even when much is free elsewhere.
  const address_reserve reserve = settings.expandable_segments_reserve.value_or(address_reserve{2, 0});
  const double wanted = reserve.fraction * static_cast<double>(memory_.total_bytes());
  reserve_bytes_ = reserve.bytes != 0 ? reserve.bytes
                                      : static_cast<std::size_t>(std::min(wanted, static_cast<double>(most_addresses)));
  const std::lock_guard guard(lock_);
  policy_ = settings.on_miss;
  garbage_threshold_ = settings.garbage_collection_threshold;
}

status range::add_stretch(std::size_t least_bytes) {
  std::size_t reserved = 0;
  for (const auto& each : stretches_) reserved += each->bytes;
  if (least_bytes > most_addresses - std::min(most_addresses, reserved))
    return fail(status::out_of_memory, "{} bytes of addresses more would exceed the {} that a device's range may have",
                least_bytes, most_addresses);
  const std::size_t wanted =
      round_up(std::max(least_bytes, std::min(reserve_bytes_, most_addresses - reserved)), memory_.chunk_bytes());
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

namespace {

/// Walks up through blocks, and counts the unmapped bytes below an address.
struct unmapped_counter {
  block* at;
  std::size_t below = 0;  // the block that it is at

  /// REQUIRES: addresses never fall; they lie no further than the last block that may be walked to ends.
  [[nodiscard]] std::size_t count_below(std::uintptr_t address) noexcept {
    for (; at->end() <= address && at->next != nullptr; at = at->next) below += unmapped_bytes(*at);
    return below + std::min(unmapped_bytes(*at), static_cast<std::size_t>(address - at->begin()));
  }
  static std::size_t unmapped_bytes(const block& one) noexcept {
    return one.in_state(block_state::unmapped) ? one.bytes : 0;
  }
};

}  // namespace

// Windows are looked at whose beginning is that of an open block, or whose end is that of a free one: they take all of it,
// and leave the rest of the chunk they begin in. Each open block is walked over a few times, whatever the windows' length.
range::place range::find_place(const stream_heap& heap, std::size_t bytes, std::size_t alignment) const noexcept {
  const std::size_t unit = memory_.chunk_bytes();
  place best;
  for (block* unmapped = unmapped_; unmapped != nullptr; unmapped = unmapped->right) {
    // A run of open blocks with several unmapped ones is looked at once, from the first of them.
    block* first = unmapped;
    bool seen = false;
    while (!seen && is_open(first->prev, heap)) {
      first = first->prev;
      seen = first->in_state(block_state::unmapped);
    }
    if (seen) continue;
    const block* last = unmapped;
    while (is_open(last->next, heap)) last = last->next;
    if (last->end() - first->begin() < bytes) continue;

    for (const bool by_end : {false, true}) {
      unmapped_counter low{first};
      unmapped_counter high{first};
      for (const block* one = first;; one = one->next) {
        const std::uintptr_t begin =
            by_end ? round_down(one->end() - bytes, alignment) : round_up(one->begin(), alignment);
        const bool fits =
            by_end ? one->in_state(block_state::free) && one->end() >= first->begin() + bytes && begin >= first->begin()
                   : begin < one->end() && begin + bytes <= last->end();
        if (fits) {
          // What is missing comes in whole chunks. Chunks that a free block shares with its neighbour are not missing.
          const std::size_t below = low.count_below(begin);
          const std::size_t begun = low.at->in_state(block_state::unmapped) ? begin % unit : 0;
          const std::size_t new_bytes = round_up(high.count_below(begin + bytes) - (below - begun), unit);
          if (new_bytes < best.new_bytes) best = {low.at, begin, new_bytes};
        }
        if (one == last) break;
      }
    }
  }
  return best;
}

// With one stream all that is free is its own, and what is finished is told by the stamps.
void range::on_finished(stream_heap& heap) noexcept {
  if (heaps_.size() > 1) make_finished_idle(heap);
}

void range::take_out(block& one) noexcept {
  if (one.in_state(block_state::unmapped)) unlist_unmapped(one);
  else delist(one);
}

void range::put_in(block& one) noexcept {
  if (one.in_state(block_state::unmapped)) list_unmapped(one);
  else enlist(one);
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
