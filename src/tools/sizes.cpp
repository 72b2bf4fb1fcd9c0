#include "tools/sizes.hpp"

#include <fmt/format.h>

#include <cctype>
#include <charconv>
#include <string_view>

#include "tools/command.hpp"

namespace terrazzo::tools {

std::size_t read_size(const std::string& option, const std::string& text) {
  constexpr std::string_view units = "kmgt";
  double number = 0;
  const auto [end, fault] = std::from_chars(text.data(), text.data() + text.size(), number);
  std::string unit;
  for (const char* at = end; at != text.data() + text.size(); ++at)
    if (*at != ' ') unit += static_cast<char>(std::tolower(static_cast<unsigned char>(*at)));
  int shift = 0;
  bool known = unit.empty() || unit == "b" || unit == "bytes";
  for (std::size_t i = 0; i < units.size(); ++i) {
    const std::string letter(1, units[i]);
    if (unit != letter && unit != letter + "b" && unit != letter + "ib") continue;
    shift = static_cast<int>(10 * (i + 1));
    known = true;
  }
  const double bytes = number * static_cast<double>(std::size_t{1} << shift);
  constexpr double most = static_cast<double>(std::size_t{1} << 46);
  if (fault != std::errc() || !known || !(bytes >= 1) || bytes > most)
    throw usage_error(fmt::format("{} takes a size such as 6GiB or 512MiB, up to 64TiB; got '{}'", option, text));
  return static_cast<std::size_t>(bytes);
}

}  // namespace terrazzo::tools
