#include "tools/checks.hpp"

#include <fmt/format.h>

#include <algorithm>
#include <cctype>
#include <filesystem>

namespace terrazzo::tools {
namespace {

constexpr check table[] = {
    {"named-files", check_named_files},
    {"device-nodes", check_device_nodes},
    {"visible-devices", check_visible_devices},
    {"driver", check_driver},
    {"devices", check_devices_open},
    {"address-limit", check_address_limit},
    {"mapping", check_mapping},
    {"cublas", check_cublas},
    {"free-memory", check_free_memory},
    {"config-strings", check_config_strings},
    {"config-variables", check_config_variables},
    {"misspelt-variables", check_misspelt_variables},
    {"other-variables", check_other_variables},
    {"wsl", check_wsl},
};

/// Quotes for sh, if it must be.
std::string quoted(const std::string& text) {
  if (!text.empty() &&
      text.find_first_not_of("abcdefghijklmnopqrstuvwxyzABCDEFGHIJKLMNOPQRSTUVWXYZ0123456789_-+./:,=%@") ==
          std::string::npos)
    return text;
  std::string out = "'";
  for (const char letter : text) {
    if (letter == '\'') out += "'\\''";
    else out += letter;
  }
  return out + "'";
}

/// A name that a shell takes as that of a variable, unquoted.
bool is_identifier(const std::string& name) {
  return !name.empty() && !std::isdigit(static_cast<unsigned char>(name.front())) &&
         name.find_first_not_of("abcdefghijklmnopqrstuvwxyzABCDEFGHIJKLMNOPQRSTUVWXYZ0123456789_") == std::string::npos;
}

}  // namespace

const char* evidence::variable(const std::string& name) const {
  const auto same = [this](unsigned char a, unsigned char b) {  // Windows' names have no case
    return is_windows ? std::toupper(a) == std::toupper(b) : a == b;
  };
  for (const auto& [known, value] : variables) {
    if (std::equal(known.begin(), known.end(), name.begin(), name.end(), same)) return value.c_str();
  }
  return nullptr;
}

evidence gather_evidence(const std::string& driver_option) {
  evidence seen;
  seen.driver_option = driver_option;
  seen.machine = look_at_machine(driver_option);
  seen.variables = platform::environment_variables();
  seen.is_windows = platform::is_windows;
  seen.is_container = platform::is_container();
  seen.is_wsl = platform::is_wsl();
  seen.has_card = platform::has_card();
  seen.distribution = platform::distribution();
  seen.nodes = platform::device_nodes();
  seen.address_limit_bytes = platform::address_limit_bytes();
  seen.software_driver = software_driver_path();
  seen.file_exists = [](const std::string& path) {
    std::error_code ignored;
    return std::filesystem::exists(path, ignored);
  };
  return seen;
}

std::span<const check> all_checks() noexcept { return table; }

std::vector<finding> run_checks(const evidence& seen) {
  std::vector<finding> all;
  for (const check& one : table) {
    for (finding& found : one.run(seen)) {
      found.check = one.id;
      all.push_back(std::move(found));
    }
  }
  std::stable_sort(all.begin(), all.end(), [](const finding& a, const finding& b) { return a.severity > b.severity; });
  return all;
}

std::string command_to_set(const evidence& seen, const std::string& name, const std::string& value) {
  if (seen.is_windows) return fmt::format("set \"{}={}\"", name, value);
  return fmt::format("export {}={}", name, quoted(value));
}

std::string command_to_unset(const evidence& seen, const std::string& name) {
  if (!is_identifier(name)) return {};
  return seen.is_windows ? fmt::format("set \"{}=\"", name) : fmt::format("unset {}", name);
}

}  // namespace terrazzo::tools
