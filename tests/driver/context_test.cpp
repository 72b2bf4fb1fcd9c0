// Primary contexts: retained while held, current for a scope, and the program's own current context left as it was.
#include <atomic>
#include <string>
#include <thread>
#include <vector>

#include "support/softgpu.hpp"

using terrazzo::last_error_message;
using terrazzo::status;
using terrazzo::detail::context_scope;
using terrazzo::detail::primary_context;
using terrazzo::test::current_context;
using terrazzo::test::softgpu_session;

namespace {

CUcontext current(const softgpu_session& session) {
  CUcontext context = nullptr;
  CHECK(session.cuda().cuCtxGetCurrent(&context) == CUDA_SUCCESS);
  return context;
}

CUstreamCaptureMode capture_mode(const softgpu_session& session) {
  CUstreamCaptureMode mode = CU_STREAM_CAPTURE_MODE_GLOBAL;
  CHECK(session.cuda().cuThreadExchangeStreamCaptureMode(&mode) == CUDA_SUCCESS);
  CUstreamCaptureMode back = mode;
  CHECK(session.cuda().cuThreadExchangeStreamCaptureMode(&back) == CUDA_SUCCESS);
  return mode;
}

}  // namespace

TEST_CASE("driver context: it is retained until the last copy goes") {
  const softgpu_session session("devices=2");
  {
    primary_context first;
    REQUIRE(primary_context::retain(session.api, 1, first) == status::ok);
    CHECK(first.device() == 1);
    CHECK(first.context() == session.contexts[1]);
    const primary_context second = first;
    first = primary_context();
    CHECK(session.calls("cuDevicePrimaryCtxRelease") == 0);
  }
  CHECK(session.calls("cuDevicePrimaryCtxRetain") == 1);
  CHECK(session.calls("cuDevicePrimaryCtxRelease") == 1);
}

TEST_CASE("driver context: a device that does not exist is refused with what there is") {
  const softgpu_session session("devices=2");
  primary_context context;
  for (const int device : {-1, 2, 1000}) {
    CAPTURE(device);
    CHECK(primary_context::retain(session.api, device, context) == status::invalid_device);
    CHECK(std::string(last_error_message()).find("does not exist: devices are 0 to 1") != std::string::npos);
  }
}

TEST_CASE("driver context: a failed retain is told and leaves nothing") {
  softgpu_session session("");
  for (const char* function : {"cuDeviceGetCount", "cuDeviceGet", "cuDevicePrimaryCtxRetain"}) {
    CAPTURE(function);
    session.fail(function, 1, CUDA_ERROR_UNKNOWN);
    primary_context context;
    CHECK(primary_context::retain(session.api, 0, context) == status::driver_error);
    CHECK(std::string(last_error_message()).find(function) == 0);
  }
}

TEST_CASE("driver context: a scope puts back what was current") {
  const softgpu_session session("devices=2");
  primary_context context;
  REQUIRE(primary_context::retain(session.api, 0, context) == status::ok);
  SUBCASE("nothing") {
    {
      const context_scope scope(context);
      CHECK(scope.result() == status::ok);
      CHECK(current(session) == session.contexts[0]);
    }
    CHECK(current(session) == nullptr);
  }
  SUBCASE("another device's context") {
    const current_context other(session, 1);
    {
      const context_scope scope(context);
      CHECK(current(session) == session.contexts[0]);
    }
    CHECK(current(session) == session.contexts[1]);
  }
  SUBCASE("the same context and scopes within scopes") {
    const current_context same(session, 0);
    {
      const context_scope outer(context);
      const context_scope inner(context);
      CHECK(current(session) == session.contexts[0]);
    }
    CHECK(current(session) == session.contexts[0]);
  }
}

TEST_CASE("driver context: a scope relaxes the capture mode and puts it back") {
  const softgpu_session session("");
  primary_context context;
  REQUIRE(primary_context::retain(session.api, 0, context) == status::ok);
  CHECK(capture_mode(session) == CU_STREAM_CAPTURE_MODE_GLOBAL);
  {
    const context_scope scope(context);
    CHECK(capture_mode(session) == CU_STREAM_CAPTURE_MODE_RELAXED);
  }
  CHECK(capture_mode(session) == CU_STREAM_CAPTURE_MODE_GLOBAL);
}

TEST_CASE("driver context: a scope that cannot begin changes nothing") {
  softgpu_session session("");
  primary_context context;
  REQUIRE(primary_context::retain(session.api, 0, context) == status::ok);
  session.fail("cuCtxPushCurrent", 1, CUDA_ERROR_INVALID_CONTEXT);
  {
    const context_scope scope(context);
    CHECK(scope.result() == status::driver_error);
    CHECK(current(session) == nullptr);
  }
  CHECK(current(session) == nullptr);
  CHECK(session.calls("cuCtxPopCurrent") == 0);
  CHECK(capture_mode(session) == CU_STREAM_CAPTURE_MODE_GLOBAL);
}

TEST_CASE("driver context: threads without a current context work side by side") {
  const softgpu_session session("");
  primary_context context;
  REQUIRE(primary_context::retain(session.api, 0, context) == status::ok);
  std::atomic<int> wrong{0};
  std::vector<std::thread> threads;
  for (int t = 0; t < 4; ++t) {
    threads.emplace_back([&] {
      for (int i = 0; i < 50; ++i) {
        const context_scope scope(context);
        CUdeviceptr address = 0;
        const auto& api = context.api();
        if (scope.result() != status::ok || api.call(api.functions().cuMemAlloc_v2, &address, 4096) != CUDA_SUCCESS ||
            api.call(api.functions().cuMemFree_v2, address) != CUDA_SUCCESS)
          ++wrong;
      }
      CUcontext left = nullptr;
      if (session.cuda().cuCtxGetCurrent(&left) != CUDA_SUCCESS || left != nullptr) ++wrong;
    });
  }
  for (std::thread& one : threads) one.join();
  CHECK(wrong == 0);
}
