// What is wrong with the config strings in the environment (PYTORCH_CUDA_ALLOC_CONF, PYTORCH_ALLOC_CONF,
// TERRAZZO_ALLOC_CONF): which keys are misread, do nothing, or contradict each other. The other checks look at the
// variables' names alone.
#pragma once

#include "tools/checks.hpp"

namespace terrazzo::tools {

[[nodiscard]] std::vector<finding> config_findings(const evidence& seen);

}  // namespace terrazzo::tools
