// Environment variables beside the config strings that decide about device memory: cuBLAS' and PyTorch's workspaces
// (workspace/variables.hpp), and those of CUDA and of PyTorch's allocator.
#pragma once

#include <vector>

#include "workspace/variables.hpp"

namespace terrazzo::tools {

using detail::variable_lookup;
using detail::variable_note;

/// Explains all of them that are set.
[[nodiscard]] std::vector<variable_note> explain_other_variables(const variable_lookup& lookup);

}  // namespace terrazzo::tools
