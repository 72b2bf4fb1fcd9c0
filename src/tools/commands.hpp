// The commands: one function each, which adds it to the program. To add one: write <name>_command.cpp, declare its function
// here, and call it in commands.cpp, where help and manual are to show it.
#pragma once

#include "tools/command.hpp"

namespace terrazzo::tools {

void add_version_command(CLI::App& app, invocation& with);
void add_config_command(CLI::App& app, invocation& with);
void add_replay_command(CLI::App& app, invocation& with);
void add_devices_command(CLI::App& app, invocation& with);
void add_doctor_command(CLI::App& app, invocation& with);
void add_generate_command(CLI::App& app, invocation& with);

/// Adds all commands, in the order in which help and manual show them.
void add_all_commands(CLI::App& app, invocation& with);

}  // namespace terrazzo::tools
