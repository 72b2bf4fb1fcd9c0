#include <sys/ioctl.h>
#include <unistd.h>

#include <csignal>
#include <cstdlib>
#include <filesystem>
#include <fstream>

#include "tools/platform.hpp"

namespace terrazzo::tools::platform {

bool is_terminal(std::FILE* stream) { return isatty(fileno(stream)) == 1; }

std::size_t terminal_width(std::FILE* stream) {
  if (const char* columns = std::getenv("COLUMNS")) {
    const long told = std::strtol(columns, nullptr, 10);
    if (told > 0) return static_cast<std::size_t>(told);
  }
  winsize size{};
  if (ioctl(fileno(stream), TIOCGWINSZ, &size) == 0 && size.ws_col != 0) return size.ws_col;
  return 80;
}

bool enable_colors(std::FILE*) { return true; }

void ignore_broken_pipes() { std::signal(SIGPIPE, SIG_IGN); }

std::string executable_path() {
  std::error_code error;
  const std::filesystem::path path = std::filesystem::read_symlink("/proc/self/exe", error);
  return error ? std::string() : path.string();
}

std::uint32_t process_id() { return static_cast<std::uint32_t>(getpid()); }

std::string process_name(std::uint32_t pid) {
  std::ifstream file("/proc/" + std::to_string(pid) + "/comm");
  std::string name;
  std::getline(file, name);
  return name;
}

}  // namespace terrazzo::tools::platform
