#include <grp.h>
#include <sys/ioctl.h>
#include <sys/resource.h>
#include <sys/stat.h>
#include <unistd.h>

#include <algorithm>
#include <csignal>
#include <cstdlib>
#include <filesystem>
#include <fstream>

#include "tools/platform.hpp"

namespace terrazzo::tools::platform {

namespace fs = std::filesystem;

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
  const fs::path path = fs::read_symlink("/proc/self/exe", error);
  return error ? std::string() : path.string();
}

std::uint32_t process_id() { return static_cast<std::uint32_t>(getpid()); }

std::string process_name(std::uint32_t pid) {
  std::ifstream file("/proc/" + std::to_string(pid) + "/comm");
  std::string name;
  std::getline(file, name);
  return name;
}

std::vector<std::pair<std::string, std::string>> environment_variables() {
  std::vector<std::pair<std::string, std::string>> variables;
  for (char** at = environ; at != nullptr && *at != nullptr; ++at) {
    const std::string text = *at;
    const std::size_t equals = text.find('=');
    if (equals != std::string::npos) variables.emplace_back(text.substr(0, equals), text.substr(equals + 1));
  }
  std::sort(variables.begin(), variables.end());
  return variables;
}

namespace {

std::string first_line(const std::string& path) {
  std::ifstream file(path);
  std::string line;
  std::getline(file, line);
  return line;
}

}  // namespace

bool is_container() {
  std::error_code ignored;
  return fs::exists("/.dockerenv", ignored) || fs::exists("/run/.containerenv", ignored);
}

bool is_wsl() { return first_line("/proc/version").find("icrosoft") != std::string::npos; }

bool has_card() {
  std::error_code error;
  for (fs::directory_iterator entry("/sys/bus/pci/devices", error), end; !error && entry != end;
       entry.increment(error)) {
    // NVIDIA's vendor number, and the class of a display controller.
    if (first_line(entry->path() / "vendor") == "0x10de" && first_line(entry->path() / "class").starts_with("0x03"))
      return true;
  }
  return false;
}

std::string distribution() {
  std::ifstream file("/etc/os-release");
  for (std::string line; std::getline(file, line);) {
    if (!line.starts_with("ID=")) continue;
    std::string id = line.substr(3);
    std::erase(id, '"');
    return id;
  }
  return {};
}

std::vector<node> device_nodes() {
  std::vector<node> nodes;
  std::error_code error;
  for (fs::directory_iterator entry("/dev", error), end; !error && entry != end; entry.increment(error)) {
    const std::string name = entry->path().filename().string();
    // nvidia-uvm is for compute; the others beside nvidia<number> and nvidiactl are for displays and administrators.
    const bool is_card =
        name.starts_with("nvidia") && name.size() > 6 && name.find_first_not_of("0123456789", 6) == std::string::npos;
    if (!is_card && name != "nvidiactl" && name != "nvidia-uvm") continue;
    node made{entry->path().string(), access(entry->path().c_str(), R_OK | W_OK) == 0, {}};
    struct stat info {};
    if (stat(made.path.c_str(), &info) == 0) {
      if (const group* owner = getgrgid(info.st_gid)) made.group = owner->gr_name;
    }
    nodes.push_back(std::move(made));
  }
  std::sort(nodes.begin(), nodes.end(), [](const node& a, const node& b) { return a.path < b.path; });
  return nodes;
}

std::optional<std::uint64_t> address_limit_bytes() {
  rlimit limit{};
  if (getrlimit(RLIMIT_AS, &limit) != 0 || limit.rlim_cur == RLIM_INFINITY) return std::nullopt;
  return limit.rlim_cur;
}

}  // namespace terrazzo::tools::platform
