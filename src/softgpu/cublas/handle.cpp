#include "softgpu/cublas/handle.hpp"

#include <charconv>
#include <cstdlib>
#include <string>
#include <string_view>
#include <utility>

namespace softgpu::cublas {
namespace {

// What cublasCreate took on one measured card of capability 9.0 or later: 1 KiB + 128 KiB + 64 MiB (jitLLM, RE-028).
// For older ones the default that cuBLAS documented for CUBLAS_WORKSPACE_CONFIG before there were such cards,
// :4096:2:16:8.
constexpr std::size_t new_pool_bytes = 1024 * (1 + 128 + 64 * 1024);
constexpr std::size_t old_pool_bytes = 1024 * (2 * 4096 + 8 * 16);

// Below this a card is so full that cuBLAS does not come to ask for its pool: the context and its modules come first.
constexpr std::size_t start_bytes = std::size_t{2} << 20;

constexpr std::size_t most_pool_kilobytes = std::size_t{1} << 36;  // 64 TiB, the most that a device has

/// Takes `:<number>` from the front of `text`.
bool take_number(std::string_view& text, std::uint32_t& value) {
  if (!text.starts_with(':')) return false;
  const auto [end, error] = std::from_chars(text.data() + 1, text.data() + text.size(), value);
  if (error != std::errc()) return false;
  text.remove_prefix(static_cast<std::size_t>(end - text.data()));
  return true;
}

/// Reads `:<KiB>:<count>` pairs, the whole of `text`; false, as for a variable that is not set, if it is anything else.
bool parse_pool(const char* variable, std::size_t& bytes) {
  std::string_view text = variable != nullptr ? variable : "";
  if (text.empty()) return false;
  std::size_t kilobytes = 0;
  while (!text.empty()) {
    std::uint32_t each = 0;
    std::uint32_t count = 0;
    if (!take_number(text, each) || !take_number(text, count)) return false;
    const std::size_t pair = std::size_t{each} * count;
    if (pair > most_pool_kilobytes - kilobytes) return false;
    kilobytes += pair;
  }
  bytes = 1024 * kilobytes;
  return true;
}

std::size_t pool_bytes_of(int device) {
  std::size_t bytes = 0;
  if (parse_pool(std::getenv("CUBLAS_WORKSPACE_CONFIG"), bytes)) return bytes;
  std::uint64_t given = 0;
  if (terrazzo_softgpu_cublas_pool(device, &given) == 0) return given;
  int major = 0;
  cuDeviceGetAttribute(&major, CU_DEVICE_ATTRIBUTE_COMPUTE_CAPABILITY_MAJOR, device);
  return major >= 9 ? new_pool_bytes : old_pool_bytes;
}

/// Makes a driver call that undoes something and so must not fail: once more, if terrazzo_softgpu_fail has hit it.
template <typename Call>
void undo(Call call) {
  if (call() != CUDA_SUCCESS) (void)call();
}

/// Makes a context current for a scope.
class current {
 public:
  explicit current(CUcontext context) : pushed_(cuCtxPushCurrent_v2(context) == CUDA_SUCCESS) {}
  ~current() {
    CUcontext popped = nullptr;
    if (pushed_) undo([&] { return cuCtxPopCurrent_v2(&popped); });
  }
  current(const current&) = delete;
  current& operator=(const current&) = delete;
  explicit operator bool() const noexcept { return pushed_; }

 private:
  bool pushed_;
};

/// How a step went. The thread's message lives only until the next driver call, so a failed step keeps its reason here.
struct outcome {
  cublasStatus_t code = CUBLAS_STATUS_SUCCESS;
  std::string reason;
};

outcome driver_failure(cublasStatus_t code) { return {code, terrazzo_softgpu_message()}; }

cublasStatus_t report(const char* function, const outcome& failed) {
  return refuse(failed.code, function, "{}", failed.reason);
}

/// Takes the pool of a handle whose context is retained.
outcome take_pool(handle_state& made) {
  const current scope(made.context);
  std::size_t free_bytes = 0;
  std::size_t total_bytes = 0;
  if (!scope || cuMemGetInfo_v2(&free_bytes, &total_bytes) != CUDA_SUCCESS)
    return driver_failure(CUBLAS_STATUS_NOT_INITIALIZED);
  if (free_bytes < start_bytes) {
    return {CUBLAS_STATUS_NOT_INITIALIZED,
            fmt::format("device {} is full: {} of {} bytes are free", made.device, free_bytes, total_bytes)};
  }
  const std::size_t bytes = pool_bytes_of(made.device);
  if (bytes != 0 && cuMemAlloc_v2(&made.pool, bytes) != CUDA_SUCCESS) {
    return {CUBLAS_STATUS_ALLOC_FAILED, fmt::format("no hidden pool of {} bytes, {} of {} are free: {}", bytes,
                                                    free_bytes, total_bytes, terrazzo_softgpu_message())};
  }
  made.pool_bytes = bytes;
  made.use_pool();
  return {};
}

/// Finds the device that a new handle belongs to: the current context's, or 0 where the thread has none.
outcome find_device(CUdevice& device) {
  const CUresult found = cuCtxGetDevice(&device);
  if (found == CUDA_SUCCESS) return {};
  device = 0;
  return found == CUDA_ERROR_INVALID_CONTEXT ? outcome{} : driver_failure(CUBLAS_STATUS_NOT_INITIALIZED);
}

/// Makes all of a handle but its entry in the books; nothing is left on failure.
outcome make(handle_state& made) {
  if (cuInit(0) != CUDA_SUCCESS) return driver_failure(CUBLAS_STATUS_NOT_INITIALIZED);
  if (outcome found = find_device(made.device); found.code != CUBLAS_STATUS_SUCCESS) return found;
  if (cuDevicePrimaryCtxRetain(&made.context, made.device) != CUDA_SUCCESS)
    return driver_failure(CUBLAS_STATUS_NOT_INITIALIZED);
  outcome taken = take_pool(made);
  if (taken.code != CUBLAS_STATUS_SUCCESS) undo([&] { return cuDevicePrimaryCtxRelease_v2(made.device); });
  return taken;
}

/// Waits for a handle's device and gives its pool back.
outcome give_pool_back(const handle_state& gone) {
  const current scope(gone.context);
  const bool done =
      scope && cuCtxSynchronize() == CUDA_SUCCESS && (gone.pool == 0 || cuMemFree_v2(gone.pool) == CUDA_SUCCESS);
  return done ? outcome{} : driver_failure(CUBLAS_STATUS_INTERNAL_ERROR);
}

}  // namespace

handle_books& books() {
  static handle_books* const all = new handle_books;
  return *all;
}

handle_state* handle_books::find(cublasHandle_t handle) {
  if (const std::uint64_t now = terrazzo_softgpu_generation(); now != generation) {
    handles.clear();
    generation = now;
  }
  const auto found = handles.find(reinterpret_cast<std::uintptr_t>(handle));
  return found != handles.end() ? &found->second : nullptr;
}

cublasStatus_t enter(const char* function, cublasHandle_t handle, handle_state& state) {
  if (const int injected = terrazzo_softgpu_enter(function); injected != 0)
    return static_cast<cublasStatus_t>(injected);
  const std::lock_guard lock(books().mutex);
  const handle_state* found = books().find(handle);
  if (found == nullptr) {
    return refuse(CUBLAS_STATUS_NOT_INITIALIZED, function, "{} is not a cuBLAS handle, or has been destroyed",
                  fmt::ptr(handle));
  }
  state = *found;
  return CUBLAS_STATUS_SUCCESS;
}

cublasStatus_t create(const char* function, cublasHandle_t& handle) {
  handle_state made;
  const outcome how = make(made);
  if (how.code != CUBLAS_STATUS_SUCCESS) return report(function, how);
  {
    const std::lock_guard lock(books().mutex);
    (void)books().find(nullptr);  // forgets handles of an earlier configuration
    books().next_handle += 16;
    books().handles.emplace(books().next_handle, made);
    handle = reinterpret_cast<cublasHandle_t>(books().next_handle);
  }
  terrazzo_softgpu_add_cublas_handles(made.device, 1);
  return CUBLAS_STATUS_SUCCESS;
}

cublasStatus_t destroy(const char* function, cublasHandle_t handle) {
  // Taken out of the books first, so that no other thread uses or destroys it while this one waits for the device.
  decltype(handle_books::handles)::node_type gone;
  {
    const std::lock_guard lock(books().mutex);
    if (books().find(handle) != nullptr) gone = books().handles.extract(reinterpret_cast<std::uintptr_t>(handle));
  }
  if (gone.empty()) return refuse(CUBLAS_STATUS_NOT_INITIALIZED, function, "the handle has just been destroyed");
  const int device = gone.mapped().device;
  const outcome given = give_pool_back(gone.mapped());
  if (given.code != CUBLAS_STATUS_SUCCESS) {
    {
      const std::lock_guard lock(books().mutex);
      books().handles.insert(std::move(gone));
    }
    return report(function, given);
  }
  undo([&] { return cuDevicePrimaryCtxRelease_v2(device); });
  terrazzo_softgpu_add_cublas_handles(device, -1);
  return CUBLAS_STATUS_SUCCESS;
}

}  // namespace softgpu::cublas
