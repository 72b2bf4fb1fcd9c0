// The software GPU, steered by a command: loaded by path like any driver, with the extra functions of
// terrazzo/softgpu.h looked up in it.
#pragma once

#include <cstdint>
#include <memory>
#include <string>

#include "base/shared_library.hpp"
#include "driver/driver.hpp"
#include "terrazzo/softgpu.h"

namespace terrazzo::tools {

// clang-format off
#define TERRAZZO_STEERING_FUNCTIONS(X) \
  X(terrazzo_softgpu_configure)        \
  X(terrazzo_softgpu_message)          \
  X(terrazzo_softgpu_calls)            \
  X(terrazzo_softgpu_reset_counts)     \
  X(terrazzo_softgpu_complete)         \
  X(terrazzo_softgpu_enqueue)          \
  X(terrazzo_softgpu_set_price)        \
  X(terrazzo_softgpu_priced_ns)        \
  X(terrazzo_softgpu_symbol)
// clang-format on

class soft_device {
 public:
  /// Loads the software GPU's driver. Throws `usage_error` if the file is none.
  explicit soft_device(const std::string& driver_path);

  /// Makes one device of a spec, in place of what there was. Throws `usage_error`.
  void configure(const std::string& spec);

  [[nodiscard]] const std::shared_ptr<const detail::driver>& driver() const noexcept { return driver_; }

#define TERRAZZO_STEERING_MEMBER(name) decltype(&::name) name = nullptr;
  TERRAZZO_STEERING_FUNCTIONS(TERRAZZO_STEERING_MEMBER)
#undef TERRAZZO_STEERING_MEMBER

 private:
  detail::shared_library library_;
  std::shared_ptr<const detail::driver> driver_;
};

}  // namespace terrazzo::tools
