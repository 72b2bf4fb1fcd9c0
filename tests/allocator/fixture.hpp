// An allocator over the software GPU in process, for the tests of this room.
#pragma once

#include <doctest/doctest.h>

#include <memory>
#include <string>
#include <vector>

#include "allocator/device_allocator.hpp"
#include "support/softgpu.hpp"
#include "terrazzo/config.hpp"

namespace terrazzo::test {

/// The software GPU and one allocator on it. At the end everything must have been given back.
struct session {
  explicit session(const std::string& spec, const std::string& conf = "", int device = 0, std::size_t stream_count = 16)
      : gpu(spec.c_str()), streams(stream_count) {
    const current_context current(gpu, device);
    for (std::size_t i = 1; i < streams.size(); ++i)
      REQUIRE(gpu.cuda().cuStreamCreate(&streams[i], CU_STREAM_NON_BLOCKING) == CUDA_SUCCESS);
    open(conf, device);
    terrazzo_softgpu_reset_counts();
  }
  ~session() {
    terrazzo_softgpu_fail(nullptr, 0, 0, 0);
    allocator.reset();
    const current_context current(gpu);
    for (std::size_t i = 1; i < streams.size(); ++i) CHECK(gpu.cuda().cuStreamDestroy_v2(streams[i]) == CUDA_SUCCESS);
  }
  void open(const std::string& conf, int device = 0) {
    REQUIRE(detail::device_allocator::open(gpu.api, device, parse_config(conf), allocator) == status::ok);
  }

  void* allocate(std::size_t bytes, std::size_t stream = 0, std::size_t alignment = 512) {
    void* block = nullptr;
    last = allocator->allocate(bytes, streams.at(stream), alignment, block);
    return block;
  }
  status deallocate(void* block) { return last = allocator->deallocate(block); }
  /// Puts work into a stream, which waits there if the software GPU completes by hand.
  void work_on(std::size_t stream) {
    REQUIRE(terrazzo_softgpu_enqueue(
                streams.at(stream), [](void*) {}, nullptr, 0) == 0);
  }
  bool is_valid() const {
    const status result = allocator->validate();
    if (result != status::ok) MESSAGE(std::string(last_error_message()));
    return result == status::ok;
  }
  std::size_t reserved() const { return allocator->stats().reserved_bytes.current; }

  softgpu_session gpu;
  std::vector<CUstream> streams;  // the first is the legacy default stream
  std::unique_ptr<detail::device_allocator> allocator;
  status last = status::ok;
};

inline constexpr std::size_t mib = std::size_t{1} << 20;

/// Both kinds of segments, for suites that hold for either.
struct kind_case {
  const char* name;
  const char* conf;
};
inline constexpr kind_case kinds[] = {{"expandable", "expandable_segments:True"},
                                      {"plain", "expandable_segments:False"}};

}  // namespace terrazzo::test
