// Environment variables that decide about device memory, or about terrazzo. Help, checks and the manual are made from
// these lists; what the variables around cuBLAS do is known in workspace/variables.hpp.
#pragma once

#include <span>
#include <vector>

#include "workspace/variables.hpp"

namespace terrazzo::tools {

using detail::variable_info;
using detail::variable_lookup;
using detail::variable_note;

/// The variables beside the config strings: cuBLAS' and PyTorch's workspaces, those of CUDA and of PyTorch's allocator.
[[nodiscard]] std::vector<variable_info> other_variables();

/// Explains all of them that are set.
[[nodiscard]] std::vector<variable_note> explain_other_variables(const variable_lookup& lookup);

struct own_variable {
  const char* name;
  const char* meaning;  ///< one clause
};

/// What terrazzo reads itself: the config strings, and what `terrazzo` and its libraries look for.
[[nodiscard]] std::span<const own_variable> own_variables() noexcept;

}  // namespace terrazzo::tools
