#include "tools/sizes.hpp"

#include <doctest/doctest.h>

#include "tools/command.hpp"

using terrazzo::tools::read_size;
using terrazzo::tools::usage_error;

TEST_CASE("sizes: what people write is read, and the rest is refused by name") {
  const struct {
    const char* text;
    std::size_t bytes;
  } good[] = {{"1", 1},          {"512M", 512u << 20}, {"1.5 GiB", 1536u << 20},         {"2gb", std::size_t{2} << 30},
              {"64 KiB", 65536}, {"100 bytes", 100},   {"64TiB", std::size_t{64} << 40}, {"3 b", 3}};
  for (const auto& row : good) {
    CAPTURE(std::string(row.text));
    CHECK(read_size("--memory", row.text) == row.bytes);
  }
  for (const char* bad : {"", "-1", "0", "much", "1.5.5GiB", "6 apples", "65TiB", "nan", "inf", "1e99", "GiB"}) {
    CAPTURE(std::string(bad));
    CHECK_THROWS_WITH_AS(
        (void)read_size("--memory", bad),
        (std::string("--memory takes a size such as 6GiB or 512MiB, up to 64TiB; got '") + bad + "'").c_str(),
        usage_error);
  }
}
