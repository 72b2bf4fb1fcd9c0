// The software cuBLAS in process, on a device as a test wants it.
#pragma once

#include "softgpu/cublas_fixture.hpp"
#include "support/softgpu.hpp"

namespace terrazzo::test {

/// A software GPU with device 0's context current.
struct cublas_session : softgpu_session {
  explicit cublas_session(const char* spec)
      : softgpu_session(spec),
        current(*this),
        all{driver_table::from(terrazzo_softgpu_symbol), cublas_table::from(terrazzo_softcublas_symbol)},
        blas(all.blas) {}

  const current_context current;
  const cublas_under_test all;
  const cublas_table& blas;
};

/// A handle for a scope.
struct cublas_handle {
  explicit cublas_handle(const cublas_session& session) : blas(session.blas) {
    REQUIRE(blas.cublasCreate_v2(&handle) == CUBLAS_STATUS_SUCCESS);
  }
  ~cublas_handle() { CHECK(blas.cublasDestroy_v2(handle) == CUBLAS_STATUS_SUCCESS); }
  cublas_handle(const cublas_handle&) = delete;
  cublas_handle& operator=(const cublas_handle&) = delete;
  operator cublasHandle_t() const { return handle; }
  const cublas_table& blas;
  cublasHandle_t handle = nullptr;
};

[[nodiscard]] inline bool message_has(const char* words) {
  return std::string(terrazzo_softgpu_message()).find(words) != std::string::npos;
}

}  // namespace terrazzo::test
