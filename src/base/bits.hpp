// Arithmetic on sizes: rounding, and sums and products that notice overflow.
#pragma once

#include <bit>
#include <cstddef>
#include <cstdint>
#include <limits>

namespace terrazzo::detail {

inline constexpr std::size_t kib = std::size_t{1} << 10;
inline constexpr std::size_t mib = std::size_t{1} << 20;
inline constexpr std::size_t gib = std::size_t{1} << 30;

/// Rounds up to a multiple of `unit`, a power of two. REQUIRES: value + unit does not overflow.
[[nodiscard]] constexpr std::size_t round_up(std::size_t value, std::size_t unit) noexcept {
  return (value + unit - 1) & ~(unit - 1);
}

/// Rounds down to a multiple of `unit`, a power of two.
[[nodiscard]] constexpr std::size_t round_down(std::size_t value, std::size_t unit) noexcept {
  return value & ~(unit - 1);
}

[[nodiscard]] constexpr bool is_aligned(std::uintptr_t value, std::size_t unit) noexcept {
  return (value & (unit - 1)) == 0;
}

/// Adds; false, with `sum` untouched, if the sum does not fit.
[[nodiscard]] constexpr bool checked_add(std::size_t a, std::size_t b, std::size_t& sum) noexcept {
  if (a > std::numeric_limits<std::size_t>::max() - b) return false;
  sum = a + b;
  return true;
}

/// Multiplies; false, with `product` untouched, if the product does not fit.
[[nodiscard]] constexpr bool checked_multiply(std::size_t a, std::size_t b, std::size_t& product) noexcept {
  if (b != 0 && a > std::numeric_limits<std::size_t>::max() / b) return false;
  product = a * b;
  return true;
}

}  // namespace terrazzo::detail
