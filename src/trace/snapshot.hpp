// PyTorch's snapshots: what torch.cuda.memory._dump_snapshot and _snapshot of PyTorch 2.0 to 2.15 hold. See
// docs/trace-format.md for what is taken of them.
#pragma once

#include <vector>

#include "trace/input.hpp"
#include "trace/program.hpp"

namespace terrazzo::trace {

/// Reads a pickled snapshot: one program for each device that has operations. Names are left to the caller.
/// Memory: what pickle.hpp and builder.hpp say, and 32 bytes for each block of the snapshot's segments that is in use. For
/// each byte of the file, unpacked, that is half a byte of a real snapshot with frames, and no more than 16 of any.
/// Errors: `trace_error`; a snapshot without operations is one.
[[nodiscard]] std::vector<program> read_snapshot(input& from);

}  // namespace terrazzo::trace
