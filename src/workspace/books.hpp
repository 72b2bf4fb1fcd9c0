// The books of a workspace pool: which stream has which workspace.
//
// Invariants: a stream has at most one workspace; no two streams share one; a workspace's address and size never change
// until `clear`; workspaces <= capacity.
// Locks: `mutex_` guards the list, and is held while a stream's first workspace is allocated, so that two threads do
// not allocate it twice; no call into cuBLAS is made under it.
#pragma once

#include <memory>
#include <mutex>
#include <vector>

#include "allocator/device_allocator.hpp"
#include "terrazzo/workspace.hpp"
#include "workspace/cublas.hpp"
#include "workspace/sizes.hpp"

namespace terrazzo::detail {

class workspace_books {
 public:
  /// Opens the books and allocates for `options.streams`. Errors: as the constructor of workspace_pool.
  [[nodiscard]] static status open(device_allocator& memory, const workspace_options& options,
                                   std::shared_ptr<const cublas> library, std::unique_ptr<workspace_books>& result);
  ~workspace_books();

  [[nodiscard]] status find(stream_handle stream, void*& pointer) noexcept;
  [[nodiscard]] status bind(cublas_handle handle, stream_handle stream) noexcept;
  [[nodiscard]] status create_handle(cublas_handle& handle) noexcept;
  [[nodiscard]] status destroy_handle(cublas_handle handle) noexcept;
  [[nodiscard]] status clear(std::size_t& given_back) noexcept;

  [[nodiscard]] const workspace_size& size() const noexcept { return size_; }
  [[nodiscard]] std::size_t count() const noexcept;

 private:
  struct assignment {
    stream_handle stream;
    void* pointer;
  };

  workspace_books(device_allocator& memory, std::shared_ptr<const cublas> library) noexcept
      : memory_(memory), library_(std::move(library)) {}

  device_allocator& memory_;
  const std::shared_ptr<const cublas> library_;
  workspace_size size_;
  std::size_t alignment_ = block_alignment;
  std::size_t capacity_ = 0;
  mutable std::mutex mutex_;
  std::vector<assignment> assignments_;  // few: searched from the front
};

}  // namespace terrazzo::detail
