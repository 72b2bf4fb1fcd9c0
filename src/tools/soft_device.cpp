#include "tools/soft_device.hpp"

#include <fmt/format.h>

#include "tools/command.hpp"

namespace terrazzo::tools {

soft_device::soft_device(const std::string& driver_path) {
  std::string reason;
  library_ = detail::shared_library::open(driver_path, reason);
  if (!library_) throw usage_error(fmt::format("the software GPU '{}' cannot be loaded: {}", driver_path, reason));
#define TERRAZZO_STEERING_LOOKUP(name) name = reinterpret_cast<decltype(&::name)>(library_.symbol(#name));
  TERRAZZO_STEERING_FUNCTIONS(TERRAZZO_STEERING_LOOKUP)
#undef TERRAZZO_STEERING_LOOKUP
  for (const bool found : {
#define TERRAZZO_STEERING_FOUND(name) name != nullptr,
           TERRAZZO_STEERING_FUNCTIONS(TERRAZZO_STEERING_FOUND)
#undef TERRAZZO_STEERING_FOUND
       }) {
    if (!found) throw usage_error(fmt::format("'{}' is a CUDA driver, but not the software GPU", driver_path));
  }
  throw_on_failure(detail::driver::load(driver_path, driver_));
}

void soft_device::configure(const std::string& spec) {
  if (terrazzo_softgpu_configure(spec.c_str()) != 0)
    throw usage_error(fmt::format("the software GPU cannot be '{}': {}", spec, terrazzo_softgpu_message()));
}

}  // namespace terrazzo::tools
