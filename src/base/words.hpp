// Words that people mistype: how far one is from another.
#pragma once

#include <cstddef>
#include <string_view>

namespace terrazzo::detail {

/// Counts the letters that must be replaced, added or taken away to make one word of the other (Levenshtein's distance).
[[nodiscard]] std::size_t edit_distance(std::string_view a, std::string_view b);

/// Tells how many wrong letters are still a slip of `word`: a quarter of them, two of a short word; more is another word.
[[nodiscard]] constexpr std::size_t most_slips(std::string_view word) noexcept {
  return word.size() / 4 > 2 ? word.size() / 4 : 2;
}

}  // namespace terrazzo::detail
