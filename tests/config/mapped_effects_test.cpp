// What is said of the settings that act in mapped memory.
#include <fmt/format.h>

#include "explain_fixture.hpp"

using namespace terrazzo::test;

TEST_CASE("explain: a threshold acts here on chunks and segments alike, if there is a limit") {
  struct {
    const char* text;
    const char* part;  // of what it does here
  } const rows[] = {
      {"garbage_collection_threshold:0.5", "Nothing: it is a share of a limit"},
      {"garbage_collection_threshold:0.5,expandable_segments:False", "Nothing: it is a share of a limit"},
      {"garbage_collection_threshold:0.5,per_process_memory_fraction:0.9", "Above 0.5 of the limit, cached chunks"},
      {"garbage_collection_threshold:0.5,limit_mb:64", "Above 0.5 of the limit, cached chunks"},
      {"garbage_collection_threshold:0.5,limit_mb:64,expandable_segments:False", "cached segments"},
  };
  for (const auto& row : rows) {
    CAPTURE(std::string(row.text));
    const explanation made = explain("TERRAZZO_ALLOC_CONF", row.text, {});
    const explained_setting& told = *find(made, "garbage_collection_threshold");
    CHECK(has(told.here.text, row.part));
    CHECK(told.keep == told.here.acts);
  }
  const explanation unmappable =
      explain("TERRAZZO_ALLOC_CONF", "garbage_collection_threshold:0.5,limit_mb:64", {false, false});
  CHECK(has(find(unmappable, "garbage_collection_threshold")->here.text, "cached segments"));
}

TEST_CASE("explain: what is done on a miss is for mapped memory, and failing is warned of") {
  const auto told = [](const std::string& text, const surroundings& where = {}) {
    const explanation made = explain("TERRAZZO_ALLOC_CONF", text, where);
    CHECK(made.accepted);
    CHECK(find(made, "on_miss")->pytorch.text == "Nothing: the key is terrazzo's own.");
    check_sound(made, where);
    return std::pair(*find(made, "on_miss"), made.fixed);
  };
  const auto [create, create_fixed] = told("on_miss:create");
  CHECK(create.here.text == "New chunks are made up to the limit first; only then idle ones are moved.");
  CHECK(create.severity == severity_level::note);
  CHECK(has(create.advice, "More memory is reserved"));
  CHECK(create_fixed == "on_miss:create");

  const auto [fail, fail_fixed] = told("on_miss:fail,limit_mb:64");
  CHECK(fail.here.acts);
  CHECK(has(fail.here.text, "never moved"));
  CHECK(fail.severity == severity_level::warning);
  CHECK(has(fail.advice, "fail although enough memory is free"));
  CHECK(fail_fixed == "limit_mb:64");

  const auto [move, move_fixed] = told("on_miss:move");
  CHECK(move.here.text == "Nothing new: it is so without this setting.");
  CHECK(move_fixed.empty());

  for (const char* word : {"move", "create", "fail"}) {
    CAPTURE(word);
    const std::string text = std::string("on_miss:") + word;
    for (const auto& [idle, fixed] : {told(text + ",expandable_segments:False"), told(text, {false, false})}) {
      CHECK(idle.here.text == "Nothing: it is for mapped memory.");
      CHECK(idle.severity == severity_level::note);
      CHECK(idle.advice.empty());
      CHECK_FALSE(has(fixed, "on_miss"));
    }
  }
}

TEST_CASE("explain: a reserve says how many addresses the range takes at a time") {
  const auto told = [](const std::string& text, const surroundings& where = {}) {
    const explanation made = explain_torch(text, where);
    check_sound(made, where);
    return *find(made, "expandable_segments_reserve");
  };
  explained_setting made = told("expandable_segments_reserve:0.50,expandable_segments:True");
  CHECK(made.value == "0.5");
  CHECK(made.here.text ==
        "The range reserves addresses for 0.5 of the device's memory at a time; when they are used up, another such "
        "range is reserved. A request for more gets a range of its own size.");
  CHECK(has(made.pytorch.text, "addresses for 0.5 of the device's memory; a single request"));
  CHECK(made.severity == severity_level::note);

  made = told("expandable_segments_reserve:40g,expandable_segments:True");
  CHECK(made.value == "40G");
  CHECK(has(made.here.text, "addresses for 40 GiB at a time"));
  CHECK(has(made.pytorch.text, "addresses for 40 GiB; a single request"));

  // Alone it acts here, where memory is mapped unless that is refused.
  made = told("expandable_segments_reserve:8G");
  CHECK(made.here.acts);
  CHECK_FALSE(made.pytorch.acts);
  CHECK(made.severity == severity_level::warning);
  CHECK(made.keep);
  for (const explained_setting& idle : {told("expandable_segments_reserve:8G,expandable_segments:False"),
                                        told("expandable_segments_reserve:8G", {false, false})}) {
    CHECK(idle.here.text == "Nothing: it is for mapped memory.");
    CHECK_FALSE(idle.keep);
  }

  // Each allocator has a default of its own.
  made = told("expandable_segments_reserve:2,expandable_segments:True");
  CHECK(made.here.text == "Nothing new: it is so without this setting.");
  CHECK(made.pytorch.text == "Nothing: this is the default.");
  made = told("expandable_segments_reserve:1.125,expandable_segments:True");
  CHECK(made.here.acts);
  CHECK(made.pytorch.text == "Nothing: this is the default.");

  // What cannot be read changes nothing, also of a value before it.
  made = told("expandable_segments_reserve:4 x,expandable_segments:True");
  CHECK(made.value == "4x");
  CHECK(made.here.text == "Nothing: it cannot be read.");
  CHECK(made.severity == severity_level::warning);
  CHECK(explain_torch("expandable_segments_reserve:8G,expandable_segments:True,expandable_segments_reserve:x").fixed ==
        "expandable_segments_reserve:8G,expandable_segments:True");

  const explanation list = explain_torch(
      "expandable_segments:True,expandable_segments_reserve_by_class:[a:0.5],expandable_segments_reserve:1G");
  CHECK_FALSE(find(list, "expandable_segments_reserve_by_class")->here.acts);
  CHECK(find(list, "expandable_segments_reserve_by_class")->pytorch.acts);

  // terrazzo's own variable wins.
  const auto all = terrazzo::detail::explain_environment(
      [](const char* name) {
        return std::string_view(name) == "PYTORCH_CUDA_ALLOC_CONF" ? "expandable_segments_reserve:0.5"
               : std::string_view(name) == "TERRAZZO_ALLOC_CONF"   ? "expandable_segments_reserve:4G"
                                                                   : nullptr;
      },
      {});
  REQUIRE(all.size() == 2);
  CHECK(has(all[0].settings[0].here.text, "TERRAZZO_ALLOC_CONF sets it too"));
  CHECK(has(all[1].settings[0].here.text, "4 GiB at a time"));
}
