// What PyTorch accepts, and means by it: its own test cases, then each manner of its parsers.
#include <doctest/doctest.h>

#include <bit>
#include <string>

#include "config/parser.hpp"

using namespace terrazzo;
using namespace terrazzo::detail;

namespace {

constexpr std::size_t mebibyte = std::size_t{1} << 20;

std::optional<config_error> read(const std::string& text, config& settings, reading& result) {
  auto error = read_as_pytorch(text, key_owner::pytorch_common, settings, result);
  if (!error) error = read_as_pytorch(text, key_owner::pytorch_cuda, settings, result);
  return error;
}

config accepted(const std::string& text, config settings = {}) {
  reading result;
  const auto error = read(text, settings, result);
  CAPTURE(text);
  if (error) FAIL(error->message);
  return settings;
}

bool refused(const std::string& text) {
  config settings;
  reading result;
  const auto error = read(text, settings, result);
  return error.has_value();
}

std::size_t divisions_at(const config& settings, std::size_t size_mb) {
  return settings.roundup_power2_divisions[static_cast<std::size_t>(std::bit_width(size_mb)) - 1];
}

}  // namespace

TEST_CASE("config: PyTorch's own test of its common keys passes") {
  config settings = accepted(
      "max_split_size_mb:40,max_non_split_rounding_mb:30,garbage_collection_threshold:0.5,"
      "roundup_power2_divisions:[64:8,128:2,256:4,512:2,1024:4,>:1],expandable_segments:True,"
      "pinned_use_background_threads:True");
  CHECK(settings.max_split_size_bytes == 40 * mebibyte);
  CHECK(settings.max_non_split_rounding_bytes == 30 * mebibyte);
  CHECK(settings.garbage_collection_threshold == 0.5);
  CHECK(settings.expandable_segments == true);
  struct {
    std::size_t size_mb, divisions;
  } const first[] = {{1, 8},   {32, 8},   {64, 8},   {128, 2},  {256, 4},
                     {512, 2}, {1024, 4}, {2048, 1}, {4096, 1}, {32768, 1}};
  for (const auto& row : first) {
    CAPTURE(row.size_mb);
    CHECK(divisions_at(settings, row.size_mb) == row.divisions);
  }
  settings = accepted("roundup_power2_divisions:[128:8,256:16,512:1,2048:8,>:2]");
  struct {
    std::size_t size_mb, divisions;
  } const second[] = {{64, 8}, {128, 8}, {256, 16}, {512, 1}, {1024, 0}, {2048, 8}, {4096, 2}, {8192, 2}};
  for (const auto& row : second) {
    CAPTURE(row.size_mb);
    CHECK(divisions_at(settings, row.size_mb) == row.divisions);
  }
  settings = accepted("roundup_power2_divisions:4");
  for (std::size_t size_mb = 1; size_mb <= 32768; size_mb *= 2) CHECK(divisions_at(settings, size_mb) == 4);
  settings = accepted("large_segment_size_mb:15,max_split_size_mb:20,max_non_split_rounding_mb:40");
  CHECK(settings.large_segment_size_bytes == 15 * mebibyte);
  CHECK(settings.max_split_size_bytes == 20 * mebibyte);
  CHECK(settings.max_non_split_rounding_bytes == 40 * mebibyte);
  CHECK(accepted("expandable_segments:False,").expandable_segments == false);
  CHECK(refused("max_split_size_mb:20,large_segment_size_mb:25"));
  CHECK(refused("foo:123,bar:456"));
}

TEST_CASE("config: strings that PyTorch refuses are refused") {
  const char* const rows[] = {
      "max_split_size_mb",
      "max_split_size_mb:",
      "roundup_power2_divisions:[64:8",
      "roundup_power2_divisions:[64:8,",
      "roundup_power2_divisions:[64",
      "roundup_power2_divisions:[",
      "garbage_collection_threshold:",
      "foo:1,bar:2",
      "garbage_collection_threshold:1.2",
      "garbage_collection_threshold:0",
      "garbage_collection_threshold:1",
      "garbage_collection_threshold:nan",
      "garbage_collection_threshold:1e-400",
      "max_split_size_mb:2",
      "max_split_size_mb:MB",
      "max_split_size_mb:99999999999999999999",
      "max_non_split_rounding_mb:19",
      "large_segment_size_mb:10",
      "release_lock_on_cudamalloc:none",
      "pinned_use_cuda_host_register:none",
      "pinned_num_register_threads:none",
      "pinned_num_register_threads:1024",
      "pinned_num_register_threads:3",
      "pinned_num_register_threads:0",
      "pinned_reserve_segment_size_mb:0",
      "per_process_memory_fraction:-0.1",
      "per_process_memory_fraction:1.1",
      "expandable_segments:true",
      "expandable_segments:1",
      "roundup_power2_divisions:0",
      "roundup_power2_divisions:3",
      "roundup_power2_divisions:[64:3]",
      "roundup_power2_divisions:[63:4]",
      "roundup_power2_divisions:[0:4]",
      "backend:malloc",
      "backend:native,backend:cudaMallocAsync",   // the first is loaded, and the second is not that
      "per_process_memory_fraction:0x1.8p-1074",  // loses a bit below the normal numbers
      "expandable_segments_reserve",
      "expandable_segments_reserve_by_class:[a:1",
      "Max_split_size_mb:40",
      "expandable_segments_handle_type:posix_fd",
      ",",
      "expandable_segments:True,,",
      "limit_mb:1",  // terrazzo's own, which PyTorch does not know
      "on_miss:create",
      // The large segment's pre-pass looks at every word, also at one that is another key's value.
      "pinned_max_cached_size_mb:large_segment_size_mb:9",
  };
  for (const char* text : rows) {
    CAPTURE(text);
    CHECK(refused(text));
  }
}

TEST_CASE("config: numbers are read in the manner of stoull and stod") {
  struct {
    const char* word;
    std::size_t mebibytes;
  } const sizes[] = {
      {"40", 40},
      {"40MB", 40},
      {"+40", 40},
      {"40.9", 40},
      {"4 0", 40},
      {"-1", 17592186044415},  // wraps, then is cut to the largest number of MiB
      {"17592186044417", 17592186044415},
  };
  for (const auto& row : sizes) {
    CAPTURE(std::string(row.word));
    CHECK(accepted(std::string("max_split_size_mb:") + row.word).max_split_size_bytes == row.mebibytes * mebibyte);
  }
  CHECK(refused("max_split_size_mb:1e3"));  // is 1
  CHECK(accepted("large_segment_size_mb:11,max_split_size_mb:12e3").max_split_size_bytes == 12 * mebibyte);
  struct {
    const char* word;
    double value;
  } const reals[] = {{"0.5", 0.5},  {"0.5x", 0.5},    {"+0.25", 0.25}, {".5", 0.5},       {"5e-1", 0.5},
                     {"0x.8", 0.5}, {"0x1p-2", 0.25}, {"0.5e", 0.5},   {"0x.8p+-1", 0.5}, {"0x.4p1x", 0.5}};
  for (const auto& row : reals) {
    CAPTURE(std::string(row.word));
    CHECK(accepted(std::string("garbage_collection_threshold:") + row.word).garbage_collection_threshold == row.value);
  }
  CHECK(accepted("per_process_memory_fraction:-0").per_process_memory_fraction == 0.0);
  CHECK(accepted("per_process_memory_fraction:0x").per_process_memory_fraction == 0.0);
  for (const char* word : {"--1", "+-1", "x", "inf", "-inf", "1e400", "0x2"}) {
    CAPTURE(word);
    CHECK(refused(std::string("per_process_memory_fraction:") + word));
  }
}

TEST_CASE("config: separators are skipped without a look and white space is dropped everywhere") {
  CHECK(accepted("max_split_size_mb,40").max_split_size_bytes == 40 * mebibyte);
  CHECK(accepted("max_split_size_mb:40:garbage_collection_threshold:0.5").garbage_collection_threshold == 0.5);
  CHECK(accepted(" max_split\t_size_mb\n:\v4\f0\r").max_split_size_bytes == 40 * mebibyte);
  CHECK(accepted("max_split_size_mb:40]garbage_collection_threshold[0.5").garbage_collection_threshold == 0.5);
  CHECK(accepted("roundup_power2_divisions:[64,8:128,2]").roundup_power2_divisions[7] == 2);
  CHECK(accepted("roundup_power2_divisions:[]") == config{});
  CHECK(accepted("roundup_power2_divisions:[>:4]").roundup_power2_divisions[0] == 0);
  CHECK(accepted("roundup_power2_divisions:[>:4]").roundup_power2_divisions[1] == 4);
  CHECK(accepted("roundup_power2_divisions:[1048576:4]").roundup_power2_divisions[15] == 4);
  CHECK(accepted("") == config{});
  CHECK(accepted("   ") == config{});
}

TEST_CASE("config: the last of two equal keys wins and lists of divisions add up") {
  CHECK(accepted("max_split_size_mb:40,max_split_size_mb:50").max_split_size_bytes == 50 * mebibyte);
  CHECK(accepted("large_segment_size_mb:50,max_split_size_mb:40,large_segment_size_mb:30").max_split_size_bytes ==
        40 * mebibyte);
  const config settings = accepted("roundup_power2_divisions:4,roundup_power2_divisions:[64:8]");
  CHECK(divisions_at(settings, 32) == 8);
  CHECK(divisions_at(settings, 64) == 8);
  CHECK(divisions_at(settings, 128) == 4);
}

TEST_CASE("config: a second string sets some keys back and lets the others stick") {
  const config first = accepted(
      "expandable_segments:True,large_segment_size_mb:30,per_process_memory_fraction:0.5,max_split_size_mb:40,"
      "max_non_split_rounding_mb:50,garbage_collection_threshold:0.5,roundup_power2_divisions:4");
  const config second = accepted("", first);
  config expected;
  expected.expandable_segments = true;
  expected.large_segment_size_bytes = 30 * mebibyte;
  expected.per_process_memory_fraction = 0.5;
  CHECK(second == expected);
  CHECK_MESSAGE(refused("max_split_size_mb:19"), "the lower end is the default");
  config settings = second;
  reading result;
  CHECK(read("max_split_size_mb:25", settings, result).has_value());  // below the 30 that stuck
  CHECK(settings == second);
}

TEST_CASE("config: what PyTorch only warns about is a warning") {
  struct {
    const char* text;
    std::size_t warnings;
  } const rows[] = {
      {"expandable_segments_reserve:0.5", 0},
      {"expandable_segments_reserve:40G", 0},
      {"expandable_segments_reserve:1e20G", 0},
      {"expandable_segments_reserve:40g", 0},
      {"expandable_segments_reserve:abc", 1},
      {"expandable_segments_reserve:G", 1},
      {"expandable_segments_reserve:-1", 1},
      {"expandable_segments_reserve:0", 1},
      {"expandable_segments_reserve:12X", 1},
      {"expandable_segments_reserve:inf", 1},
      {"expandable_segments_reserve_by_class:[a:0.5,b:x,c:40G]", 1},
      {"backend:cudaMallocAsync", 0},
      {"backend:cudaMallocAsync,release_lock_on_cudamalloc:True", 1},
      {"backend:cudaMallocAsync,pinned_max_cached_size_mb:40", 0},
      {"pinned_max_round_threshold_mb:2,pinned_max_cached_size_mb:1", 1},
      {"pinned_max_round_threshold_mb:1,pinned_max_cached_size_mb:1", 0},
  };
  for (const auto& row : rows) {
    CAPTURE(std::string(row.text));
    config settings;
    reading result;
    const auto error = read(row.text, settings, result);
    CHECK_FALSE(error.has_value());
    CHECK(result.warnings.size() == row.warnings);
    CHECK(settings == config{accepted(row.text)});
  }
}

TEST_CASE("config: each of PyTorch's parsers takes its own keys and skips the other's") {
  const std::string text =
      "per_process_memory_fraction:0.5,expandable_segments:True,"
      "expandable_segments_reserve_by_class:[a:0.5],large_segment_size_mb:30";
  config settings;
  reading result;
  auto error = read_as_pytorch(text, key_owner::pytorch_common, settings, result);
  CHECK_FALSE(error.has_value());
  config common;
  common.expandable_segments = true;
  common.large_segment_size_bytes = 30 * mebibyte;
  CHECK(settings == common);
  settings = {};
  error = read_as_pytorch(text, key_owner::pytorch_cuda, settings, result);
  CHECK_FALSE(error.has_value());
  config cuda;
  cuda.per_process_memory_fraction = 0.5;
  CHECK(settings == cuda);
}

TEST_CASE("config: a reserve is read as PyTorch reads it and one that cannot be read leaves the value in force") {
  constexpr std::size_t gibibyte = std::size_t{1} << 30;
  struct {
    const char* word;
    address_reserve reserve;
  } const rows[] = {
      {"0.5", {0.5, 0}},
      {"+0.5", {0.5, 0}},
      {"1 .5", {1.5, 0}},
      {"40", {40, 0}},  // of the device's memory; PyTorch cuts it when it reserves
      {"5e-324", {5e-324, 0}},
      {"40G", {0, 40 * gibibyte}},
      {"+40g", {0, 40 * gibibyte}},
      {"1e2G", {0, 100 * gibibyte}},
      {"1.5G", {0, 3 * gibibyte / 2}},
      {"0.1G", {0, 107'374'182}},
      {"0.99999999999999999G", {0, gibibyte}},  // as a double it is 1
      {"17179869184G", {0, config::unlimited}},
      {"1e20G", {0, config::unlimited}},
      {"1e-20G", {0, 1}},
  };
  for (const auto& row : rows) {
    CAPTURE(std::string(row.word));
    CHECK(accepted(std::string("expandable_segments_reserve:") + row.word).expandable_segments_reserve == row.reserve);
  }
  for (const char* word : {"abc", "0", "0G", "G", "-1", "12GB", "inf", "nanG", "1e400", "0x8G", "]"}) {
    CAPTURE(word);
    const std::string text = std::string("expandable_segments_reserve:") + word;
    CHECK_FALSE(accepted(text).expandable_segments_reserve.has_value());
    CHECK(accepted("expandable_segments_reserve:0.5," + text).expandable_segments_reserve == address_reserve{0.5, 0});
  }
  // It sticks from one string to the next.
  const config first = accepted("expandable_segments_reserve:8G");
  CHECK(accepted("max_split_size_mb:40", first).expandable_segments_reserve == address_reserve{0, 8 * gibibyte});
  CHECK(accepted("expandable_segments_reserve:1e", first) == first);
}
