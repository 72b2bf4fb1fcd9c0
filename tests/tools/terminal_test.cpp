#include "tools/terminal.hpp"

#include <doctest/doctest.h>

#include <string>
#include <vector>

using namespace terrazzo::tools;

TEST_CASE("terminal: colours are wanted on terminals unless something says no") {
  using enum color_choice;
  const struct {
    color_choice choice;
    bool is_terminal;
    const char* no_color;
    const char* term;
    bool expected;
  } rows[] = {
      {automatic, true, nullptr, "xterm", true},   {automatic, true, nullptr, nullptr, true},
      {automatic, true, "", "xterm", true},        {automatic, true, "1", "xterm", false},
      {automatic, true, "0", "xterm", false},      {automatic, true, nullptr, "dumb", false},
      {automatic, false, nullptr, "xterm", false}, {always, false, "1", "dumb", true},
      {always, true, nullptr, "xterm", true},      {never, true, nullptr, "xterm", false},
  };
  for (const auto& row : rows) {
    CAPTURE(&row - rows);
    CHECK(wants_colors(row.choice, row.is_terminal, row.no_color, row.term) == row.expected);
  }
}

TEST_CASE("terminal: paint puts codes around text only where there are colours") {
  const terminal plain(stdout, false, 0);
  const terminal colored(stdout, true, 0);
  for (const style meaning : {style::plain, style::error, style::warning, style::good, style::heading, style::dim})
    CHECK(plain.paint(meaning, "text") == "text");
  CHECK(colored.paint(style::plain, "text") == "text");
  CHECK(colored.paint(style::error, "text") == "\x1b[1;31mtext\x1b[0m");
  CHECK(colored.paint(style::error, "") == "");
}

TEST_CASE("terminal: wrap breaks at spaces and never inside a word") {
  using lines = std::vector<std::string>;
  const struct {
    const char* text;
    std::size_t width;
    lines expected;
  } rows[] = {
      {"", 10, {""}},
      {"one two three", 0, {"one two three"}},
      {"one two three", 7, {"one two", "three"}},
      {"one two three", 6, {"one", "two", "three"}},
      {"extraordinary a b", 5, {"extraordinary", "a b"}},
      {"a\nb c", 3, {"a", "b c"}},
      {"a\n\nb", 3, {"a", "", "b"}},
      {"\xc3\xa4\xc3\xb6 \xc3\xbc", 4, {"\xc3\xa4\xc3\xb6 \xc3\xbc"}},  // four columns, seven bytes
  };
  for (const auto& row : rows) {
    CAPTURE(std::string(row.text));
    CAPTURE(row.width);
    CHECK(wrap(row.text, row.width) == row.expected);
  }
}
