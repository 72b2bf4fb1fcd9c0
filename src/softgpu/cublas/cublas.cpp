// cuBLAS' exported functions. What each does is told by cublas_api.h; comments tell where this library is simpler or
// stricter.
#include <cublas_api.h>

#include <new>

#include "softgpu/cublas/functions.hpp"
#include "softgpu/cublas/gemm.hpp"
#include "softgpu/cublas/handle.hpp"
#include "terrazzo/export.h"

using namespace softgpu::cublas;

#define TERRAZZO_SOFTGPU_CUBLAS_ENTRY extern "C" TERRAZZO_API cublasStatus_t CUBLASWINAPI

namespace {

constexpr std::uintptr_t workspace_alignment = 256;

/// Runs the body of a function that has a handle, `cublasStatus_t(handle_state&)`, on a copy of the handle's state.
template <typename Body>
cublasStatus_t with_handle(const char* function, cublasHandle_t handle, Body body) noexcept {
  try {
    handle_state state;
    const cublasStatus_t entered = enter(function, handle, state);
    return entered == CUBLAS_STATUS_SUCCESS ? body(state) : entered;
  } catch (const std::bad_alloc&) {
    return CUBLAS_STATUS_ALLOC_FAILED;
  }
}

/// Gives a value of the handle.
template <typename Value>
cublasStatus_t tell(const char* function, cublasHandle_t handle, Value* result, Value handle_state::*member) noexcept {
  return with_handle(function, handle, [&](const handle_state& state) {
    if (result == nullptr) return refuse(CUBLAS_STATUS_INVALID_VALUE, function, "the place for the result is null");
    *result = state.*member;
    return CUBLAS_STATUS_SUCCESS;
  });
}

struct status_row {
  cublasStatus_t code;
  const char* name;
  const char* sentence;
};
constexpr status_row statuses[] = {
    {CUBLAS_STATUS_SUCCESS, "CUBLAS_STATUS_SUCCESS", "the operation completed successfully"},
    {CUBLAS_STATUS_NOT_INITIALIZED, "CUBLAS_STATUS_NOT_INITIALIZED", "the library was not initialized"},
    {CUBLAS_STATUS_ALLOC_FAILED, "CUBLAS_STATUS_ALLOC_FAILED", "the resource allocation failed"},
    {CUBLAS_STATUS_INVALID_VALUE, "CUBLAS_STATUS_INVALID_VALUE",
     "an unsupported value or parameter was passed to the function"},
    {CUBLAS_STATUS_ARCH_MISMATCH, "CUBLAS_STATUS_ARCH_MISMATCH",
     "the function requires a feature absent from the device architecture"},
    {CUBLAS_STATUS_MAPPING_ERROR, "CUBLAS_STATUS_MAPPING_ERROR", "an access to GPU memory space failed"},
    {CUBLAS_STATUS_EXECUTION_FAILED, "CUBLAS_STATUS_EXECUTION_FAILED", "the GPU program failed to execute"},
    {CUBLAS_STATUS_INTERNAL_ERROR, "CUBLAS_STATUS_INTERNAL_ERROR", "an internal operation failed"},
    {CUBLAS_STATUS_NOT_SUPPORTED, "CUBLAS_STATUS_NOT_SUPPORTED",
     "the functionality requested is not supported, see terrazzo_softgpu_message"},
    {CUBLAS_STATUS_LICENSE_ERROR, "CUBLAS_STATUS_LICENSE_ERROR", "a license error was detected"},
};

const status_row* find_status(cublasStatus_t code) noexcept {
  for (const status_row& one : statuses) {
    if (one.code == code) return &one;
  }
  return nullptr;
}

bool is_math_mode(cublasMath_t mode) noexcept {
  switch (static_cast<int>(mode) & ~static_cast<int>(CUBLAS_MATH_DISALLOW_REDUCED_PRECISION_REDUCTION)) {
    case CUBLAS_DEFAULT_MATH:
    case CUBLAS_TENSOR_OP_MATH:
    case CUBLAS_PEDANTIC_MATH:
    case CUBLAS_TF32_TENSOR_OP_MATH:
      return true;
    default:
      return false;
  }
}

}  // namespace

TERRAZZO_SOFTGPU_CUBLAS_ENTRY cublasCreate_v2(cublasHandle_t* handle) {
  constexpr const char* function = "cublasCreate_v2";
  try {
    if (const int injected = terrazzo_softgpu_enter(function); injected != 0)
      return static_cast<cublasStatus_t>(injected);
    if (handle == nullptr) return refuse(CUBLAS_STATUS_INVALID_VALUE, function, "the place for the handle is null");
    return create(function, *handle);
  } catch (const std::bad_alloc&) {
    return CUBLAS_STATUS_ALLOC_FAILED;
  }
}

TERRAZZO_SOFTGPU_CUBLAS_ENTRY cublasDestroy_v2(cublasHandle_t handle) {
  return with_handle("cublasDestroy_v2", handle, [&](handle_state&) { return destroy("cublasDestroy_v2", handle); });
}

// As cuBLAS does, this answers without a handle too.
TERRAZZO_SOFTGPU_CUBLAS_ENTRY cublasGetVersion_v2(cublasHandle_t, int* version) {
  if (version == nullptr) return CUBLAS_STATUS_INVALID_VALUE;
  *version = CUBLAS_VERSION;
  return CUBLAS_STATUS_SUCCESS;
}

TERRAZZO_SOFTGPU_CUBLAS_ENTRY cublasGetProperty(libraryPropertyType type, int* value) {
  if (value == nullptr) return CUBLAS_STATUS_INVALID_VALUE;
  switch (type) {
    case MAJOR_VERSION:
      *value = CUBLAS_VER_MAJOR;
      return CUBLAS_STATUS_SUCCESS;
    case MINOR_VERSION:
      *value = CUBLAS_VER_MINOR;
      return CUBLAS_STATUS_SUCCESS;
    case PATCH_LEVEL:
      *value = CUBLAS_VER_PATCH;
      return CUBLAS_STATUS_SUCCESS;
  }
  return CUBLAS_STATUS_INVALID_VALUE;
}

extern "C" TERRAZZO_API const char* CUBLASWINAPI cublasGetStatusName(cublasStatus_t status) {
  const status_row* found = find_status(status);
  return found != nullptr ? found->name : "CUBLAS_STATUS_UNKNOWN";
}

extern "C" TERRAZZO_API const char* CUBLASWINAPI cublasGetStatusString(cublasStatus_t status) {
  const status_row* found = find_status(status);
  return found != nullptr ? found->sentence : "unknown status";
}

TERRAZZO_SOFTGPU_CUBLAS_ENTRY cublasSetStream_v2(cublasHandle_t handle, cudaStream_t stream) {
  return with_handle("cublasSetStream_v2", handle, [&](handle_state&) {
    return change("cublasSetStream_v2", handle, [&](handle_state& state) {
      state.stream = stream;
      state.use_pool();
    });
  });
}

TERRAZZO_SOFTGPU_CUBLAS_ENTRY cublasGetStream_v2(cublasHandle_t handle, cudaStream_t* stream) {
  return tell("cublasGetStream_v2", handle, stream, &handle_state::stream);
}

// Whether the device may write there is seen when a product uses it.
TERRAZZO_SOFTGPU_CUBLAS_ENTRY cublasSetWorkspace_v2(cublasHandle_t handle, void* workspace, size_t bytes) {
  constexpr const char* function = "cublasSetWorkspace_v2";
  return with_handle(function, handle, [&](handle_state&) {
    const std::uintptr_t address = reinterpret_cast<std::uintptr_t>(workspace);
    if (address % workspace_alignment != 0) {
      return refuse(CUBLAS_STATUS_INVALID_VALUE, function, "the workspace at {:#x} is not aligned to 256 bytes",
                    address);
    }
    if (workspace == nullptr && bytes != 0)
      return refuse(CUBLAS_STATUS_INVALID_VALUE, function, "the workspace is null but has {} bytes", bytes);
    return change(function, handle, [&](handle_state& state) {
      state.workspace = address;
      state.workspace_bytes = bytes;
    });
  });
}

TERRAZZO_SOFTGPU_CUBLAS_ENTRY cublasSetPointerMode_v2(cublasHandle_t handle, cublasPointerMode_t mode) {
  constexpr const char* function = "cublasSetPointerMode_v2";
  return with_handle(function, handle, [&](handle_state&) {
    if (mode != CUBLAS_POINTER_MODE_HOST && mode != CUBLAS_POINTER_MODE_DEVICE)
      return refuse(CUBLAS_STATUS_INVALID_VALUE, function, "there is no pointer mode {}", static_cast<int>(mode));
    return change(function, handle, [&](handle_state& state) { state.pointer_mode = mode; });
  });
}

TERRAZZO_SOFTGPU_CUBLAS_ENTRY cublasGetPointerMode_v2(cublasHandle_t handle, cublasPointerMode_t* mode) {
  return tell("cublasGetPointerMode_v2", handle, mode, &handle_state::pointer_mode);
}

// Kept and told, without effect: all sums are made in f32, which every mode allows.
TERRAZZO_SOFTGPU_CUBLAS_ENTRY cublasSetMathMode(cublasHandle_t handle, cublasMath_t mode) {
  constexpr const char* function = "cublasSetMathMode";
  return with_handle(function, handle, [&](handle_state&) {
    if (!is_math_mode(mode)) {
      return refuse(CUBLAS_STATUS_INVALID_VALUE, function, "the math mode {} is not modelled", static_cast<int>(mode));
    }
    return change(function, handle, [&](handle_state& state) { state.math_mode = mode; });
  });
}

TERRAZZO_SOFTGPU_CUBLAS_ENTRY cublasGetMathMode(cublasHandle_t handle, cublasMath_t* mode) {
  return tell("cublasGetMathMode", handle, mode, &handle_state::math_mode);
}

TERRAZZO_SOFTGPU_CUBLAS_ENTRY cublasSgemm_v2(cublasHandle_t handle, cublasOperation_t transa, cublasOperation_t transb,
                                             int m, int n, int k, const float* alpha, const float* A, int lda,
                                             const float* B, int ldb, const float* beta, float* C, int ldc) {
  return gemm({"cublasSgemm_v2",
               handle,
               transa,
               transb,
               m,
               n,
               k,
               alpha,
               {A, CUDA_R_32F, lda},
               {B, CUDA_R_32F, ldb},
               beta,
               {C, CUDA_R_32F, ldc}});
}

TERRAZZO_SOFTGPU_CUBLAS_ENTRY cublasSgemmStridedBatched(cublasHandle_t handle, cublasOperation_t transa,
                                                        cublasOperation_t transb, int m, int n, int k,
                                                        const float* alpha, const float* A, int lda,
                                                        long long int strideA, const float* B, int ldb,
                                                        long long int strideB, const float* beta, float* C, int ldc,
                                                        long long int strideC, int batchCount) {
  return gemm({"cublasSgemmStridedBatched",
               handle,
               transa,
               transb,
               m,
               n,
               k,
               alpha,
               {A, CUDA_R_32F, lda, strideA},
               {B, CUDA_R_32F, ldb, strideB},
               beta,
               {C, CUDA_R_32F, ldc, strideC},
               batchCount});
}

TERRAZZO_SOFTGPU_CUBLAS_ENTRY cublasGemmEx(cublasHandle_t handle, cublasOperation_t transa, cublasOperation_t transb,
                                           int m, int n, int k, const void* alpha, const void* A, cudaDataType Atype,
                                           int lda, const void* B, cudaDataType Btype, int ldb, const void* beta,
                                           void* C, cudaDataType Ctype, int ldc, cublasComputeType_t computeType,
                                           cublasGemmAlgo_t algo) {
  return gemm({"cublasGemmEx",
               handle,
               transa,
               transb,
               m,
               n,
               k,
               alpha,
               {A, Atype, lda},
               {B, Btype, ldb},
               beta,
               {C, Ctype, ldc},
               1,
               computeType,
               algo});
}

TERRAZZO_SOFTGPU_CUBLAS_ENTRY cublasGemmStridedBatchedEx(
    cublasHandle_t handle, cublasOperation_t transa, cublasOperation_t transb, int m, int n, int k, const void* alpha,
    const void* A, cudaDataType Atype, int lda, long long int strideA, const void* B, cudaDataType Btype, int ldb,
    long long int strideB, const void* beta, void* C, cudaDataType Ctype, int ldc, long long int strideC,
    int batchCount, cublasComputeType_t computeType, cublasGemmAlgo_t algo) {
  return gemm({"cublasGemmStridedBatchedEx",
               handle,
               transa,
               transb,
               m,
               n,
               k,
               alpha,
               {A, Atype, lda, strideA},
               {B, Btype, ldb, strideB},
               beta,
               {C, Ctype, ldc, strideC},
               batchCount,
               computeType,
               algo});
}
