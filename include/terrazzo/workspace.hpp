// Workspaces for cuBLAS: the scratch memory that its products work in, allocated up front and never moved or resized,
// one for each stream of a device.
//
//   terrazzo::allocator memory;
//   terrazzo::workspace_pool workspaces(memory, {.streams = {stream}});
//   terrazzo::cublas_handle handle = workspaces.create_handle();
//   workspaces.bind(handle, stream);   // before each call, or after anybody called cublasSetStream
//
// The size decides which algorithm cuBLAS takes, and so the last bits of a result: it is chosen once for each pool, and
// told.
#pragma once

#include <cstddef>
#include <memory>
#include <string>
#include <vector>

#include "terrazzo/allocator.hpp"
#include "terrazzo/export.h"
#include "terrazzo/status.hpp"
#include "terrazzo/stream.hpp"

namespace terrazzo {

namespace detail {
class cublas;
class workspace_books;
}  // namespace detail

/// A cuBLAS library found at run time, for programs that do not link one. It is never unloaded.
class TERRAZZO_API cublas_library {
 public:
  /// Finds cuBLAS: at `path` or TERRAZZO_CUBLAS if given, else beside the CUDA driver if `memory`'s was chosen by path,
  /// else what the program has loaded, else by name, else in toolkits and Python environments. Throws `error`:
  /// library_not_found.
  explicit cublas_library(const allocator& memory, const std::string& path = {});
  ~cublas_library();

  /// Gives the entry point of a function by its exported name, as in symbol("cublasGemmEx"). Throws `error`:
  /// library_not_found, naming the function.
  [[nodiscard]] void* symbol(const char* name) const;

  [[nodiscard]] const std::string& path() const noexcept;
  /// As CUBLAS_VERSION counts: 130100 is 13.1.0.
  [[nodiscard]] int version() const noexcept;

 private:
  std::shared_ptr<const detail::cublas> library_;
};

/// A workspace as cuBLAS sees it. Does not own it.
struct workspace_view {
  void* pointer = nullptr;
  std::size_t bytes = 0;
};

struct workspace_options {
  /// Bytes of each workspace, 16 KiB or more. 0: CUBLAS_WORKSPACE_CONFIG if set, else NVIDIA's recommendation: 32 MiB
  /// for compute capability 9.x, 10.x and 12.x, 4 MiB for others.
  std::size_t bytes = 0;
  /// Alignment of each workspace, a power of two from 256 to 2 MiB; less than 512 means 512.
  std::size_t alignment = 512;
  /// Streams that get their workspace when the pool is made.
  std::vector<stream_handle> streams = {nullptr};
  /// Workspaces there may be at the most, 1 or more.
  std::size_t capacity = 64;
  /// cuBLAS library; empty: found as cublas_library does.
  std::string cublas_path;
};

class TERRAZZO_API workspace_pool {
 public:
  /// Allocates the workspaces of `options.streams` from `memory`, which must outlive the pool.
  /// Throws `error`: invalid_argument, invalid_config (CUBLAS_WORKSPACE_CONFIG), library_not_found; `out_of_memory`.
  explicit workspace_pool(allocator& memory, const workspace_options& options = {});

  /// Waits for the device and gives the workspaces back. REQUIRES: no handle is used any more with a workspace of this
  /// pool.
  ~workspace_pool();
  workspace_pool(const workspace_pool&) = delete;
  workspace_pool& operator=(const workspace_pool&) = delete;

  /// Sets a handle's stream and the stream's workspace together, since the first alone undoes the second. All handles
  /// bound to a stream share its workspace: their calls must be ordered, as one stream's are if one thread makes them.
  /// Throws `error`: library_error (a bad handle), busy (capacity reached); `out_of_memory` (a new stream's workspace).
  /// Cost: two calls into cuBLAS; no allocation and no driver call but for a stream's first time.
  /// Threads: any; a handle must not be in use by another thread meanwhile, as cuBLAS demands.
  void bind(cublas_handle handle, stream_handle stream);
  /// Does the same without throwing.
  status try_bind(cublas_handle handle, stream_handle stream) noexcept;

  /// Gives a stream's workspace, which is allocated if it has none. Throws as `bind` does.
  [[nodiscard]] workspace_view workspace(stream_handle stream);

  /// Makes a cuBLAS handle on the pool's device. If cuBLAS finds no memory for it, idle memory goes back to the driver,
  /// and it is asked once more. Make handles early: each allocates a pool of its own, outside terrazzo, that it keeps.
  /// Throws `error`: library_error, with cuBLAS' status in words.
  [[nodiscard]] cublas_handle create_handle();
  /// Destroys a handle, which waits for the device. Throws `error`: library_error.
  void destroy_handle(cublas_handle handle);

  /// Waits for the device and gives all workspaces back; returns their bytes. Handles must be bound again before use.
  std::size_t clear();

  /// Bytes of each workspace, the same for the pool's life.
  [[nodiscard]] std::size_t bytes() const noexcept;
  /// Says where that size comes from, as in "recommended for compute capability 9.0".
  [[nodiscard]] const std::string& size_origin() const noexcept;
  /// Workspaces allocated now.
  [[nodiscard]] std::size_t count() const noexcept;

 private:
  std::unique_ptr<detail::workspace_books> books_;
};

}  // namespace terrazzo
