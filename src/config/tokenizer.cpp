#include "config/tokenizer.hpp"

namespace terrazzo::detail {

namespace {
// std::isspace would ask the program's locale.
bool is_space(char c) { return c == ' ' || (c >= '\t' && c <= '\r'); }
}  // namespace

std::vector<token> tokenize(std::string_view text) {
  std::vector<token> tokens;
  bool in_word = false;
  for (std::size_t i = 0; i < text.size(); ++i) {
    const char c = text[i];
    if (is_space(c)) continue;
    const bool separator = c == ',' || c == ':' || c == '[' || c == ']';
    if (separator || !in_word) tokens.push_back({std::string(), i, i});
    tokens.back().text += c;
    tokens.back().end = i + 1;
    in_word = !separator;
  }
  return tokens;
}

}  // namespace terrazzo::detail
