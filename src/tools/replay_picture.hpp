// A replay as a picture: the curves of live, reserved and largest free memory over time, and the address map at the
// moment when the most was live. SVG, without scripts or fonts of its own.
#pragma once

#include <string>
#include <vector>

#include "tools/replay.hpp"

namespace terrazzo::tools {

struct replay_panel {
  std::string title;
  std::uint64_t operation_count = 0;
  const replay_result* result = nullptr;
};

/// Draws panels one under the other.
[[nodiscard]] std::string draw_replays(const std::vector<replay_panel>& panels);

}  // namespace terrazzo::tools
