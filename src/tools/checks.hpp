// What `doctor` checks: a table of checks, each a function from evidence to findings. The evidence is gathered once,
// before, so that a check asks nobody and can be tested with evidence made by hand.
//
//   finding   what is wrong, why it matters, and one command that mends it
//   severity  error: what terrazzo is for does not work; warning: it works worse than it could, or a variable does not
//             do what was meant; note: good to know, and no reason to exit with 1
#pragma once

#include <cstdint>
#include <functional>
#include <optional>
#include <span>
#include <string>
#include <utility>
#include <vector>

#include "tools/machine.hpp"
#include "tools/platform.hpp"
#include "workspace/variables.hpp"

namespace terrazzo::tools {

using detail::severity_level;

struct finding {
  severity_level severity = severity_level::error;
  std::string what;     ///< one clause, with the thing and its value
  std::string why;      ///< why it matters, in a sentence or two
  std::string command;  ///< what to run next, where one command mends it or tells more; else empty
  const char* check = "";
};

struct evidence {
  machine_facts machine;
  std::string driver_option;  ///< --driver; empty if it was not given
  std::vector<std::pair<std::string, std::string>> variables;

  bool is_windows = false;
  bool is_container = false;
  bool is_wsl = false;
  bool has_card = false;     ///< the machine has a device of NVIDIA's, whether or not a driver knows it
  std::string distribution;  ///< as ID in /etc/os-release: "debian"
  std::vector<platform::node> nodes;
  std::optional<std::uint64_t> address_limit_bytes;  ///< none: unlimited
  std::string software_driver;                       ///< the software GPU's driver; empty if it is not there
  std::function<bool(const std::string& path)> file_exists = [](const std::string&) { return false; };

  /// A variable's value; null if it is not set.
  [[nodiscard]] const char* variable(const std::string& name) const;
};

/// Looks at this machine and environment.
[[nodiscard]] evidence gather_evidence(const std::string& driver_option);

struct check {
  const char* id;
  std::vector<finding> (*run)(const evidence& seen);
};

/// All checks, those that explain others first: of equally severe findings theirs come first.
[[nodiscard]] std::span<const check> all_checks() noexcept;

/// Runs them all; most severe findings first, then in the order of the table.
[[nodiscard]] std::vector<finding> run_checks(const evidence& seen);

// The checks' functions: machine_checks.cpp, config_checks.cpp, variable_checks.cpp.
[[nodiscard]] std::vector<finding> check_named_files(const evidence& seen);
[[nodiscard]] std::vector<finding> check_visible_devices(const evidence& seen);
[[nodiscard]] std::vector<finding> check_device_nodes(const evidence& seen);
[[nodiscard]] std::vector<finding> check_driver(const evidence& seen);
[[nodiscard]] std::vector<finding> check_address_limit(const evidence& seen);
[[nodiscard]] std::vector<finding> check_devices_open(const evidence& seen);
[[nodiscard]] std::vector<finding> check_mapping(const evidence& seen);
[[nodiscard]] std::vector<finding> check_cublas(const evidence& seen);
[[nodiscard]] std::vector<finding> check_free_memory(const evidence& seen);
[[nodiscard]] std::vector<finding> check_wsl(const evidence& seen);
[[nodiscard]] std::vector<finding> check_config_strings(const evidence& seen);
[[nodiscard]] std::vector<finding> check_config_variables(const evidence& seen);
[[nodiscard]] std::vector<finding> check_misspelt_variables(const evidence& seen);
[[nodiscard]] std::vector<finding> check_other_variables(const evidence& seen);

// Commands for the shell that the evidence's system has: sh, or Windows' cmd.
[[nodiscard]] std::string command_to_set(const evidence& seen, const std::string& name, const std::string& value);
[[nodiscard]] std::string command_to_unset(const evidence& seen, const std::string& name);

}  // namespace terrazzo::tools
