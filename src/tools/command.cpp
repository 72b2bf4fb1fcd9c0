#include "tools/command.hpp"

#include <algorithm>
#include <cerrno>
#include <cstring>
#include <map>
#include <nlohmann/json.hpp>

#include "base/words.hpp"
#include "terrazzo/status.hpp"
#include "tools/commands.hpp"
#include "tools/platform.hpp"

namespace terrazzo::tools {

void invocation::print_json(const nlohmann::ordered_json& document) const {
  out.write(document.dump(2, ' ', false, nlohmann::ordered_json::error_handler_t::replace));
  out.write("\n");
}

void invocation::print_error(const std::string& message) const {
  err.print("{} {}\n", err.paint(style::error, "terrazzo: error:"), printable(message));
}

void add_output_options(CLI::App& command, invocation& with) {
  static const std::map<std::string, color_choice> choices = {
      {"auto", color_choice::automatic}, {"always", color_choice::always}, {"never", color_choice::never}};
  command.add_flag("--json", with.json, "print one JSON document on stdout, and nothing else there");
  command
      .add_option_function<std::string>(
          "--color",
          [&with](const std::string& word) {
            const auto found = choices.find(word);
            if (found == choices.end())
              throw CLI::ValidationError("--color", fmt::format("'{}' is none of auto, always and never", word));
            with.color = found->second;
          },
          "whether to use colours; auto: on a terminal, unless NO_COLOR is set")
      ->type_name("auto|always|never");
}

CLI::App& add_command(CLI::App& parent, invocation& with, const std::string& name, const std::string& description,
                      std::function<int()> run) {
  CLI::App& command = *parent.add_subcommand(name, description);
  add_output_options(command, with);
  command.callback([&with, run = std::move(run)] {
    if (!with.run) with.run = run;  // --version comes first
  });
  return command;
}

CLI::App& add_command_group(CLI::App& parent, const std::string& name, const std::string& description) {
  CLI::App& group = *parent.add_subcommand(name, description);
  group.require_subcommand(1);
  return group;
}

void add_driver_option(CLI::App& command, std::string& path) {
  command.add_option("--driver", path, "CUDA driver library to ask, instead of TERRAZZO_CUDA_DRIVER or the system's")
      ->type_name("PATH");
}

namespace {

/// The innermost command that was chosen; `words` receives what stands before it, as in "terrazzo config".
const CLI::App* chosen_command(const CLI::App& app, std::string& words) {
  const CLI::App* at = &app;
  words = app.get_name();
  while (true) {
    const auto parsed = at->get_subcommands([](const CLI::App* one) { return one->parsed(); });
    if (parsed.empty()) return at;
    at = parsed.front();
    words += ' ' + at->get_name();
  }
}

std::string nearest_of(const std::vector<std::string>& candidates, const std::string& word) {
  std::string nearest;
  std::size_t distance = detail::most_slips(word) + 1;
  for (const std::string& candidate : candidates) {
    const std::size_t found = detail::edit_distance(word, candidate);
    if (found < distance) nearest = candidate, distance = found;
  }
  return nearest;
}

std::string or_nearest(const std::vector<std::string>& candidates, const std::string& word) {
  const std::string nearest = nearest_of(candidates, word);
  return nearest.empty() ? "" : fmt::format("; the nearest is {}", nearest);
}

std::vector<std::string> command_names(const CLI::App& app) {
  std::vector<std::string> names;
  for (const CLI::App* one : app.get_subcommands([](const CLI::App* sub) { return !sub->get_group().empty(); }))
    names.push_back(one->get_name());
  return names;
}

std::vector<std::string> option_names(const CLI::App& app) {
  std::vector<std::string> names;
  for (const CLI::Option* one : app.get_options()) {
    for (const std::string& name : one->get_lnames()) names.push_back("--" + name);
  }
  return names;
}

}  // namespace

std::string explain_parse_error(const CLI::App& app, const CLI::ParseError& failure) {
  std::string words;
  const CLI::App* command = chosen_command(app, words);
  const std::vector<std::string> commands = command_names(*command);
  const std::vector<std::string> unknown = app.remaining(true);
  const std::string help = fmt::format("see {} --help", words);
  if (!unknown.empty()) {
    const std::string& word = unknown.front();
    if (word.starts_with('-')) {
      return fmt::format("{} has no option {}{}; {}", words, word, or_nearest(option_names(*command), word), help);
    }
    if (!commands.empty()) {
      return fmt::format("{} has no command '{}'{}; it has {}; {}", words, word, or_nearest(commands, word),
                         fmt::join(commands, ", "), help);
    }
    return fmt::format("{} does not take '{}': an argument too many; {}", words, word, help);
  }
  if (!commands.empty() && dynamic_cast<const CLI::RequiredError*>(&failure) != nullptr)
    return fmt::format("a command is missing after {}; it has {}; {}", words, fmt::join(commands, ", "), help);
  return fmt::format("{}; {}", failure.what(), help);
}

namespace {

/// What a failure of a command means for whoever called the program.
int exit_code_of(status code) {
  switch (code) {
    case status::invalid_argument:
    case status::invalid_config:
    case status::invalid_device:
      return exit_usage;
    default:
      return exit_wrong;
  }
}

int tell_failure(const invocation& with, status code, std::string_view message) {
  if (message.starts_with("terrazzo: ")) message.remove_prefix(std::strlen("terrazzo: "));
  with.print_error(std::string(message));
  if (with.json) with.print_json({{"error", {{"status", to_string(code)}, {"message", message}}}});
  return exit_code_of(code);
}

int run_command(const invocation& with) {
  try {
    return with.run();
  } catch (const usage_error& failure) {
    with.print_error(failure.what());
    if (with.json) with.print_json({{"error", {{"status", "invalid_argument"}, {"message", failure.what()}}}});
    return exit_usage;
  } catch (const error& failure) {
    return tell_failure(with, failure.code(), failure.what());
  } catch (const out_of_memory& failure) {
    return tell_failure(with, status::out_of_memory, failure.what());
  } catch (const std::bad_alloc&) {
    return tell_failure(with, status::out_of_host_memory, describe(status::out_of_host_memory));
  } catch (const std::exception& failure) {
    with.print_error(failure.what());
    return exit_wrong;
  }
}

/// A reader that has gone, as `head` does, is no failure; a full disk is one.
int finish_output(const invocation& with, int code) {
  errno = 0;
  int failure = terminal::write_failure();
  if (std::fflush(stdout) != 0 && failure == 0) failure = errno;
  if (failure == 0 || failure == EPIPE || failure == EINVAL) return code;  // EINVAL: a broken pipe on Windows
  with.print_error(fmt::format("stdout cannot be written: {}", std::strerror(failure)));
  return exit_wrong;
}

}  // namespace

int run_program(int argc, const char* const* argv) {
  platform::ignore_broken_pipes();
  invocation with;
  CLI::App app{"Finds out what a machine's GPU memory, cuBLAS and settings do, and what is wrong with them.",
               "terrazzo"};
  app.require_subcommand(0, 1);
  app.set_help_flag("-h,--help", "print this help");
  add_all_commands(app, with);
  int code = exit_fine;
  try {
    app.parse(argc, argv);
    if (!with.run) throw CLI::RequiredError("a command");
    with.out = terminal::open(stdout, with.color);
    with.err = terminal::open(stderr, with.color);
    code = run_command(with);
  } catch (const CLI::ParseError& failure) {
    with.err = terminal::open(stderr, with.color);
    if (failure.get_exit_code() == 0) {
      with.out.write(app.help());
    } else {
      const std::string message = explain_parse_error(app, failure);
      with.print_error(message);
      // Whether --json was parsed before the mistake or not.
      if (std::any_of(argv, argv + argc, [](const char* word) { return std::string_view(word) == "--json"; }))
        with.print_json({{"error", {{"status", "invalid_argument"}, {"message", message}}}});
      code = exit_usage;
    }
  }
  return finish_output(with, code);
}

}  // namespace terrazzo::tools
