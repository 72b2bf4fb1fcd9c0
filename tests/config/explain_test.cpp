// What strings come to: that the explanation knows what guides get wrong, and that the string it gives can be used.
#include <fmt/format.h>

#include <algorithm>
#include <fstream>
#include <random>
#include <sstream>

#include "base/bits.hpp"
#include "explain_fixture.hpp"

using terrazzo::config;
using terrazzo::detail::option;
using terrazzo::detail::option_kind;
using terrazzo::detail::setting;
using terrazzo::detail::situation;
using namespace terrazzo::test;

namespace {

// A value that changes something, for any kind of option.
terrazzo::detail::option_value sample_value(const option& what) {
  switch (what.kind) {
    case option_kind::boolean:
      return true;
    case option_kind::mebibytes:
    case option_kind::exact_mebibytes:
      return std::size_t{64} << 20;
    case option_kind::power_of_two:
      return std::size_t{8};
    case option_kind::real:
      return 0.5;
    case option_kind::divisions: {
      terrazzo::detail::divisions_array four;
      four.fill(4);
      return four;
    }
    case option_kind::backend:
      return std::string("cudaMallocAsync");
    case option_kind::reserve:
      return terrazzo::address_reserve{0.5, 0};
    case option_kind::reserve_list:
      return std::string("[a:0.5]");
    case option_kind::growth:
      return terrazzo::growth_policy::create;
  }
  return false;
}

struct pasted_string {
  std::string variable;
  std::string text;
};

std::vector<pasted_string> read_pasted_strings() {
  std::ifstream file(TERRAZZO_PASTED_STRINGS);
  std::vector<pasted_string> all;
  std::string line;
  std::getline(file, line);  // headings
  while (std::getline(file, line)) {
    std::istringstream fields(line);
    pasted_string one;
    std::getline(fields, one.variable, '\t');
    std::getline(fields, one.text, '\t');
    all.push_back(one);
  }
  return all;
}

}  // namespace

TEST_CASE("explain: every option has its sentences, in all surroundings") {
  for (const option& what : terrazzo::detail::all_options()) {
    CAPTURE(std::string(what.key));
    const std::vector<setting> settings{{&what, sample_value(what), 1}};
    for (const bool windows : {false, true}) {
      for (const bool own : {false, true}) {
        config meaning;
        terrazzo::detail::apply(settings[0], meaning);
        const surroundings where{windows, true};
        const explained_setting made = describe(settings[0], {settings, meaning, config{}, where, own});
        CHECK(made.here.text.size() > 10);
        CHECK(made.pytorch.text.size() > 10);
        CHECK(made.here.acts != made.here.text.starts_with("Nothing"));
        CHECK(made.pytorch.acts != made.pytorch.text.starts_with("Nothing"));
        if (what.owner == terrazzo::detail::key_owner::terrazzo) CHECK_FALSE(made.pytorch.acts);
      }
    }
  }
}

TEST_CASE("explain: a threshold without a memory fraction does nothing in PyTorch, and says how it would") {
  const explanation alone = explain_torch("garbage_collection_threshold:0.8");
  REQUIRE(alone.settings.size() == 1);
  CHECK_FALSE(alone.settings[0].pytorch.acts);
  CHECK(alone.settings[0].severity == severity_level::warning);
  CHECK(has(alone.settings[0].advice, "per_process_memory_fraction"));
  CHECK(alone.fixed.empty());

  const explanation both = explain_torch("garbage_collection_threshold:0.8,per_process_memory_fraction:0.9");
  CHECK(find(both, "garbage_collection_threshold")->pytorch.acts);
  CHECK(both.fixed == "garbage_collection_threshold:0.8,per_process_memory_fraction:0.9");

  const explanation expandable =
      explain_torch("garbage_collection_threshold:0.8,per_process_memory_fraction:0.9,expandable_segments:True");
  CHECK_FALSE(find(expandable, "garbage_collection_threshold")->pytorch.acts);
  // terrazzo releases chunks by it.
  CHECK(find(expandable, "garbage_collection_threshold")->here.acts);
  CHECK(expandable.fixed ==
        "garbage_collection_threshold:0.8,per_process_memory_fraction:0.9,expandable_segments:True");
}

TEST_CASE("explain: a split size acts on plain segments, and harms expandable ones") {
  const explanation plain = explain_torch("max_split_size_mb:128");
  CHECK(find(plain, "max_split_size_mb")->pytorch.acts);
  CHECK_FALSE(find(plain, "max_split_size_mb")->here.acts);  // unset means expandable here
  CHECK(has(find(plain, "max_split_size_mb")->advice, "CUBLAS_STATUS_ALLOC_FAILED"));
  CHECK(plain.fixed == "max_split_size_mb:128");

  const explanation both = explain_torch("max_split_size_mb:128,expandable_segments:True");
  CHECK(find(both, "max_split_size_mb")->severity == severity_level::warning);
  CHECK(has(find(both, "max_split_size_mb")->pytorch.text, "#123548"));
  CHECK(both.fixed == "expandable_segments:True");

  const explanation forced = explain_torch("max_split_size_mb:128,expandable_segments:False");
  CHECK(find(forced, "max_split_size_mb")->here.acts);
  const surroundings unmappable{false, false};
  CHECK(find(explain_torch("max_split_size_mb:128", unmappable), "max_split_size_mb")->here.acts);
}

TEST_CASE("explain: what another setting makes of a size is an error at that size") {
  const explanation made = explain_torch("large_segment_size_mb:256,max_split_size_mb:128");
  CHECK_FALSE(made.accepted);
  REQUIRE(made.problems.size() == 1);
  CHECK(made.problems[0].severity == severity_level::error);
  CHECK(made.problems[0].column == 45);
  CHECK(has(made.problems[0].message, "at least 256"));
  CHECK(made.fixed == "large_segment_size_mb:256,max_split_size_mb:256");
}

TEST_CASE("explain: expandable segments are not certain on Windows, where PyTorch up to 2.13 ignores them") {
  const std::string text = "expandable_segments:True,max_split_size_mb:128";
  const explanation made = explain_torch(text, {true, true});
  CHECK(find(made, "expandable_segments")->severity == severity_level::note);
  CHECK(has(find(made, "expandable_segments")->advice, "2.13"));
  CHECK(has(find(made, "max_split_size_mb")->pytorch.text, "never split"));
  CHECK(has(find(made, "max_split_size_mb")->advice, "later than 2.13, take it out"));
  CHECK(made.fixed == text);
}

TEST_CASE("explain: a default changes nothing, and is left out") {
  for (const char* text : {"max_split_size_mb:64,large_segment_size_mb:20", "max_split_size_mb:64,backend:native",
                           "max_split_size_mb:64,per_process_memory_fraction:1",
                           "max_split_size_mb:64,pinned_use_background_threads:False",
                           "max_split_size_mb:64,throw_on_cudamalloc_oom:False",
                           "max_split_size_mb:64,release_lock_on_cudamalloc:False"}) {
    CAPTURE(std::string(text));
    const explanation made = explain_torch(text);
    CHECK(made.fixed == "max_split_size_mb:64");
    CHECK_FALSE(made.settings[1].pytorch.acts);
    CHECK(made.settings[1].severity < severity_level::warning);
  }
  const explanation own = explain("TERRAZZO_ALLOC_CONF", "headroom_mb:0,limit_mb:64,expandable_segments:True", {});
  CHECK(own.fixed == "limit_mb:64");
}

TEST_CASE("explain: the variables of one environment are explained under each other") {
  const auto explain_variables = [](const char* torch, const char* own) {
    return terrazzo::detail::explain_environment(
        [=](const char* name) {
          return std::string_view(name) == "PYTORCH_CUDA_ALLOC_CONF" ? torch
                 : std::string_view(name) == "TERRAZZO_ALLOC_CONF"   ? own
                                                                     : nullptr;
        },
        {});
  };
  // terrazzo's limit makes PyTorch's threshold act here.
  auto all = explain_variables("garbage_collection_threshold:0.8", "limit_mb:10");
  REQUIRE(all.size() == 2);
  CHECK(find(all[0], "garbage_collection_threshold")->here.acts);
  CHECK(all[0].fixed == "garbage_collection_threshold:0.8");
  CHECK(all[1].worst() == severity_level::fine);

  // What PyTorch's string has set is what terrazzo's changes.
  all = explain_variables("large_segment_size_mb:64,expandable_segments:False",
                          "large_segment_size_mb:20,expandable_segments:True");
  CHECK(find(all[1], "expandable_segments")->here.acts);
  CHECK(has(find(all[0], "expandable_segments")->here.text, "TERRAZZO_ALLOC_CONF sets it too"));

  // A string that builds on another may only be wrong because of it.
  all = explain_variables("large_segment_size_mb:64,expandable_segments:False", "max_split_size_mb:32");
  CHECK_FALSE(all[1].accepted);
  CHECK(all[1].fixed == "max_split_size_mb:64");
}

TEST_CASE("explain: keys that errors and guides recommend and nobody reads are named") {
  const explanation handle = explain_torch("expandable_segments:True,expandable_segments_handle_type:posix_fd");
  CHECK_FALSE(handle.accepted);
  REQUIRE(handle.problems.size() == 1);
  CHECK(has(handle.problems[0].message, "read from no string"));
  CHECK(handle.fixed == "expandable_segments:True");
  const explanation bare = explain_torch("cudaMallocAsync");
  CHECK(bare.problems[0].meant == "backend:cudaMallocAsync");
  CHECK(bare.fixed == "backend:cudaMallocAsync");
}

TEST_CASE("explain: all mistakes are listed, each at its place in the string as given") {
  const std::string text = "max_split_mb:128,expandable_segments=True,garbage_collect_threshold:2x,banana:1";
  const explanation made = explain_torch(text);
  std::vector<std::size_t> columns;
  for (const auto& each : made.problems) {
    columns.push_back(each.column);
    CHECK(each.severity == severity_level::error);
  }
  CHECK(columns == std::vector<std::size_t>{1, 37, 43, 69, 72});
  CHECK(made.fixed == "expandable_segments:True");
}

TEST_CASE("explain: an oddity that PyTorch takes is a warning, also beside an error") {
  const explanation made = explain_torch("max_split_size_mb:128MB,banana:1");
  CHECK_FALSE(made.accepted);
  REQUIRE(made.problems.size() == 2);
  CHECK(made.problems[0].severity == severity_level::warning);
  CHECK(made.problems[1].severity == severity_level::error);
  CHECK(made.fixed == "max_split_size_mb:128");
}

TEST_CASE("explain: terrazzo's own keys belong in its own variable") {
  const explanation foreign = explain_torch("limit_mb:1024,max_split_size_mb:64");
  CHECK_FALSE(foreign.accepted);
  CHECK(has(foreign.problems[0].message, "TERRAZZO_ALLOC_CONF"));
  CHECK(foreign.fixed == "max_split_size_mb:64");
  const explanation own = explain("TERRAZZO_ALLOC_CONF", "limit_mb:1024,garbage_collection_threshold:0.5", {});
  CHECK(own.accepted);
  CHECK(find(own, "limit_mb")->here.acts);
  CHECK_FALSE(find(own, "garbage_collection_threshold")->pytorch.acts);
  CHECK(has(find(own, "garbage_collection_threshold")->pytorch.text, "does not read"));
  CHECK(own.fixed == "limit_mb:1024,garbage_collection_threshold:0.5");
  CHECK_FALSE(explain_torch("on_miss:create").accepted);
}

TEST_CASE("explain: what the variable itself means") {
  CHECK(has(explain_torch("").advice.at(0), "counts as set"));
  CHECK(has(explain("PYTORCH_HIP_ALLOC_CONF", "backend:native", {}).advice.at(0), "backend is skipped"));
  CHECK(has(explain("PYTORCH_HIP_ALLOC_CONF", "max_split_size_mb:64", {}).advice.at(0), "if PYTORCH_CUDA_ALLOC_CONF"));
  CHECK(explain("TERRAZZO_ALLOC_CONF", "", {}).advice.empty());
}

TEST_CASE("explain: a setting given twice counts once, with its last value") {
  const explanation made = explain_torch("max_split_size_mb:64,max_split_size_mb:128");
  REQUIRE(made.settings.size() == 1);
  CHECK(made.settings[0].value == "128");
  CHECK(made.settings[0].column == 22);
  CHECK(made.fixed == "max_split_size_mb:128");
}

TEST_CASE("explain: entries of a list that PyTorch ignores are left out of the string to use") {
  const explanation made =
      explain_torch("expandable_segments:True,expandable_segments_reserve_by_class:[a:0.5,b:x, c :40g,a:2G]");
  CHECK(made.accepted);
  CHECK(made.fixed == "expandable_segments:True,expandable_segments_reserve_by_class:[c:40g,a:2G]");
  CHECK(explain_torch("expandable_segments:True,expandable_segments_reserve_by_class:[b:x]").fixed ==
        "expandable_segments:True");
}

TEST_CASE("explain: a share that vanishes is left out") {
  for (const char* text : {"per_process_memory_fraction:0x1p-1030,max_split_size_mb:64",
                           "per_process_memory_fraction:0x0001.00000000001p-1030,max_split_size_mb:64"}) {
    CAPTURE(std::string(text));
    const explanation made = explain_torch(text);
    CHECK(made.fixed == "max_split_size_mb:64");
    check_sound(made, {});
  }
}

TEST_CASE("explain: strings that people pasted get explanations, and strings that can be used") {
  const auto all = read_pasted_strings();
  CHECK(all.size() >= 60);
  for (const auto& each : all) {
    CAPTURE(each.text);
    for (const surroundings& where : {surroundings{}, surroundings{true, true}, surroundings{false, false}})
      check_sound(explain(each.variable, each.text, where), where);
  }
}

TEST_CASE("explain: broken strings of all kinds get strings that can be used") {
  const char* const pieces[] = {"max_split_size_mb",
                                "expandable_segments",
                                "True",
                                ":",
                                ",",
                                "[",
                                "]",
                                "=",
                                " ",
                                "40MB",
                                "garbage_collection_threshold",
                                "0.8",
                                "roundup_power2_divisions",
                                "[64:4,>:2]",
                                ">",
                                "backend",
                                "native",
                                "cudaMallocAsync",
                                "limit_mb",
                                "1.5",
                                "'",
                                ";",
                                "-1",
                                "banana",
                                "expandable_segments_reserve_by_class",
                                "a:0.5",
                                "expandable_segments_reserve",
                                "40G",
                                "on_miss",
                                "create",
                                "fail",
                                "large_segment_size_mb",
                                "25",
                                "\t",
                                "\xc3"};
  std::mt19937_64 random(20261125);
  for (int i = 0; i < 3000; ++i) {
    std::string text;
    for (std::uint64_t n = random() % 14; n > 0; --n) text += pieces[random() % std::size(pieces)];
    CAPTURE(text);
    const char* variable = random() % 4 == 0 ? "TERRAZZO_ALLOC_CONF" : "PYTORCH_CUDA_ALLOC_CONF";
    check_sound(explain(variable, text, {}), {});
  }
}

TEST_CASE("explain: more mistakes than anybody reads are cut off") {
  std::string text;
  for (int i = 0; i < 1000; ++i) text += fmt::format("{}banana{}:1", i == 0 ? "" : ",", i);
  const explanation made = explain_torch(text);
  CHECK(made.problems.size() == 65);
  CHECK(has(made.problems.back().message, "more mistakes"));
  CHECK(made.fixed.empty());
}
