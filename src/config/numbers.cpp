#include "config/numbers.hpp"

#include <fmt/format.h>

#include <charconv>
#include <cmath>
#include <limits>

#include "base/bits.hpp"

namespace terrazzo::detail {

namespace {

template <typename Number, typename... Base>
std::optional<Number> read_prefix(std::string_view text, std::size_t& used, Base... base) {
  Number number{};
  const auto [end, fault] = std::from_chars(text.data(), text.data() + text.size(), number, base...);
  used = static_cast<std::size_t>(end - text.data());
  if (fault != std::errc{}) return std::nullopt;
  return number;
}

bool is_digit(char c) { return c >= '0' && c <= '9'; }

// Takes a leading sign off; true for minus.
bool take_sign(std::string_view& text) {
  const bool minus = text.starts_with('-');
  if (minus || text.starts_with('+')) text.remove_prefix(1);
  return minus;
}

}  // namespace

std::optional<std::uint64_t> read_whole(std::string_view text) {
  std::size_t used = 0;
  const auto number = read_prefix<std::uint64_t>(text, used);
  return number && used == text.size() ? number : std::nullopt;
}

std::optional<double> read_real(std::string_view text) {
  std::size_t used = 0;
  const auto number = read_prefix<double>(text, used);
  return number && used == text.size() && std::isfinite(*number) ? number : std::nullopt;
}

std::optional<std::size_t> read_exact_mebibytes(std::string_view text) {
  const std::size_t point = text.find('.');
  const auto whole = read_whole(text.substr(0, point));
  if (!whole) return std::nullopt;
  std::size_t bytes = 0;
  if (!checked_multiply(static_cast<std::size_t>(*whole), mib, bytes)) return std::nullopt;
  if (point == std::string_view::npos) return bytes;
  if (point + 1 == text.size() || !is_digit(text[point + 1])) return std::nullopt;
  // A fraction of whole bytes has at most 20 binary digits, so the double holds it exactly.
  const auto fraction = read_real(text.substr(point));
  if (!fraction) return std::nullopt;
  const double rest = *fraction * static_cast<double>(mib);
  if (rest != std::floor(rest) || !checked_add(bytes, static_cast<std::size_t>(rest), bytes)) return std::nullopt;
  return bytes;
}

std::string print_exact_mebibytes(std::size_t bytes) {
  std::string text = fmt::format("{}", bytes / mib);
  if (bytes % mib == 0) return text;
  // Twenty decimals hold any multiple of 2^-20 exactly; the leading zero goes, and the zeros at the end.
  text += fmt::format("{:.20f}", static_cast<double>(bytes % mib) / static_cast<double>(mib)).substr(1);
  text.erase(text.find_last_not_of('0') + 1);
  return text;
}

std::optional<std::uint64_t> read_like_stoull(std::string_view text) {
  const bool minus = take_sign(text);
  std::size_t used = 0;
  auto number = read_prefix<std::uint64_t>(text, used);
  if (number && minus) number = 0 - *number;
  return number;
}

std::optional<double> read_like_stod(std::string_view text) {
  const bool minus = take_sign(text);
  if (text.starts_with('-')) return std::nullopt;  // from_chars would take the second sign
  std::size_t used = 0;
  std::optional<double> number;
  if (text.starts_with("0x") || text.starts_with("0X")) {
    text.remove_prefix(2);
    if (!text.starts_with('-')) number = read_prefix<double>(text, used, std::chars_format::hex);
    if (!number && used == 0) number = 0.0;  // "0x" without digits is 0 followed by text
  } else {
    number = read_prefix<double>(text, used);
    // strtod reports a result below the normal numbers as out of range, and std::stod throws.
    if (number && *number != 0 && *number < std::numeric_limits<double>::min()) number.reset();
  }
  if (number && minus) number = -*number;
  return number;
}

bool is_reserve(std::string_view text) {
  if (text.ends_with('G') || text.ends_with('g')) text.remove_suffix(1);
  if (text.starts_with('+')) text.remove_prefix(1);
  // Signs were dealt with, and letters would be inf or nan, which PyTorch's stream does not read.
  if (text.empty() || (!is_digit(text[0]) && text[0] != '.')) return false;
  const auto number = read_real(text);
  return number && *number > 0;
}

}  // namespace terrazzo::detail
