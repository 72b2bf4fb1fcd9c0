#include "tools/table.hpp"

#include <algorithm>

namespace terrazzo::tools {
namespace {

constexpr std::size_t gap = 2;             // spaces between columns
constexpr std::size_t least_to_wrap = 20;  // columns that the last one keeps, however narrow the terminal is

}  // namespace

std::string table::to_string(const terminal& out, std::size_t indent) const {
  if (columns_.empty()) return {};
  std::vector<std::size_t> widths;
  bool has_headings = false;
  for (const column& one : columns_) {
    widths.push_back(columns_of(one.heading));
    has_headings = has_headings || !one.heading.empty();
  }
  for (const std::vector<table_cell>& row : rows_) {
    for (std::size_t i = 0; i < row.size(); ++i) widths[i] = std::max(widths[i], columns_of(row[i].text));
  }
  const std::size_t last = columns_.size() - 1;
  std::size_t before_last = indent;
  for (std::size_t i = 0; i < last; ++i) before_last += widths[i] + gap;
  std::size_t last_width = 0;
  if (out.width() != 0) {
    last_width = std::max(least_to_wrap, out.width() - std::min(out.width(), before_last));
    widths[last] = std::min(widths[last], last_width);
  }

  std::string text;
  const auto add_line = [&](const std::vector<table_cell>& row) {
    std::string line(indent, ' ');
    std::size_t owed = 0;  // spaces, written only if something follows
    const auto place = [&](const table_cell& cell, std::size_t i) {
      const std::size_t used = columns_of(cell.text);
      if (used == 0) {
        owed += widths[i] + gap;
        return;
      }
      const std::size_t pad = widths[i] - std::min(widths[i], used);
      line.append(owed + (columns_[i].side == alignment::right ? pad : 0), ' ');
      line += out.paint(cell.look, cell.text);
      owed = gap + (columns_[i].side == alignment::left ? pad : 0);
    };
    for (std::size_t i = 0; i < last && i < row.size(); ++i) place(row[i], i);
    const std::vector<std::string> pieces =
        row.size() > last ? wrap(row[last].text, last_width) : std::vector<std::string>{""};
    for (std::size_t piece = 0; piece < pieces.size(); ++piece) {
      if (piece != 0) {
        line.assign(indent, ' ');
        owed = before_last - indent;
      }
      place({pieces[piece], row.size() > last ? row[last].look : style::plain}, last);
      text += line;
      text += '\n';
    }
  };
  if (has_headings) {
    std::vector<table_cell> headings;
    for (const column& one : columns_) headings.emplace_back(one.heading, style::heading);
    add_line(headings);
  }
  for (const std::vector<table_cell>& row : rows_) add_line(row);
  return text;
}

}  // namespace terrazzo::tools
