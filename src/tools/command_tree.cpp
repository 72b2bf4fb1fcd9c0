#include "tools/command_tree.hpp"

namespace terrazzo::tools {
namespace {

/// Splits "auto|always|never", or CLI11's "TEXT:{auto,always,never}".
std::vector<std::string> choices_of(const std::string& type) {
  std::string list = type;
  char separator = '|';
  const std::size_t open = type.find('{');
  if (open != std::string::npos) {
    list = type.substr(open + 1, type.find('}', open) - open - 1);
    separator = ',';
  } else if (type.find('|') == std::string::npos) {
    return {};
  }
  std::vector<std::string> choices;
  for (std::size_t at = 0; at <= list.size();) {
    const std::size_t end = std::min(list.find(separator, at), list.size());
    choices.push_back(list.substr(at, end - at));
    at = end + 1;
  }
  return choices;
}

option_entry describe(const CLI::Option& option) {
  option_entry entry;
  for (const std::string& name : option.get_snames()) entry.names.push_back("-" + name);
  for (const std::string& name : option.get_lnames()) entry.names.push_back("--" + name);
  entry.description = option.get_description();
  entry.is_required = option.get_required();
  if (option.get_items_expected_max() == 0) return entry;
  const std::string type = option.get_type_name();
  entry.choices = choices_of(type);
  for (const char* word : {"PATH", "FILE", "DIR"})
    entry.takes_path = entry.takes_path || type.find(word) != std::string::npos;
  if (entry.choices.empty()) {
    entry.value = type.substr(0, type.find(':'));
  } else {
    for (const std::string& choice : entry.choices) entry.value += (entry.value.empty() ? "" : "|") + choice;
  }
  // An argument is called by its own name, and its type says what to complete.
  if (entry.names.empty() && entry.choices.empty()) entry.value = option.get_single_name();
  return entry;
}

}  // namespace

command_entry describe_commands(const CLI::App& app, const std::string& words_before) {
  command_entry entry;
  entry.name = app.get_name();
  entry.words = words_before.empty() ? entry.name : words_before + ' ' + entry.name;
  entry.description = app.get_description();
  entry.footer = app.get_footer();
  for (const CLI::Option* option : app.get_options()) {
    if (option->get_group().empty()) continue;
    (option->get_positional() ? entry.arguments : entry.options).push_back(describe(*option));
  }
  for (const CLI::App* one : app.get_subcommands([](const CLI::App* sub) { return !sub->get_group().empty(); }))
    entry.commands.push_back(describe_commands(*one, entry.words));
  return entry;
}

std::vector<const command_entry*> flatten(const command_entry& root) {
  std::vector<const command_entry*> all = {&root};
  for (const command_entry& one : root.commands) {
    for (const command_entry* below : flatten(one)) all.push_back(below);
  }
  return all;
}

}  // namespace terrazzo::tools
