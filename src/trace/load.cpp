#include "trace/load.hpp"

#include <fmt/format.h>

#include <new>
#include <stdexcept>
#include <string_view>
#include <utility>

#include "trace/snapshot.hpp"
#include "trace/text.hpp"

namespace terrazzo::trace {

namespace {

// What people have at hand instead of a trace, by how it begins.
struct stranger {
  std::string_view beginning;
  const char* reason;
};
using std::string_view_literals::operator""sv;
constexpr stranger strangers[] = {
    {"PK\x03\x04"sv,
     "is a zip archive, as torch.save writes: it holds tensors, not a memory snapshot; dump one with "
     "torch.cuda.memory._dump_snapshot"},
    {"\xfd"
     "7zXZ\0"sv,
     "is packed twice: unpack it once first (xz -d)"},
    {"\x1f\x8b"sv, "is packed twice: unpack it once first (gzip -d)"},
    {"\x28\xb5\x2f\xfd"sv, "is packed with zstd: unpack it first (zstd -d), or pack it with xz or gzip"},
    {"BZh"sv, "is packed with bzip2: unpack it first (bzip2 -d), or pack it with xz or gzip"},
    {"{"sv,
     "is JSON, or looks like it: dump the snapshot with torch.cuda.memory._dump_snapshot instead, which pickles it"},
    {"["sv,
     "is JSON, or looks like it: dump the snapshot with torch.cuda.memory._dump_snapshot instead, which pickles it"},
    {"<"sv, "is a web page, such as the viewer's or an error's: the snapshot itself is wanted"},
    {"("sv, "is a pickle of protocol 0 or 1, or no pickle: pickle it with protocol 2 or later"},
    {"]"sv, "is a pickle of protocol 0 or 1, or no pickle: pickle it with protocol 2 or later"},
    {"}"sv, "is a pickle of protocol 0 or 1, or no pickle: pickle it with protocol 2 or later"},
    {"terrazzo trace"sv, "is a terrazzo trace of a version that this terrazzo does not know: it knows version 1"},
};

std::vector<program> read_by_content(input& from) {
  const std::string_view start = from.peek(input::least_piece_bytes);
  if (start.empty()) from.fail("", from.is_packed() ? "is empty, once unpacked" : "is empty");
  std::vector<program> made;
  if (start[0] == '\x80') return read_snapshot(from);
  if (start.starts_with(own_trace_header) &&
      (start.size() == own_trace_header.size() || start[own_trace_header.size()] == '\n' ||
       start[own_trace_header.size()] == '\r')) {
    made.push_back(read_own_trace(from));
    return made;
  }
  if (start.starts_with("Thread,")) {
    made.push_back(read_rmm_log(from));
    return made;
  }
  for (const stranger& each : strangers)
    if (start.starts_with(each.beginning)) from.fail("", each.reason);
  from.fail("",
            "is neither a PyTorch snapshot (torch.cuda.memory._dump_snapshot), nor an RMM log, nor a terrazzo trace");
}

// The file's name without folder and the endings that say how it is kept.
std::string program_name(std::string name) {
  const std::size_t slash = name.find_last_of("/\\");
  if (slash != std::string::npos) name.erase(0, slash + 1);
  for (bool found = true; found;) {
    found = false;
    for (const std::string_view ending : {".xz", ".gz", ".pickle", ".pkl", ".csv", ".txt", ".log", ".trace"}) {
      if (name.size() <= ending.size() || !name.ends_with(ending)) continue;
      name.erase(name.size() - ending.size());
      found = true;
    }
  }
  return name;
}

}  // namespace

std::vector<program> read_programs(input& from) {
  std::vector<program> made;
  try {
    made = read_by_content(from);
  } catch (const std::bad_alloc&) {
    from.fail_at_byte(from.offset(), "there is no memory left for more of it");
  } catch (const std::length_error& error) {
    from.fail_at_byte(from.offset(), error.what());
  }
  for (program& each : made) {
    each.name = program_name(from.name());
    if (made.size() > 1) each.name += fmt::format(" (device {})", each.device);
  }
  return made;
}

std::vector<program> load_programs(const std::string& path, progress_callback progress) {
  input from = input::from_file(path, std::move(progress));
  return read_programs(from);
}

}  // namespace terrazzo::trace
