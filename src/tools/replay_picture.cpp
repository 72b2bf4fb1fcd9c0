#include "tools/replay_picture.hpp"

#include <fmt/format.h>

#include <algorithm>
#include <cmath>
#include <iterator>

#include "base/bytes.hpp"

namespace terrazzo::tools {
namespace {

constexpr double width = 1000;
constexpr double left = 70;
constexpr double curve_height = 220;
constexpr double row_height = 12;
constexpr double rows_gap = 2;
constexpr std::size_t map_rows = 16;
constexpr double panel_height = 40 + curve_height + 60 + map_rows * (row_height + rows_gap) + 50;

constexpr const char* live_color = "#2a78b8";
constexpr const char* reserved_color = "#8a8f98";
constexpr const char* largest_color = "#d9822b";
constexpr const char* small_color = "#7fb2dd";
constexpr const char* free_color = "#e6e2da";

class drawing {
 public:
  template <typename... Args>
  void add(fmt::format_string<Args...> format, Args&&... args) {
    fmt::format_to(std::back_inserter(text_), format, std::forward<Args>(args)...);
    text_ += '\n';
  }
  void text(double x, double y, const char* anchor, std::string_view words) {
    std::string escaped;
    for (const char c : words) {
      if (c == '<') escaped += "&lt;";
      else if (c == '>') escaped += "&gt;";
      else if (c == '&') escaped += "&amp;";
      else if (static_cast<unsigned char>(c) >= 0x20) escaped += c;
    }
    add(R"(<text x="{:.1f}" y="{:.1f}" text-anchor="{}">{}</text>)", x, y, anchor, escaped);
  }
  [[nodiscard]] std::string take() && { return std::move(text_); }

 private:
  std::string text_;
};

void draw_curve(drawing& out, const replay_panel& panel, double top) {
  const auto& samples = panel.result->samples;
  std::size_t highest = 1;
  for (const replay_sample& each : samples) highest = std::max({highest, each.live_bytes, each.reserved_bytes});
  const double span = static_cast<double>(std::max<std::uint64_t>(panel.operation_count, 1));
  const auto x_of = [&](std::uint64_t at) { return left + (width - left - 10) * static_cast<double>(at) / span; };
  const auto y_of = [&](std::size_t bytes) {
    return top + curve_height * (1 - static_cast<double>(bytes) / static_cast<double>(highest));
  };
  for (const int quarter : {0, 1, 2, 3, 4}) {
    const std::size_t bytes = highest / 4 * static_cast<std::size_t>(quarter);
    out.add(R"(<line x1="{:.1f}" x2="{:.1f}" y1="{:.1f}" y2="{:.1f}" stroke="#ddd"/>)", left, width - 10, y_of(bytes),
            y_of(bytes));
    out.text(left - 6, y_of(bytes) + 4, "end", detail::format_bytes(bytes));
  }
  const auto line = [&](const char* color, std::size_t replay_sample::*what) {
    std::string points;
    for (const replay_sample& each : samples)
      points += fmt::format("{:.1f},{:.1f} ", x_of(each.operation), y_of(each.*what));
    out.add(R"(<polyline points="{}" fill="none" stroke="{}" stroke-width="1.5"/>)", points, color);
  };
  line(reserved_color, &replay_sample::reserved_bytes);
  line(largest_color, &replay_sample::largest_free_bytes);
  line(live_color, &replay_sample::live_bytes);
  double x = left;
  for (const auto& [color, word] :
       {std::pair{live_color, "live"}, {reserved_color, "reserved"}, {largest_color, "largest free block"}}) {
    out.add(R"(<rect x="{:.1f}" y="{:.1f}" width="12" height="3" fill="{}"/>)", x, top + curve_height + 14, color);
    out.text(x + 16, top + curve_height + 19, "start", word);
    x += 150;
  }
  out.text(width - 10, top + curve_height + 19, "end", fmt::format("{} operations", panel.operation_count));
}

// The addresses in rows, from the lowest on; what lies behind the last mapped one is left out.
void draw_map(drawing& out, const replay_panel& panel, double top) {
  using content = map_piece::content;
  struct span {
    std::size_t begin;
    const map_piece* piece;
  };
  std::vector<span> spans;
  std::size_t total = 0;
  std::size_t used = 0;
  for (const map_piece& each : panel.result->map) {
    spans.push_back({total, &each});
    total += each.bytes;
    if (each.what != content::unmapped) used = total;
  }
  if (used == 0) return;
  const double bytes_of_row = static_cast<double>(used) / static_cast<double>(map_rows);
  const double scale = (width - left - 10) / bytes_of_row;
  for (const span& each : spans) {
    if (each.piece->what == content::unmapped) continue;
    const char* color = each.piece->what == content::live           ? live_color
                        : each.piece->what == content::small_blocks ? small_color
                                                                    : free_color;
    double begin = static_cast<double>(each.begin);
    const double end = static_cast<double>(std::min(each.begin + each.piece->bytes, used));
    while (begin < end) {
      const double row = std::min(std::floor(begin / bytes_of_row), static_cast<double>(map_rows) - 1);
      const double stop = row + 1 >= static_cast<double>(map_rows) ? end : std::min(end, (row + 1) * bytes_of_row);
      const double drawn = (stop - begin) * scale;
      if (drawn >= 0.05) {
        out.add(R"(<rect x="{:.2f}" y="{:.1f}" width="{:.2f}" height="{}" fill="{}"/>)",
                left + (begin - row * bytes_of_row) * scale, top + row * (row_height + rows_gap), std::max(drawn, 0.3),
                row_height, color);
      }
      begin = stop > begin ? stop : end;
    }
  }
  for (std::size_t row = 0; row < map_rows; row += 4)
    out.text(left - 6, top + static_cast<double>(row) * (row_height + rows_gap) + 10, "end",
             fmt::format("+{}", detail::format_bytes(static_cast<std::size_t>(bytes_of_row) * row)));
  const double legend = top + map_rows * (row_height + rows_gap) + 12;
  double x = left;
  for (const auto& [color, word] : {std::pair{live_color, "live"},
                                    {small_color, "cut into small blocks"},
                                    {free_color, "free"},
                                    {"#fff", "no memory"}}) {
    out.add(R"(<rect x="{:.1f}" y="{:.1f}" width="12" height="10" fill="{}" stroke="#bbb" stroke-width="0.5"/>)", x,
            legend - 8, color);
    out.text(x + 16, legend + 1, "start", word);
    x += 150;
  }
}

}  // namespace

std::string draw_replays(const std::vector<replay_panel>& panels) {
  drawing out;
  out.add(R"(<svg xmlns="http://www.w3.org/2000/svg" width="{0}" height="{1}" viewBox="0 0 {0} {1}")", width,
          std::max(1.0, panel_height * static_cast<double>(panels.size())));
  out.add(R"( font-family="sans-serif" font-size="12" fill="#333"><rect width="100%" height="100%" fill="#fff"/>)");
  double top = 0;
  for (const replay_panel& each : panels) {
    out.add(R"(<g font-weight="bold">)");
    out.text(left, top + 24, "start", each.title);
    out.add("</g>");
    draw_curve(out, each, top + 40);
    out.text(left, top + 40 + curve_height + 50, "start",
             each.result->completed ? "addresses, when the most was live" : "addresses, where the run ended");
    draw_map(out, each, top + 40 + curve_height + 60);
    top += panel_height;
  }
  out.add("</svg>");
  return std::move(out).take();
}

}  // namespace terrazzo::tools
