// A call of any of the matrix product functions: its arguments in one form, checked and put into the handle's stream.
#pragma once

#include <cublas_api.h>

namespace softgpu::cublas {

struct gemm_operand {
  const void* data;
  cudaDataType type;
  int ld;
  long long stride = 0;
};

struct gemm_call {
  const char* function;
  cublasHandle_t handle;
  cublasOperation_t a_op, b_op;
  int m, n, k;
  const void* alpha;
  gemm_operand a, b;
  const void* beta;
  gemm_operand c;
  int batch_count = 1;
  cublasComputeType_t compute = CUBLAS_COMPUTE_32F;
  cublasGemmAlgo_t algo = CUBLAS_GEMM_DEFAULT;
};

/// Does the call. NOT_INITIALIZED, INVALID_VALUE, NOT_SUPPORTED, ALLOC_FAILED (workspace too small) as in cuBLAS;
/// EXECUTION_FAILED for addresses that the device may not touch. Nothing is done then.
[[nodiscard]] cublasStatus_t gemm(const gemm_call& call) noexcept;

}  // namespace softgpu::cublas
