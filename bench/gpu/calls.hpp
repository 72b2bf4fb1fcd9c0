// The CUDA driver functions that the probes call: more than terrazzo needs, so they have a table of their own, filled
// by name from the library that terrazzo's loader chose. A function that the driver lacks is null until it is called:
// then it throws `unsupported`, which ends one item and not the probe.
#pragma once

#include <cuda.h>

#include <stdexcept>
#include <string>

namespace terrazzo::probe {

// The exported names; typed from cuda.h, whose macros may map a plain name to another version of the same signature.
// clang-format off
#define TERRAZZO_PROBE_FUNCTIONS(X)     \
  X(cuGetErrorName)                     \
  X(cuDeviceGetAttribute)               \
  X(cuDeviceGetName)                    \
  X(cuDeviceGetDefaultMemPool)          \
  X(cuDeviceGraphMemTrim)               \
  X(cuDeviceTotalMem_v2)                \
  X(cuCtxPushCurrent_v2)                \
  X(cuCtxSynchronize)                   \
  X(cuThreadExchangeStreamCaptureMode)  \
  X(cuMemGetInfo_v2)                    \
  X(cuMemAlloc_v2)                      \
  X(cuMemFree_v2)                       \
  X(cuMemHostAlloc)                     \
  X(cuMemFreeHost)                      \
  X(cuMemHostGetDevicePointer_v2)       \
  X(cuMemGetAddressRange_v2)            \
  X(cuMemAllocAsync)                    \
  X(cuMemFreeAsync)                     \
  X(cuMemPoolTrimTo)                    \
  X(cuMemPoolGetAttribute)              \
  X(cuMemGetAllocationGranularity)      \
  X(cuMemAddressReserve)                \
  X(cuMemAddressFree)                   \
  X(cuMemCreate)                        \
  X(cuMemRelease)                       \
  X(cuMemMap)                           \
  X(cuMemUnmap)                         \
  X(cuMemSetAccess)                     \
  X(cuMemGetAccess)                     \
  X(cuMemRetainAllocationHandle)        \
  X(cuPointerGetAttribute)              \
  X(cuMemcpyHtoD_v2)                    \
  X(cuMemcpyDtoH_v2)                    \
  X(cuMemcpyDtoHAsync_v2)               \
  X(cuMemcpyDtoDAsync_v2)               \
  X(cuMemsetD8_v2)                      \
  X(cuMemsetD32Async)                   \
  X(cuStreamCreate)                     \
  X(cuStreamDestroy_v2)                 \
  X(cuStreamQuery)                      \
  X(cuStreamSynchronize)                \
  X(cuStreamWaitEvent)                  \
  X(cuStreamGetId)                      \
  X(cuStreamBeginCapture_v2)            \
  X(cuStreamEndCapture)                 \
  X(cuStreamIsCapturing)                \
  X(cuEventCreate)                      \
  X(cuEventDestroy_v2)                  \
  X(cuEventRecord)                      \
  X(cuEventQuery)                       \
  X(cuEventSynchronize)                 \
  X(cuEventElapsedTime)                 \
  X(cuModuleLoadData)                   \
  X(cuModuleGetFunction)                \
  X(cuLaunchKernel)                     \
  X(cuGraphInstantiateWithFlags)        \
  X(cuGraphLaunch)                      \
  X(cuGraphDestroy)                     \
  X(cuGraphExecDestroy)
// clang-format on

/// What an item needs and the driver, the device or a library here does not have.
struct unsupported : std::runtime_error {
  using std::runtime_error::runtime_error;
};

/// A call that had to succeed and did not.
struct call_failed : std::runtime_error {
  call_failed(const std::string& sentence, CUresult code) : std::runtime_error(sentence), result(code) {}
  CUresult result;
};

/// Makes the exception for a failed call: `unsupported` for NOT_SUPPORTED, else `call_failed`.
[[noreturn]] void throw_failed_call(const char* function, CUresult result);

/// One function of the driver, or of another library, with its name.
template <typename Function>
struct entry_point {
  const char* name;
  Function function = nullptr;

  explicit operator bool() const noexcept { return function != nullptr; }

  /// Calls and returns the function's result, whatever it is.
  template <typename... Args>
  auto operator()(Args... args) const {
    if (function == nullptr) throw unsupported(std::string("there is no ") + name);
    return function(args...);
  }

  /// Calls; throws `unsupported` or `call_failed` if the result is not CUDA_SUCCESS.
  template <typename... Args>
  void must(Args... args) const {
    const CUresult result = (*this)(args...);
    if (result != CUDA_SUCCESS) throw_failed_call(name, result);
  }
};

struct cuda_calls {
#define TERRAZZO_PROBE_MEMBER(name) entry_point<decltype(&::name)> name{#name};
  TERRAZZO_PROBE_FUNCTIONS(TERRAZZO_PROBE_MEMBER)
#undef TERRAZZO_PROBE_MEMBER
};

}  // namespace terrazzo::probe
