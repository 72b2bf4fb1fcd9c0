#include "workspace/cublas.hpp"

#include <cstdlib>
#include <new>
#include <vector>

#include "base/failure.hpp"
#include "workspace/search.hpp"

namespace terrazzo::detail {
namespace {

enum class function_use { needed, optional };

std::string version_text(int version) { return fmt::format("{}.{}", version / 10000, version % 10000 / 100); }

/// Opens the first of `files` that can be opened; what stood in the way of the others is added to `tried`, unless they
/// are just not there.
shared_library open_first(const std::vector<std::string>& files, std::string& tried) {
  for (const std::string& file : files) {
    std::string reason;
    shared_library library = shared_library::open(file, reason);
    if (library) return library;
    if (reason.starts_with(file + ": cannot open shared object file: No such file")) continue;
    tried += fmt::format("; '{}': {}", file, reason);
  }
  return {};
}

shared_library find(const std::string& driver_path, std::string& tried) {
  if (const std::string folder = folder_of(driver_path); !folder.empty()) {
    tried += fmt::format("; beside the CUDA driver, in '{}'", folder);
    if (shared_library library = open_first(cublas_files_in(folder), tried)) return library;
  }
  tried += "; among the program's libraries";
  for (const std::string& name : cublas_names()) {
    if (shared_library library = shared_library::already_loaded(name)) return library;
  }
  if (shared_library library = open_first(cublas_names(), tried)) return library;
  for (const cublas_place& place : usual_cublas_places()) {
    tried += fmt::format("; for {} in '{}'", place.what, place.root);
    for (const std::string& folder : place.folders)
      if (shared_library library = open_first(cublas_files_in(folder), tried)) return library;
  }
  return {};
}

}  // namespace

status cublas::load(const std::string& path, const std::string& driver_path, std::shared_ptr<const cublas>& result) {
  try {
    std::string chosen = path;
    if (chosen.empty()) {
      if (const char* variable = std::getenv("TERRAZZO_CUBLAS")) chosen = variable;
    }
    shared_library library;
    if (!chosen.empty()) {
      std::string reason;
      library = shared_library::open(chosen, reason);
      if (!library) {
        return fail(status::library_not_found,
                    "the cuBLAS library '{}'{} cannot be loaded: {}; give another path, or none", chosen,
                    path.empty() ? " (from TERRAZZO_CUBLAS)" : "", reason);
      }
    } else {
      std::string tried;
      library = find(driver_path, tried);
      if (!library) {
        return fail(
            status::library_not_found,
            "no cuBLAS library was found: install CUDA 12 or 13, or set TERRAZZO_CUBLAS to the path of {}; looked{}",
            cublas_names().front(), tried.substr(1));
      }
    }
    return load_from([library](const char* name) { return library.symbol(name); }, library.path(), result);
  } catch (const std::bad_alloc&) {
    return fail(status::out_of_host_memory, "no host memory to load cuBLAS");
  }
}

status cublas::load_from(const symbol_lookup& lookup, const std::string& origin,
                         std::shared_ptr<const cublas>& result) {
  std::shared_ptr<cublas> made;
  try {
    made.reset(new cublas);
    made->origin_ = origin;
    made->lookup_ = lookup;
  } catch (const std::bad_alloc&) {
    return fail(status::out_of_host_memory, "no host memory to load the cuBLAS library '{}'", origin);
  }
  cublas_functions& table = made->functions_;
  const char* missing = nullptr;
  int missing_since = 0;
  const auto take = [&](auto& slot, const char* name, int since, function_use use) {
    slot = reinterpret_cast<std::remove_reference_t<decltype(slot)>>(lookup(name));
    if (slot != nullptr || use == function_use::optional || missing != nullptr) return;
    missing = name;
    missing_since = since;
  };
#define TERRAZZO_TAKE_FUNCTION(name, since, use) take(table.name, #name, since, function_use::use);
  TERRAZZO_CUBLAS_FUNCTIONS(TERRAZZO_TAKE_FUNCTION)
#undef TERRAZZO_TAKE_FUNCTION

  if (table.cublasGetProperty != nullptr) {
    int major = 0, minor = 0, patch = 0;
    table.cublasGetProperty(MAJOR_VERSION, &major);
    table.cublasGetProperty(MINOR_VERSION, &minor);
    table.cublasGetProperty(PATCH_LEVEL, &patch);
    made->version_ = major * 10000 + minor * 100 + patch;
  }
  if (missing != nullptr) {
    return fail(
        status::library_not_found,
        "the cuBLAS library '{}' (version {}) has no function {}, which versions from {} on have: install a newer one",
        origin, made->version_ == 0 ? "unknown" : version_text(made->version_), missing, version_text(missing_since));
  }
  result = std::move(made);
  return status::ok;
}

std::string cublas::name(cublasStatus_t code) const {
  const char* text = functions_.cublasGetStatusName != nullptr ? functions_.cublasGetStatusName(code) : nullptr;
  return fmt::format("{} ({})", text != nullptr ? text : "cuBLAS status", static_cast<int>(code));
}

status cublas::fail_call(const char* function, cublasStatus_t code, std::string_view purpose) const noexcept {
  try {
    const char* sentence =
        functions_.cublasGetStatusString != nullptr ? functions_.cublasGetStatusString(code) : nullptr;
    return fail(status::library_error, "{} failed while {}: {}{}{}", function, purpose, name(code),
                sentence != nullptr ? ", " : "", sentence != nullptr ? sentence : "");
  } catch (const std::bad_alloc&) {
    return fail(status::library_error, "{} failed: cuBLAS status {}", function, static_cast<int>(code));
  }
}

}  // namespace terrazzo::detail
