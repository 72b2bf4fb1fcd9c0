// What a workspace pool promises, over any software GPU. The including file defines TERRAZZO_CONTRACT, a name for the
// test cases, and `const terrazzo::test::software& contract_software()`.
#include <doctest/doctest.h>

#include <algorithm>
#include <cstdint>
#include <vector>

#include "workspace/fixture.hpp"

using namespace terrazzo;
using namespace terrazzo::test;

TEST_CASE("workspace pool " TERRAZZO_CONTRACT ": each stream has a workspace of its own that never moves") {
  for (const char* conf : segment_confs) {
    for (const std::size_t alignment : {std::size_t{256}, std::size_t{512}, 4 * kib, 64 * kib, 2 * mib}) {
      for (const std::size_t bytes : {std::size_t{0}, 16 * kib, 16 * kib + 1, 8320 * kib}) {
        CAPTURE(std::string(conf));
        CAPTURE(alignment);
        CAPTURE(bytes);
        pool_session on(contract_software(), "memory=512MiB;capability=8.0", conf);
        on.open({.bytes = bytes, .alignment = alignment});
        CHECK(on.pool->size().bytes == (bytes != 0 ? bytes : 4 * mib));
        const std::vector<stream_handle> streams = {nullptr, on.new_stream(), on.new_stream(), on.new_stream()};
        std::vector<std::uintptr_t> addresses;
        for (stream_handle stream : streams) {
          addresses.push_back(reinterpret_cast<std::uintptr_t>(on.workspace(stream)));
          CHECK(addresses.back() % std::max<std::size_t>(alignment, 256) == 0);
        }
        const workspace_statistics stats = on.pool->stats();
        CHECK(stats.count == streams.size());
        CHECK(stats.total_bytes == streams.size() * on.pool->size().bytes);
        CHECK(stats.aligned_to >= alignment);
        CHECK(on.memory->stats().requested_bytes.current == stats.total_bytes);

        // Other blocks come and go, cached memory is given back: nothing moves.
        void* other = nullptr;
        REQUIRE(on.memory->allocate(50 * mib, nullptr, 512, other) == status::ok);
        REQUIRE(on.memory->deallocate(other) == status::ok);
        std::size_t given_back = 0;
        REQUIRE(on.memory->trim(0, given_back) == status::ok);
        for (std::size_t i = streams.size(); i-- > 0;)
          CHECK(reinterpret_cast<std::uintptr_t>(on.workspace(streams[i])) == addresses[i]);
        CHECK(on.pool->stats().count == streams.size());

        std::sort(addresses.begin(), addresses.end());
        for (std::size_t i = 1; i < addresses.size(); ++i)
          CHECK(addresses[i] - addresses[i - 1] >= on.pool->size().bytes);
      }
    }
  }
}

TEST_CASE("workspace pool " TERRAZZO_CONTRACT ": a bound handle works in its stream's workspace and in no other") {
  for (const char* conf : segment_confs) {
    CAPTURE(std::string(conf));
    pool_session on(contract_software(), "memory=1GiB", conf);
    on.open();
    const stream_handle first = on.new_stream();
    const stream_handle second = on.new_stream();
    const std::vector<void*> workspaces = {on.workspace(first), on.workspace(second), on.workspace(nullptr)};
    const cublas_handle handle = on.new_handle();
    const cublas_handle other = on.new_handle();

    on.bind(handle, first);
    CHECK(on.worked_in(handle, workspaces) == workspaces[0]);
    on.bind(handle, second);
    CHECK(on.worked_in(handle, workspaces) == workspaces[1]);
    on.bind(handle, nullptr);
    CHECK(on.worked_in(handle, workspaces) == workspaces[2]);
    on.bind(handle, first);
    on.bind(other, first);
    CHECK(on.worked_in(handle, workspaces) == workspaces[0]);
    CHECK(on.worked_in(other, workspaces) == workspaces[0]);
    CHECK(on.pool->stats().bound_handle_count == 2);

    for (const cublas_handle each : {handle, other}) REQUIRE(on.pool->destroy_handle(each) == status::ok);
    CHECK(on.pool->stats().bound_handle_count == 0);
  }
}

TEST_CASE("workspace pool " TERRAZZO_CONTRACT ": what cublasSetStream alone undoes is done again by bind") {
  pool_session on(contract_software(), "memory=1GiB");
  on.open();
  const stream_handle stream = on.new_stream();
  const std::vector<void*> workspaces = {on.workspace(stream)};
  const cublas_handle handle = on.new_handle();
  on.bind(handle, stream);
  REQUIRE(on.worked_in(handle, workspaces) == workspaces[0]);

  REQUIRE(on.blas->functions().cublasSetStream_v2(handle, stream) == CUBLAS_STATUS_SUCCESS);
  CHECK(on.worked_in(handle, workspaces) == nullptr);
  on.bind(handle, stream);
  CHECK(on.worked_in(handle, workspaces) == workspaces[0]);
  REQUIRE(on.pool->unbind(handle) == status::ok);
  CHECK(on.worked_in(handle, workspaces) == nullptr);
  REQUIRE(on.pool->destroy_handle(handle) == status::ok);
}

TEST_CASE("workspace pool " TERRAZZO_CONTRACT ": bind makes no driver call but for a new stream's first time") {
  pool_session on(contract_software(), "memory=1GiB");
  on.open({.preallocate_count = 2});
  CHECK(on.pool->stats().count == 2);
  CHECK(on.pool->stats().spare_count == 2);
  const std::vector<stream_handle> streams = {on.new_stream(), on.new_stream(), on.new_stream()};
  const cublas_handle handle = on.new_handle();
  // All calls, but for the two into cuBLAS.
  const auto driver_calls = [&] {
    const auto of_cublas = on.soft.calls("cublasSetStream_v2") + on.soft.calls("cublasSetWorkspace_v2");
    return std::pair(on.soft.calls(nullptr) - of_cublas, of_cublas);
  };
  const auto cost_of_bind = [&](stream_handle stream) {
    const auto before = driver_calls();
    on.bind(handle, stream);
    const auto after = driver_calls();
    CHECK(after.second - before.second == 2);
    return after.first - before.first;
  };
  CHECK(cost_of_bind(streams[0]) == 0);
  CHECK(cost_of_bind(streams[1]) == 0);
  CHECK(on.pool->stats().spare_count == 0);
  CHECK(cost_of_bind(streams[2]) > 0);
  const std::uint64_t allocations = on.memory->stats().allocation_count;
  for (int i = 0; i < 30; ++i) CHECK(cost_of_bind(streams[static_cast<std::size_t>(i) % 3]) == 0);
  CHECK(on.memory->stats().allocation_count == allocations);
  REQUIRE(on.pool->destroy_handle(handle) == status::ok);
}

TEST_CASE("workspace pool " TERRAZZO_CONTRACT ": at the cap a new stream is refused until another is released") {
  pool_session on(contract_software(), "memory=512MiB;capability=8.0");
  on.open({.preallocate_count = 1, .max_count = 2});
  const std::vector<stream_handle> streams = {on.new_stream(), on.new_stream(), on.new_stream()};
  const cublas_handle handle = on.new_handle();
  on.bind(handle, streams[0]);
  on.workspace(streams[1]);
  CHECK(on.pool->bind(handle, streams[2]) == status::out_of_memory);
  CHECK_MESSAGE(says("all 2 workspaces that the pool may hold belong to streams"), message());
  CHECK(says("raise max_count"));
  CHECK(on.pool->stats().count == 2);
  CHECK(on.pool->stats().bound_handle_count == 1);
  CHECK(on.worked_in(handle, {on.workspace(streams[0]), on.workspace(streams[1])}) == on.workspace(streams[0]));

  CHECK(on.pool->release(streams[0]) == status::busy);
  CHECK_MESSAGE(says("1 cuBLAS handles are bound to the stream"), message());
  // The first two streams have one preallocated workspace, which serves again, and one of their own, which goes back.
  for (const std::size_t released : {std::size_t{1}, std::size_t{2}}) {
    CAPTURE(released);
    CHECK(on.pool->release(streams[released]) == status::ok);
    CHECK(on.pool->stats().count == 1);
    on.workspace(streams[3 - released]);
    CHECK(on.pool->stats().count == 2);
  }
  CHECK(on.pool->release(streams[2]) == status::ok);  // has none
  REQUIRE(on.pool->unbind(handle) == status::ok);
  CHECK(on.pool->release(streams[0]) == status::ok);
  CHECK(on.pool->stats().spare_count == 1);
  CHECK(on.memory->stats().allocations.current == 2);
  REQUIRE(on.pool->destroy_handle(handle) == status::ok);
}

TEST_CASE("workspace pool " TERRAZZO_CONTRACT ": the legacy stream has two handles and one workspace") {
  pool_session on(contract_software(), "memory=512MiB;capability=8.0");
  on.open();
  void* const workspace = on.workspace(nullptr);
  CHECK(on.workspace(CU_STREAM_LEGACY) == workspace);
  CHECK(on.pool->stats().count == 1);
  const cublas_handle handle = on.new_handle();
  for (const stream_handle name : {stream_handle{nullptr}, CU_STREAM_LEGACY}) {
    on.bind(handle, name);
    CHECK(on.worked_in(handle, {workspace}) == workspace);
    CHECK(on.pool->release(name) == status::busy);
  }
  REQUIRE(on.pool->destroy_handle(handle) == status::ok);
  CHECK(on.pool->release(CU_STREAM_LEGACY) == status::ok);
  CHECK(on.pool->stats().count == 0);
}

TEST_CASE("workspace pool " TERRAZZO_CONTRACT ": clear waits and gives back what no handle is bound to") {
  pool_session on(contract_software(), "memory=512MiB;capability=8.0;completion=manual");
  on.open({.preallocate_count = 2});
  const stream_handle bound = on.new_stream();
  const stream_handle idle = on.new_stream();
  const stream_handle third = on.new_stream();
  const cublas_handle handle = on.new_handle();
  void* operands = nullptr;
  REQUIRE(on.memory->allocate(mib, nullptr, 512, operands) == status::ok);
  auto* c = static_cast<float*>(operands);
  c[0] = 0;

  // A product waits in the stream `idle`, and works in its workspace, when the handle leaves it.
  on.bind(handle, idle);
  REQUIRE(on.multiply(handle, c, reinterpret_cast<std::uint16_t*>(c + 64 * 64)) == CUBLAS_STATUS_SUCCESS);
  CHECK(c[0] == 0);
  on.bind(handle, bound);
  on.workspace(third);
  CHECK(on.pool->stats().count == 3);
  const void* const kept = on.workspace(bound);
  std::size_t given_back = 0;
  CHECK(on.pool->clear(given_back) == status::ok);
  CHECK(given_back == 2 * on.pool->size().bytes);
  CHECK(c[0] == 64);
  CHECK(on.pool->stats().count == 1);
  CHECK(on.workspace(bound) == kept);
  CHECK(on.memory->stats().allocations.current == 2);

  CHECK(on.pool->clear(given_back) == status::ok);
  CHECK(given_back == 0);
  REQUIRE(on.pool->unbind(handle) == status::ok);
  CHECK(on.pool->clear(given_back) == status::ok);
  CHECK(given_back == on.pool->size().bytes);
  CHECK(on.pool->stats().count == 0);
  CHECK(on.pool->stats().aligned_to == 0);

  on.bind(handle, idle);
  CHECK(on.pool->stats().count == 1);
  REQUIRE(on.memory->deallocate(operands) == status::ok);
  REQUIRE(on.pool->destroy_handle(handle) == status::ok);
}

TEST_CASE("workspace pool " TERRAZZO_CONTRACT ": a bad handle is told in cuBLAS' own words and changes nothing") {
  pool_session on(contract_software(), "memory=512MiB;capability=8.0");
  on.open();
  const stream_handle stream = on.new_stream();
  const cublas_handle gone = on.new_handle();
  on.bind(gone, stream);
  CHECK(on.pool->release(stream) == status::busy);
  REQUIRE(on.pool->destroy_handle(gone) == status::ok);
  int local = 0;
  for (const cublas_handle bad : {gone, reinterpret_cast<cublas_handle>(&local)}) {
    CHECK(on.pool->bind(bad, stream) == status::library_error);
    CHECK_MESSAGE(says("cublasSetStream failed while binding a handle to a stream: CUBLAS_STATUS_NOT_INITIALIZED (1)"),
                  message());
    CHECK(on.pool->destroy_handle(bad) == status::library_error);
    CHECK_MESSAGE(says("cublasDestroy failed while destroying a handle: CUBLAS_STATUS_NOT_INITIALIZED (1)"), message());
    CHECK(on.pool->unbind(bad) == status::invalid_argument);
    CHECK_MESSAGE(says("is not bound"), message());
    CHECK(on.pool->stats().bound_handle_count == 0);
  }
  CHECK(on.pool->bind(nullptr, stream) == status::invalid_argument);
  CHECK(on.pool->destroy_handle(nullptr) == status::ok);
  CHECK(on.pool->bind(reinterpret_cast<cublas_handle>(&local), CU_STREAM_PER_THREAD) == status::invalid_argument);
  CHECK_MESSAGE(says("per-thread default stream"), message());
  CHECK(on.pool->release(stream) == status::ok);
}

TEST_CASE("workspace pool " TERRAZZO_CONTRACT ": options that cannot be met give no pool") {
  const struct {
    const char* name;
    workspace_options options;
    const char* variable;
    status code;
    const char* part;
  } rows[] = {
      {"alignment of 128", {.alignment = 128}, nullptr, status::invalid_argument, "alignment 128"},
      {"alignment of 0", {.alignment = 0}, nullptr, status::invalid_argument, "alignment 0"},
      {"alignment of 768", {.alignment = 768}, nullptr, status::invalid_argument, "a power of two from 256 to 2097152"},
      {"alignment of 4 MiB", {.alignment = 4 * mib}, nullptr, status::invalid_argument, "alignment 4194304"},
      {"more than the cap",
       {.preallocate_count = 3, .max_count = 2},
       nullptr,
       status::invalid_argument,
       "3 workspaces to be made at once are more than the cap of 2"},
      {"too small", {.bytes = 1000}, nullptr, status::invalid_argument, "at least 16 KiB"},
      {"no size", {}, "4096", status::invalid_config, "CUBLAS_WORKSPACE_CONFIG='4096'"},
      {"more than the card", {.bytes = 65 * mib, .preallocate_count = 1}, nullptr, status::out_of_memory, "65 MiB"},
      {"more than an address",
       {.bytes = SIZE_MAX, .preallocate_count = 1},
       nullptr,
       status::out_of_memory,
       "more than any device holds"},
      {"more of them than fit",
       {.bytes = mib, .preallocate_count = SIZE_MAX},
       nullptr,
       status::out_of_memory,
       "no memory for a cuBLAS workspace of 1 MiB: out of memory on device 0: 1 MiB were asked for"},
  };
  for (const auto& row : rows) {
    CAPTURE(std::string(row.name));
    pool_session on(contract_software(), "memory=64MiB");
    const variable_scope variable("CUBLAS_WORKSPACE_CONFIG", row.variable);
    CHECK(on.try_open(row.options) == row.code);
    CHECK(on.pool == nullptr);
    CHECK_MESSAGE(says(row.part), message());
    CHECK(on.memory->stats().allocations.current == 0);
  }
}

TEST_CASE("workspace pool " TERRAZZO_CONTRACT ": the size follows the device and the variable and says so") {
  const struct {
    const char* spec;
    const char* variable;
    std::size_t bytes;
    const char* origin;
  } rows[] = {
      {"capability=7.5", nullptr, 4 * mib, "recommended for compute capability 7.5"},
      {"capability=9.0", nullptr, 32 * mib, "recommended for compute capability 9.0"},
      {"capability=12.1", nullptr, 32 * mib, "recommended for compute capability 12.1"},
      {"capability=9.0", ":4096:2:16:8", 8320 * kib, "CUBLAS_WORKSPACE_CONFIG=:4096:2:16:8"},
  };
  for (const auto& row : rows) {
    CAPTURE(std::string(row.origin));
    pool_session on(contract_software(), (std::string("memory=256MiB;") + row.spec).c_str());
    const variable_scope variable("CUBLAS_WORKSPACE_CONFIG", row.variable);
    on.open();
    CHECK(on.pool->size().bytes == row.bytes);
    CHECK(on.pool->size().origin == row.origin);
    const variable_scope later("CUBLAS_WORKSPACE_CONFIG", ":64:1");
    on.workspace(nullptr);
    CHECK(on.memory->stats().requested_bytes.current == row.bytes);
  }
}

TEST_CASE("workspace pool " TERRAZZO_CONTRACT
          ": handles are made on the pool's device from a thread without a context") {
  pool_session on(contract_software(), "devices=2;memory=256MiB;capability=8.0", "", 1);
  on.open();
  const cublas_handle handle = on.new_handle();
  CHECK(on.soft.count("cublas_handles", 0) == 0);
  CHECK(on.soft.count("cublas_handles", 1) == 1);
  CUcontext current = nullptr;
  REQUIRE(on.api->functions().cuCtxGetCurrent(&current) == CUDA_SUCCESS);
  CHECK(current == nullptr);
  on.bind(handle, nullptr);
  CHECK(on.worked_in(handle, {on.workspace(nullptr)}) == on.workspace(nullptr));
  REQUIRE(on.pool->destroy_handle(handle) == status::ok);
}

TEST_CASE("workspace pool " TERRAZZO_CONTRACT ": its end gives the workspaces of several streams back") {
  pool_session on(contract_software(), "memory=512MiB;capability=8.0");
  on.open({.preallocate_count = 3});
  const cublas_handle handle = on.new_handle();
  for (int i = 0; i < 5; ++i) on.bind(handle, on.new_stream());
  CHECK(on.memory->stats().allocations.current == 5);
  on.pool.reset();
  CHECK(on.memory->stats().allocations.current == 0);
  CHECK(on.blas->functions().cublasDestroy_v2(handle) == CUBLAS_STATUS_SUCCESS);
}
