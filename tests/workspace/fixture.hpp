// An allocator and a workspace pool over the software GPU and its cuBLAS, in process or from their shared libraries,
// for the tests of this room.
#pragma once

#include <cublas_api.h>
#include <doctest/doctest.h>

#include <cstdint>
#include <cstring>
#include <memory>
#include <string>
#include <vector>

#include "allocator/device_allocator.hpp"
#include "base/shared_library.hpp"
#include "softgpu/cublas/functions.hpp"
#include "support/environment.hpp"
#include "terrazzo/softgpu.h"
#include "workspace/cublas.hpp"
#include "workspace/pool.hpp"

namespace terrazzo::test {

inline constexpr std::size_t kib = std::size_t{1} << 10;
inline constexpr std::size_t mib = std::size_t{1} << 20;

[[nodiscard]] inline std::string message() { return last_error_message(); }
[[nodiscard]] inline bool says(const std::string& part) { return message().find(part) != std::string::npos; }

/// What steers the software GPU, from wherever the software GPU is.
struct steering {
  decltype(&terrazzo_softgpu_configure) configure;
  decltype(&terrazzo_softgpu_message) message;
  decltype(&terrazzo_softgpu_calls) calls;
  decltype(&terrazzo_softgpu_fail) fail;
  decltype(&terrazzo_softgpu_failures) failures;
  decltype(&terrazzo_softgpu_set_other_memory) set_other_memory;
  decltype(&terrazzo_softgpu_count) count;
};

/// A software GPU and its cuBLAS.
struct software {
  detail::symbol_lookup driver;
  detail::symbol_lookup cublas;
  steering steer;

  template <typename Function>
  [[nodiscard]] Function driver_function(const char* name) const {
    return reinterpret_cast<Function>(driver(name));
  }
};

[[nodiscard]] inline const software& software_in_process() {
  static const software one{
      terrazzo_softgpu_symbol,
      terrazzo_softcublas_symbol,
      {terrazzo_softgpu_configure, terrazzo_softgpu_message, terrazzo_softgpu_calls, terrazzo_softgpu_fail,
       terrazzo_softgpu_failures, terrazzo_softgpu_set_other_memory, terrazzo_softgpu_count}};
  return one;
}

/// The shared libraries, the cuBLAS being found as terrazzo finds it: beside the driver.
[[nodiscard]] inline const software& software_libraries() {
  static const software one = [] {
    const variable_scope no_variable("TERRAZZO_CUBLAS", nullptr);
    std::string reason;
    const auto library = detail::shared_library::open(TERRAZZO_SOFTGPU_LIBRARY, reason);
    REQUIRE_MESSAGE(library, reason);
    std::shared_ptr<const detail::cublas> blas;
    const status loaded = detail::cublas::load("", library.path(), blas);
    REQUIRE_MESSAGE(loaded == status::ok, message());
    software made;
    made.driver = [library](const char* name) { return library.symbol(name); };
    made.cublas = [blas](const char* name) { return blas->symbol(name); };
    const auto take = [&](auto& slot, const char* name) {
      slot = reinterpret_cast<std::remove_reference_t<decltype(slot)>>(library.symbol(name));
      REQUIRE((slot != nullptr));
    };
    take(made.steer.configure, "terrazzo_softgpu_configure");
    take(made.steer.message, "terrazzo_softgpu_message");
    take(made.steer.calls, "terrazzo_softgpu_calls");
    take(made.steer.fail, "terrazzo_softgpu_fail");
    take(made.steer.failures, "terrazzo_softgpu_failures");
    take(made.steer.set_other_memory, "terrazzo_softgpu_set_other_memory");
    take(made.steer.count, "terrazzo_softgpu_count");
    return made;
  }();
  return one;
}

/// Pool, allocator and software GPU for the length of a test. Whatever the test has left behind is told at the end.
struct pool_session {
  explicit pool_session(const software& from, const char* spec, const char* conf = "", int device = 0)
      : soft(from.steer), where(from) {
    REQUIRE_MESSAGE(soft.configure(spec) == 0, std::string(soft.message()));
    const status loaded = detail::driver::load_from(from.driver, "the software GPU", true, api);
    REQUIRE_MESSAGE(loaded == status::ok, message());
    const status found = detail::cublas::load_from(from.cublas, "the software cuBLAS", blas);
    REQUIRE_MESSAGE(found == status::ok, message());
    REQUIRE(detail::primary_context::retain(api, device, context) == status::ok);
    REQUIRE(detail::device_allocator::open(api, device, parse_config(conf), memory) == status::ok);
  }

  ~pool_session() {
    soft.fail(nullptr, 0, 0, 0);
    pool.reset();
    if (memory != nullptr) CHECK(memory->stats().allocations.current == 0);
    memory.reset();
    for (CUstream one : streams) {
      const detail::context_scope scope(context);
      CHECK(where.driver_function<decltype(&cuStreamDestroy_v2)>("cuStreamDestroy_v2")(one) == CUDA_SUCCESS);
    }
    for (const char* what : {"chunks", "mappings", "reservations", "allocations", "streams", "cublas_handles"}) {
      CAPTURE(std::string(what));
      CHECK(soft.count(what, -1) == 0);
    }
    context = {};
    CHECK(soft.count("contexts", -1) == 0);
  }
  pool_session(const pool_session&) = delete;
  pool_session& operator=(const pool_session&) = delete;

  /// Replaces the pool.
  status try_open(const workspace_options& options = {}) {
    pool.reset();
    return detail::workspace_store::open(*memory, blas, options, pool);
  }
  void open(const workspace_options& options = {}) {
    const status opened = try_open(options);
    REQUIRE_MESSAGE(opened == status::ok, message());
  }

  stream_handle new_stream() {
    const detail::context_scope scope(context);
    CUstream made = nullptr;
    REQUIRE(where.driver_function<decltype(&cuStreamCreate)>("cuStreamCreate")(&made, CU_STREAM_NON_BLOCKING) ==
            CUDA_SUCCESS);
    streams.push_back(made);
    return made;
  }
  cublas_handle new_handle() {
    cublas_handle handle = nullptr;
    const status made = pool->create_handle(handle);
    REQUIRE_MESSAGE(made == status::ok, message());
    return handle;
  }
  void* workspace(stream_handle stream) {
    workspace_view view;
    const status found = pool->find_workspace(stream, view);
    REQUIRE_MESSAGE(found == status::ok, message());
    return view.pointer;
  }
  void bind(cublas_handle handle, stream_handle stream) {
    const status bound = pool->bind(handle, stream);
    REQUIRE_MESSAGE(bound == status::ok, message());
  }

  /// Multiplies two matrices of ones of type f16, which needs a workspace of 16 KiB: the software cuBLAS sums each tile
  /// up there.
  cublasStatus_t multiply(cublas_handle handle, float* c, std::uint16_t* ones) {
    for (int i = 0; i < extent * extent; ++i) ones[i] = 0x3c00;
    const float one = 1;
    const float zero = 0;
    const auto gemm = reinterpret_cast<softgpu::cublas::gemm_ex*>(blas->symbol("cublasGemmEx"));
    return gemm(handle, CUBLAS_OP_N, CUBLAS_OP_N, extent, extent, extent, &one, ones, CUDA_R_16F, extent, ones,
                CUDA_R_16F, extent, &zero, c, CUDA_R_32F, extent, CUBLAS_COMPUTE_32F, CUBLAS_GEMM_DEFAULT);
  }

  /// Multiplies once and tells which of the workspaces the product wrote to; null if to none.
  void* worked_in(cublas_handle handle, const std::vector<void*>& workspaces) {
    void* operands = nullptr;
    REQUIRE(memory->allocate(mib, nullptr, 512, operands) == status::ok);
    for (void* each : workspaces) std::memset(each, 0xa5, 16 * kib);
    auto* c = static_cast<float*>(operands);
    CHECK(multiply(handle, c, reinterpret_cast<std::uint16_t*>(c + extent * extent)) == CUBLAS_STATUS_SUCCESS);
    CHECK(c[0] == extent);
    CHECK(c[extent * extent - 1] == extent);
    REQUIRE(memory->deallocate(operands) == status::ok);
    void* found = nullptr;
    for (void* each : workspaces) {
      bool touched = false;
      for (std::size_t i = 0; i < 16 * kib; ++i) touched = touched || static_cast<unsigned char*>(each)[i] != 0xa5;
      if (!touched) continue;
      CHECK(found == nullptr);
      found = each;
    }
    return found;
  }

  static constexpr int extent = 64;
  const steering& soft;
  const software& where;
  std::shared_ptr<const detail::driver> api;
  std::shared_ptr<const detail::cublas> blas;
  detail::primary_context context;
  std::unique_ptr<detail::device_allocator> memory;
  std::unique_ptr<detail::workspace_store> pool;
  std::vector<CUstream> streams;

 private:
  const variable_scope no_size_{"CUBLAS_WORKSPACE_CONFIG", nullptr};
};

/// Both kinds of segments, for what holds over either.
inline constexpr const char* segment_confs[] = {"expandable_segments:True", "expandable_segments:False"};

}  // namespace terrazzo::test
