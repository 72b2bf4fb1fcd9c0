#include <io.h>
#include <windows.h>

#include <algorithm>
#include <cstdlib>
#include <cstring>

#include "tools/platform.hpp"

namespace terrazzo::tools::platform {
namespace {

HANDLE handle_of(std::FILE* stream) { return reinterpret_cast<HANDLE>(_get_osfhandle(_fileno(stream))); }

}  // namespace

bool is_terminal(std::FILE* stream) {
  DWORD mode = 0;  // _isatty says yes to every character device, NUL among them
  return GetConsoleMode(handle_of(stream), &mode) != 0;
}

std::size_t terminal_width(std::FILE* stream) {
  CONSOLE_SCREEN_BUFFER_INFO info;
  if (GetConsoleScreenBufferInfo(handle_of(stream), &info))
    return static_cast<std::size_t>(info.srWindow.Right - info.srWindow.Left + 1);
  return 80;
}

bool enable_colors(std::FILE* stream) {
  DWORD mode = 0;
  if (!GetConsoleMode(handle_of(stream), &mode)) return false;
  constexpr DWORD understands_codes = 0x0004;  // ENABLE_VIRTUAL_TERMINAL_PROCESSING, which older headers lack
  return SetConsoleMode(handle_of(stream), mode | understands_codes) != 0;
}

void ignore_broken_pipes() {}  // a write fails anyway

std::string executable_path() {
  char text[MAX_PATH];
  const DWORD length = GetModuleFileNameA(nullptr, text, MAX_PATH);
  return length == 0 || length == MAX_PATH ? std::string() : std::string(text, length);
}

std::uint32_t process_id() { return GetCurrentProcessId(); }

std::string process_name(std::uint32_t pid) {
  HANDLE process = OpenProcess(PROCESS_QUERY_LIMITED_INFORMATION, FALSE, pid);
  if (process == nullptr) return {};
  char text[MAX_PATH];
  DWORD length = MAX_PATH;
  const bool told = QueryFullProcessImageNameA(process, 0, text, &length) != 0;
  CloseHandle(process);
  return told ? std::string(text, length) : std::string();
}

std::vector<std::pair<std::string, std::string>> environment_variables() {
  std::vector<std::pair<std::string, std::string>> variables;
  char* const block = GetEnvironmentStringsA();
  for (const char* at = block; at != nullptr && *at != '\0'; at += std::strlen(at) + 1) {
    const std::string text = at;
    const std::size_t equals = text.find('=', 1);  // "=C:" is the current folder of a drive
    if (equals != std::string::npos && text[0] != '=')
      variables.emplace_back(text.substr(0, equals), text.substr(equals + 1));
  }
  FreeEnvironmentStringsA(block);
  std::sort(variables.begin(), variables.end());
  return variables;
}

bool is_container() { return false; }
bool is_wsl() { return false; }
bool has_card() { return true; }  // not asked: who has none learns that from the driver's web page
std::string distribution() { return {}; }
std::vector<node> device_nodes() { return {}; }
std::optional<std::uint64_t> address_limit_bytes() { return std::nullopt; }

}  // namespace terrazzo::tools::platform
