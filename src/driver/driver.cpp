#include "driver/driver.hpp"

#include <cstdlib>

#include "base/failure.hpp"
#include "base/shared_library.hpp"

namespace terrazzo::detail {
namespace {

enum class function_use { needed, virtual_memory, identity };

}  // namespace

std::string cuda_version_text(int version) { return fmt::format("{}.{}", version / 1000, version % 1000 / 10); }

status driver::load(const std::string& path, std::shared_ptr<const driver>& result) {
  std::string chosen = path;
  if (chosen.empty()) {
    const char* variable = std::getenv("TERRAZZO_CUDA_DRIVER");
    if (variable != nullptr) chosen = variable;
  }
  const bool by_path = !chosen.empty();
  std::string reason;
  const shared_library library = shared_library::open(by_path ? chosen : file_name, reason);
  if (!library) {
    return fail(status::driver_not_found, "the CUDA driver '{}'{} cannot be loaded: {}; {}",
                by_path ? chosen : file_name, by_path && path.empty() ? " (from TERRAZZO_CUDA_DRIVER)" : "", reason,
                by_path
                    ? "give the path of a driver library, or leave it unset for the system's"
                    : "install NVIDIA's driver, or name another, such as the software GPU, in TERRAZZO_CUDA_DRIVER");
  }
  return load_from([&](const char* name) { return library.symbol(name); }, library.path(), by_path, result);
}

status driver::load_from(const symbol_lookup& lookup, const std::string& origin, bool chosen_by_path,
                         std::shared_ptr<const driver>& result) {
  std::shared_ptr<driver> made;
  try {
    made.reset(new driver);
    made->origin_ = origin;
    made->chosen_by_path_ = chosen_by_path;
  } catch (const std::bad_alloc&) {
    return fail(status::out_of_host_memory, "no host memory to load the CUDA driver '{}'", origin);
  }
  driver_functions& table = made->functions_;

  const char* missing_needed = nullptr;
  int missing_since = 0;
  bool virtual_memory = true;
  const auto take = [&](auto& slot, const char* name, int since, function_use use) {
    slot = reinterpret_cast<std::remove_reference_t<decltype(slot)>>(lookup(name));
    if (slot != nullptr) return;
    if (use == function_use::virtual_memory) virtual_memory = false;
    else if (use == function_use::needed && missing_needed == nullptr) {
      missing_needed = name;
      missing_since = since;
    }
  };
#define TERRAZZO_TAKE_FUNCTION(name, since, use) take(table.name, #name, since, function_use::use);
  TERRAZZO_DRIVER_FUNCTIONS(TERRAZZO_TAKE_FUNCTION)
#undef TERRAZZO_TAKE_FUNCTION

  if (table.cuDriverGetVersion != nullptr) table.cuDriverGetVersion(&made->version_);
  if (missing_needed != nullptr) {
    return fail(
        status::driver_too_old,
        "the CUDA driver '{}' (version {}) has no function {}, which drivers from {} on have: install a newer driver",
        origin, made->version_ == 0 ? "unknown" : cuda_version_text(made->version_), missing_needed,
        cuda_version_text(missing_since));
  }
  made->virtual_memory_ = virtual_memory;
  if (!virtual_memory) {  // off as a whole: half a feature would be found out at the worst moment
#define TERRAZZO_DROP_FUNCTION(name, since, use) \
  if (function_use::use == function_use::virtual_memory) table.name = nullptr;
    TERRAZZO_DRIVER_FUNCTIONS(TERRAZZO_DROP_FUNCTION)
#undef TERRAZZO_DROP_FUNCTION
  }
  const CUresult initialised = made->call(table.cuInit, 0u);
  if (initialised != CUDA_SUCCESS) {
    return made->fail_call("cuInit", initialised, fmt::format("initialising the CUDA driver '{}'", origin));
  }
  result = std::move(made);
  return status::ok;
}

status driver::fail_call(const char* function, CUresult result, std::string_view purpose) const noexcept {
  const char* name = nullptr;
  const char* sentence = nullptr;
  if (functions_.cuGetErrorName(result, &name) != CUDA_SUCCESS || name == nullptr) name = "unknown CUresult";
  if (functions_.cuGetErrorString(result, &sentence) != CUDA_SUCCESS || sentence == nullptr)
    sentence = "no description";
  return fail(result == CUDA_ERROR_OUT_OF_MEMORY ? status::out_of_memory : status::driver_error,
              "{} failed while {}: {} ({}, {})", function, purpose, name, static_cast<int>(result), sentence);
}

status primary_context::retain(std::shared_ptr<const driver> api, int device, primary_context& result) {
  const driver_functions& cuda = api->functions();
  int count = 0;
  CUresult code = api->call(cuda.cuDeviceGetCount, &count);
  if (code != CUDA_SUCCESS) return api->fail_call("cuDeviceGetCount", code, "counting CUDA devices");
  if (device < 0 || device >= count) {
    if (count == 0)
      return fail(status::invalid_device, "device {} does not exist: the driver shows no CUDA device", device);
    return fail(status::invalid_device, "device {} does not exist: devices are 0 to {}", device, count - 1);
  }
  try {
    auto made = std::make_shared<state>();
    code = api->call(cuda.cuDeviceGet, &made->device, device);
    if (code != CUDA_SUCCESS) return api->fail_call("cuDeviceGet", code, fmt::format("opening device {}", device));
    CUcontext context = nullptr;
    code = api->call(cuda.cuDevicePrimaryCtxRetain, &context, made->device);
    if (code != CUDA_SUCCESS)
      return api->fail_call("cuDevicePrimaryCtxRetain", code, fmt::format("opening device {}", device));
    made->api = std::move(api);
    made->ordinal = device;
    made->context = context;
    result.state_ = std::move(made);
  } catch (const std::bad_alloc&) {
    return fail(status::out_of_host_memory, "no host memory to open device {}", device);
  }
  return status::ok;
}

primary_context::state::~state() {
  if (context != nullptr && !leaked) api->call_twice(api->functions().cuDevicePrimaryCtxRelease_v2, device);
}

context_scope::context_scope(const primary_context& context) noexcept : context_(context) {
  const driver& api = context.api();
  const CUresult code = api.call(api.functions().cuCtxPushCurrent_v2, context.context());
  if (code != CUDA_SUCCESS) {
    result_ = api.fail_call("cuCtxPushCurrent", code, "making the device's primary context current");
    return;
  }
  pushed_ = true;
  api.call(api.functions().cuThreadExchangeStreamCaptureMode, &previous_mode_);
}

context_scope::~context_scope() {
  if (!pushed_) return;
  const driver& api = context_.api();
  api.call(api.functions().cuThreadExchangeStreamCaptureMode, &previous_mode_);
  CUcontext popped = nullptr;
  api.call_twice(api.functions().cuCtxPopCurrent_v2, &popped);
}

}  // namespace terrazzo::detail
