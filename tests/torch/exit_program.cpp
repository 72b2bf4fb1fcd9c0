// Proves that process exit does not touch the driver: counts the software driver's calls when main ends, and again in a
// handler that runs after the destructors of whatever was loaded later.
#include <cstdint>
#include <cstdio>
#include <cstdlib>
#include <string>

#include "base/shared_library.hpp"

namespace {

std::uint64_t (*calls)(const char*) = nullptr;
std::uint64_t calls_at_end = 0;

void compare() {
  if (calls(nullptr) == calls_at_end) return;
  std::fprintf(stderr, "the driver was called during process exit\n");
  std::_Exit(1);
}

}  // namespace

int main() {
  if (std::atexit(compare) != 0) return 1;
  std::string reason;
  const auto driver = terrazzo::detail::shared_library::open(std::getenv("TERRAZZO_CUDA_DRIVER"), reason);
  const auto door = terrazzo::detail::shared_library::open(TERRAZZO_TORCH_LIBRARY, reason);
  if (!driver || !door) return std::fprintf(stderr, "%s\n", reason.c_str()), std::_Exit(1), 1;
  calls = reinterpret_cast<std::uint64_t (*)(const char*)>(driver.symbol("terrazzo_softgpu_calls"));
  auto* allocate = reinterpret_cast<void* (*)(std::size_t, int, void*)>(door.symbol("terrazzo_malloc"));
  if (allocate(1 << 20, 0, nullptr) == nullptr) std::_Exit(1);
  calls_at_end = calls(nullptr);
  if (calls_at_end == 0) std::_Exit(1);
  return 0;
}
