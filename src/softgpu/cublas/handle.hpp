// cuBLAS handles: what each remembers, and which exist. A handle is a number that is never given twice, so that a
// destroyed one is always noticed; those made before the last terrazzo_softgpu_configure are gone with their devices.
// Threads: one lock over all handles; none is held while a product runs.
#pragma once

#include <cublas_api.h>
#include <cuda.h>
#include <fmt/format.h>

#include <cstddef>
#include <cstdint>
#include <map>
#include <mutex>

#include "terrazzo/softgpu.h"

namespace softgpu::cublas {

struct handle_state {
  int device = 0;
  CUcontext context = nullptr;  // the device's primary context, retained
  CUdeviceptr pool = 0;         // 0: none
  std::size_t pool_bytes = 0;
  CUstream stream = nullptr;
  CUdeviceptr workspace = 0;
  std::size_t workspace_bytes = 0;
  cublasPointerMode_t pointer_mode = CUBLAS_POINTER_MODE_HOST;
  cublasMath_t math_mode = CUBLAS_DEFAULT_MATH;

  void use_pool() noexcept {
    workspace = pool;
    workspace_bytes = pool_bytes;
  }
};

struct handle_books {
  std::mutex mutex;
  std::uint64_t generation = 0;
  std::uintptr_t next_handle = 0xb1a50000;
  std::map<std::uintptr_t, handle_state> handles;

  /// Finds a live handle; null if there is none. REQUIRES: the lock.
  [[nodiscard]] handle_state* find(cublasHandle_t handle);
};

/// The process' handles. Never destroyed: programs destroy handles while they exit.
[[nodiscard]] handle_books& books();

/// Keeps "cublasGemmEx: <sentence>" for terrazzo_softgpu_message and returns `code`.
template <typename... Args>
cublasStatus_t refuse(cublasStatus_t code, const char* function, fmt::format_string<Args...> format, Args&&... args) {
  terrazzo_softgpu_explain(function, fmt::format(format, std::forward<Args>(args)...).c_str());
  return code;
}

/// Counts a call and finds its handle: SUCCESS with a copy of its state, or why the call cannot be made.
[[nodiscard]] cublasStatus_t enter(const char* function, cublasHandle_t handle, handle_state& state);

/// Makes a handle on the calling thread's current device, or on device 0 if it has none.
[[nodiscard]] cublasStatus_t create(const char* function, cublasHandle_t& handle);

/// Waits for the device, and gives the handle's pool back. On failure the handle lives on.
[[nodiscard]] cublasStatus_t destroy(const char* function, cublasHandle_t handle);

/// Changes a live handle's state under the lock. NOT_INITIALIZED if it has been destroyed meanwhile.
template <typename Change>
cublasStatus_t change(const char* function, cublasHandle_t handle, Change apply) {
  const std::lock_guard lock(books().mutex);
  handle_state* state = books().find(handle);
  if (state == nullptr) return refuse(CUBLAS_STATUS_NOT_INITIALIZED, function, "the handle has just been destroyed");
  apply(*state);
  return CUBLAS_STATUS_SUCCESS;
}

}  // namespace softgpu::cublas
