// The two formats of lines: RMM's logs and terrazzo's own traces, which docs/trace-format.md describes. Names are left to
// the caller.
#pragma once

#include <iosfwd>

#include "trace/input.hpp"
#include "trace/program.hpp"

namespace terrazzo::trace {

inline constexpr std::string_view own_trace_header = "terrazzo trace 1";

/// Reads what rmm::mr::logging_resource_adaptor writes: a CSV file whose first line names its columns. Errors:
/// `trace_error` with the line; a log without allocations is one.
[[nodiscard]] program read_rmm_log(input& from);

/// Reads terrazzo's own format. Errors: `trace_error` with the line; what `write_program` cannot have written is one, such
/// as a free of a block that is not live.
[[nodiscard]] program read_own_trace(input& from);

/// Writes terrazzo's own format: what is read back has the same operations, device and settings, and has no early blocks,
/// since they have become ordinary ones. REQUIRES: find_problem(of) is empty. Errors: the stream's state.
void write_program(const program& of, std::ostream& to);

}  // namespace terrazzo::trace
