#include <doctest/doctest.h>

#include <algorithm>
#include <limits>
#include <string>

#include "config/parser.hpp"
#include "terrazzo/status.hpp"

using namespace terrazzo;
using detail::config_error;
using detail::reading;

namespace {

constexpr std::size_t mib = std::size_t{1} << 20;

config_error error_of(const std::string& text) {
  config settings;
  reading result;
  const auto error = detail::read_strictly(text, settings, result);
  REQUIRE(error.has_value());
  CHECK(settings == config{});
  CHECK(result.settings.empty());
  return *error;
}

}  // namespace

TEST_CASE("config: a strict string sets the fields of its keys and no others") {
  const config settings = parse_config(
      " expandable_segments : False, max_split_size_mb:64,max_non_split_rounding_mb:32,large_segment_size_mb:30,"
      "garbage_collection_threshold:0.75,roundup_power2_divisions:[64:8,128:2,>:1],per_process_memory_fraction:0.5,"
      "expandable_segments_reserve:0.5,limit_mb:1024,headroom_mb:1.5,on_miss:create");
  config expected;
  expected.expandable_segments = false;
  expected.max_split_size_bytes = 64 * mib;
  expected.max_non_split_rounding_bytes = 32 * mib;
  expected.large_segment_size_bytes = 30 * mib;
  expected.garbage_collection_threshold = 0.75;
  expected.roundup_power2_divisions.fill(1);
  std::fill_n(expected.roundup_power2_divisions.begin(), 7, 8);
  expected.roundup_power2_divisions[7] = 2;
  expected.per_process_memory_fraction = 0.5;
  expected.limit_bytes = 1024 * mib;
  expected.headroom_bytes = 3 * mib / 2;
  expected.expandable_segments_reserve = address_reserve{0.5, 0};
  expected.on_miss = growth_policy::create;
  CHECK(settings == expected);
  CHECK(parse_config("") == config{});
  CHECK(parse_config(" \t\n") == config{});
}

TEST_CASE("config: settings that a strict string does not mention keep the values it builds on") {
  config base;
  base.limit_bytes = 7 * mib;
  base.max_split_size_bytes = 100 * mib;
  config expected = base;
  expected.headroom_bytes = 2 * mib;
  CHECK(parse_config("headroom_mb:2", base) == expected);
}

TEST_CASE("config: keys without an effect are accepted and kept in the reading") {
  config settings;
  reading result;
  const std::string text =
      "backend:cudaMallocAsync,release_lock_on_cudamalloc:True,pinned_num_register_threads:8,"
      "pinned_max_cached_size_mb:0,expandable_segments_reserve_by_class:[a:0.5,b:2g],"
      "pinned_reserve_segment_size_mb:1";
  const auto error = detail::read_strictly(text, settings, result);
  REQUIRE_FALSE(error.has_value());
  CHECK(settings == config{});
  REQUIRE(result.settings.size() == 6);
  CHECK(result.settings[0].what->key == "backend");
  CHECK(std::get<std::string>(result.settings[0].value) == "cudaMallocAsync");
  CHECK(result.settings[1].column == 25);
  CHECK(std::get<std::string>(result.settings[4].value) == "[a:0.5,b:2g]");
}

TEST_CASE("config: a strict error knows its column and key and what to write instead") {
  struct {
    const char* text;
    std::size_t column;
    const char* key;
    const char* part;       // of the message
    const char* corrected;  // "" if nothing is evident
  } const rows[] = {
      {"max_splt_size_mb:40", 1, "max_splt_size_mb", "nearest is max_split_size_mb", "max_split_size_mb:40"},
      {"Expandable_Segments:True", 1, "Expandable_Segments", "nearest is expandable_segments",
       "expandable_segments:True"},
      {"limit_mb:1,banana:2", 12, "banana", "no key \"banana\"", ""},
      {"expandable_segments_handle_type:posix_fd", 1, "expandable_segments_handle_type", "no key", ""},
      {"max_split_size_mb=40", 18, "max_split_size_mb", "a colon", "max_split_size_mb:40"},
      {"max_split _size_mb:40", 1, "max_split_size_mb", "white space", "max_split_size_mb:40"},
      {"limit_mb:1 2", 10, "limit_mb", "white space", "limit_mb:12"},
      {"max_split_size_mb:10", 19, "max_split_size_mb", "a whole number of MiB, at least 20", "max_split_size_mb:20"},
      {"max_split_size_mb:20,large_segment_size_mb:25", 19, "max_split_size_mb", "at least 25",
       "max_split_size_mb:25,large_segment_size_mb:25"},
      {"large_segment_size_mb:25,max_non_split_rounding_mb:24", 52, "max_non_split_rounding_mb", "at least 25",
       "large_segment_size_mb:25,max_non_split_rounding_mb:25"},
      {"large_segment_size_mb:10", 23, "large_segment_size_mb", "more than 10", "large_segment_size_mb:11"},
      {"max_split_size_mb:40MB", 19, "max_split_size_mb", "got \"40MB\"", "max_split_size_mb:40"},
      {"limit_mb:8GiB", 10, "limit_mb", "a number of MiB", "limit_mb:8192"},
      {"max_split_size_mb:40.5", 19, "max_split_size_mb", "whole number", "max_split_size_mb:41"},
      {"max_split_size_mb:0.1", 19, "max_split_size_mb", "whole number", "max_split_size_mb:20"},
      {"max_split_size_mb:1.5gb", 19, "max_split_size_mb", "whole number", "max_split_size_mb:1536"},
      {"max_split_size_mb:40apples", 19, "max_split_size_mb", "whole number", ""},
      {"max_split_size_mb:-1", 19, "max_split_size_mb", "whole number", ""},
      {"max_split_size_mb:17592186044416", 19, "max_split_size_mb", "whole number", ""},
      {"limit_mb:0.0000001", 10, "limit_mb", "a number of MiB", ""},
      {"limit_mb:1.", 10, "limit_mb", "a number of MiB", "limit_mb:1"},
      {"limit_mb:.5", 10, "limit_mb", "a number of MiB", "limit_mb:0.5"},
      {"limit_mb:1.5e3", 10, "limit_mb", "a number of MiB", ""},
      {"limit_mb:1.0e-5", 10, "limit_mb", "a number of MiB", ""},
      {"limit_mb:1.99999999999999999999", 10, "limit_mb", "a number of MiB", "limit_mb:2"},
      {"per_process_memory_fraction:1e-400", 29, "per_process_memory_fraction", "at least 0", ""},
      {"limit_mb:1\x1b[2J", 10, "limit_mb", "a control character", ""},
      {"limit_mb:1.-5", 10, "limit_mb", "a number of MiB", ""},
      {"limit_mb:99999999999999999999", 10, "limit_mb", "a number of MiB", ""},
      {"expandable_segments:true", 21, "expandable_segments", "True or False", "expandable_segments:True"},
      {"expandable_segments:0", 21, "expandable_segments", "True or False", "expandable_segments:False"},
      {"expandable_segments:maybe", 21, "expandable_segments", "True or False", ""},
      {"expandable_segments:[True]", 21, "expandable_segments", "True or False", ""},
      {"garbage_collection_threshold:1", 30, "garbage_collection_threshold", "above 0 and below 1", ""},
      {"garbage_collection_threshold:0", 30, "garbage_collection_threshold", "above 0 and below 1", ""},
      {"garbage_collection_threshold:0.8x", 30, "garbage_collection_threshold", "got \"0.8x\"",
       "garbage_collection_threshold:0.8"},
      {"garbage_collection_threshold:80", 30, "garbage_collection_threshold", "above 0 and below 1",
       "garbage_collection_threshold:0.8"},
      {"garbage_collection_threshold:nan", 30, "garbage_collection_threshold", "a number", ""},
      {"per_process_memory_fraction:1.1", 29, "per_process_memory_fraction", "at least 0 and at most 1", ""},
      {"backend:async", 9, "backend", "native or cudaMallocAsync", "backend:cudaMallocAsync"},
      {"backend:cudaMalloc", 9, "backend", "native or cudaMallocAsync", "backend:native"},
      {"backend:magic", 9, "backend", "native or cudaMallocAsync", ""},
      {"pinned_num_register_threads:3", 29, "pinned_num_register_threads", "a power of two, at least 1 and at most 128",
       "pinned_num_register_threads:4"},
      {"pinned_num_register_threads:256", 29, "pinned_num_register_threads", "at most 128", ""},
      {"pinned_reserve_segment_size_mb:0", 32, "pinned_reserve_segment_size_mb", "at least 1",
       "pinned_reserve_segment_size_mb:1"},
      {"expandable_segments_reserve:-1", 29, "expandable_segments_reserve", "a fraction like 0.5", ""},
      {"expandable_segments_reserve:0", 29, "expandable_segments_reserve", "above 0", ""},
      {"expandable_segments_reserve:banana", 29, "expandable_segments_reserve", "GiB like 40G", ""},
      {"expandable_segments_reserve:40GB", 29, "expandable_segments_reserve", "GiB like 40G",
       "expandable_segments_reserve:40G"},
      {"expandable_segments_reserve:512MiB", 29, "expandable_segments_reserve", "GiB like 40G",
       "expandable_segments_reserve:0.5G"},
      {"expandable_segments_reserve:50%", 29, "expandable_segments_reserve", "a fraction like 0.5",
       "expandable_segments_reserve:0.5"},
      {"on_miss:Move", 9, "on_miss", "on_miss takes move, create or fail; got \"Move\"", "on_miss:move"},
      {"on_miss:crate", 9, "on_miss", "move, create or fail", "on_miss:create"},
      {"on_miss:grow", 9, "on_miss", "move, create or fail", "on_miss:create"},
      {"on_miss:never", 9, "on_miss", "move, create or fail", "on_miss:fail"},
      {"on_miss:True", 9, "on_miss", "move, create or fail", ""},
      {"on_miss:", 9, "on_miss", "has no value", ""},
      {"onmiss:fail", 1, "onmiss", "nearest is on_miss", "on_miss:fail"},
      {"expandable_segments_reserve_by_class:0.5", 38, "expandable_segments_reserve_by_class", "a list", ""},
      {"expandable_segments_reserve_by_class:[large_segment_size_mb:15]", 39, "expandable_segments_reserve_by_class",
       "for the key", ""},
      {"expandable_segments_reserve_by_class:[a:zero]", 41, "expandable_segments_reserve_by_class", "fraction", ""},
      {"limit_mb:1,", 11, "limit_mb", "nothing follows the comma", "limit_mb:1"},
      {"limit_mb:1,,headroom_mb:1", 12, ",", "where a key was expected", "limit_mb:1,headroom_mb:1"},
      {",limit_mb:1", 1, ",", "where a key was expected", "limit_mb:1"},
      {"limit_mb,1", 9, "limit_mb", "a colon must follow", "limit_mb:1"},
      {"limit_mb:1:headroom_mb:2", 11, "limit_mb", "where a comma was expected", ""},
      {"limit_mb", 9, "limit_mb", "has no value", ""},
      {"expandable_segments", 20, "expandable_segments", "has no value", "expandable_segments:True"},
      {"expandable_segments,limit_mb:1", 20, "expandable_segments", "has no value",
       "expandable_segments:True,limit_mb:1"},
      {"expandable_segments:True limit_mb:1", 25, "expandable_segments", "not white space",
       "expandable_segments:True,limit_mb:1"},
      {"expandable_segments:True;limit_mb:1", 25, "expandable_segments", "not a semicolon",
       "expandable_segments:True,limit_mb:1"},
      {"'limit_mb:1", 1, "'limit_mb", "quotation mark", "limit_mb:1"},
      {"limit_mb:1\"", 11, "limit_mb", "quotation mark", "limit_mb:1"},
      {"cudaMallocAsync", 1, "cudaMallocAsync", "value of the key backend", "backend:cudaMallocAsync"},
      {"roundup_bypass_threshold_mb:64", 1, "roundup_bypass_threshold_mb", "took it away", ""},
      {"limit_mb:", 10, "limit_mb", "has no value", ""},
      {"limit_mb:,headroom_mb:1", 10, "limit_mb", "has no value", ""},
      {"limit_mb:1,limit_mb:2", 12, "limit_mb", "given twice, first in column 1", ""},
      {"roundup_power2_divisions:3", 26, "roundup_power2_divisions", "a power of two", "roundup_power2_divisions:4"},
      {"roundup_power2_divisions:True", 26, "roundup_power2_divisions", "a power of two", ""},
      {"roundup_power2:4", 1, "roundup_power2", "takes a number of divisions", "roundup_power2_divisions:4"},
      {"roundup_power2_divisions:0", 26, "roundup_power2_divisions", "a power of two", ""},
      {"roundup_power2_divisions:[64:8", 26, "roundup_power2_divisions", "no closing bracket",
       "roundup_power2_divisions:[64:8]"},
      {"roundup_power2_divisions:[64:3]", 30, "roundup_power2_divisions", "a power of two, or 0", ""},
      {"roundup_power2_divisions:[63:4]", 27, "roundup_power2_divisions", "sizes are a power of two", ""},
      {"roundup_power2_divisions:[65536:4]", 27, "roundup_power2_divisions", "at most 32768", ""},
      {"roundup_power2_divisions:[64:4,32:4]", 32, "roundup_power2_divisions", "must ascend", ""},
      {"roundup_power2_divisions:[32:4,>:4,64:4]", 36, "roundup_power2_divisions", "must ascend", ""},
      {"roundup_power2_divisions:[>:4]", 27, "roundup_power2_divisions", "name one first",
       "roundup_power2_divisions:[1:0,>:4]"},
      {"roundup_power2_divisions:[64:4,]", 31, "roundup_power2_divisions", "nothing follows",
       "roundup_power2_divisions:[64:4]"},
      {"roundup_power2_divisions:[64]", 29, "roundup_power2_divisions", "a colon must follow", ""},
      {"roundup_power2_divisions:[64:]", 30, "roundup_power2_divisions", "has no value", ""},
      {"roundup_power2_divisions:[:64]", 27, "roundup_power2_divisions", "where a word was expected", ""},
      {"roundup_power2_divisions:[64:4 128:4]", 30, "roundup_power2_divisions", "white space", ""},
  };
  for (const auto& row : rows) {
    CAPTURE(std::string(row.text));
    const config_error error = error_of(row.text);
    CAPTURE(error.message);
    CHECK(error.column == row.column);
    CHECK(error.key == row.key);
    CHECK(error.message.find(row.part) != std::string::npos);
    if (error.message.find("white space inside a word") == std::string::npos) CHECK(error.corrected == row.corrected);
    if (*row.corrected != '\0') CHECK_NOTHROW((void)parse_config(row.corrected));
  }
}

TEST_CASE("config: a base that does not go with the string is refused at the key that brings it out") {
  config base;
  base.max_split_size_bytes = 30 * mib;
  config settings = base;
  reading result;
  const auto error = detail::read_strictly("limit_mb:5,large_segment_size_mb:40", settings, result);
  REQUIRE(error.has_value());
  CHECK(error->column == 34);
  CHECK(error->key == "max_split_size_mb");
  CHECK(settings == base);
}

TEST_CASE("config: a strict error arrives as an exception with code and sentence") {
  try {
    (void)parse_config("headroom_mb:1,max_split_size_mb:10");
    FAIL("nothing was thrown");
  } catch (const error& caught) {
    CHECK(caught.code() == status::invalid_config);
    CHECK(std::string(caught.what()) ==
          "terrazzo: config string, column 33: max_split_size_mb takes a whole number of MiB, at least 20, the size of "
          "a large segment; got \"10\". Try \"headroom_mb:1,max_split_size_mb:20\".");
  }
}

TEST_CASE("config: an error in a string of any length fits into the message") {
  const std::string text = "limit_mb:1," + std::string(100'000, 'x') + ":1";
  CHECK_THROWS_AS((void)parse_config(text), error);
  CHECK(std::string(last_error_message()).find("column 12") != std::string::npos);
}

TEST_CASE("config: settings made field by field are checked against the table") {
  CHECK(detail::validate_settings(config{}) == status::ok);
  constexpr double infinite = std::numeric_limits<double>::infinity();
  constexpr double nan = std::numeric_limits<double>::quiet_NaN();
  struct {
    const char* key;
    void (*spoil)(config&);
  } const rows[] = {
      {"max_split_size_mb", [](config& c) { c.max_split_size_bytes = 10 * mib; }},
      {"max_split_size_mb", [](config& c) { c.max_split_size_bytes = 40 * mib + 1; }},
      {"max_split_size_mb", [](config& c) { c.max_split_size_bytes = c.large_segment_size_bytes - 1; }},
      {"max_non_split_rounding_mb", [](config& c) { c.max_non_split_rounding_bytes = 0; }},
      {"large_segment_size_mb", [](config& c) { c.large_segment_size_bytes = 10 * mib; }},
      {"garbage_collection_threshold", [](config& c) { c.garbage_collection_threshold = 1.0; }},
      {"garbage_collection_threshold", [](config& c) { c.garbage_collection_threshold = -0.5; }},
      {"per_process_memory_fraction", [](config& c) { c.per_process_memory_fraction = 1.5; }},
      {"roundup_power2_divisions", [](config& c) { c.roundup_power2_divisions[3] = 3; }},
      {"expandable_segments_reserve", [](config& c) { c.expandable_segments_reserve = address_reserve{}; }},
      {"expandable_segments_reserve",
       [](config& c) {
         c.expandable_segments_reserve = address_reserve{0.5, mib};
       }},
      {"expandable_segments_reserve",
       [](config& c) {
         c.expandable_segments_reserve = address_reserve{-0.5, 0};
       }},
      {"expandable_segments_reserve",
       [](config& c) {
         c.expandable_segments_reserve = address_reserve{infinite, 0};
       }},
      {"expandable_segments_reserve",
       [](config& c) {
         c.expandable_segments_reserve = address_reserve{nan, 0};
       }},
      {"expandable_segments_reserve",
       [](config& c) {
         c.expandable_segments_reserve = address_reserve{nan, mib};
       }},
      {"on_miss", [](config& c) { c.on_miss = static_cast<growth_policy>(3); }},
  };
  for (const auto& row : rows) {
    CAPTURE(std::string(row.key));
    config settings;
    row.spoil(settings);
    CHECK(detail::validate_settings(settings) == status::invalid_config);
    CHECK(std::string(last_error_message()).find(row.key) == 0);
  }
  config odd;
  odd.limit_bytes = 12345;
  odd.headroom_bytes = 1;
  odd.expandable_segments_reserve = address_reserve{0, 1};
  odd.on_miss = growth_policy::fail;
  CHECK(detail::validate_settings(odd) == status::ok);
}

TEST_CASE("config: an error of the program's string shows the string to write, all mistakes mended") {
  const auto said = [](const char* text) {
    try {
      (void)parse_config(text);
    } catch (const terrazzo::error& caught) {
      return std::string(caught.what());
    }
    return std::string();
  };
  CHECK(said("max_splt_size_mb=64,expandable_segments:false")
            .find("Try \"max_split_size_mb:64,expandable_segments:False\"") != std::string::npos);
  // What cannot be mended is not guessed at.
  CHECK(said("expandable_segment:Maybe").find("Try") == std::string::npos);
  CHECK(said("per_process_memory_fraction:3").find("Try") == std::string::npos);
  CHECK(said("headroom_mb:-1").find("a number of MiB, at least 0") != std::string::npos);
}
