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

const char* driver::error_name(CUresult code) const noexcept {
  const char* name = nullptr;
  return functions_.cuGetErrorName(code, &name) == CUDA_SUCCESS && name != nullptr ? name : "unknown CUresult";
}

status driver::fail_call(const char* function, CUresult result, std::string_view purpose) const noexcept {
  const char* sentence = nullptr;
  if (functions_.cuGetErrorString(result, &sentence) != CUDA_SUCCESS || sentence == nullptr)
    sentence = "no description";
  return fail(result == CUDA_ERROR_OUT_OF_MEMORY ? status::out_of_memory : status::driver_error,
              "{} failed while {}: {} ({}, {})", function, purpose, error_name(result), static_cast<int>(result),
              sentence);
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

namespace {

/// Tells whether an error stays: every later call in the context fails with it. Source: the comments of cuda.h's
/// CUresult, "the context cannot be used" and "the process must be terminated and relaunched".
bool is_sticky(CUresult code) noexcept {
  switch (code) {
    case CUDA_ERROR_DEINITIALIZED:
    case CUDA_ERROR_ECC_UNCORRECTABLE:
    case CUDA_ERROR_NVLINK_UNCORRECTABLE:
    case CUDA_ERROR_ILLEGAL_ADDRESS:
    case CUDA_ERROR_LAUNCH_TIMEOUT:
    case CUDA_ERROR_CONTEXT_IS_DESTROYED:
    case CUDA_ERROR_ASSERT:
    case CUDA_ERROR_HARDWARE_STACK_ERROR:
    case CUDA_ERROR_ILLEGAL_INSTRUCTION:
    case CUDA_ERROR_MISALIGNED_ADDRESS:
    case CUDA_ERROR_INVALID_ADDRESS_SPACE:
    case CUDA_ERROR_INVALID_PC:
    case CUDA_ERROR_LAUNCH_FAILED:
      return true;
    default:
      return false;
  }
}

}  // namespace

status primary_context::fail_call(const char* function, CUresult result, std::string_view purpose) const noexcept {
  note_if_sticky(result);
  return api().fail_call(function, result, purpose);
}

void primary_context::note_if_sticky(CUresult result) const noexcept {
  if (is_sticky(result)) state_->lost_by.store(result, std::memory_order_relaxed);
}

status primary_context::refuse_if_lost() const noexcept {
  const CUresult code = state_->lost_by.load(std::memory_order_relaxed);
  if (code == CUDA_SUCCESS) return status::ok;
  return fail(
      status::device_lost,
      "device {} was lost to the program by {} ({}): no call in its context succeeds any more. Find what caused "
      "it (compute-sanitizer shows where), and start the process anew",
      device(), api().error_name(code), static_cast<int>(code));
}

context_scope::context_scope(const primary_context& context, capture_mode mode) noexcept : context_(context) {
  result_ = context.refuse_if_lost();
  if (result_ != status::ok) return;
  const driver& api = context.api();
  CUcontext current = nullptr;
  CUresult code = api.call(api.functions().cuCtxGetCurrent, &current);
  if (code == CUDA_SUCCESS && current != context.context()) {
    code = api.call(api.functions().cuCtxPushCurrent_v2, context.context());
    pushed_ = code == CUDA_SUCCESS;
  }
  if (code != CUDA_SUCCESS) {
    result_ = context.fail_call("cuCtxPushCurrent", code, "making the device's primary context current");
    return;
  }
  relaxed_ = mode == capture_mode::relaxed &&
             api.call(api.functions().cuThreadExchangeStreamCaptureMode, &previous_mode_) == CUDA_SUCCESS;
}

context_scope::~context_scope() {
  const driver& api = context_.api();
  if (relaxed_) api.call_twice(api.functions().cuThreadExchangeStreamCaptureMode, &previous_mode_);
  CUcontext popped = nullptr;
  if (pushed_) api.call_twice(api.functions().cuCtxPopCurrent_v2, &popped);
}

}  // namespace terrazzo::detail
