#include "config/rounding.hpp"

namespace terrazzo::detail {

std::size_t round_to_division(std::size_t bytes, std::size_t divisions) noexcept {
  if (std::has_single_bit(bytes)) return bytes;
  // A number of divisions that is no power of two, which only a program can set, counts as the next one below.
  const std::size_t unit = std::bit_floor(bytes) >> (std::bit_width(divisions) - 1);
  return round_up(bytes, unit);
}

}  // namespace terrazzo::detail
