// The checks of the environment: names that come near to a variable, and values that do harm. What each variable does
// is known in variables.hpp, and of cuBLAS' in workspace/variables.hpp.
// Source: PyTorch 2.15, c10/core/AllocatorConfig.cpp.
#include <fmt/format.h>

#include <algorithm>
#include <cctype>

#include "base/words.hpp"
#include "tools/checks.hpp"
#include "tools/variables.hpp"

namespace terrazzo::tools {
namespace {

using enum severity_level;

/// Names that something else reads, and that are near enough to others to be taken for a slip.
constexpr const char* other_real_names[] = {
    "PYTORCH_HIP_ALLOC_CONF",        "PYTORCH_NO_HIP_MEMORY_CACHING",
    "PYTORCH_XPU_ALLOC_CONF",        "PYTORCH_NPU_ALLOC_CONF",
    "PYTORCH_NO_NPU_MEMORY_CACHING", "PYTORCH_MUSA_ALLOC_CONF",
    "HIPBLAS_WORKSPACE_CONFIG",      "ROCBLAS_WORKSPACE_CONFIG",
    "HIPBLASLT_WORKSPACE_SIZE",      "TORCH_HIPBLASLT_UNIFIED_WORKSPACE",
    "TERRAZZO_IGNORE_TOOLKIT",
};

std::string upper(std::string text) {
  for (char& letter : text) letter = static_cast<char>(std::toupper(static_cast<unsigned char>(letter)));
  return text;
}

/// A name that can be a slip of another: those of the families that are looked at.
bool is_of_interest(const std::string& name) {
  const auto holds = [&](const char* part) { return name.find(part) != std::string::npos; };
  return name.starts_with("TERRAZZO_") || holds("CUBLAS") || (holds("TORCH") && holds("CACHING")) ||
         ((holds("TORCH") || holds("CUDA") || holds("ALLOC")) && (holds("ALLOC") || holds("CONF")));
}

std::string command_to_rename(const evidence& seen, const std::string& from, const std::string& to) {
  return seen.is_windows ? fmt::format("set \"{}=%{}%\" & set \"{}=\"", to, from, from)
                         : fmt::format("export {}=\"${}\"; unset {}", to, from, from);
}

}  // namespace

std::vector<finding> check_config_variables(const evidence& seen) {
  const char* cuda = seen.variable("PYTORCH_CUDA_ALLOC_CONF");
  const char* common = seen.variable("PYTORCH_ALLOC_CONF");
  if (cuda == nullptr || common == nullptr || std::string(cuda) == common) return {};
  return {{warning, fmt::format("PYTORCH_CUDA_ALLOC_CONF is '{}' and PYTORCH_ALLOC_CONF is '{}'", cuda, common),
           "They are not merged: terrazzo and PyTorch take the first and ignore the second whole (PyTorch 2.9 and 2.10 "
           "the other way round).",
           command_to_unset(seen, "PYTORCH_ALLOC_CONF")}};
}

std::vector<finding> check_misspelt_variables(const evidence& seen) {
  std::vector<std::string> targets;
  std::string own_names;
  for (const own_variable& one : own_variables()) {
    targets.emplace_back(one.name);
    if (targets.back().starts_with("TERRAZZO_")) own_names += (own_names.empty() ? "" : ", ") + targets.back();
  }
  std::vector<std::string> real(std::begin(other_real_names), std::end(other_real_names));
  for (const variable_info& one : other_variables()) {
    const bool is_read = std::string(one.owner) != "nobody";
    (is_read ? targets : real).emplace_back(one.name);  // what nobody reads is told of by its own check
  }
  std::vector<finding> found;
  for (const auto& [name, value] : seen.variables) {
    const std::string in_capitals = upper(name);
    const std::string& as_compared = seen.is_windows ? in_capitals : name;  // Windows' names have no case
    const auto is_name = [&](const std::string& one) { return one == as_compared; };
    if (!is_of_interest(in_capitals) || std::any_of(targets.begin(), targets.end(), is_name) ||
        std::any_of(real.begin(), real.end(), is_name))
      continue;
    std::string nearest;
    std::size_t distance = detail::most_slips(in_capitals) + 1;
    for (const std::string& target : targets) {
      const std::size_t slips = detail::edit_distance(in_capitals, target);
      if (slips < distance) nearest = target, distance = slips;
    }
    if (nearest.empty() && !in_capitals.starts_with("TERRAZZO_")) continue;
    finding one{warning, fmt::format("{} is set, which nobody reads", name), "", command_to_unset(seen, name)};
    if (nearest.empty()) {
      one.why = fmt::format("terrazzo reads {}, and no other of its name.", own_names);
    } else if (seen.variable(nearest) != nullptr) {
      one.why = fmt::format("The name is {}, which is set too, and is what counts.", nearest);
    } else {
      one.why = fmt::format("The name is {}: what was set, '{}', has no effect.", nearest, value);
      if (!one.command.empty()) one.command = command_to_rename(seen, name, nearest);
    }
    found.push_back(std::move(one));
  }
  return found;
}

std::vector<finding> check_other_variables(const evidence& seen) {
  std::vector<finding> found;
  for (const variable_note& told : explain_other_variables([&](const char* name) { return seen.variable(name); })) {
    if (told.severity == fine) continue;
    finding one{told.severity, fmt::format("{}='{}' {}", told.name, told.value, told.effect), "", ""};
    one.why = told.owner == "nobody" ? "Whoever set it relies on something that does not happen."
                                     : fmt::format("It is read by {}.", told.owner);
    if (!told.advice.empty()) {
      one.why += fmt::format(" Better: {}.", told.advice);
      one.command =
          told.better_value ? command_to_set(seen, told.name, *told.better_value) : command_to_unset(seen, told.name);
    }
    found.push_back(std::move(one));
  }
  return found;
}

}  // namespace terrazzo::tools
