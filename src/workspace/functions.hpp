// Room workspace/: the scratch memory that cuBLAS works in, and the only room that knows cuBLAS.
//
//   cuBLAS       a library found at run time (cublas.hpp), a table of entry points; nothing here is linked against it
//   workspace    one block of device memory, given to cuBLAS with cublasSetWorkspace; its size decides which
//                algorithm runs and so the last bits of the results: it is chosen once (sizes.hpp) and never changes
//   books        which stream has which workspace (pool.hpp); every handle bound to the stream works in it
//
// This file: the table of cuBLAS functions that terrazzo calls itself, by exported name (the versioned one, since the
// macros in cublas_v2.h differ from release to release), the version that brought it, and whether terrazzo can work
// without it. Source: cublas_api.h of CUDA 12.0 and 13.0.
#pragma once

#include <cublas_api.h>

// clang-format off
#define TERRAZZO_CUBLAS_FUNCTIONS(X)             \
  X(cublasGetProperty, 80000, needed)            \
  X(cublasCreate_v2, 40000, needed)              \
  X(cublasDestroy_v2, 40000, needed)             \
  X(cublasSetStream_v2, 40000, needed)           \
  X(cublasSetWorkspace_v2, 110000, needed)       \
  X(cublasGetStatusName, 110402, optional)       \
  X(cublasGetStatusString, 110402, optional)
// clang-format on

namespace terrazzo::detail {

/// Entry points of one cuBLAS library, typed from cublas_api.h. An optional one that is missing is null.
struct cublas_functions {
#define TERRAZZO_CUBLAS_MEMBER(name, since, use) decltype(&::name) name = nullptr;
  TERRAZZO_CUBLAS_FUNCTIONS(TERRAZZO_CUBLAS_MEMBER)
#undef TERRAZZO_CUBLAS_MEMBER
};

}  // namespace terrazzo::detail
