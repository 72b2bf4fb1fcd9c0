// Proves that process exit does not touch the driver: counts the software driver's calls when main ends, and again in a
// handler that runs after the destructors of whatever was loaded later.
#include <dlfcn.h>

#include <cstdint>
#include <cstdio>
#include <cstdlib>

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
  void* driver = dlopen(std::getenv("TERRAZZO_CUDA_DRIVER"), RTLD_NOW);
  void* door = dlopen(TERRAZZO_TORCH_LIBRARY, RTLD_NOW);
  if (driver == nullptr || door == nullptr) return std::fprintf(stderr, "%s\n", dlerror()), std::_Exit(1), 1;
  calls = reinterpret_cast<std::uint64_t (*)(const char*)>(dlsym(driver, "terrazzo_softgpu_calls"));
  auto* allocate = reinterpret_cast<void* (*)(std::size_t, int, void*)>(dlsym(door, "terrazzo_malloc"));
  if (allocate(1 << 20, 0, nullptr) == nullptr) std::_Exit(1);
  calls_at_end = calls(nullptr);
  if (calls_at_end == 0) std::_Exit(1);
  return 0;
}
