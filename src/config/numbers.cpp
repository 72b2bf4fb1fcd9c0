#include "config/numbers.hpp"

#include <fmt/format.h>

#include <algorithm>
#include <bit>
#include <charconv>
#include <cmath>
#include <limits>

#include "base/bits.hpp"

namespace terrazzo::detail {

namespace {

template <typename Number>
std::optional<Number> read_prefix(std::string_view text, std::size_t& used) {
  Number number{};
  const auto [end, fault] = std::from_chars(text.data(), text.data() + text.size(), number);
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

int hexadecimal_digit(char c) {
  if (is_digit(c)) return c - '0';
  if (c >= 'a' && c <= 'f') return c - 'a' + 10;
  return c >= 'A' && c <= 'F' ? c - 'A' + 10 : -1;
}

// A number as 64 bits, more that are lost below them, and a power of two.
struct binary_number {
  std::uint64_t bits = 0;
  bool lost = false;
  std::int64_t exponent = 0;

  // Divides the bits by 2^count, count > 0, rounding half to even; true if that is not exact.
  bool drop(std::int64_t count) {
    const std::uint64_t rest = count >= 64 ? bits : bits & ((std::uint64_t{1} << count) - 1);
    const bool exact = rest == 0 && !lost;
    bits = count >= 64 ? 0 : bits >> count;
    exponent += count;
    if (count > 64) return !exact;
    const std::uint64_t half = std::uint64_t{1} << (count - 1);
    if (rest > half || (rest == half && (lost || (bits & 1) != 0))) ++bits;
    return !exact;
  }
};

// Nothing where strtod reports a range error: too large, or below the normal numbers and not exact. That is asked after
// rounding to 53 bits, as x86 does.
std::optional<double> to_double(binary_number number) {
  using limits = std::numeric_limits<double>;
  if (number.bits == 0) return 0.0;
  const int shift = std::countl_zero(number.bits);
  number.bits <<= shift;
  number.exponent -= shift;
  if (number.exponent > limits::max_exponent) return std::nullopt;
  binary_number normal = number;
  (void)normal.drop(64 - limits::digits);
  const std::int64_t top = normal.exponent + std::bit_width(normal.bits);  // the value is below 2^top
  if (top >= limits::min_exponent) {
    if (top > limits::max_exponent) return std::nullopt;
    return std::ldexp(static_cast<double>(normal.bits), static_cast<int>(normal.exponent));
  }
  const std::int64_t lowest = limits::min_exponent - limits::digits;
  if (number.drop(lowest - number.exponent)) return std::nullopt;
  return std::ldexp(static_cast<double>(number.bits), static_cast<int>(number.exponent));
}

// What follows 0x. std::from_chars is no help: libstdc++'s takes two signs in the exponent and hides what it has lost.
// Without digits, "0x" is 0 followed by text.
std::optional<double> read_hexadecimal(std::string_view text, std::size_t& used) {
  binary_number number;
  std::size_t at = 0;
  bool point = false;
  bool digits = false;
  for (; at < text.size(); ++at) {
    if (text[at] == '.' && !point) {
      point = true;
      continue;
    }
    const int digit = hexadecimal_digit(text[at]);
    if (digit < 0) break;
    digits = true;
    const bool full = number.bits >> 60 != 0;
    if (!full) number.bits = number.bits << 4 | static_cast<std::uint64_t>(digit);
    number.lost = number.lost || (full && digit != 0);
    number.exponent += full ? (point ? 0 : 4) : (point ? -4 : 0);
  }
  if (!digits) {
    used = 0;
    return 0.0;
  }
  used = at;
  if (at < text.size() && (text[at] == 'p' || text[at] == 'P')) {
    std::string_view rest = text.substr(at + 1);
    const std::size_t whole = rest.size();
    const bool minus = take_sign(rest);
    constexpr std::int64_t enough = std::int64_t{1} << 50;  // outweighs any string's digits
    std::int64_t power = 0;
    std::size_t count = 0;
    for (; count < rest.size() && is_digit(rest[count]); ++count)
      power = std::min(power * 10 + (rest[count] - '0'), enough);
    if (count > 0) used += 1 + (whole - rest.size()) + count;
    number.exponent += minus ? -power : power;
  }
  return to_double(number);
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

namespace {

// In units of 2^bits bytes.
std::optional<std::size_t> read_exact(std::string_view text, int bits) {
  const std::size_t point = text.find('.');
  const auto whole = read_whole(text.substr(0, point));
  if (!whole) return std::nullopt;
  std::size_t bytes = 0;
  if (!checked_multiply(static_cast<std::size_t>(*whole), std::size_t{1} << bits, bytes)) return std::nullopt;
  if (point == std::string_view::npos) return bytes;
  std::string digits(text.substr(point + 1));
  if (digits.empty() || !std::all_of(digits.begin(), digits.end(), is_digit)) return std::nullopt;
  // Doubled that many times, what passes the point are the bytes; nothing may be left behind it.
  std::size_t rest = 0;
  for (int bit = 0; bit < bits; ++bit) {
    int carry = 0;
    for (std::size_t i = digits.size(); i-- > 0;) {
      const int doubled = 2 * (digits[i] - '0') + carry;
      digits[i] = static_cast<char>('0' + doubled % 10);
      carry = doubled / 10;
    }
    rest = 2 * rest + static_cast<std::size_t>(carry);
  }
  if (digits.find_first_not_of('0') != std::string::npos || !checked_add(bytes, rest, bytes)) return std::nullopt;
  return bytes;
}

std::string print_exact(std::size_t bytes, int bits) {
  const std::size_t unit = std::size_t{1} << bits;
  std::string text = fmt::format("{}", bytes / unit);
  if (bytes % unit == 0) return text;
  // As many decimals hold any multiple of 2^-bits exactly; the leading zero goes, and the zeros at the end.
  text += fmt::format("{:.{}f}", static_cast<double>(bytes % unit) / static_cast<double>(unit), bits).substr(1);
  text.erase(text.find_last_not_of('0') + 1);
  return text;
}

constexpr int bits_of_mib = 20;
constexpr int bits_of_gib = 30;

}  // namespace

std::optional<std::size_t> read_exact_mebibytes(std::string_view text) { return read_exact(text, bits_of_mib); }

std::string print_exact_mebibytes(std::size_t bytes) { return print_exact(bytes, bits_of_mib); }

std::optional<std::uint64_t> read_like_stoull(std::string_view text, std::size_t* used) {
  const std::size_t whole = text.size();
  const bool minus = take_sign(text);
  std::size_t length = 0;
  auto number = read_prefix<std::uint64_t>(text, length);
  if (number && minus) number = 0 - *number;
  if (used != nullptr) *used = whole - text.size() + length;
  return number;
}

std::optional<double> read_like_stod(std::string_view text, std::size_t* used) {
  const std::size_t whole = text.size();
  const bool minus = take_sign(text);
  if (text.starts_with('-')) return std::nullopt;  // from_chars would take the second sign
  std::size_t length = 0;
  std::optional<double> number;
  if (text.starts_with("0x") || text.starts_with("0X")) {
    number = read_hexadecimal(text.substr(2), length);
    length += length == 0 ? 1 : 2;
  } else {
    number = read_prefix<double>(text, length);
    // strtod reports a result below the normal numbers as out of range, and std::stod throws. (It would take one that
    // is exact, which needs some 700 digits, and refuse one that only rounds up to the smallest normal number.)
    if (number && *number != 0 && *number < std::numeric_limits<double>::min()) number.reset();
  }
  if (number && minus) number = -*number;
  if (used != nullptr) *used = whole - text.size() + length;
  return number;
}

std::string what_number_was_meant(std::string_view word, bool mebibytes) {
  if (word.starts_with('+')) word.remove_prefix(1);
  const std::string_view digits = word.substr(0, word.find_first_not_of("0123456789"));
  const std::string_view unit = word.substr(digits.size());
  if (unit.empty() || (mebibytes && (unit == "M" || unit == "MB" || unit == "MiB"))) return std::string(digits);
  constexpr double exact = 1e15;
  if (const auto real = read_real(word); real && *real >= 0 && *real <= exact && std::floor(*real) == *real)
    return fmt::format("{:.0f}", *real);
  const auto number = read_whole(digits);
  if (mebibytes && number && *number < (1U << 20) && (unit == "G" || unit == "GB" || unit == "GiB"))
    return fmt::format("{}", *number * 1024);
  return {};
}

std::string join_reserves(const std::vector<std::pair<std::string_view, std::string_view>>& entries) {
  std::string list = "[";
  for (const auto& [name, reserve] : entries)
    list += fmt::format("{}{}:{}", list.size() == 1 ? "" : ",", name, reserve);
  return list + "]";
}

std::optional<address_reserve> read_reserve(std::string_view text) {
  const bool in_gib = text.ends_with('G') || text.ends_with('g');
  if (in_gib) text.remove_suffix(1);
  if (text.starts_with('+')) text.remove_prefix(1);
  // Signs were dealt with, and letters would be inf or nan, which PyTorch's stream does not read.
  if (text.empty() || (!is_digit(text[0]) && text[0] != '.')) return std::nullopt;
  const auto number = read_real(text);
  if (!number || !(*number > 0)) return std::nullopt;
  if (!in_gib) return address_reserve{*number, 0};
  // PyTorch multiplies a double. What is written exactly comes to the same up to 8 PiB; above, it alone is exact.
  if (const auto exact = read_exact(text, bits_of_gib)) return address_reserve{0, std::max<std::size_t>(*exact, 1)};
  const double bytes = std::ldexp(*number, bits_of_gib);
  constexpr std::size_t most = std::numeric_limits<std::size_t>::max();
  if (bytes >= static_cast<double>(most)) return address_reserve{0, most};
  return address_reserve{0, std::max<std::size_t>(static_cast<std::size_t>(bytes), 1)};
}

std::string print_reserve(const address_reserve& reserve) {
  if (reserve.bytes == 0) return fmt::format("{}", reserve.fraction);
  std::string shortest = fmt::format("{}G", std::ldexp(static_cast<double>(reserve.bytes), -bits_of_gib));
  return read_reserve(shortest) == reserve ? shortest : print_exact(reserve.bytes, bits_of_gib) + "G";
}

}  // namespace terrazzo::detail
