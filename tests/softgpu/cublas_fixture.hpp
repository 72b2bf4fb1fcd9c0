// What tests of a cuBLAS stand on: matrices of any of the three element types in device memory, moved with the driver's
// copies alone so that a card serves too, and a plain product in double to compare with.
#pragma once

#include <doctest/doctest.h>

#include <algorithm>
#include <cmath>
#include <cstdint>
#include <cstring>
#include <string>
#include <vector>

#include "softgpu/cublas/half.hpp"
#include "softgpu/cublas_table.hpp"

namespace terrazzo::test {

inline std::size_t size_of(cudaDataType type) { return type == CUDA_R_32F ? 4 : 2; }

inline void store(cudaDataType type, void* at, float value) {
  const std::uint16_t bits = type == CUDA_R_16F ? softgpu::cublas::to_f16(value) : softgpu::cublas::to_bf16(value);
  if (type == CUDA_R_32F) std::memcpy(at, &value, 4);
  else std::memcpy(at, &bits, 2);
}

inline float load(cudaDataType type, const void* at) {
  float value = 0;
  std::uint16_t bits = 0;
  if (type == CUDA_R_32F) {
    std::memcpy(&value, at, 4);
    return value;
  }
  std::memcpy(&bits, at, 2);
  return type == CUDA_R_16F ? softgpu::cublas::from_f16(bits) : softgpu::cublas::from_bf16(bits);
}

/// Device memory for a scope. REQUIRES: a current context.
class device_buffer {
 public:
  device_buffer(const driver_table& cuda, std::size_t bytes) : cuda_(cuda) {
    REQUIRE(cuda_.cuMemAlloc_v2(&address_, bytes) == CUDA_SUCCESS);
  }
  ~device_buffer() { CHECK(cuda_.cuMemFree_v2(address_) == CUDA_SUCCESS); }
  device_buffer(const device_buffer&) = delete;
  device_buffer& operator=(const device_buffer&) = delete;
  [[nodiscard]] CUdeviceptr address() const { return address_; }
  [[nodiscard]] void* data(std::size_t offset = 0) const { return reinterpret_cast<void*>(address_ + offset); }

 private:
  const driver_table& cuda_;
  CUdeviceptr address_ = 0;
};

/// Elements in device memory, and what the host last wrote or read of them.
class device_elements {
 public:
  device_elements(const driver_table& cuda, cudaDataType element_type, std::size_t count)
      : type(element_type), host(count), cuda_(cuda), memory_(cuda, count * size_of(element_type)) {}

  /// Fills with multiples of 1/8 from -1 to 1: exact in every type, and so are sums of some thousand products in f32.
  void fill(std::uint32_t seed) {
    for (float& one : host) {
      seed = seed * 1664525u + 1013904223u;
      one = static_cast<float>(static_cast<int>(seed >> 16) % 17 - 8) / 8;
    }
    write();
  }
  void fill_with(float value) {
    std::fill(host.begin(), host.end(), value);
    write();
  }
  void write() {
    std::vector<unsigned char> bytes(host.size() * size_of(type));
    for (std::size_t i = 0; i < host.size(); ++i) store(type, &bytes[i * size_of(type)], host[i]);
    REQUIRE(cuda_.cuMemcpyHtoD_v2(memory_.address(), bytes.data(), bytes.size()) == CUDA_SUCCESS);
  }
  void read() {
    std::vector<unsigned char> bytes(host.size() * size_of(type));
    REQUIRE(cuda_.cuMemcpyDtoH_v2(bytes.data(), memory_.address(), bytes.size()) == CUDA_SUCCESS);
    for (std::size_t i = 0; i < host.size(); ++i) host[i] = load(type, &bytes[i * size_of(type)]);
  }
  [[nodiscard]] void* data() const { return memory_.data(); }
  [[nodiscard]] float* floats() const { return static_cast<float*>(memory_.data()); }

  cudaDataType type;
  std::vector<float> host;

 private:
  const driver_table& cuda_;
  device_buffer memory_;
};

/// The shape of a product. ldx 0 means the least that is allowed; strides are in elements.
struct product_shape {
  cublasOperation_t a_op = CUBLAS_OP_N, b_op = CUBLAS_OP_N;
  int m = 1, n = 1, k = 1;
  float alpha = 1, beta = 0;
  int lda = 0, ldb = 0, ldc = 0;
  long long stride_a = 0, stride_b = 0, stride_c = 0;
  int batch_count = 1;

  [[nodiscard]] int a_rows() const { return a_op == CUBLAS_OP_N ? m : k; }
  [[nodiscard]] int b_rows() const { return b_op == CUBLAS_OP_N ? k : n; }
  void complete() {
    if (lda == 0) lda = std::max(1, a_rows());
    if (ldb == 0) ldb = std::max(1, b_rows());
    if (ldc == 0) ldc = std::max(1, m);
  }
  [[nodiscard]] std::size_t a_count() const { return count(lda, a_op == CUBLAS_OP_N ? k : m, stride_a); }
  [[nodiscard]] std::size_t b_count() const { return count(ldb, b_op == CUBLAS_OP_N ? n : k, stride_b); }
  [[nodiscard]] std::size_t c_count() const { return count(ldc, n, stride_c); }

 private:
  [[nodiscard]] std::size_t count(int ld, int columns, long long stride) const {
    return static_cast<std::size_t>(std::max(1LL, static_cast<long long>(ld) * columns + stride * (batch_count - 1)));
  }
};

/// What C becomes, each element rounded once to `type`; elements between the columns stay.
inline std::vector<float> expected(const product_shape& shape, const std::vector<float>& a, const std::vector<float>& b,
                                   const std::vector<float>& c, cudaDataType type) {
  std::vector<float> result = c;
  const auto at = [](long long base, long long row, long long column, int ld) {
    return static_cast<std::size_t>(base + row + column * ld);
  };
  for (int batch = 0; batch < shape.batch_count; ++batch) {
    for (int column = 0; column < shape.n; ++column) {
      for (int row = 0; row < shape.m; ++row) {
        double sum = 0;
        for (int i = 0; i < shape.k; ++i) {
          const std::size_t of_a = shape.a_op == CUBLAS_OP_N ? at(shape.stride_a * batch, row, i, shape.lda)
                                                             : at(shape.stride_a * batch, i, row, shape.lda);
          const std::size_t of_b = shape.b_op == CUBLAS_OP_N ? at(shape.stride_b * batch, i, column, shape.ldb)
                                                             : at(shape.stride_b * batch, column, i, shape.ldb);
          sum += static_cast<double>(a[of_a]) * static_cast<double>(b[of_b]);
        }
        const std::size_t of_c = at(shape.stride_c * batch, row, column, shape.ldc);
        double value = static_cast<double>(shape.alpha) * sum;
        if (shape.beta != 0) value += static_cast<double>(shape.beta) * static_cast<double>(c[of_c]);
        unsigned char bits[4];
        store(type, bits, static_cast<float>(value));
        result[of_c] = load(type, bits);
      }
    }
  }
  return result;
}

/// How far the farthest element is from what it should be, relative to it (absolute below 1).
inline double farthest(const std::vector<float>& got, const std::vector<float>& want) {
  REQUIRE(got.size() == want.size());
  double most = 0;
  for (std::size_t i = 0; i < got.size(); ++i) {
    if (std::isnan(got[i])) return HUGE_VAL;
    const double wanted = static_cast<double>(want[i]);
    most = std::max(most, std::abs(static_cast<double>(got[i]) - wanted) / std::max(1.0, std::abs(wanted)));
  }
  return most;
}

/// A, B and C of one product, filled; `run` does it through cublasGemmEx or, for batches, cublasGemmStridedBatchedEx.
struct product_case {
  product_case(const cublas_under_test& all, product_shape wanted, cudaDataType input, cudaDataType output)
      : under_test(all),
        shape((wanted.complete(), wanted)),
        a(all.cuda, input, shape.a_count()),
        b(all.cuda, input, shape.b_count()),
        c(all.cuda, output, shape.c_count()) {
    a.fill(1);
    b.fill(2);
    c.fill(3);
    want = expected(shape, a.host, b.host, c.host, output);
  }

  cublasStatus_t run(cublasHandle_t handle, cublasComputeType_t compute = CUBLAS_COMPUTE_32F) {
    const product_shape& s = shape;
    if (s.batch_count == 1) {
      return under_test.blas.cublasGemmEx(handle, s.a_op, s.b_op, s.m, s.n, s.k, &s.alpha, a.data(), a.type, s.lda,
                                          b.data(), b.type, s.ldb, &s.beta, c.data(), c.type, s.ldc, compute,
                                          CUBLAS_GEMM_DEFAULT);
    }
    return under_test.blas.cublasGemmStridedBatchedEx(
        handle, s.a_op, s.b_op, s.m, s.n, s.k, &s.alpha, a.data(), a.type, s.lda, s.stride_a, b.data(), b.type, s.ldb,
        s.stride_b, &s.beta, c.data(), c.type, s.ldc, s.stride_c, s.batch_count, compute, CUBLAS_GEMM_DEFAULT);
  }

  /// Runs, waits, and tells how far the farthest element of C is off.
  double error_of(cublasHandle_t handle) {
    REQUIRE(run(handle) == CUBLAS_STATUS_SUCCESS);
    REQUIRE(under_test.cuda.cuCtxSynchronize() == CUDA_SUCCESS);
    c.read();
    return farthest(c.host, want);
  }

  const cublas_under_test& under_test;
  product_shape shape;
  device_elements a, b, c;
  std::vector<float> want;
};

}  // namespace terrazzo::test
