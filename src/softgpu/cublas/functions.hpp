// The software cuBLAS: libcublas.so.13 over the software GPU, with cuBLAS' own exported names. It is written against
// the software driver's library alone (cuda.h and terrazzo/softgpu.h), so that whatever links or loads both shares one
// set of books. Its manners are those of cuBLAS:
//
//   hidden pool   device memory that cublasCreate takes and cublasDestroy gives back, cublasSetWorkspace or not
//   workspace     where a product keeps its partial sums: the hidden pool, until cublasSetWorkspace names another, and
//   again
//                 from the next cublasSetStream on. Which algorithm runs depends on its size (algorithm.hpp)
//   product       C = alpha * op(A) * op(B) + beta * C, run in the order of the handle's stream (product.hpp)
//
// Stricter than cuBLAS: what an operand's or a workspace's addresses reach is checked when the product is asked for,
// and a wrong one is EXECUTION_FAILED at once; a card would fault later. A destroyed handle is noticed. This file: all
// functions that it exports, as exports.txt lists them; a test compares the two.
#pragma once

#include <cublas_api.h>

// clang-format off
#define TERRAZZO_SOFTGPU_CUBLAS_FUNCTIONS(X) \
  X(cublasCreate_v2)                         \
  X(cublasDestroy_v2)                        \
  X(cublasGetVersion_v2)                     \
  X(cublasGetProperty)                       \
  X(cublasGetStatusName)                     \
  X(cublasGetStatusString)                   \
  X(cublasSetStream_v2)                      \
  X(cublasGetStream_v2)                      \
  X(cublasSetWorkspace_v2)                   \
  X(cublasSetPointerMode_v2)                 \
  X(cublasGetPointerMode_v2)                 \
  X(cublasSetMathMode)                       \
  X(cublasGetMathMode)                       \
  X(cublasSgemm_v2)                          \
  X(cublasSgemmStridedBatched)               \
  X(cublasGemmEx)                            \
  X(cublasGemmStridedBatchedEx)
// clang-format on
