// `terrazzo generate`: the manual and the completions of the program itself, for its own build. Not shown by --help.
#include <nlohmann/json.hpp>

#include "tools/command_tree.hpp"
#include "tools/commands.hpp"

namespace terrazzo::tools {
namespace {

struct kind {
  const char* name;
  std::string (*make)(const command_entry& root);
};

constexpr kind kinds[] = {
    {"man", make_man_page},
    {"bash", make_bash_completion},
    {"zsh", make_zsh_completion},
    {"fish", make_fish_completion},
};

struct options {
  std::string kind;
  std::string output;
};

int run_generate(const CLI::App& app, const invocation& with, const options& chosen) {
  for (const kind& one : kinds) {
    if (chosen.kind != one.name) continue;
    const std::string text = one.make(describe_commands(app));
    if (chosen.output.empty()) {
      if (with.json) with.print_json({{"kind", one.name}, {"text", text}});
      else with.out.write(text);
      return exit_fine;
    }
    std::FILE* file = std::fopen(chosen.output.c_str(), "wb");
    bool written = file != nullptr && std::fwrite(text.data(), 1, text.size(), file) == text.size();
    if (file != nullptr) written = std::fclose(file) == 0 && written;
    if (!written)
      throw usage_error(
          fmt::format("--output '{}' cannot be written: give a file in a folder that exists", chosen.output));
    return exit_fine;
  }
  throw usage_error(fmt::format("generate makes man, bash, zsh or fish, not '{}'", chosen.kind));
}

}  // namespace

void add_generate_command(CLI::App& app, invocation& with) {
  auto chosen = std::make_shared<options>();
  CLI::App& command = add_command(app, with, "generate", "make the manual, or completions for a shell",
                                  [&app, &with, chosen] { return run_generate(app, with, *chosen); });
  command.group("");
  command.add_option("kind", chosen->kind, "what to make")->required()->type_name("man|bash|zsh|fish");
  command.add_option("--output", chosen->output, "file to write instead of stdout")->type_name("PATH");
}

}  // namespace terrazzo::tools
