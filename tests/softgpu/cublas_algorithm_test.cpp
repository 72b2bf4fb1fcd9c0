// Which algorithm a workspace's size leaves.
#include "softgpu/cublas/algorithm.hpp"

#include <doctest/doctest.h>

using namespace softgpu::cublas;

namespace {
constexpr std::size_t kib = 1024;
}

TEST_CASE("softcublas algorithm: size shape and type decide") {
  static constexpr struct {
    int m, n, k, batch_count;
    element input;
    std::size_t available_bytes;
    bool chosen;
    method kind;
    int parts;
    std::size_t workspace_bytes;
  } rows[] = {
      {64, 64, 64, 1, element::f32, 0, true, method::direct, 1, 0},
      {64, 64, 64, 1, element::f16, 16 * kib, true, method::tiled, 1, 16 * kib},
      {64, 64, 64, 1, element::bf16, 16 * kib - 1, false, method::tiled, 1, 16 * kib},
      {1, 1, 1, 1, element::f16, 0, false, method::tiled, 1, 16 * kib},
      // Long k: as many parts as fit, none of them shorter than 256.
      {128, 128, 4096, 1, element::f32, 1024 * kib, true, method::split_k, 16, 1024 * kib},
      {128, 128, 4096, 1, element::f32, 1024 * kib - 1, true, method::split_k, 8, 512 * kib},
      {128, 128, 4096, 1, element::f32, 128 * kib, true, method::split_k, 2, 128 * kib},
      {128, 128, 4096, 1, element::f32, 128 * kib - 1, true, method::direct, 1, 0},
      {128, 128, 4096, 1, element::f16, 128 * kib - 1, true, method::tiled, 1, 16 * kib},
      {128, 128, 511, 1, element::f32, 1024 * kib, true, method::direct, 1, 0},
      {128, 128, 512, 1, element::f32, 1024 * kib, true, method::split_k, 2, 128 * kib},
      // Enough tiles to fill the card without splitting, in one product or in a batch.
      {2048, 2048, 8192, 1, element::f32, 1024 * 1024 * kib, true, method::direct, 1, 0},
      {128, 128, 4096, 128, element::f32, 1024 * kib, true, method::direct, 1, 0},
      {128, 128, 4096, 32, element::f32, 1024 * kib, true, method::split_k, 4, 256 * kib},
      {2147483647, 2147483647, 2147483647, 2147483647, element::f32, ~std::size_t{0}, true, method::direct, 1, 0},
  };
  for (const auto& row : rows) {
    CAPTURE(row.m);
    CAPTURE(row.k);
    CAPTURE(row.batch_count);
    CAPTURE(row.available_bytes);
    algorithm how;
    CHECK(choose(row.m, row.n, row.k, row.batch_count, row.input, row.available_bytes, how) == row.chosen);
    CHECK(how.kind == row.kind);
    CHECK(how.parts == row.parts);
    CHECK(how.workspace_bytes == row.workspace_bytes);
  }
}
