#include "heap/address_map.hpp"

#include <algorithm>
#include <cstdlib>

namespace terrazzo::detail {

constinit std::atomic<std::uintptr_t*> address_map::root_[std::size_t{1} << (address_bits - unit_bits - leaf_bits)] =
    {};

bool address_map::cover(std::uintptr_t begin, std::size_t bytes) noexcept {
  if (bytes == 0) return true;
  const std::uintptr_t last = begin + bytes - 1;
  if (last < begin || last >> address_bits != 0) return false;
  for (std::uintptr_t i = begin >> (unit_bits + leaf_bits); i <= last >> (unit_bits + leaf_bits); ++i) {
    if (root_[i].load(std::memory_order_acquire) != nullptr) continue;
    // calloc: the half megabyte of a leaf costs physical memory only where it is used.
    auto* made = static_cast<std::uintptr_t*>(std::calloc(std::size_t{1} << leaf_bits, sizeof(std::uintptr_t)));
    if (made == nullptr) return false;
    std::uintptr_t* expected = nullptr;
    if (!root_[i].compare_exchange_strong(expected, made, std::memory_order_acq_rel)) std::free(made);
  }
  return true;
}

void address_map::forget(std::uintptr_t address, std::size_t bytes) noexcept {
  constexpr std::uintptr_t leaf_bytes = std::uintptr_t{1} << (unit_bits + leaf_bits);
  const std::uintptr_t end = address + bytes;
  for (std::uintptr_t at = address; at < end;) {
    const std::uintptr_t stop = std::min(end, round_down(at, leaf_bytes) + leaf_bytes);
    if (root_[at >> (unit_bits + leaf_bits)].load(std::memory_order_acquire) != nullptr) write_all(at, stop - at, 0);
    at = stop;
  }
}

void address_map::write_all(std::uintptr_t address, std::size_t bytes, std::uintptr_t bits) noexcept {
  const std::uintptr_t end = address + bytes;
  for (std::uintptr_t at = round_down(address, std::size_t{1} << unit_bits); at < end;
       at += std::uintptr_t{1} << unit_bits)
    write(at, bits);
}

}  // namespace terrazzo::detail
