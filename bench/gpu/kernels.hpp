// The probes' own kernels, as PTX text that the driver compiles when it is loaded: no compiler is needed on the machine
// with the card. Where the driver cannot (the software GPU refuses modules), `kernels` throws `unsupported`.
//
//   spin    one thread: reads through a buffer and counts turns in host memory, until a host flag or a time limit
//           ends it
//   fill    writes *base + add + i to each of `count` words
//   check   counts the words that differ from that
//   bump    adds 1 to *base: gives every replay of a graph a value of its own
#pragma once

#include <cstdint>

#include "probe.hpp"

namespace terrazzo::probe {

class kernels {
 public:
  /// Loads the module. Throws `unsupported` if the driver cannot compile it.
  explicit kernels(gpu& device);

  void fill(CUstream stream, CUdeviceptr words, std::uint32_t count, CUdeviceptr base, std::uint32_t add) const;
  void check(CUstream stream, CUdeviceptr words, std::uint32_t count, CUdeviceptr base, std::uint32_t add,
             CUdeviceptr mismatches) const;
  void bump(CUstream stream, CUdeviceptr base) const;
  void spin(CUstream stream, CUdeviceptr flag, CUdeviceptr progress, CUdeviceptr buffer, std::uint64_t mask,
            std::uint64_t limit_ns) const;

 private:
  void launch(CUfunction kernel, CUstream stream, unsigned threads, void** arguments) const;

  gpu& device_;
  CUfunction fill_ = nullptr;
  CUfunction check_ = nullptr;
  CUfunction bump_ = nullptr;
  CUfunction spin_ = nullptr;
};

/// A kernel that spins on a host flag on a stream of its own, from construction until `stop` or its time limit: it
/// always ends.
class spinner {
 public:
  static constexpr std::size_t buffer_bytes = 64 * mib;

  spinner(gpu& device, const kernels& code, double limit_seconds);
  ~spinner();
  spinner(const spinner&) = delete;
  spinner& operator=(const spinner&) = delete;

  [[nodiscard]] CUstream stream() const noexcept { return stream_; }
  /// Turns made so far; a turn is 64 dependent reads from device memory.
  [[nodiscard]] std::uint64_t turns() const noexcept;
  /// Tells whether the kernel still turns. Cost: 1 ms.
  [[nodiscard]] bool running() const;
  /// Ends the kernel without waiting for it. Threads: any.
  void release() noexcept;
  /// Ends the kernel and waits for it. Throws if the kernel failed.
  void stop();

 private:
  struct shared_with_kernel;  // in pinned host memory

  gpu& device_;
  shared_with_kernel* shared_ = nullptr;
  CUdeviceptr buffer_ = 0;
  CUstream stream_ = nullptr;
};

/// The PTX text of all kernels.
extern const char* const kernel_text;

}  // namespace terrazzo::probe
