// The commands and their options as data, read from the CLI::App that parses them: manual and completions are made from
// it, so that they cannot tell of an option that is not there.
#pragma once

#include <CLI/CLI.hpp>
#include <string>
#include <vector>

namespace terrazzo::tools {

struct option_entry {
  std::vector<std::string> names;    ///< "-h", "--help"; empty for an argument without a name
  std::string value;                 ///< what it takes, as in PATH; empty for a flag
  std::vector<std::string> choices;  ///< the values there are; empty: any
  bool takes_path = false;
  bool is_required = false;
  std::string description;
};

struct command_entry {
  std::string name;   ///< "check"
  std::string words;  ///< "terrazzo config check"
  std::string description;
  std::string footer;
  std::vector<option_entry> options;    ///< with names
  std::vector<option_entry> arguments;  ///< without
  std::vector<command_entry> commands;
};

/// Reads an app and what is below it, but for hidden commands and options.
[[nodiscard]] command_entry describe_commands(const CLI::App& app, const std::string& words_before = {});

/// The command itself, then all below it, each before its own.
[[nodiscard]] std::vector<const command_entry*> flatten(const command_entry& root);

// The texts.
[[nodiscard]] std::string make_man_page(const command_entry& root);
[[nodiscard]] std::string make_bash_completion(const command_entry& root);
[[nodiscard]] std::string make_zsh_completion(const command_entry& root);
[[nodiscard]] std::string make_fish_completion(const command_entry& root);

}  // namespace terrazzo::tools
