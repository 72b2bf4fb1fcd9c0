// Handles on a card that is full, and while others use the pool: what cublasCreate's failures lead to, and that no
// handle's workspace is given back under it.
#include <doctest/doctest.h>

#include <functional>
#include <map>
#include <string>

#include "workspace/fixture.hpp"

using namespace terrazzo;
using namespace terrazzo::test;

namespace {

// A cuBLAS of three functions that do what the test says, the others being those of the software cuBLAS.
struct scripted {
  static inline std::function<cublasStatus_t()> on_create, on_destroy, on_set_stream;

  static cublasStatus_t CUBLASWINAPI create(cublasHandle_t* handle) {
    *handle = reinterpret_cast<cublasHandle_t>(0x10);
    return on_create();
  }
  static cublasStatus_t CUBLASWINAPI destroy(cublasHandle_t) { return on_destroy(); }
  static cublasStatus_t CUBLASWINAPI set_stream(cublasHandle_t, cudaStream_t) { return on_set_stream(); }
  static cublasStatus_t CUBLASWINAPI set_workspace(cublasHandle_t, void*, std::size_t) { return CUBLAS_STATUS_SUCCESS; }

  scripted() {
    const auto succeed = [] { return CUBLAS_STATUS_SUCCESS; };
    on_create = on_destroy = on_set_stream = succeed;
    where = software_in_process();
    where.cublas = [](const char* name) -> void* {
      const std::map<std::string, void*> own = {{"cublasCreate_v2", reinterpret_cast<void*>(&create)},
                                                {"cublasDestroy_v2", reinterpret_cast<void*>(&destroy)},
                                                {"cublasSetStream_v2", reinterpret_cast<void*>(&set_stream)},
                                                {"cublasSetWorkspace_v2", reinterpret_cast<void*>(&set_workspace)}};
      const auto found = own.find(name);
      return found != own.end() ? found->second : terrazzo_softcublas_symbol(name);
    };
  }
  software where;
};

}  // namespace

TEST_CASE("workspace handle: cached memory that fills the card is given back and cuBLAS asked once more") {
  for (const char* conf : segment_confs) {
    CAPTURE(std::string(conf));
    pool_session on(software_in_process(), "memory=256MiB;capability=9.0", conf);
    on.open();
    void* block = nullptr;
    REQUIRE(on.memory->allocate(240 * mib, nullptr, 512, block) == status::ok);
    cublas_handle handle = nullptr;
    const std::uint64_t before = on.soft.calls("cublasCreate_v2");
    CHECK(on.pool->create_handle(handle) == status::out_of_memory);
    CHECK(handle == nullptr);
    CHECK(on.soft.calls("cublasCreate_v2") - before == 1);  // nothing was idle: asking again would be in vain
    CHECK_MESSAGE(says("cublasCreate failed: CUBLAS_STATUS_ALLOC_FAILED (3)"), message());
    CHECK_MESSAGE(says("terrazzo holds 240 MiB, 240 MiB of it in live blocks"), message());
    CHECK_MESSAGE(says("headroom_mb"), message());

    REQUIRE(on.memory->deallocate(block) == status::ok);
    CHECK(on.memory->stats().reserved_bytes.current == 240 * mib);
    CHECK(on.pool->create_handle(handle) == status::ok);
    CHECK(on.soft.calls("cublasCreate_v2") - before == 3);
    CHECK(on.memory->stats().reserved_bytes.current == 0);
    on.bind(handle, nullptr);
    CHECK(on.worked_in(handle, {on.workspace(nullptr)}) == on.workspace(nullptr));
    REQUIRE(on.pool->destroy_handle(handle) == status::ok);
  }
}

TEST_CASE("workspace handle: a full card is told from a cuBLAS that does not start") {
  const struct {
    const char* name;
    std::uint64_t other_bytes;
    cublasStatus_t answer;
    status expected;
  } rows[] = {
      {"full", 1023 * mib, CUBLAS_STATUS_NOT_INITIALIZED, status::out_of_memory},
      {"full and told so", 1023 * mib, CUBLAS_STATUS_ALLOC_FAILED, status::out_of_memory},
      {"room, but told that there is none", 0, CUBLAS_STATUS_ALLOC_FAILED, status::out_of_memory},
      {"room", 0, CUBLAS_STATUS_NOT_INITIALIZED, status::library_error},
      {"something else", 0, CUBLAS_STATUS_ARCH_MISMATCH, status::library_error},
  };
  for (const auto& row : rows) {
    CAPTURE(std::string(row.name));
    const scripted script;
    pool_session on(script.where, "memory=1GiB");
    on.open();
    REQUIRE(on.soft.set_other_memory(0, row.other_bytes) == 0);
    scripted::on_create = [&] { return row.answer; };
    cublas_handle handle = nullptr;
    CHECK(on.pool->create_handle(handle) == row.expected);
    CHECK(handle == nullptr);
    CHECK_MESSAGE(says(on.blas->name(row.answer)), message());
    REQUIRE(on.soft.set_other_memory(0, 0) == 0);
  }
}

TEST_CASE("workspace handle: a bind that fails leaves the handle in its old workspace whatever happened meanwhile") {
  const scripted script;
  pool_session on(script.where, "memory=512MiB;capability=8.0");
  on.open();
  const stream_handle first = on.new_stream();
  const stream_handle second = on.new_stream();
  const auto handle = reinterpret_cast<cublas_handle>(0x20);
  on.bind(handle, first);
  const void* const kept = on.workspace(first);
  std::size_t given_back = 0;
  // What another thread may do while this one is inside cuBLAS.
  scripted::on_set_stream = [&] {
    CHECK(on.pool->clear(given_back) == status::ok);
    return CUBLAS_STATUS_INVALID_VALUE;
  };
  CHECK(on.pool->bind(handle, second) == status::library_error);
  CHECK(given_back == 0);
  CHECK(on.workspace(first) == kept);
  CHECK(on.pool->stats().bound_handle_count == 1);
  CHECK(on.pool->release(first) == status::busy);
  CHECK(on.pool->release(second) == status::ok);
  scripted::on_set_stream = [] { return CUBLAS_STATUS_SUCCESS; };
  CHECK(on.pool->unbind(handle) == status::ok);
  CHECK(on.pool->release(first) == status::ok);
}

TEST_CASE("workspace handle: one that is made at the address of one being destroyed keeps its own binding") {
  const scripted script;
  pool_session on(script.where, "memory=512MiB;capability=8.0");
  on.open();
  const stream_handle first = on.new_stream();
  const stream_handle second = on.new_stream();
  const auto handle = reinterpret_cast<cublas_handle>(0x20);
  on.bind(handle, first);
  // What another thread may do once cuBLAS has destroyed the handle.
  scripted::on_destroy = [&] {
    on.bind(handle, second);
    return CUBLAS_STATUS_SUCCESS;
  };
  CHECK(on.pool->destroy_handle(handle) == status::ok);
  CHECK(on.pool->stats().bound_handle_count == 1);
  CHECK(on.pool->release(first) == status::ok);
  CHECK(on.pool->release(second) == status::busy);

  scripted::on_destroy = [] { return CUBLAS_STATUS_INTERNAL_ERROR; };
  CHECK(on.pool->destroy_handle(handle) == status::library_error);
  CHECK(on.pool->release(second) == status::busy);
  scripted::on_destroy = [] { return CUBLAS_STATUS_SUCCESS; };
  CHECK(on.pool->destroy_handle(handle) == status::ok);
  CHECK(on.pool->release(second) == status::ok);
}
