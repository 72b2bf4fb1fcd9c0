// The chunk store: spare chunks, which exist but lie under no address. A chunk is kept and mapped elsewhere rather than
// released, since making one costs several times what moving one does (193 us against 64 us on an A100, kvcached's
// bench_vmm).
//
// Guarded by its owner, one thread at a time. A spare chunk is finished: no work uses it any more.
#pragma once

#include <cstddef>
#include <vector>

#include "memory/device_memory.hpp"

namespace terrazzo::detail {

class chunk_store {
 public:
  explicit chunk_store(device_memory& memory) noexcept : memory_(memory) {}
  ~chunk_store() { trim(0); }
  chunk_store(const chunk_store&) = delete;
  chunk_store& operator=(const chunk_store&) = delete;

  [[nodiscard]] std::size_t spare_count() const noexcept { return spares_.size(); }

  /// Makes `count` more spare chunks. On failure those that could be made are there. Errors: out_of_memory,
  /// driver_error, out_of_host_memory.
  [[nodiscard]] status make(std::size_t count) noexcept;

  /// Makes room for `count` more in the books, so that `put` keeps them; false without host memory.
  [[nodiscard]] bool reserve(std::size_t count) noexcept;

  /// Appends `count` spare chunks. REQUIRES: there are as many; room for them in `chunks`.
  void take(std::size_t count, std::vector<chunk_handle>& chunks) noexcept;

  /// Keeps chunks as spare ones. Chunks that the books cannot hold for lack of host memory go back to the driver.
  void put(const std::vector<chunk_handle>& chunks) noexcept;

  /// Releases spare chunks until at most `keep_count` are left.
  void trim(std::size_t keep_count) noexcept;

 private:
  device_memory& memory_;
  std::vector<chunk_handle> spares_;
};

}  // namespace terrazzo::detail
