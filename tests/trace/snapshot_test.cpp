#include "trace/snapshot.hpp"

#include <fmt/format.h>

#include "trace/fixture.hpp"

using namespace terrazzo::trace;
using namespace trace_test;
using std::string_literals::operator""s;

#if TERRAZZO_TRACE_UNPACKS
TEST_CASE("snapshot: the recorded programs have the figures that are known of them") {
  const struct {
    std::string name;
    std::size_t operations;
    std::uint32_t streams;
    std::uint64_t peak_live_mib;
    std::uint64_t segments;
  } all[] = {{"train_varlen", 113244, 1, 19634, 283},
             {"conv_multires", 18396, 1, 2620, 43},
             {"serve_streams", 26064, 9, 2182, 112}};
  for (const auto& each : all) {
    CAPTURE(each.name);
    const std::vector<program> made = load_programs(fmt::format("{}/{}.pickle.xz", TERRAZZO_TRACES, each.name));
    REQUIRE(made.size() == 1);
    CHECK(find_problem(made[0]) == "");
    CHECK(made[0].name == each.name);
    CHECK(made[0].format == "PyTorch snapshot");
    CHECK(made[0].operations.size() == each.operations);
    CHECK(made[0].block_count == each.operations / 2);
    CHECK(made[0].early_block_count == 0);
    CHECK(made[0].stream_count == each.streams);
    CHECK((peak_of(made[0]).bytes + (1 << 19)) / (1 << 20) == each.peak_live_mib);
    CHECK(made[0].omitted.other_records == each.segments);
    CHECK(made[0].omitted.unmatched_frees == 0);
    CHECK(made[0].omitted.missing_frees == 0);
    CHECK(made[0].source_settings == "");
  }
}
#endif

TEST_CASE("snapshot: every writer's pickle says the same") {
  const value whole = snapshot({list({event("segment_alloc", 4096, 2097152), event("alloc", 4096, 100, 7),
                                      event("alloc", 8192, 200, -1), event("free_requested", 4096, 100, 7),
                                      event("free_completed", 4096, 100, 7), event("alloc", 4096, 300, -1)})},
                               {}, "expandable_segments:True");
  for (const pickler as : all_picklers) {
    for (const std::size_t piece : {512, 4096}) {
      const std::vector<program> made = read(pickled(whole, as), piece);
      CHECK(printed(made.at(0)) == "a0/0:100 a1/1:200 f0/0 a2/1:300");
      CHECK(made[0].source_settings == "expandable_segments:True");
      CHECK(made[0].omitted.other_records == 1);
      CHECK(made[0].name == "run");
      CHECK(made[0].device == 0);
    }
  }
}

TEST_CASE("snapshot: the order of a snapshot's parts and of an event's fields does not matter") {
  value whole = dictionary(
      {{"device_traces",
        list({list({dictionary(
            {{"frames", list({dictionary({{"line", 3}})})}, {"size", 5}, {"addr", 4096}, {"action", "alloc"}})})})},
       {"segments", list({segment(0, 0, 0, {block(512, 512, 100, "active_allocated")})})}});
  for (const pickler as : all_picklers) CHECK(printed(read(pickled(whole, as)).at(0)) == "a0/0:100 a1/0:5");
}

TEST_CASE("snapshot: a free counts once when it is asked for or when that was not recorded when it is done") {
  CHECK(read_events({event("alloc", 1, 8), event("free_completed", 1, 8)}) == "a0/0:8 f0/0");
  CHECK(read_events({event("alloc", 1, 8), event("free_requested", 1, 8)}) == "a0/0:8 f0/0");
  // Asked for and not done yet, when the next request comes.
  CHECK(read_events({event("alloc", 1, 8), event("free_requested", 1, 8), event("alloc", 2, 9),
                     event("free_completed", 1, 8)}) == "a0/0:8 f0/0 a1/0:9");
  CHECK(read_events({event("alloc", 1, 8), event("free_requested", 1, 8), event("alloc", 1, 9)}) ==
        "a0/0:8 f0/0 a1/0:9");
}

TEST_CASE("snapshot: blocks older than the recording become allocations at its beginning") {
  CHECK(read_events({event("alloc", 9, 8, 5), event("free_requested", 3, 70, 6), event("free_completed", 3, 70, 6)}) ==
        "a0/0:70 a1/1:8 f0/0");
  CHECK(read_events({event("alloc", 9, 8), event("free_completed", 3, 70)}) == "a0/0:70 a1/0:8 f0/0");
  // Once a free has been asked for, one that is only done was asked for before the recording.
  CHECK(read_events({event("alloc", 9, 8), event("free_requested", 9, 8), event("free_completed", 3, 70)}) ==
        "a0/0:8 f0/0");
}

TEST_CASE("snapshot: blocks that live through the whole recording are taken from the segments") {
  const std::vector<value> segments = {
      segment(0, 65536, 7,
              {block(65536, 512, 500, "active_allocated"), block(66048, 512, 0, "inactive"),
               block(66560, 1024, 700, "active_pending_free"), block(67584, 1024, 1000, "active_allocated")}),
      segment(1, 131072, 0, {block(131072, 512, 9, "active_allocated")})};
  const value whole = snapshot({list({event("alloc", 67584, 1000, 7), event("alloc", 1, 8, 0)})}, segments);
  for (const pickler as : all_picklers) {
    const std::vector<program> made = read(pickled(whole, as));
    REQUIRE(made.size() == 1);
    CHECK(printed(made[0]) == "a0/0:500 a1/0:1000 a2/1:8");
    CHECK(made[0].early_block_count == 1);
  }
}

TEST_CASE("snapshot: blocks of old snapshots have no address and no requested size of their own") {
  const value old = dictionary(
      {{"segments", list({dictionary({{"device", 0},
                                      {"address", 1000},
                                      {"stream", 0},
                                      {"blocks", list({dictionary({{"size", 24}, {"state", "inactive"}}),
                                                       dictionary({{"size", 8}, {"state", "active_allocated"}}),
                                                       dictionary({{"size", 6}, {"state", "active_allocated"}})})}})})},
       {"device_traces", list({list({event("alloc", 1024, 8)})})}});
  for (const pickler as : all_picklers) CHECK(printed(read(pickled(old, as)).at(0)) == "a0/0:6 a1/0:8");
}

TEST_CASE("snapshot: each device has a program of its own") {
  const value whole = snapshot({list({}), list({event("alloc", 1, 8, 5)}), list({}), list({}),
                                list({event("alloc", 1, 9, 6), event("free_requested", 1, 9, 6)}), list({})},
                               {segment(4, 64, 6, {block(64, 64, 50, "active_allocated")})});
  for (const pickler as : all_picklers) {
    const std::vector<program> made = read(pickled(whole, as));
    REQUIRE(made.size() == 2);
    CHECK(made[0].device == 1);
    CHECK(made[0].name == "run (device 1)");
    CHECK(printed(made[0]) == "a0/0:8");
    CHECK(made[1].device == 4);
    CHECK(made[1].name == "run (device 4)");
    CHECK(printed(made[1]) == "a0/0:50 a1/0:9 f1/0");
  }
}

TEST_CASE("snapshot: what is no allocation and no free is counted") {
  const value oom = dictionary({{"action", "oom"}, {"device_free", 5}, {"size", 9}, {"stream", 0}});
  const std::vector<program> made =
      read(pickled(snapshot({list({event("segment_map", 1, 8), event("alloc", 1, 8), oom, event("annotate", 0, 0),
                                   event("snapshot", 0, 0), event("something new", 0, 0), oom})})));
  CHECK(printed(made.at(0)) == "a0/0:8");
  CHECK(made[0].omitted.failed_allocations == 2);
  CHECK(made[0].omitted.other_records == 4);
}

TEST_CASE("snapshot: events elsewhere than in device traces do not count") {
  value whole = snapshot({list({event("alloc", 1, 8)})});
  whole.items.emplace_back("host_traces");
  whole.items.push_back(list({event("alloc", 5, 100), event("alloc", 6, 100)}));
  whole.items.emplace_back("more");
  whole.items.push_back(tuple({list({list({event("alloc", 7, 100)})}), event("alloc", 7, 100)}));
  for (const pickler as : all_picklers) CHECK(printed(read(pickled(whole, as)).at(0)) == "a0/0:8");
}

TEST_CASE("snapshot: long traces with frames are read whoever wrote them") {
  std::vector<value> events;
  const value frames = list({dictionary({{"filename", "train.py"}, {"line", 3}, {"name", "step"}}),
                             dictionary({{"filename", std::string(300, 'x')}, {"line", 4}, {"name", "loss"}})});
  for (int i = 0; i < 3001; ++i) {
    value next = event(i % 2 == 0 ? "alloc" : "free_requested", 4096, 100 + i / 2);
    next.items.emplace_back("frames");
    next.items.push_back(frames);
    events.push_back(next);
  }
  for (const pickler as : all_picklers) {
    const std::vector<program> made = read(pickled(snapshot({list(events)}), as));
    CHECK(made.at(0).operations.size() == 3001);
    CHECK(made[0].block_count == 1501);
  }
}

TEST_CASE("snapshot: events that make no sense are errors with their byte") {
  const auto error_of_events = [](std::vector<value> events) {
    return error_of(pickled(snapshot({list(std::move(events))})));
  };
  CHECK(contains(error_of_events({dictionary({{"action", "alloc"}, {"size", 8}})}), "an event without \"addr\""));
  CHECK(contains(error_of_events({dictionary({{"action", "alloc"}, {"addr", 8}})}), "an event without \"size\""));
  CHECK(contains(error_of_events({event("alloc", -1, 8)}), "an event whose \"addr\" is negative"));
  CHECK(contains(error_of_events({dictionary({{"action", "alloc"}, {"addr", 8}, {"size", "much"}})}),
                 "an event whose \"size\" is a text, where a number"));
  CHECK(contains(error_of_events({event("alloc", 1, 8), 7}), "among the events of a device is an integer"));
  CHECK(contains(error_of_events({event("alloc", 1, 8), list({})}), "among the events of a device is a list"));
  CHECK(contains(error_of_events({event("alloc", 1, 8), dictionary({{"x", 1}})}), "a dictionary that is no event"));
  CHECK(contains(error_of_events({event("alloc", 1, 8), dictionary({{"x", 1}})}), "run.pickle: byte "));
  // An event that is there twice.

  const std::string twice =
      "\x80\4}\x8c\rdevice_traces](](}\x94(\x8c\6action\x8c\5alloc\x8c\4addrK\1\x8c\4sizeK\1uh\0ees."s;
  CHECK(contains(error_of(twice),
                 "among the events of a device is a reference to an earlier value that is no event of its own"));
}

TEST_CASE("snapshot: a pickle that holds something else says what") {
  CHECK(contains(error_of(pickled(7)), "the pickle holds an integer, not a memory snapshot"));
  CHECK(contains(error_of(pickled(list({event("alloc", 1, 8)}))), "the pickle holds a list, not a memory snapshot"));
  CHECK(contains(error_of(pickled(dictionary({{"state_dict", 1}}))), "which is a dictionary with \"device_traces\""));
  CHECK(contains(error_of(pickled(dictionary({{"device_traces", 1}}))), "\"device_traces\" is an integer"));
  CHECK(contains(error_of(pickled(snapshot({}))), "none were recorded"));
  CHECK(contains(error_of(pickled(snapshot({list({}), list({})}))), "_record_memory_history"));
  CHECK(contains(error_of(pickled(snapshot({list({event("segment_alloc", 1, 8)})}))), "none were recorded"));
  // The old format of torch.save, which is several pickles.
  CHECK(contains(error_of("\x80\x02\x8a\nl\xfc\x9c\x46\xf9 j\xa8P\x19.\x80\x02M\xe9\x03."s), "torch.save"));
}

TEST_CASE("snapshot: there are limits to devices") {
  std::vector<value> many;
  for (int i = 0; i < 129; ++i) many.push_back(list({event("alloc", 1, 8)}));
  CHECK(contains(error_of(pickled(snapshot(many))), "more than 128 lists of events"));
  many.resize(128);
  CHECK(read(pickled(snapshot(many))).size() == 128);
}
