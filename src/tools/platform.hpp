// What the command asks the operating system: the only place of the room that does. Two implementations, of which a
// build compiles one: platform_posix.cpp and platform_windows.cpp.
#pragma once

#include <cstddef>
#include <cstdint>
#include <cstdio>
#include <string>

namespace terrazzo::tools::platform {

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

}  // namespace terrazzo::tools::platform
