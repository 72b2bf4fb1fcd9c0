// The driver contract over the software GPU in process.
#include "terrazzo/softgpu.h"
#define TERRAZZO_CONTRACT "in process"
#include <doctest/doctest.h>

#include "softgpu/driver_table.hpp"

namespace {
const terrazzo::test::driver_table& contract_driver() {
  // Other tests of this program leave a device of theirs behind; while a context lives, the case is under way.
  if (terrazzo_softgpu_count("contexts", -1) == 0) {
    REQUIRE(terrazzo_softgpu_configure("memory=256MiB") == 0);
    REQUIRE(cuInit(0) == CUDA_SUCCESS);
  }
  static const terrazzo::test::driver_table table = terrazzo::test::driver_table::from(terrazzo_softgpu_symbol);
  return table;
}
}  // namespace

#include "softgpu/driver_contract.hpp"
