// The host's virtual memory, as far as the software GPU needs it: the one header behind which operating systems differ.
//
//   address range   addresses that are ours and fault when touched, until something is exposed there
//   memory file     the bytes of a device's chunks: an anonymous, sparse file; a chunk is a part of it
//
// Bytes of a file shown at two addresses are the same bytes, which is what makes aliases true.
// Threads: not locked here; the caller holds the lock of the books (gpu.hpp).
#pragma once

#include <cstddef>
#include <cstdint>
#include <memory>

namespace softgpu {

/// Takes a range of addresses that fault when touched, at `hint` if that is free, else anywhere; null on failure.
/// REQUIRES: `bytes` is a multiple of the host's page size, `alignment` a power of two.
[[nodiscard]] void* reserve_addresses(std::size_t bytes, std::size_t alignment, void* hint) noexcept;

/// Gives back what `reserve_addresses` gave, whole.
void release_addresses(void* address, std::size_t bytes) noexcept;

/// Sparse anonymous memory of one device. Offsets are never given twice, so nothing must be zeroed or kept apart.
class memory_file {
 public:
  memory_file();
  ~memory_file();
  memory_file(const memory_file&) = delete;
  memory_file& operator=(const memory_file&) = delete;

  /// Makes the file; false if the host refuses.
  [[nodiscard]] bool open() noexcept;

  /// Takes a part of the file and tells its offset; `bytes` is rounded up to whole pages. Costs nothing until touched.
  [[nodiscard]] std::uint64_t take(std::size_t bytes) noexcept;

  /// Gives the bytes of a part back to the host.
  void discard(std::uint64_t offset, std::size_t bytes) noexcept;

  /// Shows a whole part of the file at an address within a reserved range, readable or readable and writable; again,
  /// with other access, where it is shown already. False if the host refuses.
  [[nodiscard]] bool expose(void* address, std::size_t bytes, std::uint64_t offset, bool writable) noexcept;

 private:
  struct state;  // each system's own
  std::unique_ptr<state> state_;
  std::uint64_t next_ = 0;
};

/// Makes the addresses of one `expose` fault again.
void hide(void* address, std::size_t bytes) noexcept;

/// The unit in which the host maps memory.
[[nodiscard]] std::size_t host_page_bytes() noexcept;

}  // namespace softgpu
