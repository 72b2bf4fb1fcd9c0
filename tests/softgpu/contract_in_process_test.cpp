// The driver contract over the software GPU in process.
#include "terrazzo/softgpu.h"
#define TERRAZZO_CONTRACT "in process"
#include "softgpu/driver_table.hpp"

namespace {
const terrazzo::test::driver_table& contract_driver() {
  static const terrazzo::test::driver_table table = terrazzo::test::driver_table::from(terrazzo_softgpu_symbol);
  // Every case begins with a device of its own: other tests of this program leave theirs behind.
  if (terrazzo_softgpu_count("contexts", -1) == 0) {
    terrazzo_softgpu_configure("memory=256MiB");
    table.cuInit(0);
  }
  return table;
}
}  // namespace

#include "softgpu/driver_contract.hpp"
