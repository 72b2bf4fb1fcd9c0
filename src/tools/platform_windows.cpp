#include <io.h>
#include <windows.h>

#include <cstdlib>

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

}  // namespace terrazzo::tools::platform
