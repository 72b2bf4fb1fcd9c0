#include "support/matrices.hpp"

#include <algorithm>
#include <cmath>

namespace example {

comparison compare(const matrix& left, const matrix& right, const matrix& product) {
  // About a second's work: a row of the product costs columns * depth multiplications.
  const std::size_t depth = left.columns;
  const std::size_t row_cost = std::max<std::size_t>(1, right.columns * depth);
  const std::size_t row_count = std::clamp<std::size_t>(2'000'000'000 / row_cost, 1, product.rows);

  std::vector<double> left_row(depth);
  double largest_error = 0;
  double largest_reference = 0;
  std::vector<float> right_numbers(right.rows * right.columns);
  for (std::size_t column = 0; column < right.columns; ++column)
    for (std::size_t i = 0; i < depth; ++i) right_numbers[i + column * depth] = right.at(i, column);

  for (std::size_t checked = 0; checked < row_count; ++checked) {
    const std::size_t row = checked * product.rows / row_count;
    for (std::size_t i = 0; i < depth; ++i) left_row[i] = left.at(row, i);
    for (std::size_t column = 0; column < product.columns; ++column) {
      const float* const right_column = right_numbers.data() + column * depth;
      double sum = 0;
      for (std::size_t i = 0; i < depth; ++i) sum += left_row[i] * static_cast<double>(right_column[i]);
      const double found = product.at(row, column);
      // A NaN compares false with everything: it must not pass for a small error.
      const double error = std::isfinite(found) ? std::abs(found - sum) : INFINITY;
      largest_error = std::max(largest_error, error);
      largest_reference = std::max(largest_reference, std::abs(sum));
    }
  }
  return {largest_reference > 0 ? largest_error / largest_reference : largest_error, row_count};
}

}  // namespace example
