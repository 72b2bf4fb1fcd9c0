#include "support/device_facts.hpp"

#include <fmt/format.h>

#include <stdexcept>

#include "base/bytes.hpp"

namespace example {

using terrazzo::detail::format_bytes;

std::size_t make_room(cuda& cuda, const chosen_device& chosen, std::optional<std::uint64_t> memory_bytes,
                      std::uint64_t default_bytes, std::size_t least_bytes) {
  if (!chosen.is_software) cuda.leave_free(memory_bytes.value_or(default_bytes));
  const std::size_t free_bytes = cuda.free_bytes();
  if (free_bytes < least_bytes)
    throw std::runtime_error(
        fmt::format("{} are free on the device, and this needs {}: give more with --memory, or free some of the card",
                    format_bytes(free_bytes), format_bytes(least_bytes)));
  return free_bytes;
}

void put_device(nlohmann::ordered_json& facts, const chosen_device& chosen, const cuda& cuda) {
  facts["device"] = chosen.is_software ? "soft" : "cuda";
  facts["device_name"] = cuda.name();
  facts["device_memory_bytes"] = cuda.total_bytes();
  facts["compute_capability"] = cuda.compute_capability();
}

std::string describe_device(const nlohmann::ordered_json& facts) {
  return fmt::format("{} ({}), {}, compute capability {}", facts["device_name"].get<std::string>(),
                     facts["device"] == "soft" ? "the software GPU: no card is used" : "a card",
                     format_bytes(facts["device_memory_bytes"].get<std::uint64_t>()),
                     facts["compute_capability"].get<std::string>());
}

}  // namespace example
