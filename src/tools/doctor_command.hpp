// `terrazzo doctor`: what is wrong with this machine and this environment, most important first, with one command for
// each that mends it.
#pragma once

#include "tools/command.hpp"

namespace terrazzo::tools {

void add_doctor_command(CLI::App& app, invocation& with);

}  // namespace terrazzo::tools
