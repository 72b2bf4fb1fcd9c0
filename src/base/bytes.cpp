#include "base/bytes.hpp"

#include <fmt/format.h>

#include <algorithm>
#include <cctype>
#include <charconv>
#include <cmath>
#include <iterator>
#include <limits>
#include <system_error>

namespace terrazzo::detail {
namespace {

/// How far to shift for what stands behind the number: "gib", "gb" and "g" alike.
std::optional<int> unit_shift(std::string_view unit) {
  std::string small;
  for (const char letter : unit) small += static_cast<char>(std::tolower(static_cast<unsigned char>(letter)));
  if (small.empty() || small == "b" || small == "bytes") return 0;
  const std::size_t index = std::string_view("kmgt").find(small.front());
  const std::string_view rest = std::string_view(small).substr(1);
  if (index == std::string_view::npos || !(rest.empty() || rest == "b" || rest == "ib")) return std::nullopt;
  return static_cast<int>(10 * (index + 1));
}

}  // namespace

std::string format_bytes(std::size_t bytes) {
  static constexpr const char* units[] = {"bytes", "KiB", "MiB", "GiB", "TiB"};
  std::size_t unit = 0;
  double value = static_cast<double>(bytes);
  for (; value >= 1024 && unit + 1 < std::size(units); ++unit) value /= 1024;
  std::string digits = fmt::format("{:.{}f}", value, value >= 100 ? 0 : value >= 10 ? 1 : 2);
  if (digits.find('.') != std::string::npos) {
    digits.erase(digits.find_last_not_of('0') + 1);
    if (digits.back() == '.') digits.pop_back();
  }
  return fmt::format("{} {}", digits, units[unit]);
}

std::optional<std::size_t> read_bytes(std::string_view text) {
  const std::size_t end = std::min(text.find_first_not_of("0123456789."), text.size());
  const std::string_view number = text.substr(0, end);
  text.remove_prefix(end);
  text.remove_prefix(std::min(text.find_first_not_of(' '), text.size()));
  const std::optional<int> shift = unit_shift(text);
  if (!shift) return std::nullopt;
  // Whole and fraction apart, so that a number of bytes is exact.
  const std::size_t dot = std::min(number.find('.'), number.size());
  std::size_t whole = 0;
  const auto [stop, error] = std::from_chars(number.data(), number.data() + dot, whole);
  if (error != std::errc() || stop != number.data() + dot || whole >= std::numeric_limits<std::size_t>::max() >> *shift)
    return std::nullopt;
  double fraction = 0;
  if (dot != number.size()) {
    const std::string_view digits = number.substr(dot);
    const auto [last, fault] = std::from_chars(digits.data(), digits.data() + digits.size(), fraction);
    if (digits.size() < 2 || fault != std::errc() || last != digits.data() + digits.size()) return std::nullopt;
  }
  return (whole << *shift) + static_cast<std::size_t>(std::ldexp(fraction, *shift));
}

}  // namespace terrazzo::detail
