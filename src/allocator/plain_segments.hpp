// Plain segments: the source for devices without virtual memory management, and for `expandable_segments:False`. Each
// segment is one cuMemAlloc, cut by the rules of PyTorch's native allocator, so that a program needs no more memory
// here than there:
//
//   request          segment                         pool
//   up to 1 MiB      2 MiB                           small
//   below 10 MiB     large_segment_size_mb (20 MiB)  large
//   from 10 MiB on   rounded up to 2 MiB             large
//
// Differences, each for less memory: a segment that does not fit into what is left is tried once more at the request's
// own size; what streams have left in pieces serves every stream rather than none; and the cache is searched again after
// every step. Source: c10/cuda/CUDACachingAllocator.cpp, PyTorch 2.15.
#pragma once

#include <memory>
#include <vector>

#include "allocator/block_source.hpp"
#include "terrazzo/config.hpp"

namespace terrazzo::detail {

class plain_segments final : public block_source {
 public:
  plain_segments(device_memory& memory, const config& settings) noexcept;

  void set_rules(const config& settings) noexcept override;

  [[nodiscard]] status grow(stream_heap& heap, std::size_t bytes, std::size_t alignment, bool last_try,
                            block*& found) override;
  /// A plain segment cannot grow: there is only what lies in it.
  [[nodiscard]] status extend(stream_heap& heap, block& live, std::size_t requested_bytes) noexcept override;
  void reclaim(std::size_t bytes) noexcept override;
  void trim(std::size_t keep_bytes) noexcept override;
  void close() noexcept override;

 private:
  struct piece : segment {
    std::uintptr_t driver_address = 0;  // as cuMemAlloc gave it, and what it was asked for
    std::size_t driver_bytes = 0;
  };

  [[nodiscard]] status add_piece(stream_heap& heap, std::size_t segment_bytes, std::size_t bytes, std::size_t alignment,
                                 block*& found);
  void collect_garbage() noexcept;
  /// Makes one block of a segment whose blocks are all free and finished; null if they are not. REQUIRES: lock_.
  [[nodiscard]] block* join_if_finished(const piece& one) noexcept;
  /// Gives unsplit idle segments back that `chosen(block)` picks, until `enough()`; returns how many.
  template <typename Chosen, typename Enough>
  std::size_t release(Chosen chosen, Enough enough) noexcept;

  // Guarded by growth.
  config settings_;
  std::vector<std::unique_ptr<piece>> pieces_;
};

}  // namespace terrazzo::detail
