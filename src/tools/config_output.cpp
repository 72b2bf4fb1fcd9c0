#include "tools/config_output.hpp"

#include <algorithm>
#include <nlohmann/json.hpp>

#include "tools/table.hpp"

namespace terrazzo::tools {
namespace {

using detail::explained_setting;
using detail::explanation;
using detail::problem;
using detail::severity_level;
using json = nlohmann::ordered_json;

std::string caret_line(const std::string& shown, const std::vector<std::size_t>& offsets) {
  std::string line;
  for (const std::size_t offset : offsets) {
    const std::size_t at = columns_of(std::string_view(shown).substr(0, offset));
    if (at < line.size()) continue;
    line.append(at - line.size(), ' ');
    line += '^';
  }
  return line;
}

// The string once, if it fits into the terminal; else what stands around each problem.
void print_carets(const terminal& out, const explanation& made) {
  constexpr std::size_t indent = 2;
  const std::string shown = printable(made.text);
  const std::size_t room = out.width() > indent + 20 ? out.width() - indent - 1 : 0;
  std::vector<std::size_t> offsets;
  for (const problem& each : made.problems) offsets.push_back(each.column - 1);
  if (room == 0 || columns_of(shown) < room) {
    out.print("  {}\n  {}\n", shown, out.paint(style::error, caret_line(shown, offsets)));
    return;
  }
  const std::size_t width = room - 6;  // dots on both sides
  for (std::size_t i = 0; i < offsets.size();) {
    std::size_t begin = offsets[i] > width / 2 ? offsets[i] - width / 2 : 0;
    while (begin < shown.size() && (static_cast<unsigned char>(shown[begin]) & 0xc0) == 0x80) ++begin;
    const std::string_view before = begin > 0 ? "..." : "";
    const std::string piece = shown.substr(begin, width);
    std::vector<std::size_t> inside;
    for (; i < offsets.size() && offsets[i] <= begin + piece.size(); ++i)
      inside.push_back(offsets[i] - begin + before.size());
    const std::string line = fmt::format("{}{}{}", before, piece, begin + piece.size() < shown.size() ? "..." : "");
    out.print("  {}\n  {}\n", line, out.paint(style::error, caret_line(line, inside)));
  }
}

json to_json(const detail::effect& effect) { return {{"acts", effect.acts}, {"text", effect.text}}; }

json text_or_null(const std::string& text) { return text.empty() ? json(nullptr) : json(text); }

}  // namespace

void print_problems(const terminal& out, const explanation& made) {
  if (made.problems.empty()) return;
  print_carets(out, made);
  table lines({{""}, {""}, {""}});
  for (const problem& each : made.problems)
    lines.add({{std::string(to_string(each.severity)), style_of(each.severity)},
               fmt::format("column {}", each.column),
               each.message});
  out.write(lines.to_string(out, 2));
  if (!made.mended.empty() && made.mended != made.text && made.problems.front().severity >= severity_level::warning)
    out.print("  {} {}\n", out.paint(style::dim, "meant:"), out.paint(style::good, made.mended));
}

void print_explanation(const terminal& out, const explanation& made, const detail::surroundings& where) {
  const bool torch = detail::is_pytorch_variable(made.variable);
  const std::string who =
      torch ? fmt::format("PyTorch 2.15 on {}", where.windows ? "Windows" : "Linux") : std::string("terrazzo");
  const std::string verdict = !made.in_force  ? out.paint(style::warning, "not looked at")
                              : made.accepted ? out.paint(style::good, "accepted")
                                              : out.paint(style::error, "refused");
  out.print("{}, read by {}: {}\n", out.paint(style::heading, made.variable), who, verdict);
  if (!made.accepted && made.in_force) {
    const std::string consequence =
        torch ? "The program stops with a ValueError when PyTorch first reads the variable; none of the settings acts."
              : "An allocator that reads the variable is not made; none of the settings acts.";
    for (const std::string& line : wrap(consequence, out.width())) out.print("{}\n", line);
  }
  out.write("\n");
  if (made.problems.empty()) out.print("  {}\n", printable(made.text));
  print_problems(out, made);
  if (!made.accepted && !made.settings.empty()) out.write("\nWith that mended:\n");
  for (const explained_setting& each : made.settings) {
    out.print("\n  {}\n", out.paint(style_of(each.severity), fmt::format("{}:{}", each.what->key, each.value)));
    table lines({{""}, {""}});
    lines.add({{"terrazzo", style::dim}, each.here.text});
    lines.add({{"PyTorch", style::dim}, each.pytorch.text});
    if (!each.advice.empty()) lines.add({{"advice", style_of(each.severity)}, each.advice});
    out.write(lines.to_string(out, 4));
  }
  for (const std::string& each : made.advice) {
    out.write("\n");
    for (const std::string& line : wrap(each, out.width() > 2 ? out.width() - 2 : 0)) out.print("  {}\n", line);
  }
  if (!made.settings.empty() || !made.problems.empty()) {
    if (made.fixed.empty()) out.print("\nUse: nothing; unset {}\n", made.variable);
    else out.print("\nUse: {}\n", out.paint(style::good, made.fixed));
  }
  out.write("\n");
}

json problems_to_json(const explanation& made) {
  json all = json::array();
  for (const problem& each : made.problems) {
    json row;
    row["severity"] = to_string(each.severity);
    row["column"] = each.column;
    row["key"] = each.key;
    row["message"] = each.message;
    row["meant"] = text_or_null(each.meant);
    all.push_back(std::move(row));
  }
  return all;
}

json to_json(const explanation& made) {
  json out;
  out["variable"] = made.variable;
  out["string"] = made.text;
  out["in_force"] = made.in_force;
  out["accepted"] = made.accepted;
  out["problems"] = problems_to_json(made);
  out["settings"] = json::array();
  for (const explained_setting& each : made.settings) {
    json row;
    row["key"] = each.what->key;
    row["value"] = each.value;
    row["column"] = each.column;
    row["severity"] = to_string(each.severity);
    row["terrazzo"] = to_json(each.here);
    row["pytorch"] = to_json(each.pytorch);
    row["advice"] = text_or_null(each.advice);
    out["settings"].push_back(std::move(row));
  }
  out["advice"] = made.advice;
  out["mended"] = made.mended;
  out["use"] = made.fixed;
  return out;
}

namespace {

struct change {
  std::string what;
  std::string why;
};

std::vector<change> changes_of(const explanation& made) {
  std::vector<change> all;
  for (const problem& each : made.problems) all.push_back({fmt::format("column {}", each.column), each.message});
  for (const explained_setting& each : made.settings) {
    if (each.keep) continue;
    const std::string& why = !detail::is_pytorch_variable(made.variable) ? each.here.text
                             : each.pytorch.acts                         ? each.advice
                                                                         : each.pytorch.text;
    all.push_back({fmt::format("without {}:{}", each.what->key, each.value), why});
  }
  return all;
}

}  // namespace

void print_changes(const terminal& out, const explanation& made) {
  table lines({{""}, {""}});
  for (const change& each : changes_of(made)) lines.add({{each.what, style::warning}, each.why});
  for (const std::string& each : made.advice) lines.add({{"note", style::dim}, each});
  if (made.fixed.empty() && made.accepted) lines.add({{"so", style::dim}, "nothing is left: unset " + made.variable});
  if (!lines.empty()) out.write(lines.to_string(out));
}

json changes_to_json(const explanation& made) {
  json all = json::array();
  for (const change& each : changes_of(made)) all.push_back({{"what", each.what}, {"why", each.why}});
  return all;
}

std::string print_settings(const explanation& made) {
  std::string text;
  for (const explained_setting& each : made.settings)
    text += fmt::format("{}{}:{}", text.empty() ? "" : ",", each.what->key, each.value);
  return text;
}

void print_variables(const terminal& out, const std::vector<variable_note>& notes) {
  for (const variable_note& each : notes) {
    const style look = each.severity == detail::severity_level::fine ? style::heading : style::warning;
    out.print("{}\n", out.paint(look, fmt::format("{}={}", each.name, each.value)));
    table lines({{""}, {""}});
    lines.add({{each.owner, style::dim}, fmt::format("It {}.", each.effect)});
    if (!each.advice.empty()) lines.add({{"advice", style::warning}, each.advice + "."});
    out.write(lines.to_string(out, 2));
    out.write("\n");
  }
}

json to_json(const variable_note& note) {
  json row;
  row["name"] = note.name;
  row["value"] = note.value;
  row["owner"] = note.owner;
  row["effect"] = note.effect;
  row["advice"] = text_or_null(note.advice);
  return row;
}

std::string all_keys() {
  std::string text;
  for (const detail::option& each : detail::all_options())
    text += fmt::format("{}{}", text.empty() ? "" : ", ", each.key);
  return text;
}

namespace {

std::string allowed(const detail::option& what) {
  return allowed_values(what, what.range.from_large_segment ? config{}.large_segment_size_bytes >> 20 : what.range.low);
}

const char* owner_name(const detail::option& what) {
  return what.owner == detail::key_owner::terrazzo ? "terrazzo" : "PyTorch";
}

}  // namespace

void print_keys(const terminal& out) {
  for (const bool acting : {true, false}) {
    out.print("{}\n", out.paint(style::heading, acting ? "Keys that act in terrazzo" : "Keys of PyTorch that do not"));
    table rows({{"key"}, {"default"}, {"takes, and is for"}});
    for (const detail::option& each : detail::all_options()) {
      if (each.acts() != acting) continue;
      rows.add({{std::string(each.key), style::good},
                std::string(each.preset),
                fmt::format("{}: {}", allowed(each), each.help)});
    }
    out.write(rows.to_string(out, 2));
    out.write("\n");
  }
}

json keys_to_json() {
  json all = json::array();
  for (const detail::option& each : detail::all_options()) {
    json row;
    row["key"] = each.key;
    row["owner"] = owner_name(each);
    row["takes"] = allowed(each);
    row["default"] = each.preset;
    row["acts_in_terrazzo"] = each.acts();
    row["reset_by_next_string"] = each.resets;
    row["help"] = each.help;
    all.push_back(std::move(row));
  }
  return all;
}

std::string keys_to_markdown() {
  std::string page = R"(# Settings

<!-- Made by `terrazzo config keys --markdown` from src/config/options.cpp; a test compares them. -->

A config string is a list of `key:value` between commas, as in `expandable_segments:False,max_split_size_mb:128`.

| where | read | keys |
|---|---|---|
| `PYTORCH_CUDA_ALLOC_CONF`, else `PYTORCH_ALLOC_CONF` | as PyTorch 2.15 reads it, however odd | PyTorch's |
| `PYTORCH_HIP_ALLOC_CONF`, between the two | likewise, for the keys that all devices share | PyTorch's |
| `TERRAZZO_ALLOC_CONF` | strictly; wins key by key over the others | all |
| a string that the program gives: `parse_config`, the C ABI | strictly | all |
| likewise: `parse_pytorch_config` | as PyTorch 2.15 reads it, with warnings | PyTorch's |
| `terrazzo::config` in C++, field by field | checked when the allocator is made, or by `set_settings` | those that act |

The first of PyTorch's variables that is set counts whole, even if it is empty. When a program hands PyTorch a second
string, the settings marked *resets* go back to their defaults unless it names them; the others stay.

`terrazzo config explain "..."` says what a string does, here and in PyTorch, and `terrazzo config fix "..."` prints the
string to use.
)";
  for (const bool acting : {true, false}) {
    page +=
        acting
            ? "\n## Keys that act in terrazzo\n\n"
            : "\n## Keys of PyTorch that do nothing here\n\nThey are checked, so that one string can serve both.\n\n";
    page += "| key | takes | default | for | |\n|---|---|---|---|---|\n";
    for (const detail::option& each : detail::all_options()) {
      if (each.acts() != acting) continue;
      page += fmt::format("| `{}` | {} | {} | {} | {} |\n", each.key, allowed(each), each.preset, each.help,
                          each.resets                                 ? "resets"
                          : each.owner == detail::key_owner::terrazzo ? "terrazzo's own"
                                                                      : "");
    }
  }
  return page;
}

}  // namespace terrazzo::tools
