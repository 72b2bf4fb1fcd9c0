#include "support/address_map.hpp"

#include <fmt/format.h>

#include <algorithm>
#include <iterator>
#include <map>
#include <utility>

namespace example {
namespace {

constexpr double label_width = 130;
constexpr double row_width = 512;
constexpr double map_width = label_width + row_width + 20;
constexpr double row_step = 14;
constexpr double title_height = 40;

struct look {
  const char* name;
  const char* color;
};
constexpr look looks[] = {{"freed", "#ddd8cc"}, {"taken", "#d9822b"}, {"live", "#2a78b8"}};

/// Appends a map to the picture; returns its height.
double draw(std::string& out, const address_map& map, std::size_t row_bytes, double left, double top) {
  const auto to = std::back_inserter(out);
  fmt::format_to(to, "<g class=\"map\"><text x=\"{}\" y=\"{}\" font-weight=\"bold\">{}</text>\n", left + label_width,
                 top + 28, map.title);
  std::map<std::uintptr_t, double> rows;  // with their places, the lowest address first
  for (const map_piece& each : map.pieces)
    for (std::uintptr_t row = each.begin / row_bytes; row * row_bytes < each.begin + each.bytes; ++row) rows[row] = 0;
  double bottom = top + title_height;
  for (auto& [row, y] : rows) {
    y = bottom;
    bottom += row_step;
    fmt::format_to(to, "<text class=\"address\" x=\"{}\" y=\"{}\" text-anchor=\"end\">{:#x}</text>\n",
                   left + label_width - 8, y + 10, row * row_bytes);
  }
  const double scale = row_width / static_cast<double>(row_bytes);
  for (std::size_t kind = 0; kind < std::size(looks); ++kind) {
    for (const map_piece& each : map.pieces) {
      if (each.what != static_cast<map_piece::content>(kind)) continue;
      const std::uintptr_t end = each.begin + each.bytes;
      for (std::uintptr_t row = each.begin / row_bytes; row * row_bytes < end; ++row) {
        const std::uintptr_t from = std::max(each.begin, row * row_bytes);
        const std::uintptr_t until = std::min(end, (row + 1) * row_bytes);
        fmt::format_to(to, "<rect class=\"{}\" x=\"{:.2f}\" y=\"{}\" width=\"{:.2f}\" height=\"12\"/>\n",
                       looks[kind].name, left + label_width + static_cast<double>(from - row * row_bytes) * scale,
                       rows[row], static_cast<double>(until - from) * scale);
      }
    }
  }
  out += "</g>\n";
  return bottom - top;
}

}  // namespace

std::string draw_address_maps(const std::vector<address_map>& maps, std::size_t row_bytes,
                              const std::vector<std::string>& words) {
  std::string body;
  const auto to = std::back_inserter(body);
  fmt::format_to(to, "<rect width=\"100%\" height=\"100%\" fill=\"#fff\"/>\n<g class=\"legend\">\n");
  double x = label_width;
  for (std::size_t kind = 0; kind < std::size(looks); ++kind, x += 310)
    fmt::format_to(
        to, "<rect class=\"{}\" x=\"{}\" y=\"14\" width=\"12\" height=\"12\"/><text x=\"{}\" y=\"24\">{}</text>\n",
        looks[kind].name, x, x + 18, words.at(kind));
  fmt::format_to(to, "<text x=\"{}\" y=\"24\">a row is {} MiB of addresses</text></g>\n", x, row_bytes >> 20);
  double top = title_height;
  double height = 0;
  for (std::size_t i = 0; i < maps.size(); ++i) {
    if (i % 2 == 0) top += std::exchange(height, 0);
    height = std::max(height, draw(body, maps[i], row_bytes, i % 2 == 0 ? 0 : map_width, top));
  }
  std::string styles = ".map rect { stroke: #fff; stroke-width: 0.5 } .address { font-family: monospace }";
  for (const look& each : looks) styles += fmt::format(" .{} {{ fill: {} }}", each.name, each.color);
  return fmt::format(
      "<svg xmlns=\"http://www.w3.org/2000/svg\" viewBox=\"0 0 {} {}\" font-family=\"sans-serif\" "
      "font-size=\"12\" fill=\"#333\">\n<style>{}</style>\n{}</svg>\n",
      2 * map_width, top + height + 20, styles, body);
}

}  // namespace example
