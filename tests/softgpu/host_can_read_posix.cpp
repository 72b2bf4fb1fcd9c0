#include <doctest/doctest.h>
#include <unistd.h>

#include "softgpu/host_can_read.hpp"

namespace terrazzo::test {

bool host_can_read(std::uintptr_t address) {
  int ends[2];
  REQUIRE(pipe(ends) == 0);
  const bool can = write(ends[1], reinterpret_cast<const void*>(address), 1) == 1;
  close(ends[0]);
  close(ends[1]);
  return can;
}

}  // namespace terrazzo::test
