// From bytes asked for to bytes of a block: a multiple of 512, or of a power of two's n-th part where
// `roundup_power2_divisions` says so. Every request passes here, so the usual case is inline.
// Source: PyTorch's `round_size` and `roundup_power2_next_division`, whose published sizes must come out the same.
#pragma once

#include <algorithm>
#include <array>
#include <bit>
#include <cstddef>

#include "base/bits.hpp"
#include "terrazzo/config.hpp"

namespace terrazzo::detail {

/// Every block is a multiple of this, and no smaller.
inline constexpr std::size_t min_block_bytes = 512;

/// The largest request that `round_request` rounds. Larger ones come back as they are: no device can hold them.
inline constexpr std::size_t max_rounded_bytes = std::size_t{1} << 63;

/// Tells which entry of `roundup_power2_divisions` a size belongs to: i holds [2^i, 2^(i+1)) MiB; the first also all
/// smaller sizes, the last also all larger ones.
[[nodiscard]] constexpr std::size_t roundup_bucket(std::size_t bytes) noexcept {
  const auto log2_of_mib = static_cast<std::size_t>(std::bit_width(bytes / mib | 1)) - 1;
  return std::min(log2_of_mib, config::roundup_bucket_count - 1);
}

/// Rounds up to a multiple of the largest power of two <= bytes divided by `divisions`; powers of two stay.
/// REQUIRES: divisions >= 2; min_block_bytes * divisions < bytes <= max_rounded_bytes.
[[nodiscard]] std::size_t round_to_division(std::size_t bytes, std::size_t divisions) noexcept;

/// Rounds a request to the size of its block. REQUIRES: nothing of `bytes`; the result is >= bytes, and 512 for 0.
[[nodiscard]] inline std::size_t round_request(
    std::size_t bytes, const std::array<std::size_t, config::roundup_bucket_count>& divisions) noexcept {
  if (bytes <= min_block_bytes) return min_block_bytes;
  if (bytes > max_rounded_bytes) return bytes;
  const std::size_t parts = divisions[roundup_bucket(bytes)];
  // min_block_bytes * parts < bytes, written so that no product can overflow.
  if (parts > 1 && (bytes - 1) / min_block_bytes >= parts) return round_to_division(bytes, parts);
  return round_up(bytes, min_block_bytes);
}

}  // namespace terrazzo::detail
