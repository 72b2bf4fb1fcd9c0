#include "tools/terminal.hpp"

#include <algorithm>
#include <cerrno>
#include <cstdlib>

#include "tools/platform.hpp"

namespace terrazzo::tools {

style style_of(detail::severity_level severity) noexcept {
  switch (severity) {
    case detail::severity_level::error:
      return style::error;
    case detail::severity_level::warning:
      return style::warning;
    case detail::severity_level::note:
      return style::heading;
    case detail::severity_level::fine:
      break;
  }
  return style::good;
}
namespace {

const char* code_of(style meaning) noexcept {
  switch (meaning) {
    case style::error:
      return "\x1b[1;31m";
    case style::warning:
      return "\x1b[33m";
    case style::good:
      return "\x1b[32m";
    case style::heading:
      return "\x1b[1m";
    case style::dim:
      return "\x1b[2m";
    case style::plain:
      break;
  }
  return "";
}

}  // namespace

bool wants_colors(color_choice choice, bool is_terminal, const char* no_color, const char* term) noexcept {
  if (choice != color_choice::automatic) return choice == color_choice::always;
  if (!is_terminal || (no_color != nullptr && *no_color != '\0')) return false;
  return term == nullptr || std::string_view(term) != "dumb";
}

terminal terminal::open(std::FILE* stream, color_choice choice) {
  const bool is_terminal = platform::is_terminal(stream);
  bool colors = wants_colors(choice, is_terminal, std::getenv("NO_COLOR"), std::getenv("TERM"));
  if (colors && is_terminal) colors = platform::enable_colors(stream);
  return {stream, colors, is_terminal ? platform::terminal_width(stream) : 0};
}

std::string terminal::paint(style meaning, std::string_view text) const {
  const char* code = code_of(meaning);
  if (!colors_ || *code == '\0' || text.empty()) return std::string(text);
  return fmt::format("{}{}\x1b[0m", code, text);
}

void terminal::write(std::string_view text) const {
  errno = 0;
  if (std::fwrite(text.data(), 1, text.size(), stream_) != text.size() && stream_ == stdout && write_failure_ == 0)
    write_failure_ = errno;
}

std::string printable(std::string_view text) {
  std::string out(text);
  for (std::size_t i = 0; i < out.size(); ++i) {
    const auto byte = static_cast<unsigned char>(out[i]);
    if ((byte < 0x20 && byte != '\n') || byte == 0x7f) out[i] = ' ';
    // The second set of control characters, in UTF-8.
    if (byte == 0xc2 && i + 1 < out.size() && static_cast<unsigned char>(out[i + 1]) < 0xa0) out[i] = out[i + 1] = ' ';
  }
  return out;
}

std::size_t columns_of(std::string_view text) noexcept {
  std::size_t columns = 0;
  for (const char byte : text) columns += (static_cast<unsigned char>(byte) & 0xc0) != 0x80;
  return columns;
}

std::vector<std::string> wrap(std::string_view text, std::size_t width) {
  std::vector<std::string> lines;
  while (true) {
    const std::size_t end = std::min(text.find('\n'), text.size());
    std::string_view rest = text.substr(0, end);
    if (width == 0) {
      lines.emplace_back(rest);
    } else {
      std::string line;
      std::size_t used = 0;
      while (!rest.empty()) {
        const std::size_t space = std::min(rest.find(' '), rest.size());
        const std::string_view word = rest.substr(0, space);
        rest.remove_prefix(std::min(space + 1, rest.size()));
        const std::size_t columns = columns_of(word);
        if (used != 0 && used + 1 + columns > width) {
          lines.push_back(std::move(line));
          line.clear();
          used = 0;
        }
        if (used != 0) line += ' ', ++used;
        line += word;
        used += columns;
      }
      lines.push_back(std::move(line));
    }
    if (end == text.size()) return lines;
    text.remove_prefix(end + 1);
  }
}

}  // namespace terrazzo::tools
