// How a driver is found and judged: by path, by variable, and by what it has.
#include <cstdlib>
#include <filesystem>
#include <set>
#include <string>

#include "support/environment.hpp"
#include "support/softgpu.hpp"

using terrazzo::last_error_message;
using terrazzo::status;
using terrazzo::detail::driver;
using terrazzo::test::variable_scope;

namespace {

bool says(const std::string& part) { return std::string(last_error_message()).find(part) != std::string::npos; }

// The software GPU in process, without some of its functions.
terrazzo::detail::symbol_lookup without(std::set<std::string> hidden) {
  return [hidden = std::move(hidden)](const char* name) {
    return hidden.count(name) != 0 ? nullptr : terrazzo_softgpu_symbol(name);
  };
}

}  // namespace

TEST_CASE("driver loader: a path and the variable both lead to a library") {
  const struct {
    const char* path;
    const char* variable;
    const char* expected;
    int version;
  } cases[] = {
      {TERRAZZO_SOFTGPU_LIBRARY, nullptr, TERRAZZO_SOFTGPU_LIBRARY, 13000},
      {"", TERRAZZO_SOFTGPU_LIBRARY_12_0, TERRAZZO_SOFTGPU_LIBRARY_12_0, 12000},
      {TERRAZZO_SOFTGPU_LIBRARY, TERRAZZO_SOFTGPU_LIBRARY_12_0, TERRAZZO_SOFTGPU_LIBRARY, 13000},
  };
  for (const auto& one : cases) {
    CAPTURE(one.path);
    const variable_scope variable("TERRAZZO_CUDA_DRIVER", one.variable);
    std::shared_ptr<const driver> api;
    const status loaded = driver::load(one.path, api);
    REQUIRE_MESSAGE(loaded == status::ok, last_error_message());
    CHECK(api->version() == one.version);
    CHECK(std::filesystem::equivalent(api->origin(), one.expected));  // systems spell one path in several ways
    CHECK(api->chosen_by_path());
    CHECK(api->has_virtual_memory());
    CHECK(api->call_count() >= 1);
  }
}

TEST_CASE("driver loader: a 12.0 driver gives everything that is in the table") {
  std::shared_ptr<const driver> api;
  REQUIRE(driver::load(TERRAZZO_SOFTGPU_LIBRARY_12_0, api) == status::ok);
#define TERRAZZO_CHECK_PRESENT(name, since, use) CHECK_MESSAGE((api->functions().name != nullptr), #name);
  TERRAZZO_DRIVER_FUNCTIONS(TERRAZZO_CHECK_PRESENT)
#undef TERRAZZO_CHECK_PRESENT
}

TEST_CASE("driver loader: a bad path is told with where it came from") {
  std::shared_ptr<const driver> api;
  CHECK(driver::load("/nowhere/libcuda.so.1", api) == status::driver_not_found);
  CHECK(says("'/nowhere/libcuda.so.1' cannot be loaded"));
  CHECK(says("give the path of a driver library"));
  const variable_scope variable("TERRAZZO_CUDA_DRIVER", "/elsewhere/libcuda.so.1");
  CHECK(driver::load("", api) == status::driver_not_found);
  CHECK(says("'/elsewhere/libcuda.so.1' (from TERRAZZO_CUDA_DRIVER)"));
  CHECK(api == nullptr);
}

TEST_CASE("driver loader: a library that is no driver lacks functions") {
  std::shared_ptr<const driver> api;
  CHECK(driver::load_from([](const char*) -> void* { return nullptr; }, "libm", true, api) == status::driver_too_old);
  CHECK(says("'libm' (version unknown) has no function cuInit"));
}

TEST_CASE("driver loader: a missing needed function is named with both versions") {
  REQUIRE(terrazzo_softgpu_configure("driver=12.4") == 0);
  std::shared_ptr<const driver> api;
  CHECK(driver::load_from(without({"cuDevicePrimaryCtxRelease_v2"}), "a driver", false, api) == status::driver_too_old);
  CHECK(
      says("'a driver' (version 12.4) has no function cuDevicePrimaryCtxRelease_v2, which drivers from 11.0 on have"));
  CHECK(driver::load(TERRAZZO_SOFTGPU_LIBRARY_10_1, api) == status::driver_too_old);
  CHECK(says("(version 10.1) has no function cuDevicePrimaryCtxRelease_v2, which drivers from 11.0 on have"));
  CHECK(api == nullptr);
}

TEST_CASE("driver loader: without one function of virtual memory management all of it is off") {
  REQUIRE(terrazzo_softgpu_configure("") == 0);
  for (const char* hidden : {"cuMemGetAllocationGranularity", "cuMemMap", "cuMemSetAccess"}) {
    CAPTURE(hidden);
    std::shared_ptr<const driver> api;
    REQUIRE(driver::load_from(without({hidden}), "a driver", false, api) == status::ok);
    CHECK_FALSE(api->has_virtual_memory());
    CHECK_FALSE(api->chosen_by_path());
    CHECK((api->functions().cuMemCreate == nullptr));
    CHECK((api->functions().cuMemAddressReserve == nullptr));
    CHECK((api->functions().cuMemUnmap == nullptr));
    CHECK((api->functions().cuMemAlloc_v2 != nullptr));
  }
}

TEST_CASE("driver loader: a driver that cannot tell a device's UUID is good for all else") {
  REQUIRE(terrazzo_softgpu_configure("") == 0);
  std::shared_ptr<const driver> api;
  REQUIRE(driver::load_from(without({"cuDeviceGetUuid_v2"}), "a driver", false, api) == status::ok);
  CHECK((api->functions().cuDeviceGetUuid_v2 == nullptr));
  CHECK(api->has_virtual_memory());
}

TEST_CASE("driver loader: a driver that does not start is told by its own words") {
  REQUIRE(terrazzo_softgpu_configure("devices=0") == 0);
  std::shared_ptr<const driver> api;
  CHECK(driver::load_from(terrazzo_softgpu_symbol, "a driver", false, api) == status::driver_error);
  CHECK(
      says("cuInit failed while initialising the CUDA driver 'a driver': CUDA_ERROR_NO_DEVICE (100, no CUDA-capable"));
  CHECK(api == nullptr);
}

TEST_CASE("driver calls: a failure keeps name number sentence and purpose") {
  const terrazzo::test::softgpu_session session("");
  CHECK(session.api->fail_call("cuMemCreate", CUDA_ERROR_OUT_OF_MEMORY, "making a chunk") == status::out_of_memory);
  CHECK(says("cuMemCreate failed while making a chunk: CUDA_ERROR_OUT_OF_MEMORY (2, out of memory)"));
  CHECK(session.api->fail_call("cuMemMap", static_cast<CUresult>(998), "mapping") == status::driver_error);
  CHECK(says("unknown CUresult (998, no description)"));
}
