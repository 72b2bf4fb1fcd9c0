// Which device an example runs on: a card if there is one, else the software GPU with the memory that was asked for.
#pragma once

#include <cstdint>
#include <optional>
#include <string>

namespace example {

struct chosen_device {
  bool is_software = false;
  std::string driver_path;  // as terrazzo::allocator_options wants it; empty: the system's
};

/// Chooses by `wanted`, "auto", "cuda" or "soft". A driver that TERRAZZO_CUDA_DRIVER names is taken, or is an error: no
/// other takes its place.
///
/// The software GPU has `memory_bytes` where they are given, whatever TERRAZZO_SOFTGPU says; else what that variable
/// says; else `default_bytes`. Throws terrazzo::error if a driver that is named cannot be used, std::runtime_error if a
/// card is wanted and there is none, or if nothing can be computed on the software GPU as it was configured.
[[nodiscard]] chosen_device choose_device(const std::string& wanted, std::optional<std::uint64_t> memory_bytes,
                                          std::uint64_t default_bytes);

}  // namespace example
