// Matrices for the examples: numbers of a fixed seed in the type that cuBLAS multiplies, and a reference product in
// double. Column-major, as cuBLAS has them: entry (row, column) of an m x n matrix is at row + column * m.
#pragma once

#include <cuda_bf16.h>
#include <cuda_fp16.h>
#include <library_types.h>

#include <cstddef>
#include <cstdint>
#include <cstring>
#include <string>
#include <vector>

namespace example {

enum class element { f32, f16, bf16 };

struct element_info {
  const char* name;
  element type;
  cudaDataType_t cuda_type;
  std::size_t bytes;
  double tolerance;  // of the relative error; products of these are exact in f32, so that only its sums round
};

inline constexpr element_info elements[] = {{"f32", element::f32, CUDA_R_32F, 4, 1e-5},
                                            {"f16", element::f16, CUDA_R_16F, 2, 1e-5},
                                            {"bf16", element::bf16, CUDA_R_16BF, 2, 1e-5}};

[[nodiscard]] inline const element_info& find_element(const std::string& name) {
  for (const element_info& each : elements)
    if (name == each.name) return each;
  return elements[0];
}

/// A matrix on the host, in the device's type.
struct matrix {
  std::size_t rows = 0;
  std::size_t columns = 0;
  element type = element::f32;
  std::vector<unsigned char> bytes;

  matrix(std::size_t row_count, std::size_t column_count, const element_info& of)
      : rows(row_count), columns(column_count), type(of.type), bytes(row_count * column_count * of.bytes) {}

  [[nodiscard]] float at(std::size_t row, std::size_t column) const {
    const std::size_t index = row + column * rows;
    if (type == element::f16) return __half2float(entry<__half>(index));
    if (type == element::bf16) return __bfloat162float(entry<__nv_bfloat16>(index));
    return entry<float>(index);
  }

  /// Fills with numbers from -1 to 1, the same for the same seed.
  void fill(std::uint64_t seed) {
    std::uint64_t state = seed * 0x9E3779B97F4A7C15u + 1;
    for (std::size_t index = 0; index < rows * columns; ++index) {
      state = state * 6364136223846793005u + 1442695040888963407u;
      const float number = static_cast<float>(static_cast<std::int32_t>(state >> 32)) / 2147483648.0f;
      if (type == element::f16) put(index, __float2half_rn(number));
      else if (type == element::bf16) put(index, __float2bfloat16_rn(number));
      else put(index, number);
    }
  }

 private:
  template <typename T>
  [[nodiscard]] T entry(std::size_t index) const {
    T value;
    std::memcpy(&value, bytes.data() + index * sizeof(T), sizeof(T));
    return value;
  }
  template <typename T>
  void put(std::size_t index, T value) {
    std::memcpy(bytes.data() + index * sizeof(T), &value, sizeof(T));
  }
};

/// How far a product is from the reference.
struct comparison {
  double max_rel_error = 0;      // largest |c - reference|, divided by the largest |reference|
  std::size_t rows_checked = 0;  // every one, or evenly spread ones of a large product
};

/// Compares `product` with `left` * `right`, summed in double.
[[nodiscard]] comparison compare(const matrix& left, const matrix& right, const matrix& product);

}  // namespace example
