// Workspaces: the scratch memory that cuBLAS works in, taken from terrazzo instead of from cuBLAS' own hidden pool.
//
//   allocator memory;
//   workspace_pool workspaces(memory);
//   cublas_handle handle = workspaces.create_handle();
//   workspaces.bind(handle, stream);      // instead of cublasSetStream
//   ... cublasGemmEx(handle, ...) ...
//   workspaces.destroy_handle(handle);
//
// A stream has one workspace, which never moves and never changes its size: the size decides which algorithms cuBLAS
// runs and so the last bits of its results. Handles bound to one stream share it. That is safe as long as their calls
// are in stream order, which they are when made by one thread, or by several that take turns; it is not for calls that
// several threads make at once without order among them (cuBLAS forbids that of a user's workspace).
#pragma once

#include <cstddef>
#include <memory>
#include <string>

#include "terrazzo/allocator.hpp"
#include "terrazzo/export.h"
#include "terrazzo/status.hpp"
#include "terrazzo/stream.hpp"

namespace terrazzo {

namespace detail {
class cublas;
class workspace_store;
}  // namespace detail

/// cuBLAS, found at run time: terrazzo links none, and programs that do not either get its functions here. Looked for
/// in this order: the path given or the variable TERRAZZO_CUBLAS; beside a CUDA driver that was chosen by path, so that
/// the software GPU brings its own; among the libraries that the program has loaded; by name; in the folders of
/// toolkits and Python environments. Copies share one library, which is never unloaded. Threads: any.
class TERRAZZO_API cublas_library {
 public:
  /// Finds and opens it. `path`: its file, or empty; `driver_path`: that of allocator_options, empty:
  /// TERRAZZO_CUDA_DRIVER. Throws `error`: library_not_found, telling where it was looked for.
  explicit cublas_library(const std::string& path = {}, const std::string& driver_path = {});

  /// Tells the file it came from.
  [[nodiscard]] const std::string& path() const noexcept;

  /// Tells the version as CUBLAS_VERSION counts: 130100 is 13.1.0.
  [[nodiscard]] int version() const noexcept;

  /// Looks an exported function up, by its versioned name ("cublasSgemm_v2"). Throws `error`: library_not_found.
  [[nodiscard]] void* symbol(const char* name) const;

  /// Does the same, as a pointer type: `function<decltype(&cublasSgemm_v2)>("cublasSgemm_v2")`.
  template <typename Function>
  [[nodiscard]] Function function(const char* name) const {
    return reinterpret_cast<Function>(symbol(name));
  }

 private:
  friend class workspace_pool;
  explicit cublas_library(std::shared_ptr<const detail::cublas> library) noexcept;
  std::shared_ptr<const detail::cublas> library_;
};

struct workspace_options {
  /// Size of each workspace in bytes, at least 16 KiB. 0: CUBLAS_WORKSPACE_CONFIG if that is set, else what NVIDIA
  /// recommends for the device: 32 MiB for compute capability 9.x, 10.x and 12.x, 4 MiB for others.
  std::size_t bytes = 0;
  /// Least alignment of each, a power of two from 256 (which cuBLAS demands) to allocator::max_alignment.
  std::size_t alignment = 256;
  /// Workspaces made at once, for the first so many streams.
  std::size_t preallocate_count = 0;
  /// Most workspaces that the pool may hold; 0: no cap.
  std::size_t max_count = 0;
  /// cuBLAS' file; empty: found as `cublas_library` tells.
  std::string cublas_path = {};
};

/// A stream's workspace. The pool owns it.
struct workspace_view {
  void* pointer = nullptr;
  std::size_t bytes = 0;
};

struct workspace_statistics {
  std::size_t count = 0;               ///< workspaces that exist
  std::size_t spare_count = 0;         ///< of these, not yet of any stream
  std::size_t bound_handle_count = 0;  ///< handles bound now
  std::size_t total_bytes = 0;         ///< device memory of all workspaces
  std::size_t aligned_to = 0;  ///< the largest power of two that divides every workspace's address; 0 if none exists
};

/// The workspaces of one device.
/// Threads: all functions may be called from any thread at any time, except the destructor; calls on one cuBLAS handle,
/// `bind` among them, must not be made at once, as cuBLAS demands.
class TERRAZZO_API workspace_pool {
 public:
  /// Finds cuBLAS, chooses the size and makes the first workspaces. `memory` must outlive the pool.
  /// Throws `error`: library_not_found, invalid_argument, invalid_config (CUBLAS_WORKSPACE_CONFIG), driver_error;
  /// `out_of_memory`. Cost: opens a library; with preallocate_count, waits for the device's work.
  explicit workspace_pool(allocator& memory, const workspace_options& options = {});

  /// Gives all workspaces back, after waiting for the device's work. REQUIRES: no other thread is inside; no handle
  /// that is still bound is used again before its next cublasSetStream.
  ~workspace_pool();
  workspace_pool(workspace_pool&&) noexcept;
  workspace_pool& operator=(workspace_pool&&) noexcept;

  /// Lets a handle work on `stream` in that stream's workspace: cublasSetStream and cublasSetWorkspace together, since
  /// the first undoes the second. Use it wherever cublasSetStream would stand. A handle that is bound keeps its
  /// stream's workspace from being given back, until `unbind`, `destroy_handle` or a `bind` to another stream. Throws
  /// `error`: invalid_argument, library_error, and what the allocator throws; `out_of_memory` at the cap. If
  /// cublasSetWorkspace fails, the handle is on `stream` with cuBLAS' own pool and counts as not bound.
  /// Cost: the stream's first time, an allocation; then two short locks and the two cuBLAS calls: no allocation, no
  /// driver call.
  void bind(cublas_handle handle, stream_handle stream);

  /// Does the same without throwing.
  [[nodiscard]] status try_bind(cublas_handle handle, stream_handle stream) noexcept;

  /// Puts a bound handle back to cuBLAS' own pool, on the stream it is on. Needed before a program destroys, by itself,
  /// a handle that it had bound. Throws `error`: invalid_argument if it is not bound, library_error.
  void unbind(cublas_handle handle);

  /// Gives a stream's workspace, made now if the stream has none: for calls that terrazzo does not make.
  /// Throws as `bind`. Valid until `release` of the stream, `clear`, or the pool's end.
  [[nodiscard]] workspace_view workspace(stream_handle stream);

  /// Takes a stream's workspace away, after waiting for the stream's work; it serves the next new stream, or is given
  /// back. Nothing happens if the stream has none. Call it before a stream is destroyed. Throws `error`: busy, if a
  /// handle is bound to the stream; driver_error.
  void release(stream_handle stream);

  /// Gives back the workspaces of all streams that no handle is bound to, and the spare ones; returns their bytes,
  /// which the allocator then has cached. Throws `error`: driver_error. Cost: waits for the device's work.
  std::size_t clear();

  /// Makes a cuBLAS handle for the pool's device. A handle takes device memory for itself, up to some 64 MiB: make
  /// handles before the card is full. If there is no room, terrazzo's cached memory is given back and cuBLAS asked once
  /// more. Throws `out_of_memory`; `error`: library_error. Cost: milliseconds; on a full card, waits for the device's
  /// work.
  [[nodiscard]] cublas_handle create_handle();

  /// Destroys a handle, made by `create_handle` or not; null is fine. Throws `error`: library_error.
  /// Cost: waits for the device's work.
  void destroy_handle(cublas_handle handle);

  /// Tells the size of every workspace, the same for the pool's whole life, and where it comes from, as in "recommended
  /// for compute capability 9.0".
  [[nodiscard]] std::size_t bytes() const noexcept;
  [[nodiscard]] const std::string& size_origin() const noexcept;

  [[nodiscard]] workspace_statistics stats() const;
  [[nodiscard]] const cublas_library& library() const noexcept;

 private:
  std::unique_ptr<detail::workspace_store> store_;
  cublas_library library_;
};

}  // namespace terrazzo
