// The cuBLAS contract over a real card, or over whatever TERRAZZO_CUDA_DRIVER and TERRAZZO_CUBLAS name. Exits with 77,
// "skipped", where there is no driver, no device or no cuBLAS.
#define DOCTEST_CONFIG_IMPLEMENT
#include <doctest/doctest.h>
#define TERRAZZO_CONTRACT "on a card"

#include <cstdio>
#include <cstdlib>
#include <string>

#include "softgpu/cublas_table.hpp"
#include "workspace/cublas.hpp"

namespace {
terrazzo::test::cublas_under_test found;
const terrazzo::test::cublas_under_test& contract_cublas() { return found; }

constexpr int skipped = 77;
int skip(const std::string& reason) {
  std::fprintf(stderr, "skipped: %s\n", reason.c_str());
  return skipped;
}
}  // namespace

#include "softgpu/cublas_contract.hpp"

int main(int argc, char** argv) {
  using namespace terrazzo;
  const char* variable = std::getenv("TERRAZZO_CUDA_DRIVER");
  const std::string named = variable != nullptr ? variable : "";
  std::string reason;
  const auto driver = detail::shared_library::open(named.empty() ? "libcuda.so.1" : named, reason);
  if (!driver) return skip("no CUDA driver: " + reason);
  found.cuda = test::driver_table::from([&](const char* name) { return driver.symbol(name); });
  int count = 0;
  const bool ready = found.cuda.cuInit != nullptr && found.cuda.cuInit(0) == CUDA_SUCCESS &&
                     found.cuda.cuDeviceGetCount(&count) == CUDA_SUCCESS && count != 0;
  if (!ready) return skip("the CUDA driver has no device");
  std::shared_ptr<const detail::cublas> blas;
  if (detail::cublas::load("", named, blas) != status::ok) return skip(last_error_message());
  found.blas = test::cublas_table::from([&](const char* name) { return blas->symbol(name); });
  return doctest::Context(argc, argv).run();
}
