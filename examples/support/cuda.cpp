#include "support/cuda.hpp"

#include <filesystem>
#include <stdexcept>

#include "base/shared_library.hpp"
#include "driver/driver.hpp"

namespace example {
namespace {

using terrazzo::detail::driver;

/// Takes every function from the driver; throws std::runtime_error naming what is missing.
cuda::functions load(const std::string& driver_path) {
  std::string reason;
  const auto library =
      terrazzo::detail::shared_library::open(driver_path.empty() ? driver::file_name : driver_path, reason);
  if (!library) throw std::runtime_error("no CUDA driver: " + reason);
  cuda::functions table;
  const auto take = [&](auto& slot, const char* name) {
    slot = reinterpret_cast<std::remove_reference_t<decltype(slot)>>(library.symbol(name));
    if (slot == nullptr) throw std::runtime_error(std::string("the CUDA driver has no ") + name);
  };
#define EXAMPLE_TAKE(name) take(table.name, #name);
  EXAMPLE_CUDA_FUNCTIONS(EXAMPLE_TAKE)
#undef EXAMPLE_TAKE
  return table;
}

}  // namespace

bool cuda::is_there(const std::string& driver_path) {
  try {
    const functions table = load(driver_path);
    int count = 0;
    return table.cuInit(0) == CUDA_SUCCESS && table.cuDeviceGetCount(&count) == CUDA_SUCCESS && count > 0;
  } catch (const std::runtime_error&) {
    return false;
  }
}

bool cuda::is_software(const std::string& driver_path) {
  std::string ignored;
  const auto library = terrazzo::detail::shared_library::open(driver_path, ignored);
  return library && library.symbol("terrazzo_softgpu_message") != nullptr;
}

cuda::cuda(const std::string& driver_path, int device) : functions_(load(driver_path)), device_(device) {
  const CUresult initialised = functions_.cuInit(0);
  if (initialised == CUDA_ERROR_NO_DEVICE && is_software(driver_path))
    throw std::runtime_error("the software GPU was configured with no devices (devices=0 in TERRAZZO_SOFTGPU)");
  if (initialised == CUDA_ERROR_INVALID_VALUE && is_software(driver_path))  // it says why itself
    throw std::runtime_error("TERRAZZO_SOFTGPU is not understood: see the line before");
  check(initialised, "cuInit");
  CUcontext context = nullptr;
  check(functions_.cuDevicePrimaryCtxRetain(&context, device), "cuDevicePrimaryCtxRetain");
  check(functions_.cuCtxSetCurrent(context), "cuCtxSetCurrent");
}

cuda::~cuda() {
  if (ballast_ != 0) functions_.cuMemFree_v2(ballast_);
  functions_.cuCtxSetCurrent(nullptr);
  functions_.cuDevicePrimaryCtxRelease_v2(device_);
}

std::string cuda::name() const {
  char text[256] = "";
  check(functions_.cuDeviceGetName(text, sizeof text, device_), "cuDeviceGetName");
  return text;
}

std::string cuda::compute_capability() const {
  int major = 0;
  int minor = 0;
  check(functions_.cuDeviceGetAttribute(&major, CU_DEVICE_ATTRIBUTE_COMPUTE_CAPABILITY_MAJOR, device_),
        "cuDeviceGetAttribute");
  check(functions_.cuDeviceGetAttribute(&minor, CU_DEVICE_ATTRIBUTE_COMPUTE_CAPABILITY_MINOR, device_),
        "cuDeviceGetAttribute");
  return std::to_string(major) + "." + std::to_string(minor);
}

std::size_t cuda::total_bytes() const {
  std::size_t total = 0;
  check(functions_.cuDeviceTotalMem_v2(&total, device_), "cuDeviceTotalMem");
  return total;
}

std::size_t cuda::free_bytes() const {
  std::size_t free = 0;
  std::size_t total = 0;
  check(functions_.cuMemGetInfo_v2(&free, &total), "cuMemGetInfo");
  return free;
}

void cuda::leave_free(std::size_t bytes) {
  const std::size_t free = free_bytes();
  if (free > bytes) check(functions_.cuMemAlloc_v2(&ballast_, free - bytes), "cuMemAlloc");
}

void cuda::check(CUresult result, const char* call) const {
  if (result == CUDA_SUCCESS) return;
  const char* name = nullptr;
  if (functions_.cuGetErrorName(result, &name) != CUDA_SUCCESS || name == nullptr) name = "unknown error";
  throw std::runtime_error(std::string(call) + ": " + name);
}

std::string software_driver() {
  std::error_code ignored;
  const std::filesystem::path beside = std::filesystem::read_symlink("/proc/self/exe", ignored).parent_path() / ".." /
                                       "lib" / "softgpu" / driver::file_name;
  if (std::filesystem::exists(beside, ignored)) return beside.lexically_normal().string();
  return std::string(TERRAZZO_LIBRARY_FOLDER "/softgpu/") + driver::file_name;
}

}  // namespace example
