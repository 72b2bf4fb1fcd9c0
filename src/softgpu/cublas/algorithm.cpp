#include "softgpu/cublas/algorithm.hpp"

namespace softgpu::cublas {
namespace {

constexpr int most_parts = 16;
constexpr int least_part_length = 256;  // shorter parts cost more in summing up than they win
constexpr std::size_t multiprocessors =
    128;  // tiles that run at once; with more tiles than that, splitting wins nothing
constexpr std::size_t kernel_tile_extent = 128;

/// The parts that would fill the card; 1 if the product's tiles do so alone.
int wanted_parts(std::size_t m, std::size_t n, int k, int batch_count) noexcept {
  const std::size_t tiles = ((m + kernel_tile_extent - 1) / kernel_tile_extent) *
                            ((n + kernel_tile_extent - 1) / kernel_tile_extent) * static_cast<std::size_t>(batch_count);
  int parts = 1;
  while (parts < most_parts && k / (2 * parts) >= least_part_length &&
         tiles * 2 * static_cast<std::size_t>(parts) <= multiprocessors)
    parts *= 2;
  return parts;
}

}  // namespace

bool choose(int m, int n, int k, int batch_count, element input, std::size_t available_bytes,
            algorithm& chosen) noexcept {
  const std::size_t rows = static_cast<std::size_t>(m);
  const std::size_t columns = static_cast<std::size_t>(n);
  for (int parts = wanted_parts(rows, columns, k, batch_count); parts > 1; parts /= 2) {
    const std::size_t bytes = 4 * rows * columns * static_cast<std::size_t>(parts);  // <= 4 * 2^14 * 128: no overflow
    if (bytes <= available_bytes) {
      chosen = {method::split_k, parts, bytes};
      return true;
    }
  }
  if (input == element::f32) {
    chosen = {method::direct, 1, 0};
    return true;
  }
  constexpr std::size_t tile_bytes = 4 * std::size_t{tile_extent} * tile_extent;
  chosen = {method::tiled, 1, tile_bytes};
  return tile_bytes <= available_bytes;
}

}  // namespace softgpu::cublas
