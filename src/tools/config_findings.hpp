// What is wrong with the config strings in the environment (PYTORCH_CUDA_ALLOC_CONF, PYTORCH_ALLOC_CONF,
// TERRAZZO_ALLOC_CONF): which are refused, misread, without effect or against each other.
#pragma once

#include "tools/checks.hpp"

namespace terrazzo::tools {

[[nodiscard]] std::vector<finding> config_findings(const evidence& seen);

}  // namespace terrazzo::tools
