// RMM's log. Source: cpp/src/mr/detail/logging_resource_adaptor_impl.cpp of RMM 26.12, and earlier versions, which print
// pointers in other ways.
#include <fmt/format.h>

#include <algorithm>
#include <array>
#include <string_view>

#include "trace/builder.hpp"
#include "trace/lines.hpp"
#include "trace/text.hpp"

namespace terrazzo::trace {

namespace {

// Where in a line the columns stand that are read.
struct columns {
  std::size_t action;
  std::size_t pointer;
  std::size_t size;
  std::size_t stream;
  std::size_t count;
};

columns read_header(line_reader& lines) {
  if (!lines.next()) lines.fail("no line");
  const std::vector<std::string_view>& names = lines.parts(',');
  const auto find = [&](std::string_view name) {
    const auto found = std::find(names.begin(), names.end(), name);
    if (found == names.end())
      lines.fail(
          fmt::format("no column {}: an RMM log begins with the line Thread,Time,Action,Pointer,Size,Stream", name));
    return static_cast<std::size_t>(found - names.begin());
  };
  return {find("Action"), find("Pointer"), find("Size"), find("Stream"), names.size()};
}

}  // namespace

program read_rmm_log(input& from) {
  line_reader lines(from);
  const columns at = read_header(lines);
  program_builder builder;
  while (lines.next()) {
    if (lines.text().empty()) continue;
    const std::vector<std::string_view>& parts = lines.parts(',');
    if (parts.size() != at.count)
      lines.fail(fmt::format("the line has {} columns, where {} should be", parts.size(), at.count));
    const std::string_view action = parts[at.action];
    if (action == "allocate failure") {
      ++builder.omitted().failed_allocations;
      continue;
    }
    const bool is_free = action == "free";
    if (!is_free && action != "allocate") lines.fail("Action is none of allocate, free and allocate failure");
    const std::uint64_t address = lines.pointer(parts[at.pointer], "Pointer");
    const std::uint64_t bytes = lines.decimal(parts[at.size], "Size");
    const std::uint64_t stream = lines.pointer(parts[at.stream], "Stream");
    if (address == 0) ++builder.omitted().other_records;  // what a request of 0 bytes may return
    else if (is_free) builder.free(address, bytes, stream);
    else builder.allocate(address, bytes, stream);
  }
  if (builder.is_empty()) from.fail("", "the log has no allocations");
  program made = builder.finish();
  made.format = "RMM log";
  return made;
}

}  // namespace terrazzo::trace
