// The check of the config strings in the environment (PYTORCH_CUDA_ALLOC_CONF, PYTORCH_ALLOC_CONF, TERRAZZO_ALLOC_CONF):
// which are refused, misread, without effect or against each other.
#include <fmt/format.h>

#include "config/explain.hpp"
#include "tools/checks.hpp"

namespace terrazzo::tools {
namespace {

using detail::explained_setting;
using detail::explanation;
using detail::problem;

// None where the string as it is is the one to use: what does nothing in PyTorch may act in terrazzo.
std::string command_to_use(const evidence& seen, const explanation& made) {
  if (made.fixed == made.text) return {};
  return made.fixed.empty() ? command_to_unset(seen, made.variable) : command_to_set(seen, made.variable, made.fixed);
}

void append(std::string& text, std::string_view more) { text += fmt::format("{}{}", text.empty() ? "" : " ", more); }

}  // namespace

std::vector<finding> check_config_strings(const evidence& seen) {
  const auto lookup = [&](const char* name) { return seen.variable(name); };
  detail::surroundings where{seen.is_windows, {}};
  for (const device_facts& device : seen.machine.devices)
    if (device.problem.empty()) where.virtual_memory = where.virtual_memory.value_or(true) && device.has_virtual_memory;
  std::vector<finding> found;
  for (const explanation& made : explain_environment(lookup, where)) {
    if (!made.in_force || made.worst() < severity_level::warning) continue;
    finding one{made.worst(), "", "", command_to_use(seen, made)};
    for (const problem& each : made.problems) append(one.why, fmt::format("Column {}: {}.", each.column, each.message));
    std::string idle;
    for (const explained_setting& each : made.settings) {
      if (each.severity < severity_level::warning) continue;
      idle += fmt::format("{}{}:{}", idle.empty() ? "" : ", ", each.what->key, each.value);
      const bool torch = detail::is_pytorch_variable(made.variable);
      append(one.why, fmt::format("{}: {}", each.what->key, torch ? each.pytorch.text : each.here.text));
    }
    if (!made.accepted) one.what = fmt::format("{}='{}' is refused, so that programs stop", made.variable, made.text);
    else if (!made.problems.empty())
      one.what = fmt::format("{}='{}' is taken otherwise than it was meant", made.variable, made.text);
    else one.what = fmt::format("{} has settings that do nothing or harm: {}", made.variable, idle);
    found.push_back(std::move(one));
  }
  return found;
}

}  // namespace terrazzo::tools
