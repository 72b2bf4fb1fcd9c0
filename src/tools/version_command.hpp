// `terrazzo --version`: an option of the program itself, with --json what it was made with.
#pragma once

#include "tools/command.hpp"

namespace terrazzo::tools {

void add_version_command(CLI::App& app, invocation& with);

}  // namespace terrazzo::tools
