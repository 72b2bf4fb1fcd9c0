#include "tools/table.hpp"

#include <doctest/doctest.h>

#include <string>

using namespace terrazzo::tools;

namespace {
const terminal unlimited(stdout, false, 0);
}

TEST_CASE("table: columns are as wide as their widest cell and lines end without spaces") {
  table out({{"key"}, {"size", alignment::right}, {"text"}});
  out.add({"a", "1", "first"});
  out.add({"longer", "1024", ""});
  out.add({"b"});
  CHECK(out.to_string(unlimited) ==
        "key     size  text\n"
        "a          1  first\n"
        "longer  1024\n"
        "b\n");
}

TEST_CASE("table: an empty heading row is not printed and indents hold for all lines") {
  table out({{""}, {""}});
  out.add({"word", "one two three four five six"});
  out.add({"", "more"});
  CHECK(out.to_string(terminal(stdout, false, 30), 2) ==
        "  word  one two three four\n"
        "        five six\n"
        "        more\n");
  CHECK(out.to_string(unlimited, 2) ==
        "  word  one two three four five six\n"
        "        more\n");
}

TEST_CASE("table: a narrow terminal leaves the last column twenty places") {
  table out({{""}, {""}});
  out.add({"a very long word that leaves no room", "one two three four five"});
  const std::string text = out.to_string(terminal(stdout, false, 10));
  CHECK(text.find("one two three four\n") != std::string::npos);
}

TEST_CASE("table: colours do not change the columns") {
  table out({{""}, {""}});
  out.add({{"ab", style::error}, {"x", style::good}});
  out.add({"abcd", "y"});
  CHECK(out.to_string(terminal(stdout, true, 0)) ==
        "\x1b[1;31mab\x1b[0m    \x1b[32mx\x1b[0m\n"
        "abcd  y\n");
}
