// What an allocator holds and has done: counters as PyTorch defines them.
//   requested <= allocated <= active <= reserved
#pragma once

#include "terrazzo/cpp20.hpp"

#include <cstddef>
#include <cstdint>

namespace terrazzo {

/// Bytes or a count, now and at its highest since the start or the last reset.
struct counter {
  std::size_t current = 0;
  std::size_t peak = 0;
};

struct statistics {
  counter requested_bytes;  ///< as the program asked
  counter allocated_bytes;  ///< after rounding to blocks
  counter active_bytes;     ///< with freed blocks that a stream still uses; not told apart yet: equals allocated_bytes
  counter reserved_bytes;   ///< device memory taken from the driver
  counter allocations;      ///< live blocks

  std::uint64_t allocation_count = 0;     ///< successful allocations ever
  std::uint64_t deallocation_count = 0;   ///< blocks freed ever
  std::uint64_t driver_calls = 0;         ///< calls into the CUDA driver ever
  std::uint64_t out_of_memory_count = 0;  ///< requests that failed for lack of memory
  std::uint64_t retry_count = 0;          ///< requests that came to wait for the device, served or not
  std::uint64_t invalid_free_count = 0;   ///< frees refused: foreign pointers, double frees, other allocators' blocks

  std::size_t limit_bytes = 0;         ///< what terrazzo may hold on this device
  std::size_t largest_free_bytes = 0;  ///< the largest free block of any source; fronts and slabs may hold more
  std::size_t segment_count = 0;       ///< plain segments, or reservations of the range
};

}  // namespace terrazzo
