#include <doctest/doctest.h>

#include <algorithm>
#include <bit>
#include <clocale>
#include <cmath>
#include <limits>
#include <random>
#include <string>

#include "config/numbers.hpp"
#include "config/options.hpp"
#include "config/parser.hpp"
#include "terrazzo/config.hpp"

using namespace terrazzo;

namespace {

constexpr std::size_t mib = std::size_t{1} << 20;

// Any bit pattern above 0 that is finite, or any number of bytes, small ones as often as large ones.
address_reserve random_reserve(std::mt19937_64& random) {
  if (random() % 2 == 0) return {0, std::max<std::size_t>(static_cast<std::size_t>(random()) >> (random() % 64), 1)};
  constexpr auto infinite = std::bit_cast<std::uint64_t>(std::numeric_limits<double>::infinity());
  return {std::bit_cast<double>(1 + random() % (infinite - 1)), 0};
}

// A sound config with each field set or left alone by a coin.
config random_config(std::mt19937_64& random) {
  const auto coin = [&] { return random() % 2 == 0; };
  const auto below = [&](std::size_t end) { return static_cast<std::size_t>(random() % end); };
  config settings;
  if (coin()) settings.expandable_segments = coin();
  if (coin()) settings.large_segment_size_bytes = (11 + below(1000)) * mib;
  const std::size_t low = settings.large_segment_size_bytes;
  if (coin()) settings.max_split_size_bytes = low + below(100'000) * mib;
  if (coin()) settings.max_non_split_rounding_bytes = low + below(100'000) * mib;
  if (coin()) settings.garbage_collection_threshold = std::ldexp(static_cast<double>(1 + below(1 << 30)), -31);
  if (coin()) settings.per_process_memory_fraction = static_cast<double>(below(10'000)) / 9'999.0;
  if (coin()) settings.limit_bytes = static_cast<std::size_t>(random()) >> below(64);
  if (coin()) settings.headroom_bytes = static_cast<std::size_t>(random()) >> below(64);
  if (coin()) settings.on_miss = detail::growth_words[below(3)].policy;
  if (coin()) settings.expandable_segments_reserve = random_reserve(random);
  if (coin()) {
    std::size_t value = 0;
    for (std::size_t& divisions : settings.roundup_power2_divisions) {
      if (below(3) == 0) value = coin() ? 0 : std::size_t{1} << below(64);
      divisions = value;
    }
  }
  return settings;
}

}  // namespace

TEST_CASE("config: printing gives the canonical string") {
  struct {
    const char* text;
    const char* printed;
  } const rows[] = {
      {"", ""},
      {"max_split_size_mb : 40", "max_split_size_mb:40"},
      {"headroom_mb:1.50,expandable_segments:True", "expandable_segments:True,headroom_mb:1.5"},
      {"headroom_mb:0.00000095367431640625", "headroom_mb:0.00000095367431640625"},
      {"garbage_collection_threshold:8e-1", "garbage_collection_threshold:0.8"},
      {"per_process_memory_fraction:1.0", ""},
      {"roundup_power2_divisions:[1:4,>:4]", "roundup_power2_divisions:4"},
      {"roundup_power2_divisions:[64:8,128:2,256:4,512:2,1024:4,>:1]",
       "roundup_power2_divisions:[64:8,128:2,256:4,512:2,1024:4,>:1]"},
      {"roundup_power2_divisions:[128:8,256:16,512:1,2048:8,>:2]",
       "roundup_power2_divisions:[128:8,256:16,512:1,1024:0,2048:8,>:2]"},
      {"roundup_power2_divisions:[64:8]", "roundup_power2_divisions:[64:8]"},
      {"roundup_power2_divisions:[32768:0]", ""},
      {"backend:native", ""},
      {"expandable_segments_reserve:+.50", "expandable_segments_reserve:0.5"},
      {"expandable_segments_reserve:40g", "expandable_segments_reserve:40G"},
      {"expandable_segments_reserve:1.50G", "expandable_segments_reserve:1.5G"},
      {"on_miss : create, limit_mb:64", "limit_mb:64,on_miss:create"},
      {"on_miss:fail", "on_miss:fail"},
      {"on_miss:move", ""},
  };
  for (const auto& row : rows) {
    CAPTURE(std::string(row.text));
    CHECK(to_string(parse_config(row.text)) == row.printed);
  }
}

TEST_CASE("config: any sound config comes back from its printed string") {
  std::mt19937_64 random(2);
  for (int i = 0; i < 4'000; ++i) {
    const config settings = random_config(random);
    const std::string printed = to_string(settings);
    CAPTURE(printed);
    REQUIRE(detail::validate_settings(settings) == status::ok);
    REQUIRE(parse_config(printed) == settings);
    REQUIRE(to_string(parse_config(printed)) == printed);
  }
}

TEST_CASE("config: reals of any size and bytes at both ends come back from their printed string") {
  std::mt19937_64 random(6);
  // Any bit pattern between 0 and 1, small ones as often as large ones.
  const auto real = [&] { return std::bit_cast<double>(random() % std::bit_cast<std::uint64_t>(1.0)); };
  const std::size_t ends[] = {0, 1, 511, mib - 1, mib, mib + 1, config::unlimited - 1, config::unlimited};
  const std::size_t whole[] = {11 * mib, 20 * mib, config::unlimited / mib * mib};
  for (int i = 0; i < 4'000; ++i) {
    config settings;
    settings.per_process_memory_fraction = i == 0 ? -0.0 : real();
    settings.garbage_collection_threshold = real();
    settings.limit_bytes = ends[random() % std::size(ends)];
    settings.headroom_bytes = ends[random() % std::size(ends)];
    settings.large_segment_size_bytes = whole[random() % std::size(whole)];
    settings.max_split_size_bytes = whole[2];
    settings.max_non_split_rounding_bytes = whole[2];
    const std::string printed = to_string(settings);
    CAPTURE(printed);
    REQUIRE(detail::validate_settings(settings) == status::ok);
    REQUIRE(parse_config(printed) == settings);
    REQUIRE(to_string(parse_config(printed)) == printed);
  }
}

TEST_CASE("config: PyTorch reads a printed string of its own keys as terrazzo does") {
  std::mt19937_64 random(3);
  for (int i = 0; i < 2'000; ++i) {
    config settings = random_config(random);
    settings.limit_bytes = config::unlimited;
    settings.headroom_bytes = 0;
    settings.on_miss = growth_policy::move;
    const std::string printed = to_string(settings);
    CAPTURE(printed);
    config read;
    detail::reading result;
    for (const auto parser : {detail::key_owner::pytorch_common, detail::key_owner::pytorch_cuda}) {
      const auto error = detail::read_as_pytorch(printed, parser, read, result);
      REQUIRE_FALSE(error.has_value());
    }
    REQUIRE(read == settings);
    const auto& divisions = settings.roundup_power2_divisions;
    const bool all_one = std::ranges::count(divisions, std::size_t{1}) == std::ssize(divisions);
    const bool cut = settings.expandable_segments_reserve.value_or(address_reserve{}).fraction > 9.0 / 8;
    REQUIRE(result.warnings.size() == (all_one ? 1 : 0) + (cut ? 1 : 0));
  }
}

TEST_CASE("config: strict strings mean the same read leniently") {
  // Whatever the strict reader takes of PyTorch's keys, PyTorch takes too; broken ones are made by mutation.
  const std::string seed =
      "expandable_segments:True,max_split_size_mb:40,garbage_collection_threshold:0.5,"
      "roundup_power2_divisions:[64:8,128:2,>:1],per_process_memory_fraction:0.5,backend:native,"
      "expandable_segments_reserve:1.5G";
  const std::string letters = ",:[]>0128.eTxG ";
  std::mt19937_64 random(4);
  int taken = 0;
  for (int i = 0; i < 20'000; ++i) {
    std::string text = seed;
    for (std::size_t changes = 1 + random() % 3; changes > 0; --changes) {
      const std::size_t at = random() % text.size();
      const char letter = letters[random() % letters.size()];
      if (random() % 3 == 0) text.erase(at, 1 + random() % 20);
      else if (random() % 2 == 0) text[at] = letter;
      else text.insert(at, 1, letter);
      if (text.empty()) break;
    }
    CAPTURE(text);
    config strict;
    config lenient;
    detail::reading result;
    if (detail::read_strictly(text, strict, result)) {
      for (const auto parser : {detail::key_owner::pytorch_common, detail::key_owner::pytorch_cuda})
        (void)detail::read_as_pytorch(text, parser, lenient, result);
      continue;
    }
    ++taken;
    for (const auto parser : {detail::key_owner::pytorch_common, detail::key_owner::pytorch_cuda}) {
      const auto error = detail::read_as_pytorch(text, parser, lenient, result);
      REQUIRE_FALSE(error.has_value());
    }
    REQUIRE(lenient == strict);
  }
  CHECK(taken > 100);
}

TEST_CASE("config: the program's locale changes neither reading nor printing") {
  const char* const names[] = {"de_DE.UTF-8", "de_DE.utf8", "fr_FR.UTF-8", "fr_FR.utf8"};
  bool found = false;
  for (const char* name : names) found = found || std::setlocale(LC_ALL, name) != nullptr;
  // Without a locale that writes a comma installed the test still runs in the present one.
  config settings;
  settings.garbage_collection_threshold = 0.5;
  settings.headroom_bytes = mib / 2;
  const std::string printed = to_string(settings);
  const config read = parse_config(printed);
  std::setlocale(LC_ALL, "C");
  CAPTURE(found);
  CHECK(printed == "garbage_collection_threshold:0.5,headroom_mb:0.5");
  CHECK(read == settings);
}

TEST_CASE("config: every row of the option table is complete and found by its key") {
  std::size_t acting = 0;
  for (const detail::option& what : detail::all_options()) {
    CAPTURE(what.key);
    CHECK(detail::find_option(what.key) == &what);
    CHECK_FALSE(what.preset.empty());
    CHECK_FALSE(what.help.empty());
    CHECK_FALSE(detail::allowed_values(what, what.range.low).empty());
    CHECK((what.owner != detail::key_owner::terrazzo || what.acts()));
    acting += what.acts();
  }
  CHECK(acting == 11);  // as many as config has fields
  CHECK(detail::find_option("") == nullptr);
  CHECK(detail::nearest_option("") == nullptr);
}

TEST_CASE("config: bytes print as MiB and come back exactly") {
  std::mt19937_64 random(5);
  for (int i = 0; i < 20'000; ++i) {
    const std::size_t bytes = static_cast<std::size_t>(random()) >> (random() % 64);
    const std::string printed = detail::print_exact_mebibytes(bytes);
    CAPTURE(printed);
    const auto read = detail::read_exact_mebibytes(printed);
    REQUIRE(read.has_value());
    REQUIRE(*read == bytes);
  }
}

TEST_CASE("config: reserves print as the shortest text that comes back exactly") {
  struct {
    address_reserve reserve;
    const char* printed;
  } const rows[] = {
      {{0.1, 0}, "0.1"},
      {{40, 0}, "40"},
      {{5e-324, 0}, "5e-324"},
      {{0, std::size_t{40} << 30}, "40G"},
      {{0, 1}, "9.313225746154785e-10G"},
      {{0, 107'374'182}, "0.09999999962747097G"},
      // More than a double tells apart, and the most that there is, which all that is larger comes to.
      {{0, (std::size_t{1} << 53) + 1}, "8388608.000000000931322574615478515625G"},
      {{0, config::unlimited - 1}, "17179869183.99999999813735485076904296875G"},
      {{0, config::unlimited}, "17179869184G"},
  };
  for (const auto& row : rows) {
    CAPTURE(std::string(row.printed));
    CHECK(detail::print_reserve(row.reserve) == row.printed);
    CHECK(detail::read_reserve(row.printed) == row.reserve);
  }
  std::mt19937_64 random(7);
  for (int i = 0; i < 20'000; ++i) {
    const address_reserve reserve = random_reserve(random);
    const std::string printed = detail::print_reserve(reserve);
    CAPTURE(printed);
    REQUIRE(detail::read_reserve(printed) == reserve);
  }
}
