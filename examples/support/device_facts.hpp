// The device an example runs on: the room it makes there, and what it tells of it.
#pragma once

#include <cstdint>
#include <nlohmann/json.hpp>
#include <optional>
#include <string>

#include "support/choose_device.hpp"
#include "support/cuda.hpp"

namespace example {

/// Leaves as much of a card free as an example was given: what is more is taken away until `cuda` goes. Returns the bytes
/// that are free. Throws std::runtime_error if that is less than `least_bytes`.
std::size_t make_room(cuda& cuda, const chosen_device& chosen, std::optional<std::uint64_t> memory_bytes,
                      std::uint64_t default_bytes, std::size_t least_bytes);

/// Adds the facts of a device: device, device_name, device_memory_bytes, compute_capability.
void put_device(nlohmann::ordered_json& facts, const chosen_device& chosen, const cuda& cuda);

/// Tells these facts in a line.
[[nodiscard]] std::string describe_device(const nlohmann::ordered_json& facts);

}  // namespace example
