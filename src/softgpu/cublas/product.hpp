// A matrix product C = alpha * op(A) * op(B) + beta * C as it waits in a stream: everything it needs is in it, so that
// it can run after the call that asked for it has returned. Column-major, as cuBLAS has it.
//
// Sums are made in f32 by OpenBLAS; a 16-bit C is rounded once. C is not read where beta is 0, A and B not where alpha
// is 0.
#pragma once

#include <cublas_api.h>

#include <cstddef>
#include <memory>

#include "softgpu/cublas/algorithm.hpp"

namespace softgpu::cublas {

/// One operand: matrix i of a batch begins `stride` * i elements behind `data`.
struct matrix {
  void* data = nullptr;
  element type = element::f32;
  int ld = 1;
  long long stride = 0;
};

/// alpha or beta: a value of the call, or an address to read when the product runs.
struct scalar {
  float value = 0;
  const float* device = nullptr;
  [[nodiscard]] float read() const noexcept { return device != nullptr ? *device : value; }
};

struct product {
  bool a_transposed = false;
  bool b_transposed = false;
  int m = 0, n = 0, k = 0;
  int batch_count = 1;
  scalar alpha, beta;
  matrix a, b, c;
  algorithm how;
  float* workspace = nullptr;  // how.workspace_bytes of device memory

  /// Host memory for one A and one B as f32, where they are 16-bit.
  std::unique_ptr<float[]> a_floats, b_floats;

  [[nodiscard]] int a_rows() const noexcept { return a_transposed ? k : m; }
  [[nodiscard]] int a_columns() const noexcept { return a_transposed ? m : k; }
  [[nodiscard]] int b_rows() const noexcept { return b_transposed ? n : k; }
  [[nodiscard]] int b_columns() const noexcept { return b_transposed ? k : n; }

  /// False if it is known beforehand that A and B are not read.
  [[nodiscard]] bool multiplies() const noexcept { return k != 0 && (alpha.device != nullptr || alpha.value != 0); }

  /// Takes the host memory; false if there is none.
  [[nodiscard]] bool prepare() noexcept;

  /// Multiplies. REQUIRES: `prepare` succeeded; all operands and the workspace can be touched.
  void run() noexcept;
};

}  // namespace softgpu::cublas
