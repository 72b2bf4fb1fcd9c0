// Text in columns: each as wide as its widest cell, but for the last, which is wrapped to what the terminal has left.
#pragma once

#include <string>
#include <vector>

#include "tools/terminal.hpp"

namespace terrazzo::tools {

enum class alignment { left, right };

struct table_cell {
  table_cell(std::string words, style meaning = style::plain) : text(std::move(words)), look(meaning) {}
  table_cell(const char* words, style meaning = style::plain) : text(words), look(meaning) {}
  std::string text;
  style look;
};

class table {
 public:
  struct column {
    std::string heading;
    alignment side = alignment::left;
  };

  /// Headings that are all empty are not printed.
  explicit table(std::vector<column> columns) : columns_(std::move(columns)) {}

  /// Adds a row. Cells that are missing at its end are empty. REQUIRES: no more cells than columns.
  /// Control characters are not printed.
  void add(std::vector<table_cell> row) {
    for (table_cell& cell : row) cell.text = printable(cell.text);
    rows_.push_back(std::move(row));
  }

  [[nodiscard]] bool empty() const noexcept { return rows_.empty(); }

  /// Prints headings and rows, each line behind `indent` spaces and without spaces at its end.
  [[nodiscard]] std::string to_string(const terminal& out, std::size_t indent = 0) const;

 private:
  std::vector<column> columns_;
  std::vector<std::vector<table_cell>> rows_;
};

}  // namespace terrazzo::tools
