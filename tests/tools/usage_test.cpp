// What a wrong command line is told, and how a command's failures become exit codes.
#include <doctest/doctest.h>

#include <string>

#include "tools/command.hpp"

using namespace terrazzo::tools;

namespace {

struct program {
  program() {
    app.require_subcommand(0, 1);
    add_output_options(app, with);
    CLI::App& group = add_command_group(app, "config", "settings");
    CLI::App& check = add_command(group, with, "check", "checks", [] { return 0; });
    check.add_option("STRING", text, "a string")->required();
    check.add_flag("--lenient", lenient, "as PyTorch reads");
    add_command(group, with, "keys", "lists", [] { return 7; });
  }

  /// The sentence that a command line gets; empty if it is a good one.
  std::string complaint(std::string line) {
    try {
      app.parse(std::move(line));
    } catch (const CLI::ParseError& failure) {
      return explain_parse_error(app, failure);
    }
    return {};
  }

  CLI::App app{"a program", "terrazzo"};
  invocation with;
  std::string text;
  bool lenient = false;
};

}  // namespace

TEST_CASE("usage: an error names the command, the word and the nearest one") {
  const struct {
    const char* line;
    const char* expected;
  } rows[] = {
      {"config chek x",
       "terrazzo config has no command 'chek'; the nearest is check; it has check, keys; see terrazzo "
       "config --help"},
      {"config", "a command is missing after terrazzo config; it has check, keys; see terrazzo config --help"},
      {"config check x --lenent",
       "terrazzo config check has no option --lenent; the nearest is --lenient; see terrazzo "
       "config check --help"},
      {"config check x y",
       "terrazzo config check does not take 'y': an argument too many; see terrazzo config check "
       "--help"},
      {"config check", "STRING is required; see terrazzo config check --help"},
      {"--color pink", "--color: 'pink' is none of auto, always and never; see terrazzo --help"},
      {"config check x", ""},
      {"config check --json --color never x", ""},
  };
  for (const auto& row : rows) {
    CAPTURE(std::string(row.line));
    program one;
    CHECK(one.complaint(row.line) == row.expected);
  }
}

TEST_CASE("usage: only the innermost command runs") {
  program one;
  REQUIRE(one.complaint("config keys --json") == "");
  REQUIRE(one.with.run);
  CHECK(one.with.run() == 7);
  CHECK(one.with.json);
  program none;
  REQUIRE(none.complaint("--json") == "");
  CHECK_FALSE(none.with.run);
}
