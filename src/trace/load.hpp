// The room's door: reads a file of any format that it knows.
#pragma once

#include <string>
#include <vector>

#include "trace/input.hpp"
#include "trace/program.hpp"

namespace terrazzo::trace {

/// Reads the programs of a file, one for each device that has operations; "-" is stdin. The format is told by the
/// content: a PyTorch snapshot, an RMM log, a terrazzo trace; plain, or packed with xz or gzip.
///
/// Errors: `trace_error` with file, place and reason; whatever `progress` throws, which ends the reading.
/// Cost: an operation is held once. A snapshot of 2 million events takes about half a second.
[[nodiscard]] std::vector<program> load_programs(const std::string& path, progress_callback progress = {});

/// The same of an input that has been opened, at its beginning.
[[nodiscard]] std::vector<program> read_programs(input& from);

}  // namespace terrazzo::trace
