// What every file with driver functions begins with. The functions have the names, arguments and rules of cuda.h, so
// what each does is not told again here; comments tell where the software GPU is simpler or stricter than a driver.
#pragma once

#include <cuda.h>

#include "softgpu/functions.hpp"
#include "softgpu/gpu.hpp"
#include "terrazzo/export.h"

/// Opens the definition of a driver function. Declared in cuda.h with C linkage; what is shown is decided by the export
/// lists.
#define TERRAZZO_SOFTGPU_ENTRY extern "C" TERRAZZO_API CUresult CUDAAPI

namespace softgpu {

/// Refuses a null where a result or an argument is to be.
inline CUresult refuse_null(const char* what) { return refuse(CUDA_ERROR_INVALID_VALUE, "{} is null", what); }

}  // namespace softgpu
