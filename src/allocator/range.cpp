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
    return one->in_state(block_state::unmapped) || is_usable(*one, heap);
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
