// A shared library opened at run time: dlopen or LoadLibrary behind one face.
// Opened libraries are never closed: addresses of their functions live on in tables, and closing a CUDA library while
// its threads run, or at process exit, crashes in practice.
#pragma once

#include <string>

namespace terrazzo::detail {

class shared_library {
 public:
  shared_library() = default;

  /// Opens the library at a path, or by name along the system's search path. An empty handle on failure, with `reason`
  /// set.
  [[nodiscard]] static shared_library open(const std::string& path_or_name, std::string& reason);

  /// Takes a library that the program has loaded already, by name; an empty handle if it has not.
  [[nodiscard]] static shared_library already_loaded(const std::string& name);

  [[nodiscard]] explicit operator bool() const noexcept { return handle_ != nullptr; }
  [[nodiscard]] const std::string& path() const noexcept { return path_; }

  /// Looks a symbol up; null if the library has none of that name.
  [[nodiscard]] void* symbol(const char* name) const noexcept;

 private:
  void* handle_ = nullptr;
  std::string path_;  // the file it was opened from, where the system tells, else what was asked for
};

/// Folder part of a path, "" if it has none.
[[nodiscard]] std::string folder_of(const std::string& path);

}  // namespace terrazzo::detail
