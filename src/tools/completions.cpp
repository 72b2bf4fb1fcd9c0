// Completions for bash, zsh and fish. Each script first finds out which command the words so far name, then offers that
// command's own commands and options; values of an option are offered where they are known.
// Sources: the manuals of bash ("Programmable Completion"), zsh (zshcompsys) and fish (complete).
#include <fmt/format.h>

#include "tools/command_tree.hpp"

namespace terrazzo::tools {
namespace {

constexpr const char* made_by = "# Made by `terrazzo generate {}`.\n";

std::string join(const std::vector<std::string>& words) { return fmt::format("{}", fmt::join(words, " ")); }

/// All words that can follow a command.
std::string words_after(const command_entry& command) {
  std::vector<std::string> words;
  for (const command_entry& one : command.commands) words.push_back(one.name);
  for (const option_entry& one : command.arguments) words.insert(words.end(), one.choices.begin(), one.choices.end());
  for (const option_entry& one : command.options) words.insert(words.end(), one.names.begin(), one.names.end());
  return join(words);
}

/// The names of all commands but the first, quoted.
std::vector<std::string> quoted_paths(const command_entry& root) {
  std::vector<std::string> paths;
  for (const command_entry* one : flatten(root))
    if (one != &root) paths.push_back(fmt::format("'{}'", one->words));
  return paths;
}

bool wants_path(const command_entry& command) {
  for (const option_entry& one : command.arguments)
    if (one.takes_path) return true;
  return false;
}

/// Text inside '...' of zsh's _arguments, where brackets and colons divide.
std::string zsh_text(const std::string& text) {
  std::string out;
  for (const char letter : text) {
    if (letter == '\'') out += "'\\''";
    else if (letter == '[' || letter == ']' || letter == ':' || letter == '\\') out += std::string("\\") + letter;
    else out += letter;
  }
  return out;
}

std::string fish_text(const std::string& text) {
  std::string out;
  for (const char letter : text) {
    if (letter == '\'' || letter == '\\') out += '\\';
    out += letter;
  }
  return out;
}

std::string zsh_value(const option_entry& option) {
  if (option.value.empty()) return {};
  const std::string action = !option.choices.empty() ? "(" + join(option.choices) + ")"
                             : option.takes_path     ? "_files"
                                                     : " ";
  return fmt::format(":{}:{}", zsh_text(option.value), action);
}

std::string zsh_function(const command_entry& command) {
  std::string name = "_" + command.words;
  for (char& letter : name)
    if (letter == ' ' || letter == '-') letter = '_';
  return name;
}

}  // namespace

std::string make_bash_completion(const command_entry& root) {
  std::string out = fmt::format(fmt::runtime(made_by), "bash");
  out += R"(_terrazzo() {
  local cur=${COMP_WORDS[COMP_CWORD]} prev=${COMP_WORDS[COMP_CWORD - 1]} command=terrazzo i
  if [[ $prev == = ]]; then prev=${COMP_WORDS[COMP_CWORD - 2]}; fi
  if [[ $cur == = ]]; then cur=; fi
  for ((i = 1; i < COMP_CWORD; ++i)); do
    case "$command ${COMP_WORDS[i]}" in
)";
  out += fmt::format("      {}) command+=\" ${{COMP_WORDS[i]}}\" ;;\n", fmt::join(quoted_paths(root), " | "));
  out += R"(    esac
  done
  COMPREPLY=()
  case "$command $prev" in
)";
  for (const command_entry* command : flatten(root)) {
    for (const option_entry& option : command->options) {
      if (option.value.empty()) continue;
      for (const std::string& name : option.names) {
        out += fmt::format("    '{} {}')\n", command->words, name);
        if (!option.choices.empty())
          out += fmt::format("      mapfile -t COMPREPLY < <(compgen -W '{}' -- \"$cur\")\n", join(option.choices));
        else if (option.takes_path)
          out += "      mapfile -t COMPREPLY < <(compgen -f -- \"$cur\")\n      compopt -o filenames 2>/dev/null\n";
        out += "      return ;;\n";
      }
    }
  }
  out += "  esac\n  case \"$command\" in\n";
  for (const command_entry* command : flatten(root)) {
    out += fmt::format("    '{}')\n      mapfile -t COMPREPLY < <(compgen -W '{}' -- \"$cur\")\n", command->words,
                       words_after(*command));
    if (wants_path(*command)) {
      out +=
          "      if [[ $cur != -* ]]; then\n        mapfile -t COMPREPLY < <(compgen -f -- \"$cur\")\n"
          "        compopt -o filenames 2>/dev/null\n      fi\n";
    }
    out += "      ;;\n";
  }
  out += "  esac\n}\ncomplete -F _terrazzo terrazzo\n";
  return out;
}

std::string make_zsh_completion(const command_entry& root) {
  std::string out = "#compdef terrazzo\n" + fmt::format(fmt::runtime(made_by), "zsh");
  for (const command_entry* command : flatten(root)) {
    out += fmt::format("\n{}() {{\n", zsh_function(*command));
    if (!command->commands.empty()) out += "  local curcontext=$curcontext state line\n";
    out += "  _arguments -C";
    for (const option_entry& option : command->options) {
      for (const std::string& name : option.names) {
        const bool joins = !option.value.empty() && name.starts_with("--");
        out += fmt::format(" \\\n    '{}{}[{}]{}'", name, joins ? "=" : "", zsh_text(option.description),
                           zsh_value(option));
      }
    }
    if (!command->commands.empty()) {
      out +=
          " \\\n    '1: :->command' \\\n    '*:: :->arguments'\n  case $state in\n    command)\n      local -a "
          "commands=(";
      for (const command_entry& one : command->commands)
        out += fmt::format("\n        '{}:{}'", zsh_text(one.name), zsh_text(one.description));
      out += ")\n      _describe command commands ;;\n    arguments)\n      case $line[1] in\n";
      for (const command_entry& one : command->commands)
        out += fmt::format("        {}) {} ;;\n", one.name, zsh_function(one));
      out += "      esac ;;\n  esac\n}\n";
      continue;
    }
    std::size_t place = 1;
    for (const option_entry& argument : command->arguments)
      out += fmt::format(" \\\n    '{}:{}", place++, zsh_value(argument).substr(1)) + "'";
    out += "\n}\n";
  }
  out += "\n_terrazzo \"$@\"\n";
  return out;
}

std::string make_fish_completion(const command_entry& root) {
  std::string out = fmt::format(fmt::runtime(made_by), "fish");
  out += R"(function __terrazzo_at
    set -l command terrazzo
    set -l words (commandline -opc)
    for word in $words[2..-1]
        switch "$command $word"
)";
  out += fmt::format("            case {}\n", join(quoted_paths(root)));
  out += R"(                set command "$command $word"
        end
    end
    test "$command" = "$argv[1]"
end

complete -c terrazzo -f
)";
  for (const command_entry* command : flatten(root)) {
    const std::string begin = fmt::format("complete -c terrazzo -n \"__terrazzo_at '{}'\"", command->words);
    for (const command_entry& one : command->commands)
      out += fmt::format("{} -a {} -d '{}'\n", begin, one.name, fish_text(one.description));
    for (const option_entry& argument : command->arguments) {
      if (!argument.choices.empty()) out += fmt::format("{} -a '{}'\n", begin, join(argument.choices));
      if (argument.takes_path) out += begin + " -F\n";
    }
    for (const option_entry& option : command->options) {
      out += begin;
      for (const std::string& name : option.names)
        out += name.starts_with("--") ? " -l " + name.substr(2) : " -s " + name.substr(1);
      if (!option.choices.empty()) out += fmt::format(" -x -a '{}'", join(option.choices));
      else if (option.takes_path) out += " -r -F";
      else if (!option.value.empty()) out += " -x";
      out += fmt::format(" -d '{}'\n", fish_text(option.description));
    }
  }
  return out;
}

}  // namespace terrazzo::tools
