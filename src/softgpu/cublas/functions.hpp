// The software cuBLAS: libcublas.so.13 over the software GPU, with cuBLAS' own exported names. It is written against
// the software driver's library alone (cuda.h and terrazzo/softgpu.h), so that whatever links or loads both shares one
// set of books. Its manners are those of cuBLAS:
//
//   hidden pool   device memory that cublasCreate takes and cublasDestroy gives back, cublasSetWorkspace or not
//   workspace     where a product keeps its partial sums: the hidden pool, until cublasSetWorkspace names another, and
//                 again from the next cublasSetStream on. Which algorithm runs depends on its size (algorithm.hpp)
//   product       C = alpha * op(A) * op(B) + beta * C, run in the order of the handle's stream (product.hpp)
//
// Stricter than cuBLAS: what an operand's or a workspace's addresses reach is checked when the product is asked for,
// and a wrong one is EXECUTION_FAILED at once; a card would fault later. A destroyed handle is noticed. This file: all
// functions that it exports, as exports.txt lists them; a test compares the two.
#pragma once

#include <cublas_api.h>

namespace softgpu::cublas {

// cublas_api.h has inline overloads of these two for C++, so that their names alone do not tell their types.
using gemm_ex = cublasStatus_t CUBLASWINAPI(cublasHandle_t, cublasOperation_t, cublasOperation_t, int, int, int,
                                            const void* alpha, const void* a, cudaDataType, int lda, const void* b,
                                            cudaDataType, int ldb, const void* beta, void* c, cudaDataType, int ldc,
                                            cublasComputeType_t, cublasGemmAlgo_t);
using gemm_strided_batched_ex = cublasStatus_t CUBLASWINAPI(cublasHandle_t, cublasOperation_t, cublasOperation_t, int,
                                                            int, int, const void* alpha, const void* a, cudaDataType,
                                                            int lda, long long stride_a, const void* b, cudaDataType,
                                                            int ldb, long long stride_b, const void* beta, void* c,
                                                            cudaDataType, int ldc, long long stride_c, int batch_count,
                                                            cublasComputeType_t, cublasGemmAlgo_t);

}  // namespace softgpu::cublas

// clang-format off
#define TERRAZZO_SOFTGPU_CUBLAS_FUNCTIONS(X)                              \
  X(cublasCreate_v2, decltype(::cublasCreate_v2))                         \
  X(cublasDestroy_v2, decltype(::cublasDestroy_v2))                       \
  X(cublasGetVersion_v2, decltype(::cublasGetVersion_v2))                 \
  X(cublasGetProperty, decltype(::cublasGetProperty))                     \
  X(cublasGetStatusName, decltype(::cublasGetStatusName))                 \
  X(cublasGetStatusString, decltype(::cublasGetStatusString))             \
  X(cublasSetStream_v2, decltype(::cublasSetStream_v2))                   \
  X(cublasGetStream_v2, decltype(::cublasGetStream_v2))                   \
  X(cublasSetWorkspace_v2, decltype(::cublasSetWorkspace_v2))             \
  X(cublasSetPointerMode_v2, decltype(::cublasSetPointerMode_v2))         \
  X(cublasGetPointerMode_v2, decltype(::cublasGetPointerMode_v2))         \
  X(cublasSetMathMode, decltype(::cublasSetMathMode))                     \
  X(cublasGetMathMode, decltype(::cublasGetMathMode))                     \
  X(cublasSgemm_v2, decltype(::cublasSgemm_v2))                           \
  X(cublasSgemmStridedBatched, decltype(::cublasSgemmStridedBatched))     \
  X(cublasGemmEx, softgpu::cublas::gemm_ex)                               \
  X(cublasGemmStridedBatchedEx, softgpu::cublas::gemm_strided_batched_ex)
// clang-format on
