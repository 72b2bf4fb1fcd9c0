// The software GPU, steered by a command: loaded by path like any driver, with the extra functions of
// terrazzo/softgpu.h looked up in it.
#pragma once

#include <cstdint>
#include <memory>
#include <string>
#include <vector>

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

  /// Makes devices of a spec, in place of what there was, and gives the driver that has them. Throws `usage_error`.
  [[nodiscard]] std::shared_ptr<const detail::driver> configure(const std::string& spec);

  /// Sets the price of a driver call that touches n chunks to a + b * n ns, for all devices made from here on. False if
  /// there is no such function, or a price is none.
  [[nodiscard]] bool set_price(const std::string& function, double a_ns, double b_ns);

#define TERRAZZO_STEERING_MEMBER(name) decltype(&::name) name = nullptr;
  TERRAZZO_STEERING_FUNCTIONS(TERRAZZO_STEERING_MEMBER)
#undef TERRAZZO_STEERING_MEMBER

 private:
  struct price {
    std::string function;
    double a_ns;
    double b_ns;
  };

  detail::shared_library library_;
  std::vector<price> prices_;  // a new device has the usual ones
};

}  // namespace terrazzo::tools
