// Cuts a config string into words and the separators , : [ ]. White space separates nothing: PyTorch drops it
// everywhere, even inside a word. Each token keeps its place, for messages and for correcting the string.
#pragma once

#include <cstddef>
#include <string>
#include <string_view>
#include <vector>

namespace terrazzo::detail {

struct token {
  std::string text;
  std::size_t begin = 0;  ///< offset of its first character in the string
  std::size_t end = 0;    ///< offset after its last one
  [[nodiscard]] bool is(char separator) const noexcept { return text.size() == 1 && text[0] == separator; }
  [[nodiscard]] bool is_separator() const noexcept { return is(',') || is(':') || is('[') || is(']'); }
  /// Tells whether white space was dropped inside the word.
  [[nodiscard]] bool was_broken() const noexcept { return text.size() != end - begin; }
};

[[nodiscard]] std::vector<token> tokenize(std::string_view text);

}  // namespace terrazzo::detail
