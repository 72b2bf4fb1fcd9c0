// Room heap/: cutting segments into blocks. Pure bookkeeping on addresses: it makes no driver call, never touches
// device memory, and takes no lock; whoever owns a structure says which lock guards it.
//
//   block        a piece of a segment; blocks tile their segment in address order (block.hpp)
//   free index   the free blocks that one stream may use, ordered for best fit (free_index.hpp)
//   slab         a block of 64 KiB or more, cut into small blocks of one size class (slab.hpp)
//   front        the few large blocks that a stream freed last (front.hpp)
//   address map  from an address to the slab or block that begins there (address_map.hpp)
//
// This file: which sizes are small, the classes they are rounded to, and how large a slab of a class is.
//
// Classes: multiples of 512 B up to 4 KiB, then eight steps to each power of two up to 64 KiB: rounding wastes nothing
// up to 8 KiB and at most 12.5 % above. A slab holds 8 blocks or more. Above 64 KiB requests are cut to their 512 B
// from the range: a slab of larger classes would hold megabytes for one live block.
#pragma once

#include <array>
#include <bit>
#include <cstddef>
#include <cstdint>

#include "base/bits.hpp"
#include "base/platform.hpp"
#include "heap/block.hpp"

namespace terrazzo::detail {

inline constexpr std::size_t small_limit_bytes = 64 * kib;
inline constexpr std::size_t slab_unit_bytes = 64 * kib;  ///< a slab's alignment; its size is a multiple
inline constexpr std::size_t size_class_count = 40;
inline constexpr std::size_t slab_max_blocks = 128;

/// Gives the size of a class' blocks.
[[nodiscard]] constexpr std::size_t compute_class_bytes(std::size_t size_class) noexcept {
  if (size_class < 8) return (size_class + 1) * 512;
  const std::size_t octave = std::size_t{4096} << ((size_class - 8) / 8);
  return octave + ((size_class - 8) % 8 + 1) * (octave / 8);
}

struct size_class_info {
  std::size_t block_bytes;
  std::size_t slab_bytes;
  std::size_t block_count;
};

inline constexpr std::array<size_class_info, size_class_count> size_classes = [] {
  std::array<size_class_info, size_class_count> table{};
  for (std::size_t i = 0; i < size_class_count; ++i) {
    const std::size_t block = compute_class_bytes(i);
    const std::size_t slab = block <= 8 * kib ? slab_unit_bytes : std::bit_ceil(block) * 8;
    table[i] = {block, slab, slab / block};
  }
  return table;
}();

inline constexpr std::size_t slab_max_bytes = 512 * kib;

/// Classes of the multiples of 512 B up to the limit.
inline constexpr auto class_by_granule = [] {
  std::array<std::uint8_t, small_limit_bytes / 512> table{};
  for (std::size_t granule = 0, found = 0; granule < table.size(); ++granule) {
    if (size_classes[found].block_bytes < (granule + 1) * 512) ++found;
    table[granule] = static_cast<std::uint8_t>(found);
  }
  return table;
}();

/// Gives the class of a request. REQUIRES: 1 <= bytes <= small_limit_bytes.
[[nodiscard]] TERRAZZO_ALWAYS_INLINE constexpr std::size_t size_class_of(std::size_t bytes) noexcept {
  return class_by_granule[(bytes - 1) / 512];
}

}  // namespace terrazzo::detail
