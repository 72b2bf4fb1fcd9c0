// From an address to what begins there: a table of two levels over the whole address space of the devices, one entry
// for each 64 KiB, shared by all allocators of the process. One entry is enough: slabs are aligned to 64 KiB, and other
// blocks with the program are larger than that, so that no two of them begin in the same 64 KiB.
//
//   slab         the slab that covers these 64 KiB
//   block        the large block that begins within these 64 KiB
//   freed block  a large block began at this offset and was freed; its memory may have been merged or cut anew
//   freed slab   a slab covered these 64 KiB and was freed
//   nothing      nothing of terrazzo's
//
// Threads: entries are written under the lock of whoever owns the memory, and read without one. A reader checks what it
// found again under the owner's lock. Tables are made on demand and stay for the life of the process.
#pragma once

#include <atomic>
#include <cstddef>
#include <cstdint>

#include "heap/block.hpp"
#include "heap/slab.hpp"

namespace terrazzo::detail {

class address_map {
 public:
  static constexpr unsigned unit_bits = 16;     // 64 KiB
  static constexpr unsigned leaf_bits = 16;     // a leaf covers 4 GiB
  static constexpr unsigned address_bits = 49;  // device addresses lie below; host addresses of user space too

  enum class kind : std::uintptr_t { slab = 0, block = 1, freed_block = 2, freed_slab = 3 };

  struct entry {
    std::uintptr_t bits = 0;
    [[nodiscard]] bool is_nothing() const noexcept { return bits == 0; }
    [[nodiscard]] kind what() const noexcept { return static_cast<kind>(bits & 3); }
    [[nodiscard]] detail::slab* as_slab() const noexcept { return reinterpret_cast<detail::slab*>(bits); }
    [[nodiscard]] detail::block* as_block() const noexcept {
      return reinterpret_cast<detail::block*>(bits & ~std::uintptr_t{3});
    }
    /// Tells whether an address is known to have been freed; a freed slab's small blocks are not told apart.
    [[nodiscard]] bool was_freed(std::uintptr_t address) const noexcept {
      if (what() == kind::freed_slab) return true;
      return what() == kind::freed_block && (bits >> 2) == offset_in_unit(address);
    }
    friend bool operator==(entry, entry) = default;
  };

  [[nodiscard]] static entry find(std::uintptr_t address) noexcept {
    if (address >> address_bits != 0) return {};
    std::uintptr_t* leaf = root_[address >> (unit_bits + leaf_bits)].load(std::memory_order_acquire);
    if (leaf == nullptr) return {};
    return {std::atomic_ref<std::uintptr_t>(leaf[slot(address)]).load(std::memory_order_acquire)};
  }

  /// Makes the tables for an address range; false without host memory, or if it lies beyond `address_bits`.
  [[nodiscard]] static bool cover(std::uintptr_t begin, std::size_t bytes) noexcept;

  // REQUIRES of the setters: the addresses are covered.
  static void set_block(block& begins) noexcept {
    write(begins.begin(), reinterpret_cast<std::uintptr_t>(&begins) | static_cast<std::uintptr_t>(kind::block));
  }
  static void set_slab(slab& covers, std::size_t bytes) noexcept {
    write_all(covers.address.load(std::memory_order_relaxed), bytes, reinterpret_cast<std::uintptr_t>(&covers));
  }
  static void set_freed_block(std::uintptr_t address) noexcept {
    write(address, offset_in_unit(address) << 2 | static_cast<std::uintptr_t>(kind::freed_block));
  }
  static void set_freed_slab(std::uintptr_t address, std::size_t bytes) noexcept {
    write_all(address, bytes, static_cast<std::uintptr_t>(kind::freed_slab));
  }

  /// Makes a range nothing again, whether or not all of it is covered.
  static void forget(std::uintptr_t address, std::size_t bytes) noexcept;

 private:
  static std::uintptr_t offset_in_unit(std::uintptr_t address) noexcept {
    return (address & ((std::uintptr_t{1} << unit_bits) - 1)) + 1;  // + 1: offset 0 is not "nothing"
  }
  static std::size_t slot(std::uintptr_t address) noexcept {
    return (address >> unit_bits) & ((std::size_t{1} << leaf_bits) - 1);
  }
  static void write(std::uintptr_t address, std::uintptr_t bits) noexcept {
    std::uintptr_t* leaf = root_[address >> (unit_bits + leaf_bits)].load(std::memory_order_relaxed);
    std::atomic_ref<std::uintptr_t>(leaf[slot(address)]).store(bits, std::memory_order_release);
  }
  static void write_all(std::uintptr_t address, std::size_t bytes, std::uintptr_t bits) noexcept;

  static std::atomic<std::uintptr_t*> root_[std::size_t{1} << (address_bits - unit_bits - leaf_bits)];
};

}  // namespace terrazzo::detail
