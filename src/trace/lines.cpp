#include "trace/lines.hpp"

#include <fmt/format.h>

#include <charconv>

namespace terrazzo::trace {

namespace {

constexpr std::size_t most_quoted = 40;

// Of a line that may be anything: its beginning, in letters that a terminal can bear.
std::string quoted(std::string_view text) {
  std::string shown = "\"";
  for (const char letter : text.substr(0, most_quoted)) shown += letter >= ' ' && letter < '\x7f' ? letter : '?';
  if (text.size() > most_quoted) shown += "...";
  return shown + '"';
}

bool read_number(std::string_view text, int base, std::uint64_t& number) {
  const auto [end, error] = std::from_chars(text.data(), text.data() + text.size(), number, base);
  return error == std::errc{} && end == text.data() + text.size();
}

}  // namespace

bool line_reader::next() {
  if (!input_.read_line(text_, most_bytes)) return false;
  ++number_;
  if (text_.size() > most_bytes) fail("the line is longer than 64 KiB");
  return true;
}

const std::vector<std::string_view>& line_reader::parts(char separator) {
  parts_.clear();
  for (std::string_view rest = text_;;) {
    const std::size_t end = rest.find(separator);
    parts_.push_back(rest.substr(0, end));
    if (end == std::string_view::npos) return parts_;
    rest.remove_prefix(end + 1);
  }
}

std::uint64_t line_reader::decimal(std::string_view text, std::string_view what) const {
  std::uint64_t number = 0;
  if (!read_number(text, 10, number)) fail(fmt::format("{} is {}, where a number should be", what, quoted(text)));
  return number;
}

std::uint64_t line_reader::pointer(std::string_view text, std::string_view what) const {
  if (text == "(nil)") return 0;
  std::string_view digits = text;
  if (digits.starts_with("0x") || digits.starts_with("0X")) digits.remove_prefix(2);
  std::uint64_t number = 0;
  if (!read_number(digits, 16, number))
    fail(fmt::format("{} is {}, where a hexadecimal number should be", what, quoted(text)));
  return number;
}

void line_reader::fail(const std::string& reason) const { input_.fail(line_place(number_), reason); }

}  // namespace terrazzo::trace
