// How large a workspace is. The size is chosen once, when a pool is made: it decides which algorithms cuBLAS runs.
//
//   1. what the program asks for, 16 KiB or more
//   2. CUBLAS_WORKSPACE_CONFIG, `:<KiB>:<count>` any number of times, all summed: read as PyTorch reads it.
//      cuBLAS itself reads it too, for a handle's own pool.
//   3. NVIDIA's recommendation: 32 MiB for compute capability 9.x, 10.x and 12.x, 4 MiB for others.
//
// PyTorch's own defaults differ: 32 MiB for 9.x to 12.x, else 8,519,680 bytes. Who wants its numbers bit for bit sets
// CUBLAS_WORKSPACE_CONFIG=:4096:2:16:8, which is that sum, or the size.
// Sources: cuBLAS documentation for CUDA 13, "cublasSetWorkspace"; PyTorch, CublasHandlePool.cpp.
#pragma once

#include <cstddef>
#include <string>

#include "terrazzo/status.hpp"

namespace terrazzo::detail {

/// Below this cuBLAS may answer CUBLAS_STATUS_ALLOC_FAILED.
inline constexpr std::size_t least_workspace_bytes = std::size_t{16} << 10;

struct workspace_size {
  std::size_t bytes = 0;
  std::string origin;  // as in "recommended for compute capability 9.0"
};

/// NVIDIA's recommendation.
[[nodiscard]] std::size_t recommended_workspace_bytes(int capability_major) noexcept;

/// Reads a CUBLAS_WORKSPACE_CONFIG. Errors: invalid_config, with what is allowed.
[[nodiscard]] status parse_workspace_config(const std::string& text, std::size_t& bytes);

/// Chooses: `asked_bytes` if not 0, else `variable` (CUBLAS_WORKSPACE_CONFIG; null or empty if unset) if set, else the
/// recommendation. Errors: invalid_argument, invalid_config.
[[nodiscard]] status choose_workspace_size(std::size_t asked_bytes, const char* variable, int capability_major,
                                           int capability_minor, workspace_size& result);

}  // namespace terrazzo::detail
