// The checks of the machine: driver, devices, memory, cuBLAS.
// Sources: CUDA compatibility guide (drivers for CUDA 12 from 525 on, for CUDA 13 from 580 on; older cuBLAS run on newer
// drivers); CUDA on WSL user guide.
#include <fmt/format.h>

#include <algorithm>

#include "base/bytes.hpp"
#include "driver/driver.hpp"
#include "tools/checks.hpp"

namespace terrazzo::tools {
namespace {

using enum severity_level;

bool has(const std::string& text, const char* part) { return text.find(part) != std::string::npos; }

bool is_path(const std::string& name) { return name.find_first_of("/\\") != std::string::npos; }

/// The driver that --driver or the variable names; empty: the system's is meant.
std::string named_driver(const evidence& seen) {
  const char* variable = seen.variable("TERRAZZO_CUDA_DRIVER");
  return !seen.driver_option.empty() ? seen.driver_option : variable != nullptr ? variable : "";
}

bool names_missing_driver(const evidence& seen) {
  const std::string named = named_driver(seen);
  return is_path(named) && !seen.file_exists(named);
}

/// Takes a driver that is named out of the way.
std::string command_to_unname(const evidence& seen) {
  return seen.driver_option.empty() ? command_to_unset(seen, "TERRAZZO_CUDA_DRIVER") : "terrazzo doctor";
}

bool names_missing_cublas(const evidence& seen) {
  const char* named = seen.variable("TERRAZZO_CUBLAS");
  return named != nullptr && is_path(named) && !seen.file_exists(named);
}

std::string command_to_install_driver(const evidence& seen) {
  if (seen.is_windows) return "start https://www.nvidia.com/drivers";
  if (seen.is_wsl) return "explorer.exe https://www.nvidia.com/drivers";
  if (seen.distribution == "ubuntu") return "sudo ubuntu-drivers install";
  if (seen.distribution == "debian") return "sudo apt-get install nvidia-driver";
  if (seen.distribution == "fedora") return "sudo dnf install akmod-nvidia xorg-x11-drv-nvidia-cuda";
  if (seen.distribution == "arch") return "sudo pacman -S nvidia nvidia-utils";
  return "xdg-open https://www.nvidia.com/drivers";
}

std::string software_hint(const evidence& seen) {
  return seen.software_driver.empty() ? "" : " Without a card, the software GPU runs everything that the library does.";
}

finding missing_driver(const evidence& seen) {
  finding found;
  found.what = seen.has_card ? "the CUDA driver is not installed" : "there is neither a CUDA driver nor an NVIDIA card";
  found.why = "Nothing reaches a card without the driver." + software_hint(seen);
  found.command = command_to_install_driver(seen);
  if (seen.is_wsl) {
    found.what = "the CUDA driver is not there";
    found.why = "Under WSL it comes from Windows, in /usr/lib/wsl/lib: install it on Windows, and none in Linux." +
                software_hint(seen);
    if (seen.file_exists("/usr/lib/wsl/lib/libcuda.so.1")) {
      found.why = "It lies in /usr/lib/wsl/lib, where programs do not look.";
      found.command = "export LD_LIBRARY_PATH=/usr/lib/wsl/lib:$LD_LIBRARY_PATH";
    }
  } else if (seen.is_container) {
    found.what = "this container was not given the CUDA driver";
    found.why =
        "The driver of the host is lent to a container by NVIDIA's container toolkit, and only when asked for." +
        software_hint(seen);
    found.command = "docker run --gpus all ...";
  } else if (!seen.has_card && !seen.software_driver.empty()) {
    found.command = command_to_set(seen, "TERRAZZO_CUDA_DRIVER", seen.software_driver);
  }
  return found;
}

finding broken_driver(const evidence& seen) {
  const std::string& problem = seen.machine.driver.problem;
  finding found{error, problem, "The driver is there, but does not start, so that no program reaches a card.",
                seen.is_windows ? "nvidia-smi" : "sudo dmesg | grep -i -E 'nvrm|nvidia'"};
  if (has(named_driver(seen), "softgpu") && seen.variable("TERRAZZO_SOFTGPU") != nullptr) {
    found.why = fmt::format("The software GPU was told '{}' by TERRAZZO_SOFTGPU.", seen.variable("TERRAZZO_SOFTGPU"));
    found.command = command_to_unset(seen, "TERRAZZO_SOFTGPU");
  } else if (!named_driver(seen).empty()) {
    found.why = "A driver that is named is the only one tried.";
    found.command = command_to_unname(seen);
  } else if (has(problem, "CUDA_ERROR_SYSTEM_DRIVER_MISMATCH")) {
    found.why = "The kernel runs another version of the driver than the programs load, as after an update.";
    found.command = "sudo reboot";
  } else if (has(problem, "CUDA_ERROR_NO_DEVICE")) {
    found.what = "the CUDA driver shows no device";
    found.why = "It is loaded, but has no card to offer." + software_hint(seen);
    if (seen.is_container) found.command = "docker run --gpus all ...";
    else if (!seen.is_windows && seen.nodes.empty()) found.command = "sudo nvidia-modprobe -u -c=0";
    else found.command = "nvidia-smi";
  } else if (has(problem, "CUDA_ERROR_UNKNOWN") && !seen.is_windows) {
    found.why = "Mostly the kernel module for compute is not loaded, or was lost when the machine slept.";
    found.command = "sudo modprobe -r nvidia_uvm; sudo modprobe nvidia_uvm";
  }
  return found;
}

}  // namespace

std::vector<finding> check_named_files(const evidence& seen) {
  std::vector<finding> found;
  if (names_missing_driver(seen)) {
    const std::string named = named_driver(seen);
    const bool by_option = !seen.driver_option.empty();
    const bool is_software = has(named, "softgpu") && !seen.software_driver.empty();
    found.push_back(
        {error,
         fmt::format("{} names '{}', which does not exist", by_option ? "--driver" : "TERRAZZO_CUDA_DRIVER", named),
         "A driver that is named is the only one tried; the system's is not.",
         is_software && !by_option ? command_to_set(seen, "TERRAZZO_CUDA_DRIVER", seen.software_driver)
                                   : command_to_unname(seen)});
  }
  if (names_missing_cublas(seen)) {
    found.push_back({error,
                     fmt::format("TERRAZZO_CUBLAS names '{}', which does not exist", seen.variable("TERRAZZO_CUBLAS")),
                     "A cuBLAS that is named is the only one tried; no other is looked for.",
                     command_to_unset(seen, "TERRAZZO_CUBLAS")});
  }
  return found;
}

std::vector<finding> check_device_nodes(const evidence& seen) {
  if (!named_driver(seen).empty() && seen.machine.driver_status == status::ok) return {};  // which needs no node
  for (const platform::node& node : seen.nodes) {
    if (node.is_usable) continue;
    finding found{error, fmt::format("this user may not open {}", node.path),
                  "The CUDA driver reaches the card through it, and sees no device otherwise.",
                  "sudo chmod a+rw /dev/nvidia*"};
    if (!node.group.empty() && node.group != "root") {
      found.why += fmt::format(" Its group is {}; who joins it must log in anew.", node.group);
      found.command = fmt::format("sudo usermod --append --groups {} \"$USER\"", node.group);
    }
    return {found};  // the others have the same cause
  }
  return {};
}

std::vector<finding> check_visible_devices(const evidence& seen) {
  const char* variable = seen.variable("CUDA_VISIBLE_DEVICES");
  if (variable == nullptr) return {};
  const std::string text = variable;
  const auto is_sensible = [](const std::string& entry) {
    if (entry.starts_with("GPU-") || entry.starts_with("MIG-")) return true;
    return !entry.empty() && entry.find_first_not_of("0123456789") == std::string::npos;
  };
  std::string bad;
  std::size_t good = 0;
  bool is_bad = text.empty();
  for (std::size_t at = 0; !is_bad && at <= text.size();) {
    const std::size_t comma = std::min(text.find(',', at), text.size());
    std::string entry = text.substr(at, comma - at);
    entry.erase(0, std::min(entry.find_first_not_of(' '), entry.size()));
    entry.erase(entry.find_last_not_of(' ') + 1);
    is_bad = !is_sensible(entry);
    if (is_bad) bad = entry;
    else ++good;
    at = comma + 1;
  }
  const bool no_device = seen.machine.devices.empty();
  finding found{no_device ? error : warning, "", "", command_to_unset(seen, "CUDA_VISIBLE_DEVICES")};
  if (text.empty() || (is_bad && good == 0)) {
    found.what = text.empty() ? "CUDA_VISIBLE_DEVICES is set and empty"
                              : fmt::format("CUDA_VISIBLE_DEVICES is '{}', which begins with no device", text);
    found.why = "CUDA hides all devices from every program of this environment.";
    return {found};
  }
  if (is_bad) {
    found.severity = warning;
    found.what = fmt::format("CUDA_VISIBLE_DEVICES is '{}': '{}' is no device", text, bad);
    found.why = fmt::format("CUDA takes the list up to there, {} of it, and hides all other devices.", good);
    return {found};
  }
  if (no_device && has(seen.machine.driver.problem, "CUDA_ERROR_NO_DEVICE")) {
    found.what = fmt::format("CUDA_VISIBLE_DEVICES is '{}', and no device is left", text);
    found.why = "It names devices that this machine does not have; CUDA then hides all others too.";
    return {found};
  }
  return {};
}

std::vector<finding> check_driver(const evidence& seen) {
  const machine_facts& machine = seen.machine;
  switch (machine.driver_status) {
    case status::ok:
      break;
    case status::driver_not_found:
      if (names_missing_driver(seen)) return {};  // told already
      if (named_driver(seen).empty()) return {missing_driver(seen)};
      return {
          {error, machine.driver.problem, "A driver that is named is the only one tried.", command_to_unname(seen)}};
    case status::driver_too_old:
      return {{error, machine.driver.problem, "terrazzo needs a driver for CUDA 12, which is 525 or newer.",
               named_driver(seen).empty() ? command_to_install_driver(seen) : command_to_unname(seen)}};
    default: {
      const bool explained = !check_visible_devices(seen).empty() || !check_device_nodes(seen).empty();
      if (explained && has(machine.driver.problem, "CUDA_ERROR_NO_DEVICE")) return {};
      return {broken_driver(seen)};
    }
  }
  std::vector<finding> found;
  if (machine.driver.version < 12000) {
    found.push_back({error,
                     fmt::format("the CUDA driver '{}' is for CUDA {}", machine.driver.path,
                                 detail::cuda_version_text(machine.driver.version)),
                     "cuBLAS 12 and 13 need a driver for CUDA 12 (525 or newer) and CUDA 13 (580 or newer).",
                     command_to_install_driver(seen)});
  }
  return found;
}

std::vector<finding> check_devices_open(const evidence& seen) {
  std::vector<finding> found;
  for (const device_facts& device : seen.machine.devices) {
    if (device.problem.empty()) continue;
    finding one{error, fmt::format("device {} cannot be used: {}", device.ordinal, device.problem),
                "No program can make a context on it.", "nvidia-smi"};
    if (has(device.problem, "CUDA_ERROR_DEVICE_UNAVAILABLE")) {
      one.why = "Another process has it for itself, or it is set to serve nobody.";
      one.command = fmt::format("sudo nvidia-smi -i {} -c DEFAULT", device.ordinal);
    } else if (has(device.problem, "CUDA_ERROR_OUT_OF_MEMORY")) {
      one.why = "Its memory is so full that not even a context fits.";
    }
    found.push_back(std::move(one));
  }
  return found;
}

std::vector<finding> check_address_limit(const evidence& seen) {
  if (!seen.address_limit_bytes) return {};
  std::size_t largest = 0;
  for (const device_facts& device : seen.machine.devices) largest = std::max(largest, device.total_bytes);
  const std::uint64_t wanted = 2 * std::uint64_t{largest};
  if (*seen.address_limit_bytes > wanted && largest != 0) return {};
  finding found{warning,
                fmt::format("a process may have {} of addresses (ulimit -v)",
                            detail::format_bytes(static_cast<std::size_t>(*seen.address_limit_bytes))),
                "CUDA reserves far more addresses than memory, and terrazzo twice the device's memory: reservations "
                "fail, and plain segments are used instead.",
                "ulimit -v unlimited"};
  return {found};
}

std::vector<finding> check_mapping(const evidence& seen) {
  std::vector<finding> found;
  for (const device_facts& device : seen.machine.devices) {
    if (!device.problem.empty() || device.has_virtual_memory) continue;
    finding one{warning, fmt::format("device {} cannot map memory: {}", device.ordinal, device.virtual_memory_reason),
                "terrazzo then cuts blocks from plain segments, where free memory in pieces cannot be joined.",
                command_to_install_driver(seen)};
    if (!has(device.virtual_memory_reason, "the driver has no virtual memory management")) {
      one.why += " Where the device cannot do it, saying so ends this warning.";
      one.command = command_to_set(seen, "TERRAZZO_ALLOC_CONF", "expandable_segments:False");
      const char* own = seen.variable("TERRAZZO_ALLOC_CONF");
      if (own != nullptr && has(own, "expandable_segments:False")) continue;
    }
    found.push_back(std::move(one));
  }
  return found;
}

std::vector<finding> check_cublas(const evidence& seen) {
  const library_facts& cublas = seen.machine.cublas;
  const int driver_major = seen.machine.driver.version / 1000;
  const std::string python = seen.is_windows ? "py" : "python3";
  const auto install = [&](int major) {
    return fmt::format("{} -m pip install {}", python, major >= 13 ? "nvidia-cublas" : "nvidia-cublas-cu12");
  };
  if (!cublas.problem.empty()) {
    if (names_missing_cublas(seen)) return {};  // told already
    // What the machine lacks comes without the list of places that were looked at.
    const std::string what = cublas.problem.substr(0, cublas.problem.find(": install"));
    if (seen.variable("TERRAZZO_CUBLAS") != nullptr)
      return {
          {error, what, "A cuBLAS that is named is the only one tried.", command_to_unset(seen, "TERRAZZO_CUBLAS")}};
    return {{warning, what,
             "Memory works without it; workspaces and handles do not. Programs that bring their own, as PyTorch does, "
             "have it loaded before terrazzo looks.",
             install(driver_major == 0 ? 13 : driver_major)}};
  }
  const int major = cublas.version / 10000;
  if (driver_major >= 12 && major > driver_major) {
    return {{error,
             fmt::format("cuBLAS {} ('{}') is newer than the driver, which is for CUDA {}",
                         cublas_version_text(cublas.version), cublas.path,
                         detail::cuda_version_text(seen.machine.driver.version)),
             fmt::format("cuBLAS {} needs a driver for CUDA {}; cublasCreate fails with an older one.", major, major),
             install(driver_major)}};
  }
  return {};
}

std::vector<finding> check_free_memory(const evidence& seen) {
  std::vector<finding> found;
  for (const device_facts& device : seen.machine.devices) {
    if (!device.problem.empty()) continue;
    const std::size_t others = device.others_bytes();
    if (device.free_bytes >= device.total_bytes / 10 || others < device.total_bytes / 2) continue;
    finding one{warning,
                fmt::format("device {} is almost full: {} of {} are free, others hold {}", device.ordinal,
                            detail::format_bytes(device.free_bytes), detail::format_bytes(device.total_bytes),
                            detail::format_bytes(others)),
                "", "nvidia-smi"};
    std::string names;
    const memory_holder* largest = nullptr;
    if (device.holders) {
      for (const memory_holder& holder : *device.holders) {
        if (holder.is_this_command) continue;
        if (largest == nullptr) largest = &holder;
        names += fmt::format("{}{} (process {}{})", names.empty() ? "" : ", ",
                             holder.name.empty() ? "a process without a name" : holder.name, holder.pid,
                             holder.bytes ? ", " + detail::format_bytes(*holder.bytes) : "");
      }
    }
    one.why = names.empty() ? "What they hold nobody else can have, and the system does not tell who they are."
                            : "What they hold nobody else can have: " + names + ".";
    if (largest != nullptr) {
      one.why += " Ending a process loses its work.";
      one.command =
          seen.is_windows ? fmt::format("taskkill /PID {}", largest->pid) : fmt::format("kill {}", largest->pid);
    }
    found.push_back(std::move(one));
  }
  return found;
}

std::vector<finding> check_wsl(const evidence& seen) {
  if (!seen.is_wsl) return {};
  return {{note, "this is WSL2",
           "It does not tell which processes hold a device's memory, and Windows' own use counts too.",
           "nvidia-smi.exe"}};
}

}  // namespace terrazzo::tools
