// What the tests of the room share: reading bytes, the error of unreadable ones, and events of snapshots.
#pragma once

#include <doctest/doctest.h>
#include <fmt/format.h>

#include <span>
#include <string>
#include <string_view>
#include <vector>

#include "trace/load.hpp"
#include "trace/pickle_writer.hpp"

namespace trace_test {

inline std::span<const unsigned char> as_bytes(std::string_view text) {
  return {reinterpret_cast<const unsigned char*>(text.data()), text.size()};
}

/// Reads bytes as a file's, in pieces of 512 bytes unless told otherwise.
inline std::vector<terrazzo::trace::program> read(std::string_view bytes, std::size_t piece_bytes = 512) {
  terrazzo::trace::input from = terrazzo::trace::input::from_memory("run.pickle", as_bytes(bytes), piece_bytes);
  std::vector<terrazzo::trace::program> made = terrazzo::trace::read_programs(from);
  CHECK(!made.empty());
  for (const terrazzo::trace::program& each : made) CHECK(terrazzo::trace::find_problem(each) == "");
  return made;
}

/// Tells the whole error of bytes that cannot be read; empty if they can.
inline std::string error_of(std::string_view bytes, std::size_t piece_bytes = 512) {
  try {
    static_cast<void>(read(bytes, piece_bytes));
  } catch (const terrazzo::trace::trace_error& error) {
    CHECK(error.file() == "run.pickle");
    CHECK(!error.reason().empty());
    return error.what();
  }
  return {};
}

inline bool contains(std::string_view text, std::string_view part) { return text.find(part) != std::string_view::npos; }

inline value event(const char* action, std::int64_t address, std::int64_t bytes, std::int64_t stream = 0) {
  return dictionary({{"action", action},
                     {"addr", address},
                     {"size", bytes},
                     {"stream", stream},
                     {"time_us", std::int64_t{1795258082774813}},
                     {"compile_context", "N/A"},
                     {"user_metadata", ""},
                     {"pool_id", tuple({0, 0})}});
}

inline value block(std::int64_t address, std::int64_t bytes, std::int64_t requested, const char* state) {
  return dictionary(
      {{"address", address}, {"size", bytes}, {"requested_size", requested}, {"state", state}, {"frames", list({})}});
}

inline value segment(int device, std::int64_t address, std::int64_t stream, std::vector<value> blocks) {
  return dictionary({{"device", device},
                     {"address", address},
                     {"total_size", 2097152},
                     {"stream", stream},
                     {"segment_type", "small"},
                     {"segment_pool_id", tuple({0, 0})},
                     {"is_expandable", false},
                     {"frames", list({})},
                     {"blocks", list(std::move(blocks))}});
}

/// A snapshot of some devices' events, in the order in which PyTorch writes its parts.
inline value snapshot(std::vector<value> traces, std::vector<value> segments = {}, const char* settings = "") {
  return dictionary(
      {{"segments", list(std::move(segments))},
       {"device_traces", list(std::move(traces))},
       {"allocator_settings", dictionary({{"PYTORCH_CUDA_ALLOC_CONF", settings},
                                          {"max_split_size", -1},
                                          {"roundup_power2_divisions", dictionary({{"1", 0}, {"2", 0}})}})},
       {"external_annotations", list({})}});
}

/// Prints a program for comparing: "a0/0:512 f0/0" is block 0 of 512 bytes on stream 0, allocated and freed.
inline std::string printed(const terrazzo::trace::program& of) {
  std::string made;
  for (const terrazzo::trace::operation& each : of.operations) {
    if (!made.empty()) made += ' ';
    if (each.kind == terrazzo::trace::operation_kind::free) made += fmt::format("f{}/{}", each.block, each.stream);
    else made += fmt::format("a{}/{}:{}", each.block, each.stream, each.bytes);
  }
  return made;
}

/// One device's events, pickled, read and printed.
inline std::string read_events(std::vector<value> events, pickler as = pickler::python_4) {
  return printed(read(pickled(snapshot({list(std::move(events))}), as)).at(0));
}

}  // namespace trace_test
