#include "support/size.hpp"

#include <fmt/format.h>

#include <algorithm>
#include <array>
#include <cctype>
#include <charconv>
#include <limits>
#include <system_error>

namespace example {
namespace {

constexpr std::array<const char*, 5> units = {"bytes", "KiB", "MiB", "GiB", "TiB"};

/// How far to shift for what stands behind the number: "gib", "gb" and "g" alike.
std::optional<unsigned> unit_shift(std::string_view unit) {
  std::string small;
  for (const char letter : unit) small += static_cast<char>(std::tolower(static_cast<unsigned char>(letter)));
  if (small.empty() || small == "b") return 0;
  const std::size_t index = std::string_view("kmgt").find(small.front());
  const std::string rest = small.substr(1);
  if (index == std::string_view::npos || !(rest.empty() || rest == "b" || rest == "ib")) return std::nullopt;
  return 10 * static_cast<unsigned>(index + 1);
}

}  // namespace

std::optional<std::uint64_t> read_size(std::string_view text) {
  const std::size_t end = std::min(text.find_first_not_of("0123456789."), text.size());
  const std::string_view number = text.substr(0, end);
  const std::optional<unsigned> shift = unit_shift(text.substr(end));
  if (!shift) return std::nullopt;
  // Whole and fraction apart, so that a number of bytes is exact.
  const std::size_t dot = std::min(number.find('.'), number.size());
  std::uint64_t whole = 0;
  const auto [stop, error] = std::from_chars(number.data(), number.data() + dot, whole);
  if (error != std::errc() || stop != number.data() + dot ||
      whole >= std::numeric_limits<std::uint64_t>::max() >> *shift)
    return std::nullopt;
  double fraction = 0;
  if (dot != number.size()) {
    const std::string_view digits = number.substr(dot + 1);
    if (digits.empty() || digits.find('.') != std::string_view::npos) return std::nullopt;
    double place = 1;
    for (const char digit : digits) fraction += (digit - '0') * (place /= 10);
  }
  return (whole << *shift) + static_cast<std::uint64_t>(fraction * static_cast<double>(std::uint64_t{1} << *shift));
}

std::string size_text(std::uint64_t bytes) {
  std::size_t unit = 0;
  while (unit + 1 < units.size() && bytes >> (10 * (unit + 1)) != 0) ++unit;
  const double number = static_cast<double>(bytes) / static_cast<double>(std::uint64_t{1} << (10 * unit));
  std::string text = fmt::format("{:.1f}", number);
  if (text.ends_with(".0")) text.resize(text.size() - 2);
  return text + ' ' + units[unit];
}

void add_size_option(CLI::App& app, const std::string& name, std::optional<std::uint64_t>& value, std::uint64_t least,
                     std::uint64_t most, const std::string& description) {
  const auto take = [&value, name, least, most](const std::string& text) {
    value = read_size(text);
    if (value && *value >= least && *value <= most) return;
    const auto without_space = [](std::string size) { return size.erase(size.find(' '), 1); };
    throw CLI::ValidationError(
        name, fmt::format("a size such as 6GiB or 512MiB, from {} to {}; got '{}'", without_space(size_text(least)),
                          without_space(size_text(most)), text));
  };
  app.add_option_function<std::string>(name, take, description)->type_name("SIZE");
}

}  // namespace example
