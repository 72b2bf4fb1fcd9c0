#include "tools/pasted.hpp"

#include <algorithm>

#include "config/parser.hpp"

namespace terrazzo::tools {
namespace {

constexpr std::string_view blanks = " \t\r\n";

std::string_view trimmed(std::string_view text) {
  const std::size_t begin = text.find_first_not_of(blanks);
  if (begin == std::string_view::npos) return {};
  return text.substr(begin, text.find_last_not_of(blanks) - begin + 1);
}

}  // namespace

pasted take_apart(std::string_view line) {
  using detail::key_owner;
  std::string_view variable;
  std::size_t at = std::string_view::npos;
  const auto look_for = [&](std::string_view name) {
    const std::size_t found = line.find(name);
    if (found < at) variable = name, at = found;
  };
  for (const char* name : detail::variables_of(key_owner::pytorch_common)) look_for(name);
  look_for(detail::own_variable);
  if (at == std::string_view::npos) return {"", std::string(line)};

  // What is quoted as a whole, or closes around the name, is no part of the value.
  const char before = at > 0 ? line[at - 1] : ' ';
  const bool quotes_all = before == '"' || before == '\'';
  std::string_view rest = line.substr(at + variable.size());
  const std::size_t sign = rest.find_first_not_of(" \t\"')]");
  if (sign == std::string_view::npos || (rest[sign] != '=' && rest[sign] != ',' && rest[sign] != ':'))
    return {"", std::string(line)};
  const bool closed = rest.substr(0, sign).find(before) != std::string_view::npos;
  rest = trimmed(rest.substr(sign + 1));
  const auto is_quote = [](char c) { return c == '"' || c == '\''; };
  if (quotes_all && !closed && rest.ends_with(before)) rest.remove_suffix(1);
  if (rest.size() >= 2 && is_quote(rest.front())) {
    const std::size_t end = rest.find(rest.front(), 1);
    if (end != std::string_view::npos) rest = rest.substr(1, end - 1);
  }
  return {std::string(variable), std::string(rest)};
}

}  // namespace terrazzo::tools
