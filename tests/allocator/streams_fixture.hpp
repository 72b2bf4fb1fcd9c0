// The fixture of this room on real streams, whose work is pending until it is completed: for tests of what one stream may
// have of another's memory. What allocator_fuzz prints runs on it.
#pragma once

#include "allocator/fixture.hpp"
#include "support/program_blocks.hpp"

namespace terrazzo::test {

/// A session whose blocks have contents and work that uses them. Streams are 0, the legacy one, to 3. What the list of
/// blocks finds wrong fails the test at the call where it is seen.
struct session_on_streams : session {
  explicit session_on_streams(const std::string& spec, const std::string& conf = "")
      : session(spec + ";completion=manual", conf), current(gpu) {}
  ~session_on_streams() {
    terrazzo_softgpu_complete_all();  // no stream may still use a block when the allocator goes
    check();
    allocator.reset();
  }

  void* allocate(std::size_t bytes, std::size_t stream = 0, std::size_t alignment = 512) {
    void* block = nullptr;
    last = allocator->allocate(bytes, blocks.stream(stream), alignment, block);
    if (block != nullptr) blocks.add(block, bytes, stream);
    check();
    return block;
  }
  /// Has the block's stream work with it.
  void use(void* block) { blocks.use(block); }
  status deallocate(void* block) {
    blocks.remove(block);
    session::deallocate(block);
    check();
    return last;
  }
  status extend(void* block, std::size_t bytes) {
    last = allocator->extend(block, bytes);
    if (last == status::ok) blocks.resize(block, bytes);
    check();
    return last;
  }
  status trim(std::size_t keep_bytes) {
    std::size_t given_back = 0;
    last = allocator->trim(keep_bytes, given_back);
    check();
    return last;
  }
  status change(const std::string& conf) { return last = allocator->set_settings(parse_config(conf)); }
  /// Runs up to `count` pieces of a stream's work.
  void complete(std::size_t stream, std::size_t count = SIZE_MAX) {
    blocks.complete(stream, count);
    check();
  }
  void check() {
    blocks.check();
    CHECK(blocks.problem() == "");
  }

  current_context current;
  program_blocks blocks;
};

}  // namespace terrazzo::test
