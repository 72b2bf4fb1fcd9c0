// The cuBLAS contract over the software cuBLAS' shared library, opened by path under each of its names like any cuBLAS,
// and the software driver beside it, which it must share its books with.
#define TERRAZZO_CONTRACT "library"
#include <doctest/doctest.h>

#include <string>

#include "base/shared_library.hpp"
#include "softgpu/cublas_table.hpp"

namespace {

using terrazzo::detail::shared_library;
using terrazzo::test::cublas_under_test;

shared_library opened(const char* path) {
  std::string reason;
  const shared_library library = shared_library::open(path, reason);
  REQUIRE_MESSAGE(library, reason);
  return library;
}

const cublas_under_test& contract_cublas() {
  static const cublas_under_test all = [] {
    const shared_library blas = opened(TERRAZZO_SOFTCUBLAS_LIBRARY);
    const shared_library cuda = opened(TERRAZZO_SOFTGPU_LIBRARY);
    const cublas_under_test made{
        terrazzo::test::driver_table::from([&](const char* name) { return cuda.symbol(name); }),
        terrazzo::test::cublas_table::from([&](const char* name) { return blas.symbol(name); })};
    REQUIRE(made.cuda.cuInit(0) == CUDA_SUCCESS);
    return made;
  }();
  return all;
}

}  // namespace

TEST_CASE("cublas library: the name of CUDA 12 opens the same library") {
  const shared_library blas = opened(TERRAZZO_SOFTCUBLAS_LIBRARY_12);
  CHECK(blas.symbol("cublasCreate_v2") == reinterpret_cast<void*>(contract_cublas().blas.cublasCreate_v2));
}

#include "softgpu/cublas_contract.hpp"
