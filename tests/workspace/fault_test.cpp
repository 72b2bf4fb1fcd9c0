// Every driver call and every call into cuBLAS of a pool's life is made to fail once, in turn: a status, no crash, no
// leak, and the next call works.
#include <doctest/doctest.h>

#include <string>

#include "workspace/fixture.hpp"

using namespace terrazzo;
using namespace terrazzo::test;

namespace {

bool good(status code) {
  if (code == status::ok) return true;
  const bool told = code == status::driver_error || code == status::out_of_memory || code == status::library_error ||
                    code == status::busy;
  CHECK_MESSAGE(told, to_string(code));
  CHECK_FALSE(message().empty());
  return false;
}

// A pool's life, up to its first failure; then everything is given up. Returns whether it got through.
bool live(pool_session& on, const std::vector<stream_handle>& streams) {
  if (!good(on.try_open({.preallocate_count = 1}))) return false;
  cublas_handle handle = nullptr;
  std::size_t given_back = 0;
  const bool through = good(on.pool->create_handle(handle)) && good(on.pool->bind(handle, streams[0])) &&
                       good(on.pool->bind(handle, streams[1])) && good(on.pool->release(streams[0])) &&
                       good(on.pool->bind(handle, streams[2])) && good(on.pool->clear(given_back)) &&
                       good(on.pool->unbind(handle)) && good(on.pool->bind(handle, streams[0]));
  // A handle that could not be destroyed is still there.
  const bool gone = good(on.pool->destroy_handle(handle)) || good(on.pool->destroy_handle(handle));
  CHECK(gone);
  const bool cleared = good(on.pool->clear(given_back)) || good(on.pool->clear(given_back));
  CHECK(cleared);
  CHECK(on.pool->stats().count == 0);
  CHECK(on.pool->stats().bound_handle_count == 0);
  on.pool.reset();
  CHECK(on.memory->stats().allocations.current == 0);
  return through;
}

// Runs with the k-th call of a function failing, k = 1, 2, ..., until no call is reached. Returns how many runs ended
// early.
int sweep(const char* function, int result, const char* conf) {
  int failed_runs = 0;
  for (std::uint64_t k = 1;; ++k) {
    CAPTURE(k);
    REQUIRE(k < 500);
    pool_session on(software_in_process(), "memory=512MiB;capability=8.0", conf);
    const std::vector<stream_handle> streams = {on.new_stream(), on.new_stream(), on.new_stream()};
    REQUIRE(on.soft.fail(function, k, result, 1) == 0);
    failed_runs += live(on, streams) ? 0 : 1;
    const bool reached = on.soft.failures() != 0;
    REQUIRE(on.soft.fail(function, 0, 0, 0) == 0);
    CHECK(on.memory->validate() == status::ok);
    REQUIRE(live(on, streams));
    if (!reached) return failed_runs;
  }
}

}  // namespace

TEST_CASE("workspace fault: any driver call may fail once") {
  for (const char* conf : segment_confs) {
    CAPTURE(std::string(conf));
    CHECK(sweep(nullptr, CUDA_ERROR_UNKNOWN, conf) > 5);
  }
}

TEST_CASE("workspace fault: any call into cuBLAS may fail once") {
  const struct {
    const char* function;
    cublasStatus_t result;
    int least_failed_runs;
  } rows[] = {{"cublasCreate_v2", CUBLAS_STATUS_INTERNAL_ERROR, 1},
              {"cublasCreate_v2", CUBLAS_STATUS_NOT_INITIALIZED, 0},
              {"cublasSetStream_v2", CUBLAS_STATUS_EXECUTION_FAILED, 5},
              {"cublasSetWorkspace_v2", CUBLAS_STATUS_INVALID_VALUE, 4},
              {"cublasDestroy_v2", CUBLAS_STATUS_INTERNAL_ERROR, 0}};
  for (const auto& row : rows) {
    CAPTURE(std::string(row.function));
    CHECK(sweep(row.function, row.result, "") >= row.least_failed_runs);
  }
}

TEST_CASE("workspace fault: after the allocator's shutdown every call is refused and the pool ends in peace") {
  pool_session on(software_in_process(), "memory=512MiB;capability=8.0");
  on.open({.preallocate_count = 1});
  const stream_handle stream = on.new_stream();
  const cublas_handle handle = on.new_handle();
  on.bind(handle, stream);
  on.memory->shutdown();
  CHECK(on.pool->bind(handle, stream) == status::shut_down);
  CHECK(on.pool->bind(handle, nullptr) == status::shut_down);
  workspace_view view;
  CHECK(on.pool->find_workspace(stream, view) == status::shut_down);
  CHECK(view.pointer == nullptr);
  CHECK(on.pool->destroy_handle(handle) == status::ok);
  on.pool.reset();
  on.memory.reset();
}
