// The range: the expandable source of one device. It reserves addresses, more than there is memory, and maps chunks
// where blocks need them. A free block has memory under it; an unmapped one has not.
//
// A miss is served at the place that needs the fewest chunks: one that begins in free memory of the stream, goes on
// through unmapped addresses, and may end in free memory again. Chunks come from the store, or are made. What is idle
// and covers whole chunks can be harvested: the chunks go to the store, and the addresses become unmapped.
//
// Invariants: mapped: chunks lie under all blocks but the unmapped ones, and under those none does; whole: an unmapped
// block begins and ends at chunk borders; listed: the unmapped blocks are those of the list `unmapped_`.
#pragma once

#include <memory>
#include <vector>

#include "allocator/block_source.hpp"
#include "memory/chunk_store.hpp"
#include "memory/reservation.hpp"

namespace terrazzo::detail {

class range final : public block_source {
 public:
  explicit range(device_memory& memory) noexcept : block_source(memory, cutting_rules{}), store_(memory) {}

  [[nodiscard]] status grow(stream_heap& heap, std::size_t bytes, std::size_t alignment, bool last_try,
                            block*& found) override;
  void finish_wait(std::uint64_t covered) noexcept override;
  void reclaim(std::size_t bytes) noexcept override;
  void trim(std::size_t keep_bytes) noexcept override;
  void close() noexcept override;

 private:
  /// A reservation as a segment of blocks.
  struct stretch : segment {
    explicit stretch(device_memory& memory) noexcept : books(memory) {}
    reservation books;
  };

  /// Where a request can go.
  struct place {
    block* first = nullptr;  // the block in which it begins; null: nowhere
    std::uintptr_t begin = 0;
    std::size_t new_bytes = std::numeric_limits<std::size_t>::max();  // of chunks that must be mapped
  };

  /// Blocks that one thread has taken out of the books to map what is missing under them.
  struct claim {
    block* first = nullptr;
    block* last = nullptr;
    std::size_t chunk_count = 0;
    block* spare_descriptors = nullptr;  // two, for what `settle` cuts off; linked by next
  };

  [[nodiscard]] status add_stretch(std::size_t least_bytes);
  [[nodiscard]] status map_claim(const claim& claimed) noexcept;
  void harvest() noexcept;

  // REQUIRES: lock_ is held.
  [[nodiscard]] place find_place(const stream_heap& heap, std::size_t bytes, std::size_t alignment) const noexcept;
  void consider(const block& from, std::uintptr_t begin, std::size_t bytes, place& best) const noexcept;
  [[nodiscard]] claim take_claim(const place& chosen, std::size_t bytes) noexcept;
  void give_claim_back(const claim& claimed) noexcept;
  void return_spares(const claim& claimed) noexcept;
  [[nodiscard]] block& settle(const claim& claimed, std::uintptr_t begin, std::size_t bytes,
                              stream_heap& heap) noexcept;
  /// Takes a free or unmapped block out of its index or list, or puts one in, unmerged.
  void take_out(block& one) noexcept;
  void put_in(block& one) noexcept;
  /// Cuts a block that was taken out down to [low, high); what is cut off goes back in.
  [[nodiscard]] block& cut_out(block& whole, std::uintptr_t low, std::uintptr_t high) noexcept;
  void list_unmapped(block& added) noexcept;
  void unlist_unmapped(block& gone) noexcept;
  [[nodiscard]] const char* validate_block(const block& one) const noexcept override;

  [[nodiscard]] static reservation& books_of(const block& one) noexcept {
    return static_cast<stretch*>(one.home)->books;
  }

  std::vector<std::unique_ptr<stretch>> stretches_;
  chunk_store store_;
  block* unmapped_ = nullptr;  // linked by left and right
};

}  // namespace terrazzo::detail
