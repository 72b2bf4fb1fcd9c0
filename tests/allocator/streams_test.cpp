// Streams whose work is pending: who gets what another still uses. And the list of blocks that tells, which must itself
// notice what it is there for.
#include <functional>

#include "allocator/streams_fixture.hpp"

using terrazzo::status;
using terrazzo::test::current_context;
using terrazzo::test::kind_case;
using terrazzo::test::kinds;
using terrazzo::test::mib;
using terrazzo::test::program_blocks;
using terrazzo::test::session_on_streams;
using terrazzo::test::softgpu_session;

TEST_CASE("streams: memory that pending work uses goes to its own stream at once and to another after a wait") {
  for (const kind_case& kind : kinds) {
    CAPTURE(std::string(kind.name));
    session_on_streams on("memory=36MiB", kind.conf);
    void* const b0 = on.allocate(12 * mib, 1);
    void* const b1 = on.allocate(20 * mib, 1);
    on.use(b0);
    CHECK(on.deallocate(b0) == status::ok);
    const std::uint64_t waits = on.gpu.calls("cuCtxSynchronize");
    CHECK(on.allocate(12 * mib, 1) == b0);
    on.use(b1);
    CHECK(on.deallocate(b1) == status::ok);
    CHECK(on.gpu.calls("cuCtxSynchronize") == waits);
    CHECK(on.allocate(18 * mib, 2) != nullptr);
    CHECK(on.gpu.calls("cuCtxSynchronize") == waits + 1);
    on.complete(1);
    on.complete(2);
    CHECK(on.is_valid());
  }
}

TEST_CASE("streams: small blocks of one stream follow each other while its work is pending") {
  for (const kind_case& kind : kinds) {
    CAPTURE(std::string(kind.name));
    session_on_streams on("memory=36MiB", kind.conf);
    void* const first = on.allocate(4096, 3);
    on.use(first);
    CHECK(on.deallocate(first) == status::ok);
    void* const second = on.allocate(4096, 3);
    CHECK(second == first);
    CHECK(on.allocate(4096, 2) != first);
    on.use(second);
    on.complete(3, 2);  // the first's use, and what fills the second
    on.complete(3);
    CHECK(on.is_valid());
  }
}

TEST_CASE("streams: the list of blocks notices what an allocator may not do") {
  struct mistake {
    const char* noticed;
    std::function<void(program_blocks&, char* memory)> make;
  };
  const mistake mistakes[] = {
      {"overlaps b0",
       [](program_blocks& blocks, char* memory) {
         blocks.add(memory, mib, 1);
         blocks.add(memory + 512, mib, 1);
       }},
      {"b1 of stream 2 has memory that was b0 of stream 1, whose work is still pending",
       [](program_blocks& blocks, char* memory) {
         blocks.add(memory, mib, 1);
         blocks.use(memory);
         blocks.remove(memory);
         blocks.add(memory + mib - 512, mib, 2);
       }},
      {"the contents of b0 have changed at byte 0",
       [](program_blocks& blocks, char* memory) {
         blocks.add(memory, 100, 0);
         memory[0] = static_cast<char>(memory[0] + 1);
         blocks.check();
       }},
      {"the contents of b0 have changed at byte 65536",
       [](program_blocks& blocks, char* memory) {
         blocks.add(memory, 3 * mib, 0);
         blocks.use(memory);
         blocks.remove(memory);
         memory[65536] = static_cast<char>(memory[65536] + 1);  // while it is pending
         blocks.complete(0, 1);
       }},
      {"not all of b0 has memory", [](program_blocks& blocks, char* memory) { blocks.add(memory + mib, 4 * mib, 0); }},
  };
  for (const mistake& each : mistakes) {
    CAPTURE(std::string(each.noticed));
    softgpu_session gpu("memory=36MiB;completion=manual");
    const current_context current(gpu);
    CUdeviceptr memory = 0;
    REQUIRE(gpu.cuda().cuMemAlloc_v2(&memory, 4 * mib) == CUDA_SUCCESS);
    {
      program_blocks blocks;
      CHECK(blocks.problem() == "");
      each.make(blocks, reinterpret_cast<char*>(memory));
      CHECK(blocks.problem().find(each.noticed) != std::string::npos);
      terrazzo_softgpu_complete_all();
    }
    CHECK(gpu.cuda().cuMemFree_v2(memory) == CUDA_SUCCESS);
  }
}

TEST_CASE("streams: the list of blocks lets a stream have its own memory again") {
  softgpu_session gpu("memory=36MiB;completion=manual");
  const current_context current(gpu);
  CUdeviceptr memory = 0;
  REQUIRE(gpu.cuda().cuMemAlloc_v2(&memory, 4 * mib) == CUDA_SUCCESS);
  {
    program_blocks blocks;
    void* const block = reinterpret_cast<void*>(memory);
    for (int i = 0; i < 3; ++i) {
      blocks.add(block, 3 * mib, 1);
      blocks.use(block);
      blocks.check();
      blocks.remove(block);
    }
    blocks.complete(1, 2);
    blocks.complete(1, SIZE_MAX);
    blocks.add(block, 3 * mib, 2);
    blocks.check();
    CHECK(blocks.problem() == "");
  }
  CHECK(gpu.cuda().cuMemFree_v2(memory) == CUDA_SUCCESS);
}
