// What the tests of explanations share.
#pragma once

#include <doctest/doctest.h>

#include <algorithm>
#include <string>
#include <string_view>

#include "config/explain.hpp"

namespace terrazzo::test {

using detail::explain;
using detail::explained_setting;
using detail::explanation;
using detail::severity_level;
using detail::surroundings;

/// The setting of that key; null if the string has none.
inline const explained_setting* find(const explanation& of, std::string_view key) {
  const auto found = std::ranges::find_if(of.settings, [&](const auto& each) { return each.what->key == key; });
  return found == of.settings.end() ? nullptr : &*found;
}

inline explanation explain_torch(std::string_view text, const surroundings& where = {}) {
  return explain("PYTORCH_CUDA_ALLOC_CONF", text, where);
}

inline bool has(const std::string& text, std::string_view part) { return text.find(part) != std::string::npos; }

/// What every explanation must keep, whatever the string.
inline void check_sound(const explanation& made, const surroundings& where) {
  const std::string& text = made.text;
  for (const auto& each : made.problems) {
    CHECK(each.column >= 1);
    CHECK(each.column <= text.size() + 1);
    CHECK_FALSE(each.message.empty());
    CHECK(each.severity >= severity_level::warning);
  }
  CHECK(std::ranges::is_sorted(made.problems, {}, [](const auto& each) { return each.column; }));
  for (const explained_setting& each : made.settings) {
    CAPTURE(std::string(each.what->key));
    CHECK(each.column <= text.size() + 1);
    CHECK(each.here.text.ends_with('.'));
    CHECK(each.pytorch.text.ends_with('.'));
    CHECK((each.advice.empty() || each.advice.ends_with('.')));
    CHECK_FALSE(each.value.empty());
  }
  // The string to use means what it says to both readers, and there is nothing to be said against it.
  const explanation again = explain(made.variable, made.fixed, where);
  CAPTURE(made.fixed);
  CHECK(again.accepted);
  CHECK(again.problems.empty());
  CHECK(again.fixed == made.fixed);
  config strictly;
  detail::reading result;
  CHECK_FALSE(detail::read_strictly(made.fixed, strictly, result).has_value());
}

}  // namespace terrazzo::test
