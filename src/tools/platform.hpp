// What the command asks the operating system: the only place of the room that does. Two implementations, of which a
// build compiles one: platform_posix.cpp and platform_windows.cpp.
#pragma once

#include <cstddef>
#include <cstdint>
#include <cstdio>
#include <optional>
#include <string>
#include <utility>
#include <vector>

namespace terrazzo::tools::platform {

#ifdef _WIN32
inline constexpr bool is_windows = true;
#else
inline constexpr bool is_windows = false;
#endif

[[nodiscard]] bool is_terminal(std::FILE* stream);

/// Tells the columns of a terminal: COLUMNS if that is set to a number, else what the terminal says, else 80.
[[nodiscard]] std::size_t terminal_width(std::FILE* stream);

/// Lets a terminal understand colour codes. False if it cannot.
[[nodiscard]] bool enable_colors(std::FILE* stream);

/// Makes a write into a pipe that nobody reads fail, where it would end the process.
void ignore_broken_pipes();

/// Tells the file of this program; empty if the system does not.
[[nodiscard]] std::string executable_path();

[[nodiscard]] std::uint32_t process_id();

/// Names a running process; empty if the system does not tell.
[[nodiscard]] std::string process_name(std::uint32_t pid);

/// All environment variables, sorted by name.
[[nodiscard]] std::vector<std::pair<std::string, std::string>> environment_variables();

/// Tells whether this is a container, such as Docker's; WSL, which runs Linux on Windows; a machine with a device of
/// NVIDIA's. What the system does not tell counts as no.
[[nodiscard]] bool is_container();
[[nodiscard]] bool is_wsl();
[[nodiscard]] bool has_card();

/// Names the distribution as /etc/os-release does ("debian"); empty if there is no telling.
[[nodiscard]] std::string distribution();

/// A file that the CUDA driver opens, as /dev/nvidia0.
struct node {
  std::string path;
  bool is_usable = false;  ///< this user may read and write it
  std::string group;       ///< which may
};
[[nodiscard]] std::vector<node> device_nodes();

/// Bytes of addresses that a process may have; none: no limit.
[[nodiscard]] std::optional<std::uint64_t> address_limit_bytes();

}  // namespace terrazzo::tools::platform
