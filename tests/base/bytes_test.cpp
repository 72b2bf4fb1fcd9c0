#include "base/bytes.hpp"

#include <doctest/doctest.h>

#include <string>

TEST_CASE("bytes: counts are printed for people") {
  const struct {
    std::size_t bytes;
    const char* expected;
  } rows[] = {
      {0, "0 bytes"},
      {1023, "1023 bytes"},
      {1024, "1 KiB"},
      {1536, "1.5 KiB"},
      {2 << 20, "2 MiB"},
      {8519680, "8.12 MiB"},
      {100 << 20, "100 MiB"},
      {(1ull << 30) - 1, "1024 MiB"},
      {6ull << 30, "6 GiB"},
      {25383141376, "23.6 GiB"},
      {80ull << 30, "80 GiB"},
      {3ull << 40, "3 TiB"},
      {5000ull << 40, "5000 TiB"},
  };
  for (const auto& row : rows) {
    CAPTURE(row.bytes);
    CHECK(terrazzo::detail::format_bytes(row.bytes) == row.expected);
  }
}

TEST_CASE("bytes: what people write is read, to the byte") {
  const struct {
    const char* text;
    std::size_t bytes;
  } rows[] = {
      {"0", 0},
      {"0.5", 0},
      {"100 bytes", 100},
      {"3 b", 3},
      {"512M", 512u << 20},
      {"2gb", 2ull << 30},
      {"1.5 GiB", 3ull << 29},
      {"0.125GiB", 1ull << 27},
      {"64TiB", 64ull << 40},
      {"9007199254740993", 9007199254740993},  // more digits than a double has
      {"8796093022207.999KiB", (8796093022208 << 10) - 2},
  };
  for (const auto& row : rows) {
    CAPTURE(std::string(row.text));
    CHECK(terrazzo::detail::read_bytes(row.text) == row.bytes);
  }
}

TEST_CASE("bytes: what is no size, or more than a size_t counts, is nothing") {
  for (const char* text :
       {"", ".", ".5GiB", "1.GiB", "1.5.5GiB", "-1", "+1", " 1", "1e3", "0x10", "GiB", "1 G iB", "1kk", "1PiB", "nan",
        "inf", "18446744073709551616", "18014398509481984KiB", "99999999999999999999"}) {
    CAPTURE(std::string(text));
    CHECK(terrazzo::detail::read_bytes(text) == std::nullopt);
  }
}
