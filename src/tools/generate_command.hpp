// `terrazzo generate`: the manual and the completions of the program itself, for its own build. Not shown by --help.
#pragma once

#include "tools/command.hpp"

namespace terrazzo::tools {

void add_generate_command(CLI::App& app, invocation& with);

}  // namespace terrazzo::tools
