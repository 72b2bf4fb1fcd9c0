// `terrazzo devices`: each device of the driver, what an allocator would do on it, and who holds its memory.
#pragma once

#include <nlohmann/json_fwd.hpp>

#include "tools/command.hpp"
#include "tools/machine.hpp"

namespace terrazzo::tools {

void add_devices_command(CLI::App& app, invocation& with);

/// What is told where there is no driver: its problem, and that the software GPU is there, if it is.
[[nodiscard]] std::string no_driver_sentence(const machine_facts& machine);

}  // namespace terrazzo::tools
