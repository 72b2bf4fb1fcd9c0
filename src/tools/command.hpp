// Room tools/: `terrazzo`, the command for people. It may include every room, and it is the only one that prints: what
// lies below hands back data or a status, and the words for people are made here or kept beside the data they explain.
//
//   command      one subcommand: a file <name>_command.cpp with one function, add_<name>_command, which adds its options
//                and says what runs; the list of all stands in commands.hpp
//   invocation   one run of the program: the choices that all commands share, and where it speaks
//   answer       what a command prints on stdout: text, or with --json one JSON document and nothing else
//   diagnostic   whatever else it has to say, on stderr
//   exit code    0 fine; 1 something is wrong, or there is no memory; 2 the input cannot be understood
//
// Rules: an error names the thing, the value, what is allowed and what mends it. The system is asked in
// platform.hpp alone. Colours have meanings (terminal.hpp), and appear on terminals only, unless asked for.
// Threads: one.
#pragma once

#include <CLI/CLI.hpp>
#include <functional>
#include <nlohmann/json_fwd.hpp>
#include <stdexcept>
#include <string>

#include "tools/terminal.hpp"

namespace terrazzo::tools {

enum exit_code : int { exit_fine = 0, exit_wrong = 1, exit_usage = 2 };

/// What the commands share. It outlives the CLI::App whose options write into it.
struct invocation {
  bool json = false;
  color_choice color = color_choice::automatic;
  terminal out;              ///< stdout, from the moment a command runs
  terminal err;              ///< stderr, likewise
  std::function<int()> run;  ///< of the command that was chosen; none: no command was

  /// Prints one JSON document on stdout; bytes that are no UTF-8 are replaced.
  void print_json(const nlohmann::ordered_json& document) const;

  /// Prints "terrazzo: error: <message>" on stderr.
  void print_error(const std::string& message) const;
};

/// Input that cannot be understood: `main` prints the message and exits with 2. Where a command finds that out itself.
class usage_error : public std::runtime_error {
 public:
  using std::runtime_error::runtime_error;
};

/// Adds a command with the options that all have, --json and --color. `run` is called, after all has been parsed, if
/// the command was chosen, and returns the exit code; it may throw `usage_error`, `terrazzo::error` and
/// `terrazzo::out_of_memory`, which `main` turns into messages and exit codes.
CLI::App& add_command(CLI::App& parent, invocation& with, const std::string& name, const std::string& description,
                      std::function<int()> run);

/// Adds a command that only holds others, as `config` does.
CLI::App& add_command_group(CLI::App& parent, const std::string& name, const std::string& description);

/// Adds --driver PATH: which CUDA driver to ask instead of TERRAZZO_CUDA_DRIVER or the system's.
void add_driver_option(CLI::App& command, std::string& path);

/// Adds --json and --color: `add_command` has done so for its own.
void add_output_options(CLI::App& command, invocation& with);

/// Says in one sentence what is wrong with a command line, with the nearest known word where one is near.
[[nodiscard]] std::string explain_parse_error(const CLI::App& app, const CLI::ParseError& failure);

/// Parses and runs, as `main` does. Returns the exit code.
[[nodiscard]] int run_program(int argc, const char* const* argv);

}  // namespace terrazzo::tools
