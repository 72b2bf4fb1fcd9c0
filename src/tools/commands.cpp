// The list of all commands. To add one: write <name>_command.{hpp,cpp}, and put its function here, where help and
// manual are to show it.
#include "tools/command.hpp"
#include "tools/config_command.hpp"
#include "tools/devices_command.hpp"
#include "tools/doctor_command.hpp"
#include "tools/generate_command.hpp"
#include "tools/replay_command.hpp"
#include "tools/version_command.hpp"

namespace terrazzo::tools {

void add_all_commands(CLI::App& app, invocation& with) {
  add_version_command(app, with);
  add_config_command(app, with);
  add_replay_command(app, with);
  add_devices_command(app, with);
  add_doctor_command(app, with);
  add_generate_command(app, with);
}

}  // namespace terrazzo::tools
