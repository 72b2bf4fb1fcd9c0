// The range: the expandable source of one device. It reserves addresses, more than there is memory, and maps chunks
// where blocks need them. A free block has memory under it; an unmapped one has not.
//
// A miss is stitched together: at the place that needs the fewest chunks, which begins in free memory of the stream, goes
// on through unmapped addresses, and may end in free memory again; of chunks that are spare, new, or lie under free
// addresses elsewhere; and where whole chunks do not do, of the free edges of two others, which are mapped a second time.
// docs/stitching.md has the pictures.
//
//   range.cpp          reservations, unmapped addresses, the search for a place
//   stitching.cpp      one request's way: claim a place, bring chunks, map, settle
//   chunk_supply.cpp   where chunks come from, and when they are given back
//   edges.cpp          edges that are shared
//
// Guarded by growth: reservations, the store, `stretches_`. By the source's lock: blocks, `unmapped_`. `edges_` and what the
// settings say change under both, so that either is enough to read them.
//
// Invariants: mapped: chunks lie under all blocks but the unmapped ones, and under those none does; whole: an unmapped
// block begins and ends at chunk borders; listed: the unmapped blocks are those of the list `unmapped_`; edges: an edge's
// owner and what was lent to it are the whole chunk, at either address, together with what is not the owner's.
#pragma once

#include <memory>
#include <vector>

#include "allocator/block_source.hpp"
#include "memory/chunk_store.hpp"
#include "memory/reservation.hpp"

namespace terrazzo::detail {

class range final : public block_source {
 public:
  range(device_memory& memory, const config& settings) noexcept
      : block_source(memory, cutting_rules{}), store_(memory) {
    set_rules(settings);
  }

  void set_rules(const config& settings) noexcept override;

  [[nodiscard]] status grow(stream_heap& heap, std::size_t bytes, std::size_t alignment, bool last_try,
                            block*& found) override;
  [[nodiscard]] status extend(stream_heap& heap, block& live, std::size_t requested_bytes) noexcept override;
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

  /// The addresses of a request that is to come.
  struct window {
    std::uintptr_t begin = 0;
    std::uintptr_t end = 0;
  };

  /// Blocks that one thread has taken out of the books to map what is missing under them.
  struct claim {
    block* first = nullptr;
    block* last = nullptr;
    std::size_t chunk_count = 0;
    block* spare_descriptors = nullptr;  // two, for what `settle` cuts off; linked by next
  };

  /// A chunk that a block shares with others, by a second mapping.
  struct edge {
    block* owner = nullptr;   // the block that begins or ends in it; null: freed, and the mapping is to go
    block* lent = nullptr;    // where the chunk belongs: the addresses of what the owner has of it
    block* shadow = nullptr;  // at the second mapping: what the owner does not have of it, and all of it once freed
  };

  /// How a request is tried.
  enum class effort {
    as_usual,      // an edge may save a chunk
    whole_chunks,  // the driver did not map an edge: without
    last_edges,    // whole chunks did not do: with two edges
  };

  /// Where those bytes of a request come from that whole chunks do not hold: the free end of one chunk, the free
  /// beginning of another.
  struct edge_choice {
    block* suffix = nullptr;
    block* prefix = nullptr;
    std::size_t suffix_bytes = 0;
    std::size_t prefix_bytes = 0;
    [[nodiscard]] bool found() const noexcept { return suffix != nullptr || prefix != nullptr; }
  };

  /// Does `grow`, but for what is cleared up before and after.
  [[nodiscard]] status stitch(stream_heap& heap, std::size_t bytes, std::size_t alignment, block*& found);
  [[nodiscard]] status add_stretch(std::size_t least_bytes);
  void on_finished(stream_heap& heap) noexcept override;

  // Where chunks come from (chunk_supply.cpp).
  /// Brings as many chunks as asked for; all or none.
  [[nodiscard]] status gather(const stream_heap& heap, std::size_t count, std::vector<chunk_handle>& chunks) noexcept;
  [[nodiscard]] std::size_t count_to_make_first(std::size_t missing) noexcept;
  /// Claims finished runs of whole chunks, idle ones and the heap's own, the shortest first, until they have `count` of
  /// them or there are no more. Returns how many they have. REQUIRES: room in `runs`.
  [[nodiscard]] std::size_t claim_finished(const stream_heap* heap, std::size_t count,
                                           std::vector<block*>& runs) noexcept;
  status unmap_runs(const std::vector<block*>& runs, status result = status::ok) noexcept;
  void collect_garbage() noexcept;
  /// Tells above how much held memory idle chunks are released by age.
  [[nodiscard]] std::size_t garbage_from_bytes() const noexcept;
  /// Tells whether the program holds so much of its limit that nothing of it should be wasted.
  [[nodiscard]] bool is_tight() const noexcept;

  /// Puts chunks under what a claim has none under. On failure they are spare ones.
  [[nodiscard]] status map_claim(const claim& claimed, const edge_choice& edges,
                                 std::vector<chunk_handle>& chunks) noexcept;
  /// Unmaps the second mappings of freed blocks, as far as their work is finished.
  void retire_edges() noexcept;

  // REQUIRES for all from here on: lock_ is held.
  /// Tells whether a request of the heap may lie on a block: it is free memory for it, or unmapped.
  [[nodiscard]] static bool is_open(const block* one, const stream_heap& heap) noexcept {
    return one != nullptr && (one->in_state(block_state::unmapped) || is_usable(*one, heap));
  }
  [[nodiscard]] place find_place(const stream_heap& heap, std::size_t bytes, std::size_t alignment) const noexcept;
  [[nodiscard]] claim take_claim(const place& chosen, std::size_t bytes) noexcept;
  void give_claim_back(const claim& claimed) noexcept;
  void return_spares(const claim& claimed) noexcept;
  [[nodiscard]] block& settle(const claim& claimed, const edge_choice& edges, std::uintptr_t begin, std::size_t bytes,
                              stream_heap& heap) noexcept;

  // Whole chunks within a free block, and the ends of it that are parts of others.
  [[nodiscard]] std::size_t whole_chunks(const block& one) const noexcept;
  /// Claims at most so many of its whole chunks. REQUIRES: it has some; two descriptors.
  [[nodiscard]] block& claim_whole(block& run, std::size_t most_chunks) noexcept;
  [[nodiscard]] std::size_t count_finished(const stream_heap& heap) const noexcept;
  [[nodiscard]] std::size_t suffix_bytes(const block& one, std::size_t alignment) const noexcept;
  [[nodiscard]] std::size_t prefix_bytes(const block& one) const noexcept;

  // Shared edges (edges.cpp).
  [[nodiscard]] edge_choice place_with_edges(const stream_heap& heap, std::size_t bytes, std::size_t alignment,
                                             effort how, place& chosen) const noexcept;
  [[nodiscard]] edge_choice choose_edge(const stream_heap& heap, std::size_t lacking, std::size_t alignment,
                                        const window* taken) const noexcept;
  [[nodiscard]] edge_choice choose_two_edges(const stream_heap& heap, std::size_t lacking,
                                             std::size_t alignment) const noexcept;
  [[nodiscard]] bool reserve_edges() noexcept;
  void take_edges(edge_choice& edges) noexcept;
  void give_edges_back(const edge_choice& edges) noexcept;
  void share(block& owner, block& lent, block& shadow) noexcept;
  [[nodiscard]] bool return_edges(block& freed) noexcept override;
  /// REQUIRES: growth is held; lock_ need not be.
  [[nodiscard]] static chunk_handle chunk_under(const block& piece) noexcept;

  /// Takes a free or unmapped block out of its index or list, or puts one in, unmerged.
  void take_out(block& one) noexcept;
  void put_in(block& one) noexcept;
  /// Cuts a block that was taken out down to [low, high); what is cut off goes back in.
  [[nodiscard]] block& cut_out(block& whole, std::uintptr_t low, std::uintptr_t high) noexcept;
  void list_unmapped(block& added) noexcept;
  void unlist_unmapped(block& gone) noexcept;
  [[nodiscard]] const char* validate_block(const block& one) const noexcept override;
  [[nodiscard]] const char* validate_own() const noexcept override;

  [[nodiscard]] static reservation& books_of(const block& one) noexcept {
    return static_cast<stretch*>(one.home)->books;
  }

  std::vector<std::unique_ptr<stretch>> stretches_;
  chunk_store store_;
  block* unmapped_ = nullptr;  // linked by left and right
  std::vector<edge> edges_;    // few: two at most of each request that nothing else served
  growth_policy policy_ = growth_policy::move;
  double garbage_threshold_ = 0;
  std::size_t reserve_bytes_ = 0;  // addresses, at a time
  std::size_t needed_peak_ = 0;    // what was in use and asked for at once, at most; bytes
};

}  // namespace terrazzo::detail
