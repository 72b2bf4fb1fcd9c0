// The allocator of one device. Blocks are handed out in stream order, as by cudaMallocAsync: memory freed by
// `deallocate` may be used again at once by work submitted later to the stream it was allocated on, and by other
// streams only once the work that might still use it has finished.
//
// Threads: every function may be called from any thread at any time, except the destructor.
// Contexts: the device's primary context is used; the caller's current context, or none, is left as it was.
// Undefined behaviour: using a block on another stream than its own without ordering that use before its `deallocate`;
// destroying a stream while blocks of it are live or were freed after its last synchronisation.
#pragma once

#include <cstddef>
#include <memory>
#include <string>

#include "terrazzo/config.hpp"
#include "terrazzo/export.h"
#include "terrazzo/statistics.hpp"
#include "terrazzo/status.hpp"
#include "terrazzo/stream.hpp"

namespace terrazzo {

namespace detail {
class device_allocator;
}

struct allocator_options {
  int device = 0;                               ///< CUDA ordinal
  config settings = config_from_environment();  ///< how it behaves
  std::string driver_path = {};                 ///< driver library; empty: TERRAZZO_CUDA_DRIVER, else the system's
};

/// Which source an allocator's segments come from.
enum class segment_kind { plain, expandable };

class TERRAZZO_API allocator {
 public:
  /// Every block's address is a multiple of this.
  static constexpr std::size_t default_alignment = 512;
  /// The largest alignment that can be asked for.
  static constexpr std::size_t max_alignment = std::size_t{2} << 20;

  /// Opens a device. Throws `error`: driver_not_found, driver_too_old, invalid_device, invalid_config,
  /// out_of_host_memory, driver_error.
  /// Cost: loads the driver, retains the primary context, tries virtual memory management with one chunk.
  explicit allocator(const allocator_options& options = {});

  /// Gives all device memory back. REQUIRES: no other thread is inside; no stream still uses a block.
  ~allocator();
  /// Moves all there is; what was moved from may only be assigned to or destroyed.
  allocator(allocator&&) noexcept;
  allocator& operator=(allocator&&) noexcept;

  /// Allocates `bytes` for use on `stream`. `alignment`: a power of two up to `max_alignment`; less than 512 means 512.
  /// 0 bytes give a null pointer. Throws `out_of_memory`; `error`: invalid_argument, out_of_host_memory,
  /// shut_down, driver_error, device_lost.
  /// Cost: tens of nanoseconds when cached; driver calls only when nothing cached fits.
  [[nodiscard]] void* allocate(std::size_t bytes, stream_handle stream = nullptr,
                               std::size_t alignment = default_alignment);

  /// Does the same without throwing: on failure `block` is null and the status says why.
  [[nodiscard]] status try_allocate(std::size_t bytes, stream_handle stream, std::size_t alignment,
                                    void*& block) noexcept;

  /// Frees a block, from any thread; null is fine. Throws `error`: foreign_pointer, wrong_device, double_free (noticed
  /// until the address is handed out again), shut_down; then nothing has changed. Cost: tens of nanoseconds; no driver
  /// call, but for an event now and then where several streams free memory.
  void deallocate(void* block);

  /// Does the same without throwing.
  status try_deallocate(void* block) noexcept;

  /// Makes a live block at least `bytes` large where it is: its address and contents stay. `bytes` less than it has only
  /// changes what counts as requested. Errors: out_of_memory, also if another block lies behind it (allocate anew, copy
  /// and free then); invalid_argument for 0 bytes; foreign_pointer, wrong_device, double_free, shut_down, device_lost,
  /// driver_error, out_of_host_memory; then nothing has changed. Order: the new bytes belong to the block's stream.
  /// Threads: the block must not be freed meanwhile. Cost: tens of nanoseconds if what lies behind it is cached, else
  /// driver calls.
  status try_extend(void* block, std::size_t bytes) noexcept;

  /// Gives cached device memory back to the driver until at most `keep_bytes` are reserved, or nothing cached is left.
  /// Returns the bytes given back. Cost: waits for the device's work; driver calls.
  std::size_t trim(std::size_t keep_bytes = 0);

  /// Changes the settings for what is allocated from now on; what is allocated already stays as it is. Limit and headroom
  /// are set anew, so that `set_limit` and `set_headroom` before count no more. Throws `error`: invalid_config,
  /// out_of_host_memory, shut_down; then nothing has changed. Threads: others may allocate meanwhile, by the settings
  /// before or after. Cost: no driver call; waits for misses under way. Each different config is kept until the
  /// allocator goes.
  void set_settings(const config& settings);
  /// Changes what terrazzo may hold on this device, in bytes; never more than `per_process_memory_fraction` of it. Less
  /// than is reserved now is allowed: then nothing new is taken.
  void set_limit(std::size_t bytes);
  /// Changes the bytes of device memory that are left free for others.
  void set_headroom(std::size_t bytes);

  /// Tells the size of a live block as it was asked for. Throws `error` as `deallocate` does.
  [[nodiscard]] std::size_t requested_bytes(const void* block) const;

  [[nodiscard]] statistics stats() const;
  /// Sets every peak to the current value.
  void reset_peaks();

  [[nodiscard]] int device() const noexcept;
  [[nodiscard]] segment_kind kind() const noexcept;
  /// The settings in force; valid as long as the allocator lives.
  [[nodiscard]] const config& settings() const noexcept;

  /// Walks all books and throws `error` (corrupted) naming the first invariant that does not hold. Cost: proportional
  /// to the number of blocks; other threads wait.
  void validate() const;

  /// Gives all device memory back now; live blocks become invalid, and later calls that allocate, free or trim fail
  /// with shut_down. For programs that must free device memory before their exit handlers run.
  void shutdown() noexcept;

  /// For terrazzo's own doors.
  [[nodiscard]] detail::device_allocator& implementation() const noexcept { return *implementation_; }

 private:
  std::unique_ptr<detail::device_allocator> implementation_;
};

}  // namespace terrazzo
