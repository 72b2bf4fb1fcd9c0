// Which device an example runs on: a card if there is one, else the software GPU with the memory that was asked for.
#pragma once

#include <cstddef>
#include <string>

namespace example {

struct chosen_device {
  bool is_software = false;
  std::string driver_path;  // as terrazzo::allocator_options wants it; empty: the system's, or TERRAZZO_CUDA_DRIVER
};

/// `wanted`: "auto", "cuda" or "soft". For the software GPU, sets its memory by TERRAZZO_SOFTGPU, in front of what that
/// variable holds already. Throws std::runtime_error if a card is wanted and there is none.
[[nodiscard]] chosen_device choose_device(const std::string& wanted, std::size_t memory_bytes);

}  // namespace example
