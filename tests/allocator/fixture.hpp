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

/// A stream that exists by its handle alone; the allocator never hands a handle to the driver.
inline stream_handle fake_stream(std::size_t number) { return reinterpret_cast<stream_handle>(number * 4096); }

/// The software GPU and one allocator on it. At the end everything must have been given back.
struct session {
  explicit session(const std::string& spec, const std::string& conf = "", int device = 0) : gpu(spec.c_str()) {
    open(conf, device);
  }
  void open(const std::string& conf, int device = 0) {
    REQUIRE(detail::device_allocator::open(gpu.api, device, parse_config(conf), allocator) == status::ok);
  }

  void* allocate(std::size_t bytes, std::size_t stream = 0, std::size_t alignment = 512) {
    void* block = nullptr;
    last = allocator->allocate(bytes, fake_stream(stream), alignment, block);
    return block;
  }
  status deallocate(void* block) { return last = allocator->deallocate(block); }
  bool is_valid() const {
    const status result = allocator->validate();
    if (result != status::ok) MESSAGE(last_error_message());
    return result == status::ok;
  }
  std::size_t reserved() const { return allocator->stats().reserved_bytes.current; }

  softgpu_session gpu;
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
