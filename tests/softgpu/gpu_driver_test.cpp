// The driver contract over a real card, or over whatever TERRAZZO_CUDA_DRIVER names. Exits with 77, "skipped", where
// there is no driver or no device.
#define DOCTEST_CONFIG_IMPLEMENT
#include <doctest/doctest.h>
#define TERRAZZO_CONTRACT "on a card"

#include <cstdio>
#include <cstdlib>
#include <string>

#include "base/shared_library.hpp"
#include "softgpu/driver_table.hpp"

namespace {
terrazzo::test::driver_table table;
const terrazzo::test::driver_table& contract_driver() { return table; }
}  // namespace

#include "softgpu/driver_contract.hpp"

int main(int argc, char** argv) {
  constexpr int skipped = 77;
#ifdef _WIN32
  const char* const system_driver = "nvcuda.dll";
#else
  const char* const system_driver = "libcuda.so.1";
#endif
  const char* named = std::getenv("TERRAZZO_CUDA_DRIVER");
  std::string reason;
  const auto library =
      terrazzo::detail::shared_library::open(named != nullptr && *named != '\0' ? named : system_driver, reason);
  int count = 0;
  if (library) {
    table = terrazzo::test::driver_table::from([&](const char* name) { return library.symbol(name); });
    const bool ready = table.cuInit != nullptr && table.cuInit(0) == CUDA_SUCCESS;
    if (!ready || table.cuDeviceGetCount(&count) != CUDA_SUCCESS) count = 0;
    reason = "it has no device";
  }
  if (count == 0) {
    std::fprintf(stderr, "skipped: no CUDA driver with a device: %s\n", reason.c_str());
    return skipped;
  }
  return doctest::Context(argc, argv).run();
}
