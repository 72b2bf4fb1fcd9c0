// A software GPU for the length of a test: configured by a spec string, loaded as terrazzo loads any driver, and
// checked at the end for what the test has left behind.
#pragma once

#include <doctest/doctest.h>

#include <cstdint>
#include <cstdlib>
#include <memory>
#include <string>
#include <vector>

#include "driver/driver.hpp"
#include "terrazzo/softgpu.h"

namespace terrazzo::test {

/// Holds the primary context of every device, so that what a test leaves in one does not vanish with it before it is
/// counted. Nothing is current on any thread. One at a time.
struct softgpu_session {
  explicit softgpu_session(const char* spec) {
    const int configured = terrazzo_softgpu_configure(spec);
    REQUIRE_MESSAGE(configured == 0, terrazzo_softgpu_message());
    // A program that is linked against the driver's file loads that, as any program would.
    const char* file = std::getenv("TERRAZZO_TEST_DRIVER");
    const status loaded =
        file != nullptr ? detail::driver::load(file, api)
                        : detail::driver::load_from(terrazzo_softgpu_symbol, "the software GPU in process", true, api);
    REQUIRE_MESSAGE(loaded == status::ok, std::string(last_error_message()));
    // What is steered is what is called.
    REQUIRE(reinterpret_cast<void*>(api->functions().cuInit) == terrazzo_softgpu_symbol("cuInit"));
    int count = 0;
    REQUIRE(api->functions().cuDeviceGetCount(&count) == CUDA_SUCCESS);
    for (int device = 0; device < count; ++device) {
      CUcontext context = nullptr;
      REQUIRE(api->functions().cuDevicePrimaryCtxRetain(&context, device) == CUDA_SUCCESS);
      contexts.push_back(context);
    }
    terrazzo_softgpu_reset_counts();
  }

  ~softgpu_session() {
    terrazzo_softgpu_fail(nullptr, 0, 0, 0);
    for (const char* what : {"chunks", "mappings", "reservations", "allocations", "host_allocations", "streams",
                             "events", "cublas_handles"}) {
      CAPTURE(what);
      CHECK(count(what) == 0);
    }
    for (std::size_t device = 0; device < contexts.size(); ++device)
      CHECK(api->functions().cuDevicePrimaryCtxRelease_v2(static_cast<CUdevice>(device)) == CUDA_SUCCESS);
    CAPTURE("primary contexts that the test has retained and not released");
    CHECK(count("contexts") == 0);
  }

  softgpu_session(const softgpu_session&) = delete;
  softgpu_session& operator=(const softgpu_session&) = delete;

  /// Counts what exists now, with the words of terrazzo_softgpu_count.
  [[nodiscard]] static std::uint64_t count(const char* what, int device = -1) {
    return terrazzo_softgpu_count(what, device);
  }

  /// Counts the calls of a driver function, or of all, since the session began or the counts were reset.
  [[nodiscard]] static std::uint64_t calls(const char* function = nullptr) { return terrazzo_softgpu_calls(function); }

  /// Makes the k-th call of a function from now on fail, once; of any function for null.
  static void fail(const char* function, std::uint64_t k, CUresult result) {
    REQUIRE(terrazzo_softgpu_fail(function, k, static_cast<int>(result), 1) == 0);
  }

  [[nodiscard]] const detail::driver_functions& cuda() const { return api->functions(); }

  std::shared_ptr<const detail::driver> api;
  std::vector<CUcontext> contexts;  // one a device
};

/// Makes a device's primary context current for a scope, for tests that call the driver themselves.
class current_context {
 public:
  current_context(const softgpu_session& session, int device = 0) : session_(session) {
    REQUIRE(session.cuda().cuCtxPushCurrent_v2(session.contexts.at(static_cast<std::size_t>(device))) == CUDA_SUCCESS);
  }
  ~current_context() {
    CUcontext popped = nullptr;
    CHECK(session_.cuda().cuCtxPopCurrent_v2(&popped) == CUDA_SUCCESS);
  }
  current_context(const current_context&) = delete;
  current_context& operator=(const current_context&) = delete;

 private:
  const softgpu_session& session_;
};

}  // namespace terrazzo::test
