// The table of CUDA driver functions that terrazzo calls: exported name (the versioned one, since the macros in cuda.h
// map a plain name to different versions from release to release), the driver version that brought it, and what it is
// for. `needed`: terrazzo cannot work without it. Otherwise the name of the feature that is off when it is missing.
// Source: cuda.h 12.0 and 13.0, "since" columns of the driver API reference.
#pragma once

#include <cuda.h>

// clang-format off
#define TERRAZZO_DRIVER_FUNCTIONS(X)                            \
  X(cuInit, 2000, needed)                                       \
  X(cuDriverGetVersion, 2020, needed)                           \
  X(cuGetErrorName, 6000, needed)                               \
  X(cuGetErrorString, 6000, needed)                             \
  X(cuDeviceGetCount, 2000, needed)                             \
  X(cuDeviceGet, 2000, needed)                                  \
  X(cuDeviceGetName, 2000, needed)                              \
  X(cuDeviceGetAttribute, 2000, needed)                         \
  X(cuDeviceTotalMem_v2, 3020, needed)                          \
  X(cuDevicePrimaryCtxRetain, 7000, needed)                     \
  X(cuDevicePrimaryCtxRelease_v2, 11000, needed)                \
  X(cuCtxPushCurrent_v2, 4000, needed)                          \
  X(cuCtxPopCurrent_v2, 4000, needed)                           \
  X(cuCtxGetCurrent, 4000, needed)                              \
  X(cuCtxSynchronize, 2000, needed)                             \
  X(cuMemGetInfo_v2, 3020, needed)                              \
  X(cuMemAlloc_v2, 3020, needed)                                \
  X(cuMemFree_v2, 3020, needed)                                 \
  X(cuStreamCreate, 2000, needed)                               \
  X(cuStreamDestroy_v2, 4000, needed)                           \
  X(cuStreamSynchronize, 2000, needed)                          \
  X(cuThreadExchangeStreamCaptureMode, 10010, needed)           \
  X(cuStreamIsCapturing, 10000, needed)                         \
  X(cuEventCreate, 2000, needed)                                \
  X(cuEventDestroy_v2, 4000, needed)                            \
  X(cuEventQuery, 2000, needed)                                 \
  X(cuEventRecord, 2000, needed)                                \
  X(cuDeviceGetUuid_v2, 11040, identity)                        \
  X(cuMemGetAllocationGranularity, 10020, virtual_memory)       \
  X(cuMemAddressReserve, 10020, virtual_memory)                 \
  X(cuMemAddressFree, 10020, virtual_memory)                    \
  X(cuMemCreate, 10020, virtual_memory)                         \
  X(cuMemRelease, 10020, virtual_memory)                        \
  X(cuMemMap, 10020, virtual_memory)                            \
  X(cuMemUnmap, 10020, virtual_memory)                          \
  X(cuMemSetAccess, 10020, virtual_memory)
// clang-format on

namespace terrazzo::detail {

/// Entry points of one driver library, typed from cuda.h. A function of a feature that is off is null.
struct driver_functions {
#define TERRAZZO_DRIVER_MEMBER(name, since, use) decltype(&::name) name = nullptr;
  TERRAZZO_DRIVER_FUNCTIONS(TERRAZZO_DRIVER_MEMBER)
#undef TERRAZZO_DRIVER_MEMBER
};

}  // namespace terrazzo::detail
