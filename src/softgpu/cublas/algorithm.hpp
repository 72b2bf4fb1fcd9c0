// Which algorithm computes a product. As in cuBLAS the workspace's size decides, and with it the order of the sums and
// so the last bits of the result; the choice depends on nothing else but the product's shape and types.
//
//   direct     f32 operands: straight into C. No workspace.
//   tiled      16-bit operands: C is made tile by tile, each accumulated as f32 in the workspace and rounded once.
//              Workspace: one tile, 16 KiB, which is why 16 KiB is "enough to avoid ALLOC_FAILED" here as in cuBLAS.
//   split_k    long k and few tiles: k is cut into 2, 4, 8 or 16 parts, each part's product stands in the workspace
//              as f32, and their sum goes to C. Workspace: 4 * m * n * parts bytes. The most parts that fit are taken.
//
// Source: the three families are cuBLAS' own (its CUBLAS_GEMM_ALGO20 to 23 are "sliced" and "splitK" kernels); the
// thresholds are this model's.
#pragma once

#include <cstddef>

namespace softgpu::cublas {

enum class element { f32, f16, bf16 };

[[nodiscard]] constexpr std::size_t size_of(element type) noexcept { return type == element::f32 ? 4 : 2; }

enum class method { direct, tiled, split_k };

struct algorithm {
  method kind = method::direct;
  int parts = 1;                    // > 1 for split_k alone
  std::size_t workspace_bytes = 0;  // what it writes to, from the workspace's beginning
};

/// Rows and columns of a tile of `tiled`.
inline constexpr int tile_extent = 64;

/// Chooses for `m` x `n` x `k` (each >= 1) with a workspace of `available_bytes`. False, with the cheapest algorithm in
/// `chosen`, if the workspace is too small for any.
[[nodiscard]] bool choose(int m, int n, int k, int batch_count, element input, std::size_t available_bytes,
                          algorithm& chosen) noexcept;

}  // namespace softgpu::cublas
