// The cuBLAS contract over the software cuBLAS in process.
#define TERRAZZO_CONTRACT "in process"
#include <doctest/doctest.h>

#include "softgpu/cublas_table.hpp"
#include "terrazzo/softgpu.h"

namespace {
const terrazzo::test::cublas_under_test& contract_cublas() {
  // Other tests of this program leave a device of theirs behind; while a context lives, the case is under way.
  if (terrazzo_softgpu_count("contexts", -1) == 0) {
    REQUIRE(terrazzo_softgpu_configure("memory=256MiB") == 0);
    REQUIRE(cuInit(0) == CUDA_SUCCESS);
  }
  static const terrazzo::test::cublas_under_test all{terrazzo::test::driver_table::from(terrazzo_softgpu_symbol),
                                                     terrazzo::test::cublas_table::from(terrazzo_softcublas_symbol)};
  return all;
}
}  // namespace

#include "softgpu/cublas_contract.hpp"
