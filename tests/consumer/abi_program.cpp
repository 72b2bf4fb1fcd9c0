// What a program does that is built by another compiler, or for C++11: it uses the C ABI through its C++ wrapper.
#include <cstdio>
#include <terrazzo/abi.hpp>

int main() {
  terrazzo::abi::allocator allocator(0, "limit_mb:64");
  allocator.deallocate(allocator.allocate(1 << 20));
  try {
    allocator.allocate(128 << 20);
  } catch (const terrazzo::abi::out_of_memory& expected) {
    std::printf("%s\n", expected.what());
    return 0;
  }
  std::fputs("128 MiB were allocated under a limit of 64 MiB\n", stderr);
  return 1;
}
