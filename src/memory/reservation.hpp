// A reservation: a range of addresses, cut into places of one chunk each, with a chunk mapped at some of them.
//
// A chunk belongs to one place. It may be mapped at others too, which are its aliases.
//
// Invariants: address is a multiple of chunk_bytes; mapped_count == number of places with a chunk.
// Guarded by its owner, one thread at a time.
#pragma once

#include <cstddef>
#include <cstdint>
#include <vector>

#include "memory/device_memory.hpp"

namespace terrazzo::detail {

class reservation {
 public:
  explicit reservation(device_memory& memory) noexcept : memory_(memory) {}
  ~reservation();
  reservation(const reservation&) = delete;
  reservation& operator=(const reservation&) = delete;

  /// Reserves addresses for `bytes`, a multiple of the chunk size, or for half as many, and so on down to
  /// `least_bytes`: large reservations fail on Windows and Tegra. Errors: driver_error, out_of_memory,
  /// out_of_host_memory.
  [[nodiscard]] status open(std::size_t bytes, std::size_t least_bytes);

  [[nodiscard]] std::uintptr_t address() const noexcept { return address_; }
  [[nodiscard]] std::size_t bytes() const noexcept { return bytes_; }
  [[nodiscard]] std::size_t mapped_count() const noexcept { return mapped_count_; }
  [[nodiscard]] std::size_t place_of(std::uintptr_t address) const noexcept;
  [[nodiscard]] bool is_mapped(std::size_t place) const noexcept { return mapped_[place]; }
  [[nodiscard]] bool is_alias(std::size_t place) const noexcept { return alias_[place]; }
  /// REQUIRES: the place has a chunk.
  [[nodiscard]] chunk_handle chunk_at(std::size_t place) const noexcept { return chunks_[place]; }

  /// Maps chunks at `first_place` and the places after it, all or none, with one set-access for the run.
  /// REQUIRES: these places have no chunk. Errors: driver_error, out_of_memory.
  [[nodiscard]] status map(std::size_t first_place, const chunk_handle* chunks, std::size_t count) noexcept;

  /// Notes that the chunk at a place belongs to another.
  void set_alias(std::size_t place) noexcept { alias_[place] = true; }

  /// Takes the chunks of a run of places away and appends those that belong there to `chunks`, all or none.
  /// REQUIRES: all these places have a chunk; room for them in `chunks`; no work uses them. Errors: driver_error.
  [[nodiscard]] status unmap(std::size_t first_place, std::size_t count, std::vector<chunk_handle>& chunks) noexcept;

 private:
  device_memory& memory_;
  std::uintptr_t address_ = 0;
  std::size_t bytes_ = 0;
  std::size_t mapped_count_ = 0;
  std::vector<chunk_handle> chunks_;  // by place; only where mapped_ says so
  std::vector<bool> mapped_;
  std::vector<bool> alias_;
};

}  // namespace terrazzo::detail
