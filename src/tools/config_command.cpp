// `terrazzo config`: what config strings mean (explain), whether they can be read (check), which keys there are (keys),
// and what to write instead (fix).
#include <algorithm>
#include <cstdlib>
#include <nlohmann/json.hpp>

#include "config/explain.hpp"
#include "tools/commands.hpp"
#include "tools/config_output.hpp"
#include "tools/pasted.hpp"
#include "tools/platform.hpp"
#include "tools/variables.hpp"

namespace terrazzo::tools {
namespace {

using detail::explanation;
using json = nlohmann::ordered_json;

constexpr const char* usual_variable = "PYTORCH_CUDA_ALLOC_CONF";

/// What the subcommands can be told.
struct choices {
  std::optional<std::string> text;
  std::string variable;  ///< empty: as the text names it, else PYTORCH_CUDA_ALLOC_CONF
  std::string platform;
  bool lenient = false;
  bool markdown = false;
};

detail::surroundings surroundings_of(const choices& chosen) {
  return {chosen.platform.empty() ? platform::is_windows : chosen.platform == "windows", {}};
}

pasted given(const choices& chosen) {
  pasted line = take_apart(chosen.text.value_or(""));
  if (!chosen.variable.empty()) line.variable = chosen.variable;
  if (line.variable.empty()) line.variable = usual_variable;
  return line;
}

int run_explain(const invocation& with, const choices& chosen) {
  const detail::surroundings where = surroundings_of(chosen);
  std::vector<explanation> all;
  std::vector<variable_note> others;
  if (chosen.text) {
    const pasted line = given(chosen);
    all.push_back(detail::explain(line.variable, line.text, where));
  } else {
    const auto lookup = [](const char* name) -> const char* { return std::getenv(name); };
    all = detail::explain_environment(lookup, where);
    others = explain_other_variables(lookup);
  }
  if (with.json) {
    json out;
    out["platform"] = where.windows ? "windows" : "linux";
    out["strings"] = json::array();
    for (const explanation& each : all) out["strings"].push_back(to_json(each));
    out["variables"] = json::array();
    for (const variable_note& each : others) out["variables"].push_back(to_json(each));
    with.print_json(out);
  } else {
    for (const explanation& each : all) print_explanation(with.out, each, where);
    if (!chosen.text && all.empty())
      with.out.write(
          "No config variable is set: PyTorch and terrazzo use their defaults. To look at a string, give it: terrazzo "
          "config explain \"max_split_size_mb:128\"\n");
    print_variables(with.out, others);
  }
  const bool refused =
      std::ranges::any_of(all, [](const explanation& each) { return each.in_force && !each.accepted; });
  return refused ? exit_usage : exit_fine;
}

int run_check(const invocation& with, const choices& chosen) {
  const pasted line = given(chosen);
  const bool lenient = chosen.lenient;
  // Strict reading is that of terrazzo's own variable, whatever the string is for.
  const std::string variable = lenient ? (line.variable == detail::own_variable ? usual_variable : line.variable)
                                       : std::string(detail::own_variable);
  const explanation made = detail::explain(variable, line.text, surroundings_of(chosen));
  if (with.json) {
    json out;
    out["valid"] = made.accepted;
    out["reading"] = lenient ? "lenient" : "strict";
    out["problems"] = problems_to_json(made);
    out["canonical"] = made.accepted ? json(print_settings(made)) : json(nullptr);
    with.print_json(out);
  } else {
    print_problems(with.err, made);
    if (made.accepted) with.out.print("{}\n", print_settings(made));
  }
  return made.accepted ? exit_fine : exit_usage;
}

int run_fix(const invocation& with, const choices& chosen) {
  const pasted line = given(chosen);
  const explanation made = detail::explain(line.variable, line.text, surroundings_of(chosen));
  // Nothing that could be mended was found in it.
  const bool hopeless = !made.accepted && made.settings.empty();
  if (with.json) {
    json out;
    out["variable"] = made.variable;
    out["string"] = hopeless ? json(nullptr) : json(made.fixed);
    out["changes"] = changes_to_json(made);
    with.print_json(out);
  } else {
    print_changes(with.err, made);
    if (hopeless) {
      with.print_error(fmt::format("no setting can be made out in '{}': see terrazzo config keys", line.text));
    } else {
      with.out.print("{}\n", made.fixed);
    }
  }
  return hopeless ? exit_usage : exit_fine;
}

int run_keys(const invocation& with, const choices& chosen) {
  if (with.json) with.print_json(keys_to_json());
  else if (chosen.markdown) with.out.write(keys_to_markdown());
  else print_keys(with.out);
  return exit_fine;
}

}  // namespace

void add_config_command(CLI::App& app, invocation& with) {
  CLI::App& group = add_command_group(app, "config", "explain, check and mend allocator config strings");
  const auto chosen = std::make_shared<choices>();
  const auto add = [&](const char* name, const char* description, int (*run)(const invocation&, const choices&)) {
    return &add_command(group, with, name, description, [&with, chosen, run] { return run(with, *chosen); });
  };
  const auto add_text = [&](CLI::App& command, bool needed) {
    command.add_option("string", chosen->text, "the string, or a line that sets a variable to it")
        ->required(needed)
        ->type_name("STRING");
    command.add_option("--as", chosen->variable, "read it as the value of this variable")
        ->check(CLI::IsMember(
            {"PYTORCH_CUDA_ALLOC_CONF", "PYTORCH_ALLOC_CONF", "PYTORCH_HIP_ALLOC_CONF", "TERRAZZO_ALLOC_CONF"}))
        ->type_name("VARIABLE");
  };
  const auto add_surroundings = [&](CLI::App& command) {
    command
        .add_option("--platform", chosen->platform, "where it is to work: linux or windows; this system if not said")
        ->check(CLI::IsMember({"linux", "windows"}))
        ->type_name("NAME");
  };

  CLI::App* explain = add("explain", "say what each setting of a string does, here and in PyTorch", run_explain);
  add_text(*explain, false);
  add_surroundings(*explain);
  explain->footer(
      "Without a string, explains the variables of this environment.\n"
      "Exits with 2 if a string in force is refused.");

  CLI::App* check =
      add("check", "check a string, strictly unless told otherwise, and print its canonical form", run_check);
  add_text(*check, true);
  check->add_flag("--lenient", chosen->lenient, "read it as PyTorch does");
  check->footer("Exits with 0 if the string can be read, with 2 if not.");

  CLI::App* keys = add("keys", "list all keys, what they take, and what they are for", run_keys);
  keys->add_flag("--markdown", chosen->markdown, "print the page docs/config.md");

  CLI::App* fix = add("fix", "print the string to use: mended, and without what does nothing", run_fix);
  add_text(*fix, true);
  add_surroundings(*fix);
  fix->footer("What was changed is told on stderr. Exits with 2 if no setting can be made out.");

  group.footer("Keys: " + all_keys() + ".");
}

}  // namespace terrazzo::tools
