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
}

std::shared_ptr<const detail::driver> soft_device::configure(const std::string& spec) {
  if (terrazzo_softgpu_configure(spec.c_str()) != 0)
    throw usage_error(fmt::format("the software GPU cannot be '{}': {}", spec, terrazzo_softgpu_message()));
  for (const price& each : prices_) terrazzo_softgpu_set_price(each.function.c_str(), each.a_ns, each.b_ns);
  std::shared_ptr<const detail::driver> driver;  // it must be initialised anew
  throw_on_failure(detail::driver::load(library_.path(), driver));
  return driver;
}

bool soft_device::set_price(const std::string& function, double a_ns, double b_ns) {
  if (terrazzo_softgpu_set_price(function.c_str(), a_ns, b_ns) != 0) return false;
  prices_.push_back({function, a_ns, b_ns});
  return true;
}

}  // namespace terrazzo::tools
