#include "softgpu/cublas/handle.hpp"

#include <cstdlib>
#include <string>

namespace softgpu::cublas {
namespace {

// What cublasCreate took on one measured card of capability 9.0 or later: 1 KiB + 128 KiB + 64 MiB (jitLLM, RE-028).
// For older ones the default that cuBLAS documented for CUBLAS_WORKSPACE_CONFIG before there were such cards,
// :4096:2:16:8.
constexpr std::size_t new_pool_bytes = 1024 * (1 + 128 + 64 * 1024);
constexpr std::size_t old_pool_bytes = 1024 * (2 * 4096 + 8 * 16);

// Below this a card is so full that cuBLAS does not come to ask for its pool: the context and its modules come first.
constexpr std::size_t start_bytes = std::size_t{2} << 20;

/// Reads `:<KiB>:<count>` pairs, the whole of `text`; false, as for a variable that is not set, if it is anything else.
bool parse_pool(const char* text, std::size_t& bytes) {
  std::size_t total = 0;
  int length = 0;
  if (text == nullptr || *text == '\0') return false;
  for (; *text != '\0'; text += length) {
    unsigned kilobytes = 0;
    unsigned count = 0;
    length = 0;
    if (std::sscanf(text, ":%u:%u%n", &kilobytes, &count, &length) != 2 || length == 0) return false;
    total += std::size_t{1024} * kilobytes * count;
  }
  bytes = total;
  return true;
}

std::size_t pool_bytes_of(int device, CUdevice handle) {
  std::size_t bytes = 0;
  if (parse_pool(std::getenv("CUBLAS_WORKSPACE_CONFIG"), bytes)) return bytes;
  std::uint64_t given = 0;
  if (terrazzo_softgpu_cublas_pool(device, &given) == 0) return given;
  int major = 0;
  cuDeviceGetAttribute(&major, CU_DEVICE_ATTRIBUTE_COMPUTE_CAPABILITY_MAJOR, handle);
  return major >= 9 ? new_pool_bytes : old_pool_bytes;
}

/// The context's current state for a scope.
class current {
 public:
  explicit current(CUcontext context) : pushed_(cuCtxPushCurrent_v2(context) == CUDA_SUCCESS) {}
  ~current() {
    CUcontext popped = nullptr;
    if (pushed_) cuCtxPopCurrent_v2(&popped);
  }
  current(const current&) = delete;
  current& operator=(const current&) = delete;
  explicit operator bool() const noexcept { return pushed_; }

 private:
  bool pushed_;
};

std::string driver_message() { return terrazzo_softgpu_message(); }

/// Takes the pool of a handle whose context is retained.
cublasStatus_t take_pool(const char* function, handle_state& made) {
  const current scope(made.context);
  if (!scope) return refuse(CUBLAS_STATUS_NOT_INITIALIZED, function, "{}", driver_message());
  made.pool_bytes = pool_bytes_of(made.device, made.device);
  std::size_t free_bytes = 0;
  std::size_t total_bytes = 0;
  if (cuMemGetInfo_v2(&free_bytes, &total_bytes) != CUDA_SUCCESS)
    return refuse(CUBLAS_STATUS_NOT_INITIALIZED, function, "{}", driver_message());
  if (free_bytes < start_bytes) {
    return refuse(CUBLAS_STATUS_NOT_INITIALIZED, function, "device {} is full: {} of {} bytes are free", made.device,
                  free_bytes, total_bytes);
  }
  if (made.pool_bytes != 0 && cuMemAlloc_v2(&made.pool, made.pool_bytes) != CUDA_SUCCESS) {
    return refuse(CUBLAS_STATUS_ALLOC_FAILED, function,
                  "the hidden pool of {} bytes cannot be had, {} of {} are free ({})", made.pool_bytes, free_bytes,
                  total_bytes, driver_message());
  }
  made.use_pool();
  return CUBLAS_STATUS_SUCCESS;
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
  if (cuInit(0) != CUDA_SUCCESS) return refuse(CUBLAS_STATUS_NOT_INITIALIZED, function, "{}", driver_message());
  CUdevice device = 0;
  if (cuCtxGetDevice(&device) == CUDA_SUCCESS) made.device = device;
  if (cuDevicePrimaryCtxRetain(&made.context, made.device) != CUDA_SUCCESS)
    return refuse(CUBLAS_STATUS_NOT_INITIALIZED, function, "{}", driver_message());
  const cublasStatus_t taken = take_pool(function, made);
  if (taken != CUBLAS_STATUS_SUCCESS) {
    const std::string reason = driver_message();
    cuDevicePrimaryCtxRelease_v2(made.device);
    terrazzo_softgpu_explain(function, reason.substr(reason.find(": ") + 2).c_str());
    return taken;
  }
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
  handle_state gone;
  {
    const std::lock_guard lock(books().mutex);
    handle_state* found = books().find(handle);
    if (found == nullptr) return refuse(CUBLAS_STATUS_NOT_INITIALIZED, function, "the handle has just been destroyed");
    gone = *found;
    books().handles.erase(reinterpret_cast<std::uintptr_t>(handle));
  }
  {
    const current scope(gone.context);
    if (!scope || cuCtxSynchronize() != CUDA_SUCCESS || (gone.pool != 0 && cuMemFree_v2(gone.pool) != CUDA_SUCCESS)) {
      const std::lock_guard lock(books().mutex);
      books().handles.emplace(reinterpret_cast<std::uintptr_t>(handle), gone);
      return refuse(CUBLAS_STATUS_INTERNAL_ERROR, function, "the handle could not be destroyed: {}", driver_message());
    }
  }
  cuDevicePrimaryCtxRelease_v2(gone.device);
  terrazzo_softgpu_add_cublas_handles(gone.device, -1);
  return CUBLAS_STATUS_SUCCESS;
}

}  // namespace softgpu::cublas
