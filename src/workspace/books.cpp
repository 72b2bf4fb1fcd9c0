#include "workspace/books.hpp"

#include <algorithm>
#include <bit>
#include <cstdlib>

#include "base/failure.hpp"

namespace terrazzo::detail {
namespace {

status find_capability(const primary_context& context, int& major, int& minor) noexcept {
  const driver& api = context.api();
  const auto ask = [&](int& value, CUdevice_attribute attribute) {
    return api.call(api.functions().cuDeviceGetAttribute, &value, attribute, context.device_handle());
  };
  CUresult code = ask(major, CU_DEVICE_ATTRIBUTE_COMPUTE_CAPABILITY_MAJOR);
  if (code == CUDA_SUCCESS) code = ask(minor, CU_DEVICE_ATTRIBUTE_COMPUTE_CAPABILITY_MINOR);
  if (code == CUDA_SUCCESS) return status::ok;
  return api.fail_call("cuDeviceGetAttribute", code, "asking for the device's compute capability");
}

/// What cuBLAS answers when the device has no room for a handle.
bool is_want_of_memory(cublasStatus_t code) noexcept {
  return code == CUBLAS_STATUS_ALLOC_FAILED || code == CUBLAS_STATUS_NOT_INITIALIZED;
}

}  // namespace

status workspace_books::open(device_allocator& memory, const workspace_options& options,
                             std::shared_ptr<const cublas> library, std::unique_ptr<workspace_books>& result) {
  if (options.capacity == 0 || options.streams.size() > options.capacity)
    return fail(status::invalid_argument,
                "a workspace pool with capacity {} cannot serve {} streams: raise the capacity", options.capacity,
                options.streams.size());
  if (!std::has_single_bit(options.alignment) || options.alignment < 256 ||
      options.alignment > allocator::max_alignment)
    return fail(status::invalid_argument, "workspace alignment {} is not allowed: give a power of two from 256 to {}",
                options.alignment, allocator::max_alignment);
  int major = 0;
  int minor = 0;
  status code = find_capability(memory.context(), major, minor);
  if (code != status::ok) return code;

  std::unique_ptr<workspace_books> made(new workspace_books(memory, std::move(library)));
  code = choose_workspace_size(options.bytes, std::getenv("CUBLAS_WORKSPACE_CONFIG"), major, minor, made->size_);
  if (code != status::ok) return code;
  made->alignment_ = std::max(options.alignment, block_alignment);
  made->capacity_ = options.capacity;
  made->assignments_.reserve(options.capacity);
  for (stream_handle stream : options.streams) {
    void* pointer = nullptr;
    code = made->find(stream, pointer);
    if (code != status::ok) return code;
  }
  result = std::move(made);
  return status::ok;
}

workspace_books::~workspace_books() {
  std::size_t given_back = 0;
  (void)clear(given_back);
}

status workspace_books::find(stream_handle stream, void*& pointer) noexcept {
  const std::lock_guard guard(mutex_);
  for (const assignment& each : assignments_) {
    if (each.stream != stream) continue;
    pointer = each.pointer;
    return status::ok;
  }
  if (assignments_.size() == capacity_)
    return fail(status::busy, "all {} workspaces of the pool belong to other streams: raise the capacity, or clear()",
                capacity_);
  // Asked for under the stream that works in it, so that the stream's order protects the memory before and after.
  const status code = memory_.allocate(size_.bytes, stream, alignment_, pointer);
  if (code == status::ok) assignments_.push_back({stream, pointer});
  return code;
}

status workspace_books::bind(cublas_handle handle, stream_handle stream) noexcept {
  void* pointer = nullptr;
  const status found = find(stream, pointer);
  if (found != status::ok) return found;
  const cublas_functions& blas = library_->functions();
  cublasStatus_t code = blas.cublasSetStream_v2(handle, stream);
  if (code != CUBLAS_STATUS_SUCCESS)
    return library_->fail_call("cublasSetStream", code, "binding a handle to a stream");
  code = blas.cublasSetWorkspace_v2(handle, pointer, size_.bytes);
  if (code == CUBLAS_STATUS_SUCCESS) return status::ok;
  return library_->fail_call("cublasSetWorkspace", code, "giving a handle its workspace");
}

status workspace_books::create_handle(cublas_handle& handle) noexcept {
  cublasStatus_t code = CUBLAS_STATUS_SUCCESS;
  const auto create = [&]() -> status {
    const context_scope scope(memory_.context());
    if (scope.result() != status::ok) return scope.result();
    code = library_->functions().cublasCreate_v2(&handle);
    return status::ok;
  };
  status entered = create();
  if (entered == status::ok && is_want_of_memory(code)) {
    std::size_t given_back = 0;
    if (memory_.trim(0, given_back) == status::ok && given_back != 0) entered = create();
  }
  if (entered != status::ok) return entered;
  if (code == CUBLAS_STATUS_SUCCESS) return status::ok;
  return library_->fail_call(
      "cublasCreate", code,
      is_want_of_memory(code)
          ? "making a handle, for which the device has no room: make handles earlier, or set headroom_mb"
          : "making a handle");
}

status workspace_books::destroy_handle(cublas_handle handle) noexcept {
  const context_scope scope(memory_.context());
  if (scope.result() != status::ok) return scope.result();
  const cublasStatus_t code = library_->functions().cublasDestroy_v2(handle);
  return code == CUBLAS_STATUS_SUCCESS ? status::ok : library_->fail_call("cublasDestroy", code, "destroying a handle");
}

status workspace_books::clear(std::size_t& given_back) noexcept {
  given_back = 0;
  const std::lock_guard guard(mutex_);
  if (assignments_.empty()) return status::ok;
  status code = status::ok;
  {
    const context_scope scope(memory_.context());
    code = scope.result() == status::ok ? memory_.memory().wait_for_device() : scope.result();
  }
  for (const assignment& each : assignments_) {
    const status freed = memory_.deallocate(each.pointer);
    if (freed == status::ok) given_back += size_.bytes;
    else code = freed;
  }
  assignments_.clear();
  return code;
}

std::size_t workspace_books::count() const noexcept {
  const std::lock_guard guard(mutex_);
  return assignments_.size();
}

}  // namespace terrazzo::detail
