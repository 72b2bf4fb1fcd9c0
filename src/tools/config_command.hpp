// `terrazzo config`: what config strings mean (explain), whether they can be read (check), which keys there are (keys),
// and what to write instead (fix).
#pragma once

#include "tools/command.hpp"

namespace terrazzo::tools {

void add_config_command(CLI::App& app, invocation& with);

}  // namespace terrazzo::tools
