// What the lenient reading warns about: all that PyTorch takes but was surely not meant, and nothing else.
#include <doctest/doctest.h>

#include <string>

#include "config/parser.hpp"

using namespace terrazzo;
using namespace terrazzo::detail;

namespace {

std::vector<config_warning> warnings_of(const std::string& text) {
  CAPTURE(text);
  config settings;
  reading result;
  for (const auto parser : {key_owner::pytorch_common, key_owner::pytorch_cuda}) {
    const auto error = read_as_pytorch(text, parser, settings, result);
    if (error) FAIL(error->message);
  }
  return result.warnings;
}

struct row {
  const char* text;
  std::size_t column;
  const char* key;
  const char* part;  // of the message
  const char* meant;
};

// Each string gives one warning.
template <std::size_t Count>
void check(const row (&rows)[Count]) {
  for (const row& expected : rows) {
    CAPTURE(std::string(expected.text));
    const auto warnings = warnings_of(expected.text);
    for (const config_warning& warning : warnings) INFO(warning.message);
    REQUIRE(warnings.size() == 1);
    const config_warning& warning = warnings.front();
    CAPTURE(warning.message);
    CHECK(warning.column == expected.column);
    CHECK(warning.key == expected.key);
    CHECK(warning.message.find(expected.part) != std::string::npos);
    CHECK(warning.meant == expected.meant);
  }
}

}  // namespace

TEST_CASE("config: a clean string gives no warning") {
  const char* const rows[] = {
      "",
      " ",
      "expandable_segments:True",
      "expandable_segments:False",
      " expandable_segments : True ,\n max_split_size_mb : 512 ",
      "max_split_size_mb:20",
      "max_split_size_mb:17592186044415",
      "max_split_size_mb:040",
      "garbage_collection_threshold:0.8",
      "garbage_collection_threshold:.8,per_process_memory_fraction:1",
      "garbage_collection_threshold:8e-1,per_process_memory_fraction:1.0",
      "per_process_memory_fraction:0",
      "large_segment_size_mb:15,max_split_size_mb:20,max_non_split_rounding_mb:40",
      "max_split_size_mb:40,large_segment_size_mb:15",
      "roundup_power2_divisions:4",
      "roundup_power2_divisions:[256:1,512:2,1024:4,>:8]",
      "roundup_power2_divisions:[64:8,128:2,256:4,512:2,1024:4,>:1]",
      "roundup_power2_divisions:[64:8]",
      "roundup_power2_divisions:[64:8,>:0]",
      "roundup_power2_divisions:[16384:8,32768:4]",
      "roundup_power2_divisions: [ 64 : 8 , > : 1 ]",
      "backend:native,max_split_size_mb:40,release_lock_on_cudamalloc:True",
      "backend:cudaMallocAsync",
      "backend:cudaMallocAsync,pinned_use_background_threads:True",
      "release_lock_on_cudamalloc:True,release_lock_on_hipmalloc:True",
      "pinned_use_cuda_host_register:True,pinned_num_register_threads:8,pinned_reserve_segment_size_mb:64",
      "pinned_max_round_threshold_mb:64,pinned_max_cached_size_mb:64",
      "pinned_max_round_threshold_mb:0",
      "expandable_segments_reserve:0.5",
      "expandable_segments_reserve:1.125",
      "expandable_segments_reserve:40G,expandable_segments_reserve_by_class:[a:0.5,b:40g]",
      "expandable_segments_reserve:1e20G",
      "graph_capture_record_stream_reuse:True,throw_on_cudamalloc_oom:True,pinned_free_catch_all:True",
  };
  for (const char* text : rows) {
    CAPTURE(text);
    const auto warnings = warnings_of(text);
    if (!warnings.empty()) FAIL_CHECK(warnings.front().message);
  }
}

TEST_CASE("config: numbers that are not read as they are written are told") {
  check({
      {"max_split_size_mb:40MB", 19, "max_split_size_mb", "\"40MB\" is read as 40: \"MB\" is ignored", "40"},
      {"max_split_size_mb:40M", 19, "max_split_size_mb", "\"M\" is ignored", "40"},
      {"max_split_size_mb:40GiB", 19, "max_split_size_mb", "is read as 40", "40960"},
      {"max_split_size_mb:40KB", 19, "max_split_size_mb", "\"KB\" is ignored", ""},
      {"max_split_size_mb:40.5", 19, "max_split_size_mb", "\".5\" is ignored", ""},
      {"max_split_size_mb:40.0", 19, "max_split_size_mb", "\".0\" is ignored", "40"},
      {"pinned_max_cached_size_mb:1e3", 27, "pinned_max_cached_size_mb", "\"1e3\" is read as 1:", "1000"},
      {"pinned_max_cached_size_mb:0x40", 27, "pinned_max_cached_size_mb", "is read as 0", ""},
      {"pinned_num_register_threads:8G", 29, "pinned_num_register_threads", "is read as 8", ""},
      {"max_split_size_mb:+40", 19, "max_split_size_mb", "the plus is dropped", "40"},
      {"max_split_size_mb:+40MB", 19, "max_split_size_mb", "the plus is dropped, \"MB\" is ignored", "40"},
      {"max_split_size_mb:-1", 19, "max_split_size_mb", "is read as 17592186044415: the minus wraps around, more has",
       ""},
      {"max_split_size_mb:17592186044416", 19, "max_split_size_mb", "more has no place", ""},
      {"large_segment_size_mb:17592186044416", 23, "large_segment_size_mb", "more has no place", ""},
      {"large_segment_size_mb:15MB,max_split_size_mb:40", 23, "large_segment_size_mb", "is read as 15", "15"},
      {"max_split_size_mb:4 0", 19, "max_split_size_mb", "\"4 0\" is read as 40: white space is dropped", "40"},
      {"garbage_collection_threshold:0.8x", 30, "garbage_collection_threshold", "\"x\" is ignored", "0.8"},
      {"garbage_collection_threshold:0.8%", 30, "garbage_collection_threshold", "\"%\" is ignored", ""},
      {"garbage_collection_threshold:0.8.5", 30, "garbage_collection_threshold", "\".5\" is ignored", ""},
      {"garbage_collection_threshold:+0.8", 30, "garbage_collection_threshold", "the plus is dropped", "0.8"},
      {"garbage_collection_threshold:0. 8", 30, "garbage_collection_threshold", "white space is dropped", "0.8"},
      {"per_process_memory_fraction:-0", 29, "per_process_memory_fraction", "\"-0\" is read as 0: the minus", ""},
      {"roundup_power2_divisions:4x", 26, "roundup_power2_divisions", "is read as 4", ""},
      {"roundup_power2_divisions:[64MB:4,128:2]", 27, "roundup_power2_divisions", "is read as 64", ""},
      {"roundup_power2_divisions:[64:4x,128:2]", 30, "roundup_power2_divisions", "is read as 4", ""},
      {"roundup_power2_divisions:[65536:4]", 27, "roundup_power2_divisions", "is read as 32768", ""},
  });
}

TEST_CASE("config: separators that are passed over and white space inside words are told") {
  check({
      {"max_split_size_mb,40", 18, "max_split_size_mb", "\",\" is passed over as if it were \":\"", ":"},
      {"max_split_size_mb:40:expandable_segments:True", 21, "max_split_size_mb", "as if it were \",\"", ","},
      {"max_split_size_mb:40]", 21, "max_split_size_mb", "\"]\" is passed over", ","},
      {"roundup_power2_divisions:[64:8]max_split_size_mb", 32, "roundup_power2_divisions", "is passed over", ","},
      {"per_process_memory_fraction:0.5:max_split_size_mb:40", 32, "per_process_memory_fraction", "passed over", ","},
      {"max_split_size_mb:40,", 21, "max_split_size_mb", "the comma at the end is ignored", ""},
      {"roundup_power2_divisions:[64:8,]", 31, "roundup_power2_divisions", "the comma before the bracket", ""},
      {"roundup_power2_divisions:[64,8]", 29, "roundup_power2_divisions", "\",\" is passed over", ":"},
      {"roundup_power2_divisions:[64:8:128:4]", 31, "roundup_power2_divisions", "\":\" is passed over", ","},
      {"expandable_segments_reserve_by_class:[a,0.5]", 40, "expandable_segments_reserve_by_class", "passed over", ":"},
      {"expandable_segments_reserve_by_class:[a:0.5,]", 44, "expandable_segments_reserve_by_class", "comma before", ""},
      {"expandable_segments_reserve_by_class:[,:0.5]", 39, "expandable_segments_reserve_by_class", "name of a class",
       ""},
      {"max_split _size_mb:40", 1, "max_split_size_mb", "white space inside", "max_split_size_mb"},
      {"expandable_segments:Tr\tue", 21, "expandable_segments", "it is read as True", "True"},
      {"backend:nat ive", 9, "backend", "it is read as native", "native"},
      {"expandable_segments_reserve:4 0G", 29, "expandable_segments_reserve", "white space", "40G"},
      {"expandable_segments_reserve_by_class:[k v:0.5]", 39, "expandable_segments_reserve_by_class", "white", "kv"},
  });
}

TEST_CASE("config: what lists and settings together make useless is told") {
  check({
      {"max_split_size_mb:40,max_split_size_mb:50", 22, "max_split_size_mb", "given again: this value counts", ""},
      {"max_split_size_mb:40,max_split_size_mb:40", 22, "max_split_size_mb", "given again", ""},
      {"large_segment_size_mb:40,large_segment_size_mb:30", 26, "large_segment_size_mb", "given again", ""},
      {"roundup_power2_divisions:4,roundup_power2_divisions:[64:8]", 28, "roundup_power2_divisions", "stays as it", ""},
      {"release_lock_on_cudamalloc:True,release_lock_on_hipmalloc:False", 33, "release_lock_on_hipmalloc", "the same",
       ""},
      {"roundup_power2_divisions:1", 26, "roundup_power2_divisions", "1 division rounds nothing", ""},
      {"roundup_power2_divisions:[]", 26, "roundup_power2_divisions", "an empty list", ""},
      {"roundup_power2_divisions:[64:8,512:4]", 32, "roundup_power2_divisions", "128 to below 512 MiB", ""},
      {"roundup_power2_divisions:[64:8,256:4,>:2]", 32, "roundup_power2_divisions", "divisions stay 0", ""},
      {"roundup_power2_divisions:[128:8,64:4]", 33, "roundup_power2_divisions", "not above the one before", ""},
      {"roundup_power2_divisions:[64:8,64:4]", 32, "roundup_power2_divisions", "not above the one before", ""},
      {"roundup_power2_divisions:[>:4]", 27, "roundup_power2_divisions", "below 2 MiB", ""},
      {"roundup_power2_divisions:[32768:8,>:4]", 35, "roundup_power2_divisions", "no sizes are left for >", ""},
      {"roundup_power2_divisions:[64:8,>:4,128:2]", 36, "roundup_power2_divisions", "an entry after >", ""},
      {"roundup_power2_divisions:[64:8,>:4,>:2]", 36, "roundup_power2_divisions", "an entry after >", ""},
      {"expandable_segments_reserve_by_class:[]", 38, "expandable_segments_reserve_by_class", "an empty list", ""},
      {"expandable_segments_reserve_by_class:[a:1,a:1G]", 43, "expandable_segments_reserve_by_class", "again", ""},
      {"expandable_segments_reserve_by_class:[a:x]", 41, "expandable_segments_reserve_by_class", "is no reserve", ""},
      {"expandable_segments_reserve:0", 29, "expandable_segments_reserve", "\"0\" is no reserve", ""},
      {"expandable_segments_reserve:0.5,expandable_segments_reserve:1G", 33, "expandable_segments_reserve",
       "given again: this value counts", ""},
      {"expandable_segments_reserve:0.5,expandable_segments_reserve:x", 61, "expandable_segments_reserve",
       "\"x\" is no reserve", ""},
      {"expandable_segments_reserve:+40G", 29, "expandable_segments_reserve", "the plus is dropped", "40G"},
      {"expandable_segments_reserve:40", 29, "expandable_segments_reserve", "cut to 1.125", "40G"},
      {"backend:cudaMallocAsync,max_split_size_mb:40", 1, "backend", "cudaMallocAsync ignores", ""},
      {"backend:cudaMallocAsync,release_lock_on_cudamalloc:True", 1, "backend", "cudaMallocAsync ignores", ""},
      {"pinned_max_cached_size_mb:1,pinned_max_round_threshold_mb:2", 29, "pinned_max_round_threshold_mb", "above", ""},
  });
}

TEST_CASE("config: several warnings come in the order of the string and a refused string gives none") {
  const auto warnings = warnings_of("max_split_size_mb,40MB,expandable_ segments:True,max_split_size_mb:+50:");
  std::vector<std::size_t> columns;
  for (const config_warning& warning : warnings) columns.push_back(warning.column);
  CHECK(columns == std::vector<std::size_t>{18, 19, 24, 50, 68, 71});
  const auto hidden = warnings_of("expandable_segments_reserve_by_class:[large_segment_size_mb:15]");
  REQUIRE(hidden.size() == 2);
  CHECK(hidden[0].message.find("counts as the key large_segment_size_mb") != std::string::npos);
  CHECK(hidden[1].meant == "15G");
  config settings;
  reading result;
  CHECK(read_as_pytorch("max_split_size_mb:40MB,foo:1", key_owner::pytorch_common, settings, result).has_value());
  CHECK(result.warnings.empty());
}
