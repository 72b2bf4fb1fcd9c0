// Handles and the hidden pool: what a handle takes, when it cannot be had, and that it comes back.

#include "softgpu/cublas_softgpu.hpp"
#include "support/environment.hpp"

using namespace terrazzo::test;

namespace {

constexpr std::uint64_t kib = 1024;
constexpr std::uint64_t mib = 1024 * kib;

std::uint64_t used_bytes() { return terrazzo_softgpu_count("used_bytes", 0); }

}  // namespace

TEST_CASE("softcublas pool: its size comes from the variable the spec or the capability") {
  static constexpr struct {
    const char* spec;
    const char* config;
    std::uint64_t bytes;
  } rows[] = {
      {"capability=9.0", nullptr, 64 * mib + 129 * kib},
      {"capability=12.0", nullptr, 64 * mib + 129 * kib},
      {"capability=8.6", nullptr, 8 * mib + 128 * kib},
      {"cublas_pool=10MiB", nullptr, 10 * mib},
      {"cublas_pool=0", nullptr, 0},
      {"cublas_pool=10MiB", ":16:8", 128 * kib},
      {"capability=9.0", ":4096:2", 8 * mib},
      {"capability=9.0", ":4096:2:16:8", 8 * mib + 128 * kib},
      {"capability=9.0", ":0:0", 0},
      {"cublas_pool=10MiB", "", 10 * mib},
      {"cublas_pool=10MiB", "16:8", 10 * mib},
      {"cublas_pool=10MiB", ":16", 10 * mib},
      {"cublas_pool=10MiB", ":16:8 ", 10 * mib},
      {"cublas_pool=10MiB", ":-1:8", 10 * mib},
      {"cublas_pool=10MiB", ":4294967295:4294967295", 10 * mib},
      {"cublas_pool=10MiB", ":99999999999:1", 10 * mib},
  };
  for (const auto& row : rows) {
    CAPTURE(row.spec);
    CAPTURE(row.config);
    const variable_scope config("CUBLAS_WORKSPACE_CONFIG", row.config);
    const cublas_session session(row.spec);
    {
      const cublas_handle handle(session);
      CHECK(session.count("allocated_bytes") == row.bytes);
      CHECK(session.count("cublas_handles", 0) == 1);
      CHECK(used_bytes() >= row.bytes);
    }
    CHECK(used_bytes() == 0);
  }
}

TEST_CASE("softcublas pool: it is kept even where the handle has a workspace") {
  const cublas_session session("memory=64MiB;cublas_pool=4MiB");
  const device_buffer workspace(session.all.cuda, mib);
  const cublas_handle handle(session);
  CHECK(session.blas.cublasSetWorkspace_v2(handle, workspace.data(), mib) == CUBLAS_STATUS_SUCCESS);
  CHECK(session.count("allocated_bytes") == 5 * mib);
}

TEST_CASE("softcublas pool: handles on several devices take it from their own") {
  const cublas_session session("devices=2;memory=64MiB;cublas_pool=4MiB;1.cublas_pool=6MiB");
  const cublas_handle first(session);
  const current_context second_device(session, 1);
  const cublas_handle second(session);
  CHECK(session.count("allocated_bytes", 0) == 4 * mib);
  CHECK(session.count("allocated_bytes", 1) == 6 * mib);
  CHECK(session.count("cublas_handles", 1) == 1);
}

TEST_CASE("softcublas pool: a thread without a current context gets device 0 and keeps none") {
  const cublas_session session("memory=64MiB;cublas_pool=4MiB");
  CUcontext before = nullptr;
  REQUIRE(session.all.cuda.cuCtxPopCurrent_v2(&before) == CUDA_SUCCESS);
  {
    const cublas_handle handle(session);
    CHECK(session.count("allocated_bytes", 0) == 4 * mib);
    CUcontext now = before;
    CHECK(session.all.cuda.cuCtxGetCurrent(&now) == CUDA_SUCCESS);
    CHECK(now == nullptr);
  }
  REQUIRE(session.all.cuda.cuCtxPushCurrent_v2(before) == CUDA_SUCCESS);
}

TEST_CASE("softcublas pool: a full card gives no handle and says why") {
  const cublas_session session("memory=64MiB;cublas_pool=8MiB");
  static constexpr struct {
    std::uint64_t other_bytes;
    cublasStatus_t result;
    const char* words;
  } rows[] = {
      {56 * mib, CUBLAS_STATUS_SUCCESS, ""},
      {57 * mib, CUBLAS_STATUS_ALLOC_FAILED, "no hidden pool of 8388608 bytes"},
      {62 * mib, CUBLAS_STATUS_ALLOC_FAILED, "no hidden pool of 8388608 bytes"},
      {63 * mib, CUBLAS_STATUS_NOT_INITIALIZED, "is full"},
      {64 * mib, CUBLAS_STATUS_NOT_INITIALIZED, "is full"},
  };
  for (const auto& row : rows) {
    CAPTURE(row.other_bytes);
    REQUIRE(terrazzo_softgpu_set_other_memory(0, row.other_bytes) == 0);
    cublasHandle_t handle = nullptr;
    CHECK(session.blas.cublasCreate_v2(&handle) == row.result);
    CHECK(message_has(row.words));
    CHECK(session.count("cublas_handles") == (handle != nullptr ? 1 : 0));
    CHECK((handle != nullptr) == (row.result == CUBLAS_STATUS_SUCCESS));
    if (handle != nullptr) CHECK(session.blas.cublasDestroy_v2(handle) == CUBLAS_STATUS_SUCCESS);
    CHECK(used_bytes() == 0);
  }
}

TEST_CASE("softcublas pool: destroyed handles and those before configure are noticed") {
  cublasHandle_t old = nullptr;
  {
    const cublas_session session("memory=64MiB;cublas_pool=4MiB");
    REQUIRE(session.blas.cublasCreate_v2(&old) == CUBLAS_STATUS_SUCCESS);
    cublasHandle_t gone = nullptr;
    REQUIRE(session.blas.cublasCreate_v2(&gone) == CUBLAS_STATUS_SUCCESS);
    CHECK(session.blas.cublasDestroy_v2(gone) == CUBLAS_STATUS_SUCCESS);
    CHECK(session.blas.cublasDestroy_v2(gone) == CUBLAS_STATUS_NOT_INITIALIZED);
    CHECK(message_has("cublasDestroy_v2: "));
    CHECK(message_has("destroyed"));
    CHECK(session.blas.cublasSetStream_v2(gone, nullptr) == CUBLAS_STATUS_NOT_INITIALIZED);
    REQUIRE(terrazzo_softgpu_configure("memory=64MiB") == 0);
    CHECK(session.blas.cublasSetStream_v2(old, nullptr) == CUBLAS_STATUS_NOT_INITIALIZED);
    CHECK(session.blas.cublasCreate_v2(nullptr) == CUBLAS_STATUS_INVALID_VALUE);
    // The session is to end as it began.
    REQUIRE(session.all.cuda.cuInit(0) == CUDA_SUCCESS);
    CUcontext again = nullptr;
    REQUIRE(session.all.cuda.cuDevicePrimaryCtxRetain(&again, 0) == CUDA_SUCCESS);
    REQUIRE(session.all.cuda.cuCtxPushCurrent_v2(again) == CUDA_SUCCESS);
  }
}

TEST_CASE("softcublas pool: create and destroy survive every driver call that fails") {
  const cublas_session session("memory=64MiB;cublas_pool=4MiB");
  constexpr std::uint64_t far = 64;
  std::uint64_t k = 1;
  int refused = 0;
  for (bool hit = true; hit && k < far; ++k) {
    CAPTURE(k);
    const std::uint64_t failures = terrazzo_softgpu_failures();
    session.fail(nullptr, k, CUDA_ERROR_UNKNOWN);
    cublasHandle_t handle = nullptr;
    const cublasStatus_t created = session.blas.cublasCreate_v2(&handle);
    const cublasStatus_t destroyed =
        created == CUBLAS_STATUS_SUCCESS ? session.blas.cublasDestroy_v2(handle) : CUBLAS_STATUS_SUCCESS;
    hit = terrazzo_softgpu_failures() != failures;
    REQUIRE(terrazzo_softgpu_fail(nullptr, 0, 0, 0) == 0);
    if (created != CUBLAS_STATUS_SUCCESS || destroyed != CUBLAS_STATUS_SUCCESS) {
      ++refused;
      CHECK(hit);
    }
    if (destroyed != CUBLAS_STATUS_SUCCESS) {
      CHECK(destroyed == CUBLAS_STATUS_INTERNAL_ERROR);
      CHECK(session.blas.cublasDestroy_v2(handle) == CUBLAS_STATUS_SUCCESS);
    }
    CHECK(session.count("cublas_handles") == 0);
    CHECK(used_bytes() == 0);
    CUcontext now = nullptr;
    CHECK(session.all.cuda.cuCtxGetCurrent(&now) == CUDA_SUCCESS);
    CHECK(now == session.contexts[0]);
  }
  CHECK(k < far);
  CHECK(refused >= 8);
}

TEST_CASE("softcublas pool: every function is counted and can be made to fail") {
  const cublas_session session("memory=64MiB;cublas_pool=4MiB");
  const cublas_handle handle(session);
  CHECK(session.calls("cublasCreate") == 1);
  product_case one(session.all, {.m = 4, .n = 4, .k = 4}, CUDA_R_32F, CUDA_R_32F);
  REQUIRE(terrazzo_softgpu_fail("cublasGemmEx", 2, CUBLAS_STATUS_EXECUTION_FAILED, 1) == 0);
  REQUIRE(terrazzo_softgpu_fail("cublasSetStream", 1, CUBLAS_STATUS_MAPPING_ERROR, 1) == 0);
  CHECK(one.run(handle) == CUBLAS_STATUS_SUCCESS);
  CHECK(one.run(handle) == CUBLAS_STATUS_EXECUTION_FAILED);
  CHECK(message_has("cublasGemmEx: made to fail"));
  CHECK(one.run(handle) == CUBLAS_STATUS_SUCCESS);
  CHECK(session.blas.cublasSetStream_v2(handle, nullptr) == CUBLAS_STATUS_MAPPING_ERROR);
  CHECK(session.calls("cublasGemmEx") == 3);
  // The rule for any driver function spares cuBLAS' own.
  session.fail(nullptr, 1, CUDA_ERROR_UNKNOWN);
  CHECK(one.run(handle) == CUBLAS_STATUS_SUCCESS);
  REQUIRE(terrazzo_softgpu_fail(nullptr, 0, 0, 0) == 0);
}
