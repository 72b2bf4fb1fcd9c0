// cuBLAS as terrazzo uses it: found at run time, so that one build serves CUDA 12 and 13 and the software GPU.
// Threads: immutable after `load`. Never unloaded.
#pragma once

#include <functional>
#include <memory>
#include <string>
#include <string_view>

#include "base/shared_library.hpp"
#include "driver/driver.hpp"
#include "terrazzo/status.hpp"
#include "workspace/functions.hpp"

namespace terrazzo::detail {

class cublas {
 public:
  /// Finds and opens cuBLAS, in this order:
  ///   1. `path`, else the variable TERRAZZO_CUBLAS: that file or nothing;
  ///   2. beside `driver_path`, the CUDA driver's file if that was chosen by path ("" if not): whoever drives the
  ///      software driver gets the software cuBLAS, even where the program has loaded, or the machine has, NVIDIA's;
  ///   3. a cuBLAS that the program has loaded already;
  ///   4. by name, along the system's search path;
  ///   5. in the usual folders (see search.hpp).
  /// Errors: library_not_found, naming what was searched, or the missing function.
  [[nodiscard]] static status load(const std::string& path, const std::string& driver_path,
                                   std::shared_ptr<const cublas>& result);

  /// Does the same over any source of entry points; `origin` names it in messages.
  [[nodiscard]] static status load_from(const symbol_lookup& lookup, const std::string& origin,
                                        std::shared_ptr<const cublas>& result);

  [[nodiscard]] const cublas_functions& functions() const noexcept { return functions_; }

  /// As CUBLAS_VERSION counts: 130100 is 13.1.0.
  [[nodiscard]] int version() const noexcept { return version_; }
  /// The file it came from.
  [[nodiscard]] const std::string& origin() const noexcept { return origin_; }
  /// Looks any exported function up; null if there is none of that name.
  [[nodiscard]] void* symbol(const char* name) const { return lookup_(name); }

  /// Names a status, as in "CUBLAS_STATUS_ALLOC_FAILED (3)".
  [[nodiscard]] std::string name(cublasStatus_t code) const;

  /// Keeps "cublasCreate failed while ...: CUBLAS_STATUS_... (sentence)" as the last error and returns `library_error`.
  status fail_call(const char* function, cublasStatus_t code, std::string_view purpose) const noexcept;

 private:
  cublas() = default;
  cublas_functions functions_;
  int version_ = 0;
  std::string origin_;
  symbol_lookup lookup_;
};

}  // namespace terrazzo::detail
