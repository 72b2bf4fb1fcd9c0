#include "softgpu/cublas/product.hpp"

#include <cblas.h>

#include <algorithm>
#include <cstdint>
#include <new>

#include "softgpu/cublas/half.hpp"

namespace softgpu::cublas {
namespace {

/// A matrix of floats that OpenBLAS can read in place.
struct float_matrix {
  const float* data;
  int ld;
  bool transposed;
  /// The part of op(X) that begins at `row`, `column`.
  [[nodiscard]] const float* at(int row, int column) const noexcept {
    const std::ptrdiff_t wide = ld;
    return transposed ? data + column + row * wide : data + row + column * wide;
  }
};

float load(const matrix& x, const void* data, std::ptrdiff_t index) noexcept {
  if (x.type == element::f32) return static_cast<const float*>(data)[index];
  const std::uint16_t bits = static_cast<const std::uint16_t*>(data)[index];
  return x.type == element::f16 ? from_f16(bits) : from_bf16(bits);
}

void store(const matrix& x, void* data, std::ptrdiff_t index, float value) noexcept {
  if (x.type == element::f32) static_cast<float*>(data)[index] = value;
  else static_cast<std::uint16_t*>(data)[index] = x.type == element::f16 ? to_f16(value) : to_bf16(value);
}

void* matrix_of_batch(const matrix& x, int i) noexcept {
  // Unsigned, as addresses were checked: any stride may wrap around.
  const std::uintptr_t offset = static_cast<std::uintptr_t>(x.stride) * static_cast<unsigned>(i) * size_of(x.type);
  return reinterpret_cast<void*>(reinterpret_cast<std::uintptr_t>(x.data) + offset);
}

float_matrix as_floats(const matrix& x, int i, int rows, int columns, bool transposed, float* scratch) noexcept {
  const void* data = matrix_of_batch(x, i);
  if (x.type == element::f32) return {static_cast<const float*>(data), x.ld, transposed};
  for (std::ptrdiff_t column = 0; column < columns; ++column)
    for (std::ptrdiff_t row = 0; row < rows; ++row) scratch[row + column * rows] = load(x, data, row + column * x.ld);
  return {scratch, rows, transposed};
}

void sgemm(const float_matrix& a, const float* a_begin, const float_matrix& b, const float* b_begin, int m, int n,
           int k, float alpha, float beta, float* c, int ldc) noexcept {
  cblas_sgemm(CblasColMajor, a.transposed ? CblasTrans : CblasNoTrans, b.transposed ? CblasTrans : CblasNoTrans, m, n,
              k, alpha, a_begin, a.ld, b_begin, b.ld, beta, c, ldc);
}

/// c = alpha * sum + beta * c, rounded to C's type.
void finish(const matrix& c, void* data, std::ptrdiff_t index, float alpha, float sum, float beta) noexcept {
  const float fresh = alpha * sum;
  store(c, data, index, beta == 0 ? fresh : fresh + beta * load(c, data, index));
}

}  // namespace

bool product::prepare() noexcept {
  if (a.type == element::f32) return true;
  const std::size_t inner = static_cast<std::size_t>(k);
  a_floats.reset(new (std::nothrow) float[static_cast<std::size_t>(m) * inner]);
  b_floats.reset(new (std::nothrow) float[inner * static_cast<std::size_t>(n)]);
  return a_floats != nullptr && b_floats != nullptr;
}

void product::run() noexcept {
  const float scale = alpha.read();
  const float keep = beta.read();
  for (int i = 0; i < batch_count; ++i) {
    void* target = matrix_of_batch(c, i);
    if (scale == 0 || k == 0) {
      for (std::ptrdiff_t column = 0; column < n; ++column)
        for (std::ptrdiff_t row = 0; row < m; ++row) finish(c, target, row + column * c.ld, 0, 0, keep);
      continue;
    }
    const float_matrix left = as_floats(a, i, a_rows(), a_columns(), a_transposed, a_floats.get());
    const float_matrix right = as_floats(b, i, b_rows(), b_columns(), b_transposed, b_floats.get());
    switch (how.kind) {
      case method::direct:
        sgemm(left, left.data, right, right.data, m, n, k, scale, keep, static_cast<float*>(target), c.ld);
        break;
      case method::tiled:
        for (int column = 0; column < n; column += tile_extent) {
          for (int row = 0; row < m; row += tile_extent) {
            const int rows = std::min(tile_extent, m - row);
            const int columns = std::min(tile_extent, n - column);
            sgemm(left, left.at(row, 0), right, right.at(0, column), rows, columns, k, 1, 0, workspace, rows);
            for (std::ptrdiff_t y = 0; y < columns; ++y)
              for (std::ptrdiff_t x = 0; x < rows; ++x)
                finish(c, target, row + x + (column + y) * c.ld, scale, workspace[x + y * rows], keep);
          }
        }
        break;
      case method::split_k: {
        const std::ptrdiff_t plane = static_cast<std::ptrdiff_t>(m) * n;
        for (int part = 0; part < how.parts; ++part) {
          const int begin = static_cast<int>(static_cast<long long>(k) * part / how.parts);
          const int end = static_cast<int>(static_cast<long long>(k) * (part + 1) / how.parts);
          sgemm(left, left.at(0, begin), right, right.at(begin, 0), m, n, end - begin, 1, 0, workspace + part * plane,
                m);
        }
        for (std::ptrdiff_t column = 0; column < n; ++column) {
          for (std::ptrdiff_t row = 0; row < m; ++row) {
            float sum = 0;
            for (int part = 0; part < how.parts; ++part) sum += workspace[part * plane + column * m + row];
            finish(c, target, row + column * c.ld, scale, sum, keep);
          }
        }
        break;
      }
    }
  }
}

}  // namespace softgpu::cublas
