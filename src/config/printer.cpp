#include "config/printer.hpp"

#include <fmt/format.h>

#include <algorithm>
#include <iterator>

#include "base/bits.hpp"
#include "config/numbers.hpp"

namespace terrazzo {

namespace detail {
namespace {

// The first entry of a list also fills every lower bucket, and > every bucket after the last one named.
std::string print_divisions(const divisions_array& divisions) {
  const std::size_t count = divisions.size();
  std::size_t head = 0;
  while (head + 1 < count && divisions[head + 1] == divisions[0]) ++head;
  if (head + 1 == count) return fmt::format("{}", divisions[0]);
  std::size_t tail = count;
  while (divisions[tail - 1] == divisions[count - 1]) --tail;
  std::string list = fmt::format("[{}:{}", std::size_t{1} << head, divisions[head]);
  for (std::size_t i = head + 1; i < tail; ++i)
    fmt::format_to(std::back_inserter(list), ",{}:{}", std::size_t{1} << i, divisions[i]);
  // What no entry names is 0 already.
  if (divisions[count - 1] != 0) fmt::format_to(std::back_inserter(list), ",>:{}", divisions[count - 1]);
  return list + "]";
}

std::string print_value(option_kind, bool value) { return value ? "True" : "False"; }
std::string print_value(option_kind kind, std::size_t value) {
  if (kind == option_kind::exact_mebibytes) return print_exact_mebibytes(value);
  return fmt::format("{}", kind == option_kind::mebibytes ? value / mib : value);
}
std::string print_value(option_kind, double value) { return fmt::format("{}", value); }
std::string print_value(option_kind, const divisions_array& value) { return print_divisions(value); }
std::string print_value(option_kind, const std::string& value) { return value; }
std::string print_value(option_kind, const address_reserve& value) { return print_reserve(value); }
std::string print_value(option_kind, growth_policy value) {
  return std::string(std::ranges::find(growth_words, value, &growth_word::policy)->word);
}
template <typename Value>
std::string print_value(option_kind kind, const std::optional<Value>& value) {
  return print_value(kind, *value);  // an unset one is a default, which is not printed
}

}  // namespace

std::string print_setting_value(const setting& entry) {
  return std::visit([&](const auto& value) { return print_value(entry.what->kind, value); }, entry.value);
}

}  // namespace detail

std::string to_string(const config& settings) {
  static const config defaults;
  std::string text;
  for (const detail::option& what : detail::all_options()) {
    std::visit(
        [&](auto field) {
          if constexpr (!std::is_same_v<decltype(field), std::monostate>) {
            if (settings.*field == defaults.*field) return;
            if (!text.empty()) text += ',';
            fmt::format_to(std::back_inserter(text), "{}:{}", what.key,
                           detail::print_value(what.kind, settings.*field));
          }
        },
        what.field);
  }
  return text;
}

}  // namespace terrazzo
