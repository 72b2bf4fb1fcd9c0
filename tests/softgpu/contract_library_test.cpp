// The driver contract over the software GPU's shared library, opened like any driver.
#define TERRAZZO_CONTRACT "library"
#include <doctest/doctest.h>

#include <string>

#include "base/shared_library.hpp"
#include "softgpu/driver_table.hpp"

namespace {
const terrazzo::test::driver_table& contract_driver() {
  static const terrazzo::test::driver_table table = [] {
    std::string reason;
    const auto library = terrazzo::detail::shared_library::open(TERRAZZO_SOFTGPU_LIBRARY, reason);
    REQUIRE_MESSAGE(library, reason);
    const auto made = terrazzo::test::driver_table::from([&](const char* name) { return library.symbol(name); });
    REQUIRE(made.cuInit(0) == CUDA_SUCCESS);
    return made;
  }();
  return table;
}
}  // namespace

#include "softgpu/driver_contract.hpp"
