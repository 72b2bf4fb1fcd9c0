#include <windows.h>

#include "softgpu/host_can_read.hpp"

namespace terrazzo::test {

bool host_can_read(std::uintptr_t address) {
  char byte = 0;
  SIZE_T read = 0;
  return ReadProcessMemory(GetCurrentProcess(), reinterpret_cast<const void*>(address), &byte, 1, &read) && read == 1;
}

}  // namespace terrazzo::test
