// Address maps as a picture in SVG: which addresses hold what. Every row is a stretch of addresses of the same length,
// with its first address before it; stretches that hold nothing are left out, so that what lies far apart fits one map.
#pragma once

#include <cstddef>
#include <cstdint>
#include <string>
#include <vector>

namespace example {

struct map_piece {
  enum class content { freed, taken, live };  // in the order of drawing: nothing hides a live block
  content what = content::live;
  std::uintptr_t begin = 0;
  std::size_t bytes = 0;
};

struct address_map {
  std::string title;
  std::vector<map_piece> pieces;
};

/// Draws the maps two to a line, each row `row_bytes` long, a piece as one rectangle in each row that it reaches into.
/// `words` say in the legend what the contents are, in their order.
[[nodiscard]] std::string draw_address_maps(const std::vector<address_map>& maps, std::size_t row_bytes,
                                            const std::vector<std::string>& words);

}  // namespace example
