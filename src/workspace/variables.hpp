// Environment variables around cuBLAS: what each does, whose it is, and what its value means. One table; `doctor` and
// `config explain` are made from it.
//
// Also in the table: names that guides spread and that nothing reads.
// Sources: cuBLAS documentation for CUDA 13 (results reproducibility, cublasLt heuristics cache, logging); PyTorch 2.15,
// CublasHandlePool.cpp and "CUDA environment variables".
#pragma once

#include <functional>
#include <optional>
#include <span>
#include <string>
#include <string_view>
#include <vector>

#include "base/severity.hpp"

namespace terrazzo::detail {

/// Gives an environment variable's value; null if it is not set.
using variable_lookup = std::function<const char*(const char* name)>;

/// What a variable that is set does.
struct variable_note {
  std::string name;
  std::string value;
  std::string owner;   ///< who reads it, as in "cuBLAS, PyTorch and terrazzo"
  std::string effect;  ///< one sentence: what this value does
  std::string advice;  ///< one sentence: what to do; empty if there is nothing to do
  severity_level severity = severity_level::fine;
  std::optional<std::string> better_value;  ///< what to set it to, where there is advice; none: unset it
};

struct variable_info {
  const char* name;
  const char* owner;
  const char* purpose;  ///< one clause: what the variable is for
  void (*judge)(const std::string& value, const variable_lookup& lookup, variable_note& note);
};

/// The variables around cuBLAS, those that nothing reads last.
[[nodiscard]] std::span<const variable_info> cublas_variables() noexcept;

/// Explains those of `known` that are set, in its order.
[[nodiscard]] std::vector<variable_note> explain_variables(std::span<const variable_info> known,
                                                           const variable_lookup& lookup);

}  // namespace terrazzo::detail
