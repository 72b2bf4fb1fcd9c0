// Room memory/: device memory as the driver deals it out. The only room that calls cuMem*.
//
//   chunk        physical memory behind one handle (cuMemCreate), device_memory::chunk_bytes() large
//   reservation  a range of addresses that chunks are mapped into (reservation.hpp)
//   chunk store  chunks that exist but lie under no address: spare (chunk_store.hpp)
//   limit        what terrazzo may hold on the device; headroom: what it leaves free for others
//
// Invariants: held_bytes == bytes of plain segments + chunk_bytes * (mapped chunks + spare chunks);
// a sequence of driver calls that fails part-way undoes its steps, so that a failed function has changed nothing; but
// chunks that could be created are kept.
// Threads: a device_memory may be used by several threads at once; its counters are atomic.
// REQUIRES of every function that calls the driver: a context_scope of `context()` on the calling thread.
#pragma once

#include <atomic>
#include <cstddef>
#include <cstdint>
#include <string>
#include <vector>

#include "driver/driver.hpp"

namespace terrazzo::detail {

using chunk_handle = CUmemGenericAllocationHandle;

class device_memory {
 public:
  device_memory() = default;
  device_memory(const device_memory&) = delete;
  device_memory& operator=(const device_memory&) = delete;

  /// Asks the device for its size and tries virtual memory management with one chunk, mapped at two addresses; an
  /// attribute alone is not believed. Errors: driver_error, out_of_memory.
  [[nodiscard]] status open(const primary_context& context);

  [[nodiscard]] const primary_context& context() const noexcept { return context_; }
  [[nodiscard]] std::size_t total_bytes() const noexcept { return total_bytes_; }
  [[nodiscard]] bool has_virtual_memory() const noexcept { return virtual_memory_; }
  /// Says why virtual memory management is off; empty if it is on.
  [[nodiscard]] const std::string& virtual_memory_reason() const noexcept { return virtual_memory_reason_; }
  /// Tells whether a chunk can be mapped at two addresses at once.
  [[nodiscard]] bool has_aliases() const noexcept { return aliases_; }
  /// The driver's unit of mapping; 0 if it could not be asked.
  [[nodiscard]] std::size_t granularity_bytes() const noexcept { return granularity_bytes_; }
  /// A multiple of the driver's granularity, and at least 2 MiB.
  [[nodiscard]] std::size_t chunk_bytes() const noexcept { return chunk_bytes_; }

  [[nodiscard]] std::size_t held_bytes() const noexcept { return held_bytes_.load(std::memory_order_relaxed); }
  [[nodiscard]] std::size_t held_peak_bytes() const noexcept { return held_peak_.load(std::memory_order_relaxed); }
  void reset_peak() noexcept { held_peak_.store(held_bytes(), std::memory_order_relaxed); }
  [[nodiscard]] std::size_t limit_bytes() const noexcept { return limit_bytes_.load(std::memory_order_relaxed); }
  [[nodiscard]] std::size_t headroom_bytes() const noexcept { return headroom_bytes_.load(std::memory_order_relaxed); }
  void set_limit(std::size_t bytes) noexcept { limit_bytes_.store(bytes, std::memory_order_relaxed); }
  void set_headroom(std::size_t bytes) noexcept { headroom_bytes_.store(bytes, std::memory_order_relaxed); }

  /// Asks how much of the device is free, for any process.
  [[nodiscard]] status query_free_bytes(std::size_t& bytes) const noexcept;

  /// Waits until all work of the context is done.
  [[nodiscard]] status wait_for_device() const noexcept;

  /// Takes a plain segment. Errors: out_of_memory (limit, headroom or device), driver_error.
  [[nodiscard]] status allocate_plain(std::size_t bytes, std::uintptr_t& address) noexcept;
  status free_plain(std::uintptr_t address, std::size_t bytes) noexcept;

  /// Creates `count` chunks and appends them. On failure those that could be made are appended too. REQUIRES: room for
  /// them in `chunks`. Errors as above.
  [[nodiscard]] status create_chunks(std::size_t count, std::vector<chunk_handle>& chunks) noexcept;
  status release_chunk(chunk_handle chunk) noexcept;

  [[nodiscard]] status reserve(std::size_t bytes, std::uintptr_t& address) noexcept;
  status unreserve(std::uintptr_t address, std::size_t bytes) noexcept;

  /// Maps chunks one after the other from `address` on and opens them for reading and writing, all or none.
  [[nodiscard]] status map(std::uintptr_t address, const chunk_handle* chunks, std::size_t count) noexcept;
  [[nodiscard]] status unmap(std::uintptr_t address, std::size_t bytes) noexcept;

 private:
  [[nodiscard]] status try_virtual_memory() noexcept;
  /// Counts `count` pieces as held, or as many as limit and headroom allow; `admitted` says how many. Fails with
  /// out_of_memory if that is not all.
  status admit(std::size_t count, std::size_t piece_bytes, std::size_t& admitted) noexcept;
  void dismiss(std::size_t bytes) noexcept { held_bytes_.fetch_sub(bytes, std::memory_order_relaxed); }
  [[nodiscard]] CUmemAllocationProp chunk_properties() const noexcept;
  [[nodiscard]] const driver& api() const noexcept { return context_.api(); }

  primary_context context_;
  std::size_t total_bytes_ = 0;
  std::size_t granularity_bytes_ = 0;
  std::size_t chunk_bytes_ = 0;
  bool virtual_memory_ = false;
  bool aliases_ = false;
  std::string virtual_memory_reason_;
  std::atomic<std::size_t> held_bytes_{0};
  std::atomic<std::size_t> held_peak_{0};
  std::atomic<std::size_t> limit_bytes_{0};
  std::atomic<std::size_t> headroom_bytes_{0};
};

}  // namespace terrazzo::detail
