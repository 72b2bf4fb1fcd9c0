#include "base/shared_library.hpp"

#ifdef _WIN32
#include <windows.h>
#else
#include <dlfcn.h>
#include <link.h>
#endif

#include <filesystem>

namespace terrazzo::detail {

#ifdef _WIN32

namespace {
std::string file_of(HMODULE module, const std::string& fallback) {
  char text[MAX_PATH];
  const DWORD length = GetModuleFileNameA(module, text, MAX_PATH);
  return length == 0 || length == MAX_PATH ? fallback : std::string(text, length);
}
}  // namespace

shared_library shared_library::open(const std::string& path_or_name, std::string& reason) {
  shared_library library;
  HMODULE module = LoadLibraryA(path_or_name.c_str());
  if (module == nullptr) {
    reason = "LoadLibrary error " + std::to_string(GetLastError());
    return library;
  }
  library.handle_ = reinterpret_cast<void*>(module);
  library.path_ = file_of(module, path_or_name);
  return library;
}

shared_library shared_library::already_loaded(const std::string& name) {
  shared_library library;
  HMODULE module = nullptr;
  if (GetModuleHandleExA(GET_MODULE_HANDLE_EX_FLAG_PIN, name.c_str(), &module)) {
    library.handle_ = reinterpret_cast<void*>(module);
    library.path_ = file_of(module, name);
  }
  return library;
}

void* shared_library::symbol(const char* name) const noexcept {
  return reinterpret_cast<void*>(GetProcAddress(reinterpret_cast<HMODULE>(handle_), name));
}

#else

namespace {
std::string file_of(void* handle, const std::string& fallback) {
  link_map* map = nullptr;
  if (dlinfo(handle, RTLD_DI_LINKMAP, &map) != 0 || map == nullptr || map->l_name == nullptr || *map->l_name == '\0')
    return fallback;
  return map->l_name;
}
}  // namespace

shared_library shared_library::open(const std::string& path_or_name, std::string& reason) {
  shared_library library;
  // Opening a pipe would wait for somebody who writes. A name without a folder is not looked for in the current one.
  std::error_code ignored;
  if (!folder_of(path_or_name).empty() && std::filesystem::exists(path_or_name, ignored) &&
      !std::filesystem::is_regular_file(path_or_name, ignored)) {
    reason = "it is no regular file";
    return library;
  }
  library.handle_ = dlopen(path_or_name.c_str(), RTLD_NOW | RTLD_LOCAL);
  if (library.handle_ == nullptr) {
    const char* message = dlerror();
    reason = message != nullptr ? message : "unknown dlopen error";
    return library;
  }
  library.path_ = file_of(library.handle_, path_or_name);
  return library;
}

shared_library shared_library::already_loaded(const std::string& name) {
  shared_library library;
  library.handle_ = dlopen(name.c_str(), RTLD_NOW | RTLD_LOCAL | RTLD_NOLOAD);
  if (library.handle_ != nullptr) library.path_ = file_of(library.handle_, name);
  return library;
}

void* shared_library::symbol(const char* name) const noexcept { return dlsym(handle_, name); }

#endif

std::string folder_of(const std::string& path) { return std::filesystem::path(path).parent_path().string(); }

}  // namespace terrazzo::detail
