// CUDA's handles, declared without CUDA's headers, so that terrazzo's can be included anywhere.
#pragma once

#include "terrazzo/cpp20.hpp"

struct CUstream_st;
struct cublasContext;

namespace terrazzo {

/// The type behind CUstream and cudaStream_t. Null is the legacy default stream.
using stream_handle = CUstream_st*;

/// The type behind cublasHandle_t.
using cublas_handle = cublasContext*;

}  // namespace terrazzo
