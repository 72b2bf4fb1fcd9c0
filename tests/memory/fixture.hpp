// A device's memory over the software GPU in process, with its context current.
#pragma once

#include <doctest/doctest.h>

#include <optional>

#include "base/bits.hpp"
#include "memory/device_memory.hpp"
#include "support/softgpu.hpp"

namespace terrazzo::test {

using detail::chunk_handle;
using detail::mib;

struct memory_session {
  explicit memory_session(const char* spec) : gpu(spec) {
    detail::primary_context context;
    REQUIRE(detail::primary_context::retain(gpu.api, 0, context) == status::ok);
    REQUIRE(memory.open(context) == status::ok);
    scope.emplace(memory.context());
    REQUIRE(scope->result() == status::ok);
  }

  /// Tells whether the room counts what the driver counts. Both are asked of nothing else.
  [[nodiscard]] bool counts_agree() const {
    return memory.held_bytes() == softgpu_session::count("allocated_bytes") + softgpu_session::count("chunk_bytes");
  }

  /// Creates chunks; empty on failure.
  std::vector<chunk_handle> create(std::size_t count) {
    std::vector<chunk_handle> chunks;
    chunks.reserve(count);
    last = memory.create_chunks(count, chunks);
    if (last == status::ok) return chunks;
    release(chunks);
    return {};
  }
  void release(const std::vector<chunk_handle>& chunks) {
    for (const chunk_handle chunk : chunks) CHECK(memory.release_chunk(chunk) == status::ok);
  }

  softgpu_session gpu;
  detail::device_memory memory;
  std::optional<detail::context_scope> scope;
  status last = status::ok;
};

}  // namespace terrazzo::test
