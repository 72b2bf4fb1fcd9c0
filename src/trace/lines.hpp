// What readers of lines share: the current line and its number, its parts, and errors that name them. Private to the room.
#pragma once

#include <cstdint>
#include <string>
#include <string_view>
#include <vector>

#include "trace/input.hpp"

namespace terrazzo::trace {

class line_reader {
 public:
  static constexpr std::size_t most_bytes = std::size_t{64} << 10;  // a line is a record: a longer one is none

  explicit line_reader(input& from) : input_(from) {}

  /// Goes to the next line; false at the end.
  [[nodiscard]] bool next();

  [[nodiscard]] std::string_view text() const noexcept { return text_; }

  /// Cuts the line at each `separator`. Valid until the next line.
  [[nodiscard]] const std::vector<std::string_view>& parts(char separator);

  /// Reads a number of 64 bits. `what` names it in an error.
  [[nodiscard]] std::uint64_t decimal(std::string_view text, std::string_view what) const;

  /// Reads an address as C's %p and C++'s streams print it: hexadecimal with or without "0x"; "(nil)" is 0.
  [[nodiscard]] std::uint64_t pointer(std::string_view text, std::string_view what) const;

  [[noreturn]] void fail(const std::string& reason) const;

 private:
  input& input_;
  std::string_view text_;
  std::uint64_t number_ = 0;
  std::vector<std::string_view> parts_;
};

}  // namespace terrazzo::trace
