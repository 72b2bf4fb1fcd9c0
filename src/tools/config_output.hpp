// How explanations of config strings are printed: for people, as JSON, and the keys as a page of the documentation.
#pragma once

#include <nlohmann/json_fwd.hpp>
#include <string>
#include <vector>

#include "config/explain.hpp"
#include "tools/terminal.hpp"
#include "tools/variables.hpp"

namespace terrazzo::tools {

void print_explanation(const terminal& out, const detail::explanation& made, const detail::surroundings& where);
[[nodiscard]] nlohmann::ordered_json to_json(const detail::explanation& made);

/// The string with carets under what is wrong, and a line for each of them.
void print_problems(const terminal& out, const detail::explanation& made);
[[nodiscard]] nlohmann::ordered_json problems_to_json(const detail::explanation& made);

/// Why the string to use differs from the one given.
void print_changes(const terminal& out, const detail::explanation& made);
[[nodiscard]] nlohmann::ordered_json changes_to_json(const detail::explanation& made);

/// The string's settings in canonical form, those without effect included.
[[nodiscard]] std::string print_settings(const detail::explanation& made);

void print_variables(const terminal& out, const std::vector<variable_note>& notes);
[[nodiscard]] nlohmann::ordered_json to_json(const variable_note& note);

void print_keys(const terminal& out);
[[nodiscard]] nlohmann::ordered_json keys_to_json();
[[nodiscard]] std::string keys_to_markdown();
/// All keys, between commas.
[[nodiscard]] std::string all_keys();

}  // namespace terrazzo::tools
