// Room driver/: the seam between terrazzo and CUDA. A driver is a table of entry points (functions.hpp) taken from
// libcuda.so.1, nvcuda.dll, or the path in TERRAZZO_CUDA_DRIVER; nothing here is linked against CUDA. Rooms above call
// the functions through `driver::call`, which counts them, so that "no driver call" can be shown on any machine.
//
//   feature     a group of functions that are all there, or off together
//   primary     a device's primary context, retained as long as somebody holds it: the one that the CUDA runtime,
//   context     cuBLAS and PyTorch use, so that addresses are valid in all of them
//
// Invariants: every needed function is non-null; functions of a feature are all null or none is.
// Threads: a driver is immutable after `load`, its call counter aside. It is never unloaded.
#pragma once

#include <atomic>
#include <cstdint>
#include <functional>
#include <memory>
#include <string>
#include <string_view>

#include "driver/functions.hpp"
#include "terrazzo/status.hpp"

namespace terrazzo::detail {

/// Looks an exported name up; null if there is none.
using symbol_lookup = std::function<void*(const char* name)>;

/// Prints a version as the driver counts it: 13000 is "13.0".
[[nodiscard]] std::string cuda_version_text(int version);

class driver {
 public:
  /// The library's name, the same for the system's driver and for the software GPU.
#ifdef _WIN32
  static constexpr const char* file_name = "nvcuda.dll";
#else
  static constexpr const char* file_name = "libcuda.so.1";
#endif

  /// Loads and initialises a driver: from `path` if it is not empty, else from TERRAZZO_CUDA_DRIVER if that is set,
  /// else the system's. Errors: driver_not_found, driver_too_old, driver_error. Cost: opens a library; cuInit.
  [[nodiscard]] static status load(const std::string& path, std::shared_ptr<const driver>& result);

  /// Does the same over any source of entry points; `origin` names it in messages.
  [[nodiscard]] static status load_from(const symbol_lookup& lookup, const std::string& origin, bool chosen_by_path,
                                        std::shared_ptr<const driver>& result);

  driver(const driver&) = delete;
  driver& operator=(const driver&) = delete;

  [[nodiscard]] const driver_functions& functions() const noexcept { return functions_; }
  [[nodiscard]] int version() const noexcept { return version_; }  // 13000 is 13.0
  [[nodiscard]] bool has_virtual_memory() const noexcept { return virtual_memory_; }

  /// The file it came from; its libraries (cuBLAS) are looked for beside it when it was chosen by path.
  [[nodiscard]] const std::string& origin() const noexcept { return origin_; }
  [[nodiscard]] bool chosen_by_path() const noexcept { return chosen_by_path_; }

  /// Calls a function of the table and counts the call.
  template <typename Function, typename... Args>
  CUresult call(Function function, Args... args) const noexcept {
    calls_.fetch_add(1, std::memory_order_relaxed);
    return function(args...);
  }
  /// Calls a function that gives something back, and once more if it fails: what it fails to give back is lost.
  template <typename Function, typename... Args>
  CUresult call_twice(Function function, Args... args) const noexcept {
    const CUresult first = call(function, args...);
    return first == CUDA_SUCCESS ? first : call(function, args...);
  }
  [[nodiscard]] std::uint64_t call_count() const noexcept { return calls_.load(std::memory_order_relaxed); }

  /// Names a result, as in "CUDA_ERROR_OUT_OF_MEMORY".
  [[nodiscard]] const char* error_name(CUresult code) const noexcept;

  /// Keeps "cuMemCreate failed on ...: CUDA_ERROR_... (sentence)" as the last error and returns `out_of_memory` for
  /// CUDA_ERROR_OUT_OF_MEMORY, else `driver_error`.
  status fail_call(const char* function, CUresult result, std::string_view purpose) const noexcept;

 private:
  driver() = default;
  driver_functions functions_;
  int version_ = 0;
  bool virtual_memory_ = false;
  bool chosen_by_path_ = false;
  std::string origin_;
  mutable std::atomic<std::uint64_t> calls_{0};
};

/// Gives the handle by which a stream is known: the legacy default stream has two, null and CU_STREAM_LEGACY.
[[nodiscard]] inline CUstream one_handle_of(CUstream stream) noexcept {
  return stream == CU_STREAM_LEGACY ? nullptr : stream;
}

/// A device's primary context, retained until the last copy goes. Copies share it.
class primary_context {
 public:
  primary_context() = default;
  /// Errors: invalid_device, driver_error.
  [[nodiscard]] static status retain(std::shared_ptr<const driver> driver, int device, primary_context& result);

  [[nodiscard]] const driver& api() const noexcept { return *state_->api; }
  [[nodiscard]] int device() const noexcept { return state_->ordinal; }
  [[nodiscard]] CUdevice device_handle() const noexcept { return state_->device; }
  [[nodiscard]] CUcontext context() const noexcept { return state_->context; }

  /// As `driver::fail_call`; and notes an error after which no call in this context can succeed, such as an illegal
  /// address in a kernel: from then on `refuse_if_lost` says so, instead of calls that would fail one after the other.
  status fail_call(const char* function, CUresult result, std::string_view purpose) const noexcept;
  void note_if_sticky(CUresult result) const noexcept;
  [[nodiscard]] bool is_lost() const noexcept {
    return state_->lost_by.load(std::memory_order_relaxed) != CUDA_SUCCESS;
  }
  [[nodiscard]] status refuse_if_lost() const noexcept;

  /// Leaves the context retained for the rest of the process: at process exit the driver may be gone before us.
  void leak() noexcept { state_->leaked = true; }

 private:
  struct state {
    ~state();
    std::shared_ptr<const driver> api;
    int ordinal = -1;
    CUdevice device = 0;
    CUcontext context = nullptr;
    bool leaked = false;
    std::atomic<CUresult> lost_by{CUDA_SUCCESS};
  };
  std::shared_ptr<state> state_;
};

/// What a scope does with the thread's stream-capture mode.
enum class capture_mode {
  relaxed,  ///< what is called there harms no capture of another thread
  as_is,    ///< only calls are made that a capture allows
};

/// Makes a context current for a scope, if it is not, and puts back what was current before, none included.
class context_scope {
 public:
  explicit context_scope(const primary_context& context, capture_mode mode = capture_mode::relaxed) noexcept;
  ~context_scope();
  context_scope(const context_scope&) = delete;
  context_scope& operator=(const context_scope&) = delete;
  [[nodiscard]] status result() const noexcept { return result_; }

 private:
  const primary_context& context_;
  CUstreamCaptureMode previous_mode_ = CU_STREAM_CAPTURE_MODE_RELAXED;
  bool pushed_ = false;
  bool relaxed_ = false;
  status result_ = status::ok;
};

}  // namespace terrazzo::detail
