// Names and sentences of the results that the software GPU gives, and of the ones that tests make it give.
#pragma once

#include <cuda.h>

namespace softgpu {

/// Names a result, as in "CUDA_ERROR_INVALID_VALUE"; null for a number that is none.
[[nodiscard]] const char* error_name(CUresult result) noexcept;

/// Describes a result; null for a number that is none.
[[nodiscard]] const char* error_sentence(CUresult result) noexcept;

}  // namespace softgpu
