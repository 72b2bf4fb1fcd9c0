#include "workspace/pool.hpp"

#include <algorithm>
#include <bit>
#include <cstdlib>
#include <new>
#include <utility>

#include "base/bits.hpp"
#include "base/bytes.hpp"
#include "base/failure.hpp"

namespace terrazzo::detail {
namespace {

constexpr std::size_t least_alignment = 256;

status no_host_memory() noexcept {
  return fail(status::out_of_host_memory, "no host memory for the books of workspaces");
}

status read_capability(const primary_context& context, int& major, int& minor) {
  const driver& api = context.api();
  for (const auto& [attribute, value] : {std::pair{CU_DEVICE_ATTRIBUTE_COMPUTE_CAPABILITY_MAJOR, &major},
                                         std::pair{CU_DEVICE_ATTRIBUTE_COMPUTE_CAPABILITY_MINOR, &minor}}) {
    const CUresult code = api.call(api.functions().cuDeviceGetAttribute, value, attribute, context.device_handle());
    if (code != CUDA_SUCCESS) return api.fail_call("cuDeviceGetAttribute", code, "asking for the compute capability");
  }
  return status::ok;
}

/// More than a handle takes for itself, four times over: with as much free, NOT_INITIALIZED has another cause.
constexpr std::size_t ample_bytes = 256 * mib;

/// What cublasCreate answers on a full card: the context and its modules may be what finds no room.
bool means_full(cublasStatus_t code) noexcept {
  return code == CUBLAS_STATUS_ALLOC_FAILED || code == CUBLAS_STATUS_NOT_INITIALIZED;
}

}  // namespace

status workspace_store::open(device_allocator& memory, std::shared_ptr<const cublas> library,
                             const workspace_options& options, std::unique_ptr<workspace_store>& result) noexcept {
  if (options.alignment < least_alignment || options.alignment > allocator::max_alignment ||
      !std::has_single_bit(options.alignment)) {
    return fail(status::invalid_argument, "the workspace alignment {} is not a power of two from {} to {}",
                options.alignment, least_alignment, allocator::max_alignment);
  }
  if (options.max_count != 0 && options.preallocate_count > options.max_count) {
    return fail(status::invalid_argument, "{} workspaces to be made at once are more than the cap of {}",
                options.preallocate_count, options.max_count);
  }
  try {
    std::unique_ptr<workspace_store> made(new workspace_store(memory, std::move(library), options));
    int major = 0;
    int minor = 0;
    status result_code = read_capability(memory.context(), major, minor);
    if (result_code != status::ok) return result_code;
    result_code =
        choose_workspace_size(options.bytes, std::getenv("CUBLAS_WORKSPACE_CONFIG"), major, minor, made->size_);
    if (result_code != status::ok) return result_code;
    result_code = made->make_spares();
    if (result_code != status::ok) return result_code;
    result = std::move(made);
    return status::ok;
  } catch (const std::bad_alloc&) {
    return no_host_memory();
  }
}

workspace_store::~workspace_store() {
  if (spares_.empty() && leases_.empty()) return;
  // If the device cannot be waited for, it has failed and runs nothing any more.
  (void)wait_for_device();
  for (void* spare : spares_) memory_.deallocate(spare);
  for (const auto& [stream, one] : leases_) memory_.deallocate(one.pointer);
}

status workspace_store::wait_for_stream(stream_handle stream) const noexcept {
  const context_scope scope(memory_.context());
  if (scope.result() != status::ok) return scope.result();
  const driver& api = memory_.context().api();
  const CUresult code = api.call(api.functions().cuStreamSynchronize, stream);
  if (code != CUDA_SUCCESS)
    return api.fail_call("cuStreamSynchronize", code, "waiting for a stream's use of its workspace");
  return status::ok;
}

status workspace_store::wait_for_device() const noexcept {
  const context_scope scope(memory_.context());
  return scope.result() == status::ok ? memory_.memory().wait_for_device() : scope.result();
}

status workspace_store::allocate_workspace(stream_handle stream, void*& pointer) {
  const status allocated = memory_.allocate(size_.bytes, stream, options_.alignment, pointer);
  if (allocated != status::out_of_memory) return allocated;
  const std::string why = last_error_message();
  return fail(allocated, "no memory for a cuBLAS workspace of {}: {}", format_bytes(size_.bytes), why);
}

status workspace_store::make_spares() {
  if (options_.preallocate_count == 0) return status::ok;
  while (spares_.size() < options_.preallocate_count) {
    spares_.push_back(nullptr);
    const status allocated = allocate_workspace(nullptr, spares_.back());
    if (allocated == status::ok) continue;
    spares_.pop_back();
    return allocated;  // the destructor gives back what there is
  }
  // The legacy stream may still use what its blocks were before; the streams that will have these do not wait for it.
  return wait_for_device();
}

status workspace_store::check_room() const noexcept {
  const std::lock_guard lock(tables_);
  if (options_.max_count == 0 || leases_.size() + spares_.size() < options_.max_count) return status::ok;
  return fail(status::out_of_memory,
              "all {} workspaces that the pool may hold belong to streams: release() one, or raise max_count",
              options_.max_count);
}

status workspace_store::make_lease(stream_handle stream, lease_table::node_type& made) {
  lease_table nursery;
  const auto place = nursery.try_emplace(stream).first;
  lease& fresh = place->second;
  {
    const std::lock_guard lock(tables_);
    // One more than there are: inserting the node must not fail.
    leases_.reserve(leases_.size() + 1);
    if (!spares_.empty()) {
      fresh.pointer = spares_.back();
      fresh.of_any_stream = true;
      spares_.pop_back();
    }
  }
  if (fresh.pointer == nullptr) {
    const status room = check_room();
    if (room != status::ok) return room;
    const status allocated = allocate_workspace(stream, fresh.pointer);
    if (allocated != status::ok) return allocated;
  }
  made = nursery.extract(place);
  return status::ok;
}

template <typename Use>
status workspace_store::with_lease(stream_handle stream, Use use) noexcept {
  if (stream == CU_STREAM_PER_THREAD) {
    return fail(
        status::invalid_argument,
        "the per-thread default stream is another stream in each thread and cannot have one workspace: make a stream");
  }
  stream = one_handle_of(stream);
  if (memory_.is_shut_down()) {
    return fail(status::shut_down, "the allocator of device {} has been shut down, and its workspaces with it",
                memory_.context().device());
  }
  try {
    {
      const std::lock_guard lock(tables_);
      if (const auto found = leases_.find(stream); found != leases_.end()) {
        use(found->second);
        return status::ok;
      }
    }
    const std::lock_guard growing(growth_);
    bool exists = false;
    {
      const std::lock_guard lock(tables_);
      exists = leases_.contains(stream);  // another thread may have made it meanwhile
    }
    lease_table::node_type made;
    if (!exists) {
      const status result = make_lease(stream, made);
      if (result != status::ok) return result;
    }
    const std::lock_guard lock(tables_);
    if (!exists) leases_.insert(std::move(made));
    use(leases_.find(stream)->second);
    return status::ok;
  } catch (const std::bad_alloc&) {
    return no_host_memory();
  }
}

void workspace_store::settle(cublas_handle handle, lease* now, lease* let_go) noexcept {
  const std::lock_guard lock(tables_);
  if (now != nullptr) bound_.find(handle)->second = now;
  else bound_.erase(handle);
  if (let_go != nullptr) --let_go->handle_count;
}

status workspace_store::bind(cublas_handle handle, stream_handle stream) noexcept {
  if (handle == nullptr) return fail(status::invalid_argument, "a null cuBLAS handle cannot be bound");
  lease* target = nullptr;
  lease* previous = nullptr;
  // Counted first, and the old one still: neither can be given back until cuBLAS has said which one it works in.
  const status leased = with_lease(stream, [&](lease& found) {
    previous = std::exchange(bound_.try_emplace(handle, nullptr).first->second, &found);
    ++found.handle_count;
    target = &found;
  });
  if (leased != status::ok) return leased;
  const cublas_functions& functions = library_->functions();
  cublasStatus_t code = functions.cublasSetStream_v2(handle, stream);
  if (code != CUBLAS_STATUS_SUCCESS) {
    settle(handle, previous, target);
    return library_->fail_call("cublasSetStream", code, "binding a handle to a stream");
  }
  code = functions.cublasSetWorkspace_v2(handle, target->pointer, size_.bytes);
  if (code != CUBLAS_STATUS_SUCCESS) {
    settle(handle, nullptr, target);
    settle(handle, nullptr, previous);
    return library_->fail_call("cublasSetWorkspace", code, "giving a handle its stream's workspace");
  }
  settle(handle, target, previous);
  return status::ok;
}

status workspace_store::unbind(cublas_handle handle) noexcept {
  stream_handle stream = nullptr;
  lease* target = nullptr;
  {
    const std::lock_guard lock(tables_);
    const auto found = bound_.find(handle);
    if (found == bound_.end())
      return fail(status::invalid_argument, "the cuBLAS handle {} is not bound", fmt::ptr(handle));
    target = found->second;
    const auto of =
        std::find_if(leases_.begin(), leases_.end(), [&](const auto& entry) { return &entry.second == target; });
    stream = of->first;
  }
  const cublasStatus_t code = library_->functions().cublasSetStream_v2(handle, stream);
  if (code != CUBLAS_STATUS_SUCCESS) {
    return library_->fail_call("cublasSetStream", code, "putting a handle back to cuBLAS' own pool");
  }
  settle(handle, nullptr, target);
  return status::ok;
}

status workspace_store::find_workspace(stream_handle stream, workspace_view& view) noexcept {
  return with_lease(stream, [&](const lease& found) { view = {found.pointer, size_.bytes}; });
}

status workspace_store::release(stream_handle stream) noexcept {
  stream = one_handle_of(stream);
  const std::lock_guard growing(growth_);
  lease_table::node_type gone;
  {
    const std::lock_guard lock(tables_);
    const auto found = leases_.find(stream);
    if (found == leases_.end()) return status::ok;
    if (found->second.handle_count != 0) {
      return fail(status::busy, "{} cuBLAS handles are bound to the stream {}: unbind or destroy them first",
                  found->second.handle_count, fmt::ptr(stream));
    }
    gone = leases_.extract(found);
  }
  const status waited = wait_for_stream(stream);
  const lease& one = gone.mapped();
  if (waited == status::ok && !one.of_any_stream) return memory_.deallocate(one.pointer);
  const std::lock_guard lock(tables_);
  if (waited == status::ok) spares_.push_back(one.pointer);  // there is room: it came from there
  else leases_.insert(std::move(gone));
  return waited;
}

status workspace_store::clear(std::size_t& given_back) noexcept {
  given_back = 0;
  try {
    const std::lock_guard growing(growth_);
    std::vector<lease_table::node_type> idle;
    std::vector<void*> spares;
    {
      const std::lock_guard lock(tables_);
      idle.reserve(leases_.size());
      spares = spares_;
      spares_.clear();
      for (auto next = leases_.begin(); next != leases_.end();) {
        const auto one = next++;
        if (one->second.handle_count == 0) idle.push_back(leases_.extract(one));
      }
    }
    if (idle.empty() && spares.empty()) return status::ok;
    const status waited = wait_for_device();
    if (waited != status::ok) {
      const std::lock_guard lock(tables_);
      for (auto& one : idle) leases_.insert(std::move(one));
      spares_.assign(spares.begin(), spares.end());  // there is room: they came from there
      return waited;
    }
    status result = status::ok;
    const auto give_back = [&](void* pointer) {
      const status code = memory_.deallocate(pointer);
      if (code == status::ok) given_back += size_.bytes;
      else result = code;
    };
    for (void* spare : spares) give_back(spare);
    for (const auto& one : idle) give_back(one.mapped().pointer);
    return result;
  } catch (const std::bad_alloc&) {
    return no_host_memory();
  }
}

status workspace_store::create_handle(cublas_handle& handle) noexcept {
  handle = nullptr;
  const context_scope scope(memory_.context());
  if (scope.result() != status::ok) return scope.result();
  const auto create = library_->functions().cublasCreate_v2;
  cublasStatus_t code = create(&handle);
  if (means_full(code)) {
    std::size_t given_back = 0;
    const status trimmed = memory_.trim(0, given_back);
    if (trimmed == status::ok && given_back != 0) code = create(&handle);
  }
  if (code == CUBLAS_STATUS_SUCCESS) return status::ok;
  handle = nullptr;
  return refuse_handle(code);
}

status workspace_store::refuse_handle(cublasStatus_t code) const noexcept {
  std::size_t free_bytes = 0;
  (void)memory_.memory().query_free_bytes(free_bytes);  // 0 if it fails
  if (!means_full(code) || (code == CUBLAS_STATUS_NOT_INITIALIZED && free_bytes >= ample_bytes))
    return library_->fail_call("cublasCreate", code, "making a handle");
  const statistics now = memory_.stats();
  try {
    return fail(status::out_of_memory,
                "cublasCreate failed: {}. Of the device's {}, {} are free; terrazzo holds {}, {} of it in live blocks. "
                "A handle takes memory of its own: make it before the card is full, or leave room with headroom_mb",
                library_->name(code), format_bytes(memory_.memory().total_bytes()), format_bytes(free_bytes),
                format_bytes(now.reserved_bytes.current), format_bytes(now.allocated_bytes.current));
  } catch (const std::bad_alloc&) {
    return fail(status::out_of_memory, "cublasCreate failed: cuBLAS status {}", static_cast<int>(code));
  }
}

status workspace_store::destroy_handle(cublas_handle handle) noexcept {
  if (handle == nullptr) return status::ok;
  const context_scope scope(memory_.context());
  if (scope.result() != status::ok) return scope.result();
  // Forgotten first, since cuBLAS may give the handle's address to another thread at once; its lease stays counted.
  binding_table::node_type binding;
  {
    const std::lock_guard lock(tables_);
    binding = bound_.extract(handle);
  }
  const cublasStatus_t code = library_->functions().cublasDestroy_v2(handle);
  try {
    const std::lock_guard lock(tables_);
    if (code == CUBLAS_STATUS_SUCCESS) {
      if (!binding.empty()) --binding.mapped()->handle_count;
      return status::ok;
    }
    if (!binding.empty()) bound_.insert(std::move(binding));
  } catch (const std::bad_alloc&) {
    return no_host_memory();  // the lease stays counted, and so is not given back
  }
  return library_->fail_call("cublasDestroy", code, "destroying a handle");
}

workspace_statistics workspace_store::stats() const noexcept {
  const std::lock_guard lock(tables_);
  workspace_statistics result;
  result.count = leases_.size() + spares_.size();
  result.spare_count = spares_.size();
  result.bound_handle_count = bound_.size();
  result.total_bytes = result.count * size_.bytes;
  std::uintptr_t addresses = 0;
  for (const auto& [stream, one] : leases_) addresses |= reinterpret_cast<std::uintptr_t>(one.pointer);
  for (const void* spare : spares_) addresses |= reinterpret_cast<std::uintptr_t>(spare);
  if (addresses != 0) result.aligned_to = std::size_t{1} << std::countr_zero(addresses);
  return result;
}

}  // namespace terrazzo::detail
