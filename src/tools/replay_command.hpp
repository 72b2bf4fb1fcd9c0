// `terrazzo replay`: recorded programs, run again on a software GPU of any size: how much memory they need under which
// settings, and what that costs.
#pragma once

#include "tools/command.hpp"

namespace terrazzo::tools {

void add_replay_command(CLI::App& app, invocation& with);

}  // namespace terrazzo::tools
