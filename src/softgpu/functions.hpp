// The CUDA driver functions that the software GPU models: exported name and the driver version that brought it. The
// export lists beside this file, the in-process lookup and cuGetProcAddress all follow this table; a test compares
// them. Source: cuda.h 12.0 and 13.0 and the release notes of the driver API.
#pragma once

#include <cuda.h>

// cuda.h 13 maps this name to _v2; both are exported, as by a real driver.
#undef cuEventElapsedTime

// clang-format off
#define TERRAZZO_SOFTGPU_FUNCTIONS(X)          \
  X(cuInit, 2000)                              \
  X(cuDriverGetVersion, 2020)                  \
  X(cuGetErrorName, 6000)                      \
  X(cuGetErrorString, 6000)                    \
  X(cuGetProcAddress_v2, 12000)                \
  X(cuDeviceGet, 2000)                         \
  X(cuDeviceGetCount, 2000)                    \
  X(cuDeviceGetName, 2000)                     \
  X(cuDeviceGetUuid_v2, 11040)                 \
  X(cuDeviceTotalMem_v2, 3020)                 \
  X(cuDeviceGetAttribute, 2000)                \
  X(cuDeviceGetPCIBusId, 4010)                 \
  X(cuDeviceCanAccessPeer, 4000)               \
  X(cuDevicePrimaryCtxRetain, 7000)            \
  X(cuDevicePrimaryCtxRelease_v2, 11000)       \
  X(cuDevicePrimaryCtxReset_v2, 11000)         \
  X(cuDevicePrimaryCtxSetFlags_v2, 11000)      \
  X(cuDevicePrimaryCtxGetState, 7000)          \
  X(cuCtxPushCurrent_v2, 4000)                 \
  X(cuCtxPopCurrent_v2, 4000)                  \
  X(cuCtxSetCurrent, 4000)                     \
  X(cuCtxGetCurrent, 4000)                     \
  X(cuCtxGetDevice, 2000)                      \
  X(cuCtxGetFlags, 7000)                       \
  X(cuCtxGetApiVersion, 3020)                  \
  X(cuCtxGetStreamPriorityRange, 5050)         \
  X(cuCtxSynchronize, 2000)                    \
  X(cuMemGetInfo_v2, 3020)                     \
  X(cuMemAlloc_v2, 3020)                       \
  X(cuMemFree_v2, 3020)                        \
  X(cuMemGetAddressRange_v2, 3020)             \
  X(cuMemAllocHost_v2, 3020)                   \
  X(cuMemHostAlloc, 2020)                      \
  X(cuMemFreeHost, 2000)                       \
  X(cuPointerGetAttribute, 4000)               \
  X(cuMemcpy, 4000)                            \
  X(cuMemcpyAsync, 4000)                       \
  X(cuMemcpyHtoD_v2, 3020)                     \
  X(cuMemcpyDtoH_v2, 3020)                     \
  X(cuMemcpyDtoD_v2, 3020)                     \
  X(cuMemcpyHtoDAsync_v2, 3020)                \
  X(cuMemcpyDtoHAsync_v2, 3020)                \
  X(cuMemcpyDtoDAsync_v2, 3020)                \
  X(cuMemsetD8_v2, 3020)                       \
  X(cuMemsetD16_v2, 3020)                      \
  X(cuMemsetD32_v2, 3020)                      \
  X(cuMemsetD8Async, 3020)                     \
  X(cuMemsetD16Async, 3020)                    \
  X(cuMemsetD32Async, 3020)                    \
  X(cuMemGetAllocationGranularity, 10020)      \
  X(cuMemAddressReserve, 10020)                \
  X(cuMemAddressFree, 10020)                   \
  X(cuMemCreate, 10020)                        \
  X(cuMemRelease, 10020)                       \
  X(cuMemRetainAllocationHandle, 11000)        \
  X(cuMemGetAllocationPropertiesFromHandle, 10020) \
  X(cuMemMap, 10020)                           \
  X(cuMemUnmap, 10020)                         \
  X(cuMemSetAccess, 10020)                     \
  X(cuMemGetAccess, 10020)                     \
  X(cuStreamCreate, 2000)                      \
  X(cuStreamCreateWithPriority, 5050)          \
  X(cuStreamDestroy_v2, 4000)                  \
  X(cuStreamQuery, 2000)                       \
  X(cuStreamSynchronize, 2000)                 \
  X(cuStreamWaitEvent, 3020)                   \
  X(cuStreamGetFlags, 5050)                    \
  X(cuStreamGetPriority, 5050)                 \
  X(cuStreamGetId, 12000)                      \
  X(cuStreamIsCapturing, 10000)                \
  X(cuStreamBeginCapture_v2, 10010)            \
  X(cuStreamEndCapture, 10000)                 \
  X(cuThreadExchangeStreamCaptureMode, 10010)  \
  X(cuLaunchHostFunc, 10000)                   \
  X(cuEventCreate, 2000)                       \
  X(cuEventRecord, 2000)                       \
  X(cuEventRecordWithFlags, 11010)             \
  X(cuEventQuery, 2000)                        \
  X(cuEventSynchronize, 2000)                  \
  X(cuEventDestroy_v2, 4000)                   \
  X(cuEventElapsedTime, 2000)                  \
  X(cuEventElapsedTime_v2, 12080)
// clang-format on

// Not in every cuda.h under these names.
extern "C" {
CUresult CUDAAPI cuEventElapsedTime(float* milliseconds, CUevent start, CUevent end);
CUresult CUDAAPI cuEventElapsedTime_v2(float* milliseconds, CUevent start, CUevent end);
}

namespace softgpu {

struct function_entry {
  const char* name;
  int since;
  void* address;
};

/// All modelled driver functions, in the table's order.
struct function_list {
  const function_entry* begin_;
  const function_entry* end_;
  [[nodiscard]] const function_entry* begin() const noexcept { return begin_; }
  [[nodiscard]] const function_entry* end() const noexcept { return end_; }
};
[[nodiscard]] function_list all_functions() noexcept;

}  // namespace softgpu
