#include "tools/command_tree.hpp"

#include <doctest/doctest.h>

#include <string>

#include "tools/command.hpp"

using namespace terrazzo::tools;

namespace {

struct program {
  program() {
    add_output_options(app, with);
    CLI::App& group = add_command_group(app, "config", "settings");
    CLI::App& check = add_command(group, with, "check", "check it's a \\ string: [a-b].", [] { return 0; });
    check.footer("'quoted' at a line's beginning");
    check.add_option("string", text, "a string")->required();
    check.add_option("--kind", text, "which")->check(CLI::IsMember({"one", "two"}));
    check.add_option("-f,--file", text, "where")->type_name("FILE");
    add_command(app, with, "hidden", "nobody sees it", [] { return 0; }).group("");
  }
  CLI::App app{"a program", "terrazzo"};
  invocation with;
  std::string text;
};

}  // namespace

TEST_CASE("command tree: commands, options and values are as the app has them") {
  const program one;
  const command_entry root = describe_commands(one.app);
  REQUIRE(root.commands.size() == 1);
  const command_entry& check = root.commands[0].commands.at(0);
  CHECK(check.words == "terrazzo config check");
  REQUIRE(check.arguments.size() == 1);
  CHECK(check.arguments[0].value == "string");
  CHECK(check.arguments[0].is_required);
  REQUIRE(check.options.size() == 5);
  CHECK(check.options[0].names == std::vector<std::string>{"-h", "--help"});
  CHECK(check.options[0].value == "");
  CHECK(check.options[2].names == std::vector<std::string>{"--color"});
  CHECK(check.options[2].choices == std::vector<std::string>{"auto", "always", "never"});
  CHECK(check.options[3].choices == std::vector<std::string>{"one", "two"});
  CHECK(check.options[3].value == "one|two");
  CHECK(check.options[4].takes_path);
  CHECK(check.options[4].value == "FILE");
  CHECK(flatten(root).size() == 3);
}

TEST_CASE("command tree: what would be syntax is quoted in each text") {
  const program one;
  const command_entry root = describe_commands(one.app);
  const std::string man = make_man_page(root);
  CHECK(man.find("Check it\\(aqs a \\e string: [a\\-b].\n") != std::string::npos);
  CHECK(man.find("\n'") == std::string::npos);
  CHECK(man.find("hidden") == std::string::npos);
  CHECK(make_zsh_completion(root).find("'check:check it'\\''s a \\\\ string\\: \\[a-b\\].'") != std::string::npos);
  CHECK(make_fish_completion(root).find("-a check -d 'check it\\'s a \\\\ string: [a-b].'") != std::string::npos);
  CHECK(make_bash_completion(root).find("'terrazzo config check --kind')") != std::string::npos);
}
