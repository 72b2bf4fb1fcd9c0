// The cuBLAS and cuBLASLt functions that the probes call, taken at run time: from the path in TERRAZZO_CUBLAS, else
// from beside a driver that was chosen by path, else by name along the system's search path. cuBLASLt is taken from
// beside cuBLAS, else by name; it may be missing.
#pragma once

#include <cublasLt.h>
#include <cublas_v2.h>

#include <string>

#include "probe.hpp"

namespace terrazzo::probe {

// clang-format off
#define TERRAZZO_PROBE_CUBLAS_FUNCTIONS(X) \
  X(cublasCreate_v2)                       \
  X(cublasDestroy_v2)                      \
  X(cublasGetVersion_v2)                   \
  X(cublasSetStream_v2)                    \
  X(cublasSetWorkspace_v2)                 \
  X(cublasSgemm_v2)

#define TERRAZZO_PROBE_CUBLASLT_FUNCTIONS(X)  \
  X(cublasLtCreate)                           \
  X(cublasLtDestroy)                          \
  X(cublasLtMatmul)                           \
  X(cublasLtMatmulAlgoGetHeuristic)           \
  X(cublasLtMatmulAlgoConfigGetAttribute)     \
  X(cublasLtMatmulDescCreate)                 \
  X(cublasLtMatmulDescDestroy)                \
  X(cublasLtMatrixLayoutCreate)               \
  X(cublasLtMatrixLayoutDestroy)              \
  X(cublasLtMatmulPreferenceCreate)           \
  X(cublasLtMatmulPreferenceSetAttribute)     \
  X(cublasLtMatmulPreferenceDestroy)
// clang-format on

struct blas_calls {
#define TERRAZZO_PROBE_MEMBER(name) entry_point<decltype(&::name)> name{#name};
  TERRAZZO_PROBE_CUBLAS_FUNCTIONS(TERRAZZO_PROBE_MEMBER)
  TERRAZZO_PROBE_CUBLASLT_FUNCTIONS(TERRAZZO_PROBE_MEMBER)
#undef TERRAZZO_PROBE_MEMBER
  std::string path;     // of cuBLAS
  std::string lt_path;  // of cuBLASLt, empty if there is none
};

/// Loads cuBLAS, and cuBLASLt if there is one. Throws `unsupported` if there is no cuBLAS.
[[nodiscard]] blas_calls load_blas(const gpu& device);

/// Names a status, as in "CUBLAS_STATUS_ALLOC_FAILED".
[[nodiscard]] std::string name_of(cublasStatus_t status);

/// Throws if a cuBLAS call that had to succeed did not.
void need(cublasStatus_t status, const char* function);

}  // namespace terrazzo::probe
