// Room trace/: programs that were recorded, read from files so that they can be run again. It knows files; it knows
// nothing of GPUs, and includes base/ alone. It is no part of libterrazzo.
//
//   program      what one device was asked for: its operations, in the order in which they were asked
//   operation    an allocation or a free
//   block        what an allocation hands out and a free gives back
//   stream       what the operation was ordered on; the recorded handles are gone, their numbers are left
//   record       one entry of a file: an event of a snapshot, a line of a text
//   early block  one that was there before recording began: it becomes an allocation at the beginning
//   place        where in a file something stands: a byte (of what was unpacked, if the file is packed) or a line
//
// Steps: input.hpp gives a file's bytes in pieces, unpacked; load.hpp looks at the first of them and calls a reader;
// pickle.hpp and snapshot.hpp read PyTorch's snapshots, text.hpp RMM's logs and terrazzo's own traces; all of them hand
// record after record to builder.hpp, which makes operations of them at once.
//
// Rules: no reader holds a file, or a tree of it, in memory. Lengths and counts that a file claims are never believed:
// memory grows with what has been read. Whatever a file holds, the outcome is programs without a problem
// (`find_problem`) or a `trace_error` with file, place and reason.
// Threads: none of the room's objects is shared; different objects do not know of each other.
#pragma once

#include <cstddef>
#include <cstdint>
#include <string>
#include <vector>

namespace terrazzo::trace {

enum class operation_kind : std::uint8_t { allocate, free };

struct operation {
  operation_kind kind = operation_kind::allocate;
  std::uint32_t stream = 0;  ///< of a free: where it was ordered, which need not be the block's stream
  std::uint32_t block = 0;
  std::uint64_t bytes = 0;  ///< as requested, not rounded; 0 for a free

  friend bool operator==(const operation&, const operation&) = default;
};
static_assert(sizeof(operation) <= 24, "millions of them are held at a time");

/// Counts of the records that did not become operations as they stand.
struct left_out {
  std::uint64_t unmatched_frees = 0;     ///< frees of blocks that were not live: left out
  std::uint64_t missing_frees = 0;       ///< an address handed out again before it was freed: a free was put in
  std::uint64_t failed_allocations = 0;  ///< allocations that failed, and out-of-memory events: left out
  std::uint64_t other_records = 0;       ///< of segments, snapshots, annotations, and of unknown kinds: left out
};

/// Invariants, which `find_problem` checks:
///   block order    the n-th allocation, counted from 0, is of block n, so that block_count is their number
///   one life       a block is freed at most once, after its allocation
///   stream order   an operation is on a stream seen before, or on the next one; stream_count is their number
///   free bytes     a free has 0 bytes
struct program {
  std::string name;    ///< the file's, without folder and endings; with the device, if the file has several
  std::string format;  ///< "PyTorch snapshot", "RMM log" or "terrazzo trace"
  std::vector<operation> operations;
  std::uint32_t stream_count = 0;
  std::uint32_t block_count = 0;
  std::uint32_t early_block_count = 0;  ///< of block_count: they stand first
  int device = 0;
  std::string source_settings;  ///< the config string of the recorded allocator; empty: none, or not recorded
  left_out omitted;
};

/// What a request takes at least: a multiple of 512 B, as PyTorch and terrazzo round.
[[nodiscard]] std::uint64_t rounded_bytes(std::uint64_t requested_bytes) noexcept;

struct live_peak {
  std::uint64_t bytes = 0;      ///< cut to the largest number, if it is beyond 64 bits
  std::uint64_t operation = 0;  ///< the first after which so much is live
};

/// Finds the largest sum of the live requests, each rounded. No allocator can do with less.
[[nodiscard]] live_peak peak_of(const program& of);

/// Names the first invariant that does not hold, with the place; empty if all do.
[[nodiscard]] std::string find_problem(const program& in);

}  // namespace terrazzo::trace
