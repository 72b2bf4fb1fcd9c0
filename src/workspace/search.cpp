#include "workspace/search.hpp"

#include <algorithm>
#include <cstdlib>
#include <filesystem>
#include <system_error>

namespace terrazzo::detail {
namespace {

namespace fs = std::filesystem;

constexpr const char* toolkit = "a toolkit";
constexpr const char* python_packages = "Python packages";

#ifdef _WIN32
constexpr const char* toolkit_folders[] = {"bin/x64", "bin"};
constexpr const char* wheel_folders[] = {"nvidia/cu13/bin/x86_64", "nvidia/cublas/bin", "torch/lib"};
#else
constexpr const char* toolkit_folders[] = {"lib64", "lib", "targets/x86_64-linux/lib", "targets/sbsa-linux/lib"};
constexpr const char* wheel_folders[] = {"nvidia/cu13/lib", "nvidia/cublas/lib", "torch/lib"};
#endif

std::string variable(const char* name) {
  const char* value = std::getenv(name);
  return value != nullptr ? value : "";
}

/// Adds a place, unless it is listed already.
void add(cublas_place place, std::vector<cublas_place>& places) {
  std::error_code ignored;
  for (const cublas_place& known : places)
    if (known.what == place.what && (known.root == place.root || fs::equivalent(known.root, place.root, ignored)))
      return;
  places.push_back(std::move(place));
}

void add_toolkit(const std::string& root, std::vector<cublas_place>& places) {
  if (root.empty()) return;
  cublas_place place{toolkit, root, {}};
  for (const char* inside : toolkit_folders) place.folders.push_back((fs::path(root) / inside).string());
  add(std::move(place), places);
}

void add_wheels(const fs::path& packages, std::vector<std::string>& folders) {
  std::error_code ignored;
  for (const char* inside : wheel_folders) {
    const fs::path folder = packages / inside;
    if (fs::is_directory(folder, ignored)) folders.push_back(folder.string());
  }
}

/// `root` is what Python calls sys.prefix: its packages lie in lib/python3.<minor>/site-packages, on Windows in Lib.
void add_python(const std::string& root, std::vector<cublas_place>& places) {
  if (root.empty()) return;
  cublas_place place{python_packages, root, {}};
  std::error_code error;
#ifdef _WIN32
  add_wheels(fs::path(root) / "Lib" / "site-packages", place.folders);
#else
  std::vector<fs::path> pythons;
  for (fs::directory_iterator entry(fs::path(root) / "lib", error), end; !error && entry != end;
       entry.increment(error)) {
    if (entry->path().filename().string().starts_with("python3")) pythons.push_back(entry->path());
  }
  std::sort(pythons.begin(), pythons.end());  // directory order is chance
  for (const fs::path& python : pythons) {
    add_wheels(python / "site-packages", place.folders);
    add_wheels(python / "dist-packages", place.folders);
  }
#endif
  if (!place.folders.empty()) add(std::move(place), places);
}

}  // namespace

const std::vector<std::string>& cublas_names() {
#ifdef _WIN32
  static const std::vector<std::string> names = {"cublas64_13.dll", "cublas64_12.dll"};
#else
  static const std::vector<std::string> names = {"libcublas.so.13", "libcublas.so.12"};
#endif
  return names;
}

std::vector<std::string> cublas_files_in(const std::string& folder) {
  std::vector<std::string> files;
  std::error_code ignored;
  for (const std::string& name : cublas_names()) {
    const fs::path file = fs::path(folder) / name;
    if (fs::exists(file, ignored)) files.push_back(file.string());
  }
  return files;
}

std::vector<cublas_place> usual_cublas_places() {
  std::vector<cublas_place> places;
  add_toolkit(variable("CUDA_HOME"), places);
  add_toolkit(variable("CUDA_PATH"), places);
#ifndef _WIN32
  add_toolkit("/usr/local/cuda", places);
#endif
  add_python(variable("VIRTUAL_ENV"), places);
  add_python(variable("CONDA_PREFIX"), places);
#ifndef _WIN32
  if (const std::string home = variable("HOME"); !home.empty()) add_python(home + "/.local", places);
  add_python("/usr/local", places);
  add_python("/usr", places);
#endif
  return places;
}

}  // namespace terrazzo::detail
