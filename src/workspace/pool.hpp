// The workspaces of one device and the handles bound to them: what terrazzo::workspace_pool is made of.
//
//   spare    a workspace of no stream; its block was taken on the legacy stream and the device waited for, so that
//            any stream may have it
//   lease    a workspace that is a stream's, from the stream's first bind until `release` or `clear`
//   bound    a handle whose calls work in a lease
//
// Invariants: each stream has at most one lease; a lease's pointer and size never change; lease.handle_count = the
// bound handles that point to it, and those that are coming or leaving; spares + leases <= max_count, if that is not 0.
// Locks: `growth_` while workspaces are made or given back, never held by a bind that finds its lease; `tables_` for
// the tables, after `growth_`, never across a call into cuBLAS, the driver or the allocator.
#pragma once

#include <memory>
#include <mutex>
#include <unordered_map>
#include <vector>

#include "allocator/device_allocator.hpp"
#include "terrazzo/workspace.hpp"
#include "workspace/cublas.hpp"
#include "workspace/sizes.hpp"

namespace terrazzo::detail {

class workspace_store {
 public:
  /// Checks the options, chooses the size, makes the first workspaces. `memory` must outlive the store.
  [[nodiscard]] static status open(device_allocator& memory, std::shared_ptr<const cublas> library,
                                   const workspace_options& options, std::unique_ptr<workspace_store>& result) noexcept;
  ~workspace_store();
  workspace_store(const workspace_store&) = delete;
  workspace_store& operator=(const workspace_store&) = delete;

  // As terrazzo::workspace_pool tells of each.
  [[nodiscard]] status bind(cublas_handle handle, stream_handle stream) noexcept;
  [[nodiscard]] status unbind(cublas_handle handle) noexcept;
  [[nodiscard]] status find_workspace(stream_handle stream, workspace_view& view) noexcept;
  [[nodiscard]] status release(stream_handle stream) noexcept;
  [[nodiscard]] status clear(std::size_t& given_back) noexcept;
  [[nodiscard]] status create_handle(cublas_handle& handle) noexcept;
  [[nodiscard]] status destroy_handle(cublas_handle handle) noexcept;
  [[nodiscard]] workspace_statistics stats() const noexcept;
  [[nodiscard]] const workspace_size& size() const noexcept { return size_; }

 private:
  struct lease {
    void* pointer = nullptr;
    bool of_any_stream = false;  // made as a spare, else taken on its stream
    std::size_t handle_count = 0;
  };
  using lease_table = std::unordered_map<stream_handle, lease>;
  using binding_table = std::unordered_map<cublas_handle, lease*>;

  workspace_store(device_allocator& memory, std::shared_ptr<const cublas> library, const workspace_options& options)
      : memory_(memory), library_(std::move(library)), options_(options) {}

  [[nodiscard]] status allocate_workspace(stream_handle stream, void*& pointer);
  [[nodiscard]] status make_spares();
  /// Finds a stream's lease, or makes it, and calls `use(lease)` under `tables_`.
  template <typename Use>
  status with_lease(stream_handle stream, Use use) noexcept;
  [[nodiscard]] status make_lease(stream_handle stream, lease_table::node_type& made);
  [[nodiscard]] status check_room() const noexcept;
  /// Ends a change of binding: the handle's record points to `now`, or is gone for null, and `let_go`, if it is not
  /// null, counts one handle less. REQUIRES: the record exists, if `now` is not null.
  void settle(cublas_handle handle, lease* now, lease* let_go) noexcept;
  [[nodiscard]] status wait_for_stream(stream_handle stream) const noexcept;
  [[nodiscard]] status wait_for_device() const noexcept;
  [[nodiscard]] status refuse_handle(cublasStatus_t code) const noexcept;

  device_allocator& memory_;
  const std::shared_ptr<const cublas> library_;
  const workspace_options options_;
  workspace_size size_;

  std::mutex growth_;
  mutable std::mutex tables_;
  lease_table leases_;  // its nodes never move
  std::vector<void*> spares_;
  binding_table bound_;
};

}  // namespace terrazzo::detail
