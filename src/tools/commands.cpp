#include "tools/commands.hpp"

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
