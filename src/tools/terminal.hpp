// Where the command speaks: a stream, whether it takes colours, and how wide it is. Colours are named by what they mean.
// They appear on a terminal, unless TERM is dumb or NO_COLOR is set to something; `--color always` and `never` decide
// whatever the rest says.
// Sources: https://no-color.org for NO_COLOR; ECMA-48 for the codes.
#pragma once

#include <fmt/format.h>

#include <cstddef>
#include <cstdio>
#include <string>
#include <string_view>
#include <utility>
#include <vector>

#include "base/severity.hpp"

namespace terrazzo::tools {

enum class color_choice { automatic, always, never };
enum class style { plain, error, warning, good, heading, dim };

/// The style in which a finding of this weight is shown.
[[nodiscard]] style style_of(detail::severity_level severity) noexcept;

class terminal {
 public:
  /// Makes one that writes to stdout, without colours, and never wraps.
  terminal() = default;

  /// `width`: columns; 0: unlimited, nothing is wrapped.
  terminal(std::FILE* stream, bool has_colors, std::size_t width) noexcept
      : stream_(stream), colors_(has_colors), width_(width) {}

  /// Asks the system about a stream. What is no terminal has no colours and no width.
  [[nodiscard]] static terminal open(std::FILE* stream, color_choice choice);

  [[nodiscard]] bool has_colors() const noexcept { return colors_; }
  [[nodiscard]] std::size_t width() const noexcept { return width_; }

  /// Puts the codes of a style around a text, or nothing where there are no colours.
  [[nodiscard]] std::string paint(style meaning, std::string_view text) const;

  void write(std::string_view text) const;

  /// Tells why a write to the stream failed, as errno does; 0: none did.
  [[nodiscard]] static int write_failure() noexcept { return write_failure_; }

  template <typename... Args>
  void print(fmt::format_string<Args...> format, Args&&... args) const {
    write(fmt::format(format, std::forward<Args>(args)...));
  }

 private:
  static inline int write_failure_ = 0;
  std::FILE* stream_ = stdout;
  bool colors_ = false;
  std::size_t width_ = 0;
};

/// The text with control characters replaced, so that what a file or a variable holds cannot steer the terminal.
[[nodiscard]] std::string printable(std::string_view text);

/// Decides about colours: `no_color` and `term` are the variables, null if unset.
[[nodiscard]] bool wants_colors(color_choice choice, bool is_terminal, const char* no_color, const char* term) noexcept;

/// Counts the columns that a text takes: its code points, in UTF-8.
[[nodiscard]] std::size_t columns_of(std::string_view text) noexcept;

/// Breaks a text at spaces into lines of `width` columns at most, 0: one line. A longer word stands alone. Line breaks
/// of the text stay.
[[nodiscard]] std::vector<std::string> wrap(std::string_view text, std::size_t width);

}  // namespace terrazzo::tools
