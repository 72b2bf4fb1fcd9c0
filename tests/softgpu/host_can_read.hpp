#pragma once

#include <cstdint>

namespace terrazzo::test {

/// Tells whether the host could read an address, by asking the system, which does not die of the answer.
[[nodiscard]] bool host_can_read(std::uintptr_t address);

}  // namespace terrazzo::test
