// What the examples need of CUDA besides terrazzo: the driver's copies and streams, taken at run time from the library
// that terrazzo uses too. An engine has these from its own CUDA; only the functions used here are listed.
#pragma once

#include <cuda.h>

#include <memory>
#include <string>

namespace example {

#define EXAMPLE_CUDA_FUNCTIONS(X) \
  X(cuInit)                       \
  X(cuDeviceGetCount)             \
  X(cuDeviceGetAttribute)         \
  X(cuDeviceGetName)              \
  X(cuDeviceTotalMem_v2)          \
  X(cuDevicePrimaryCtxRetain)     \
  X(cuDevicePrimaryCtxRelease_v2) \
  X(cuCtxSetCurrent)              \
  X(cuCtxSynchronize)             \
  X(cuMemGetInfo_v2)              \
  X(cuMemAlloc_v2)                \
  X(cuMemFree_v2)                 \
  X(cuMemcpyHtoDAsync_v2)         \
  X(cuMemcpyDtoHAsync_v2)         \
  X(cuStreamCreate)               \
  X(cuStreamDestroy_v2)           \
  X(cuStreamSynchronize)          \
  X(cuGetErrorName)

/// A CUDA device, its primary context current on the calling thread for the object's life.
class cuda {
 public:
  /// `driver_path` empty: the system's driver. Throws std::runtime_error if there is no driver or no device.
  explicit cuda(const std::string& driver_path, int device = 0);
  ~cuda();
  cuda(const cuda&) = delete;
  cuda& operator=(const cuda&) = delete;

  /// Tells whether the driver can be loaded and shows a device.
  [[nodiscard]] static bool is_there(const std::string& driver_path = "");

  /// Tells whether the library is the software GPU's driver; false if it cannot be opened.
  [[nodiscard]] static bool is_software(const std::string& driver_path);

  [[nodiscard]] std::string name() const;
  [[nodiscard]] std::string compute_capability() const;  // as in "9.0"
  [[nodiscard]] std::size_t total_bytes() const;
  [[nodiscard]] std::size_t free_bytes() const;

  /// Takes device memory away until at most `bytes` are free; it comes back when the object goes.
  void leave_free(std::size_t bytes);

  /// Throws std::runtime_error naming the call unless `result` is CUDA_SUCCESS.
  void check(CUresult result, const char* call) const;

  struct functions {
#define EXAMPLE_CUDA_MEMBER(name) decltype(&::name) name = nullptr;
    EXAMPLE_CUDA_FUNCTIONS(EXAMPLE_CUDA_MEMBER)
#undef EXAMPLE_CUDA_MEMBER
  };
  [[nodiscard]] const functions& call() const noexcept { return functions_; }

 private:
  functions functions_;
  int device_ = 0;
  CUdeviceptr ballast_ = 0;
};

/// The software GPU's driver, beside this program (../lib/softgpu); where it was built, if it is not there.
[[nodiscard]] std::string software_driver();

}  // namespace example
