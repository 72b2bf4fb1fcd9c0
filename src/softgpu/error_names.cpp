#include "softgpu/error_names.hpp"

namespace softgpu {
namespace {

struct error_entry {
  CUresult result;
  const char* name;
  const char* sentence;
};

#define TERRAZZO_SOFTGPU_ERROR(name, sentence) \
  { name, #name, sentence }
constexpr error_entry errors[] = {
    TERRAZZO_SOFTGPU_ERROR(CUDA_SUCCESS, "no error"),
    TERRAZZO_SOFTGPU_ERROR(CUDA_ERROR_INVALID_VALUE, "invalid argument"),
    TERRAZZO_SOFTGPU_ERROR(CUDA_ERROR_OUT_OF_MEMORY, "out of memory"),
    TERRAZZO_SOFTGPU_ERROR(CUDA_ERROR_NOT_INITIALIZED, "initialization error"),
    TERRAZZO_SOFTGPU_ERROR(CUDA_ERROR_DEINITIALIZED, "driver shutting down"),
    TERRAZZO_SOFTGPU_ERROR(CUDA_ERROR_STUB_LIBRARY, "CUDA driver is a stub library"),
    TERRAZZO_SOFTGPU_ERROR(CUDA_ERROR_DEVICE_UNAVAILABLE, "CUDA-capable device(s) is/are busy or unavailable"),
    TERRAZZO_SOFTGPU_ERROR(CUDA_ERROR_NO_DEVICE, "no CUDA-capable device is detected"),
    TERRAZZO_SOFTGPU_ERROR(CUDA_ERROR_INVALID_DEVICE, "invalid device ordinal"),
    TERRAZZO_SOFTGPU_ERROR(CUDA_ERROR_INVALID_CONTEXT, "invalid device context"),
    TERRAZZO_SOFTGPU_ERROR(CUDA_ERROR_MAP_FAILED, "mapping of buffer object failed"),
    TERRAZZO_SOFTGPU_ERROR(CUDA_ERROR_UNMAP_FAILED, "unmapping of buffer object failed"),
    TERRAZZO_SOFTGPU_ERROR(CUDA_ERROR_ALREADY_MAPPED, "resource already mapped"),
    TERRAZZO_SOFTGPU_ERROR(CUDA_ERROR_NOT_MAPPED, "resource not mapped"),
    TERRAZZO_SOFTGPU_ERROR(CUDA_ERROR_ECC_UNCORRECTABLE, "uncorrectable ECC error encountered"),
    TERRAZZO_SOFTGPU_ERROR(CUDA_ERROR_UNSUPPORTED_LIMIT, "limit is not supported on this architecture"),
    TERRAZZO_SOFTGPU_ERROR(CUDA_ERROR_PEER_ACCESS_UNSUPPORTED,
                           "peer access is not supported between these two devices"),
    TERRAZZO_SOFTGPU_ERROR(CUDA_ERROR_FILE_NOT_FOUND, "file not found"),
    TERRAZZO_SOFTGPU_ERROR(CUDA_ERROR_OPERATING_SYSTEM, "OS call failed or operation not supported on this OS"),
    TERRAZZO_SOFTGPU_ERROR(CUDA_ERROR_INVALID_HANDLE, "invalid resource handle"),
    TERRAZZO_SOFTGPU_ERROR(CUDA_ERROR_ILLEGAL_STATE, "the operation cannot be performed in the present state"),
    TERRAZZO_SOFTGPU_ERROR(CUDA_ERROR_NOT_FOUND, "named symbol not found"),
    TERRAZZO_SOFTGPU_ERROR(CUDA_ERROR_NOT_READY, "device not ready"),
    TERRAZZO_SOFTGPU_ERROR(CUDA_ERROR_ILLEGAL_ADDRESS, "an illegal memory access was encountered"),
    TERRAZZO_SOFTGPU_ERROR(CUDA_ERROR_LAUNCH_OUT_OF_RESOURCES, "too many resources requested for launch"),
    TERRAZZO_SOFTGPU_ERROR(CUDA_ERROR_LAUNCH_TIMEOUT, "the launch timed out and was terminated"),
    TERRAZZO_SOFTGPU_ERROR(CUDA_ERROR_PRIMARY_CONTEXT_ACTIVE, "cannot set while device is active in this process"),
    TERRAZZO_SOFTGPU_ERROR(CUDA_ERROR_CONTEXT_IS_DESTROYED, "context is destroyed"),
    TERRAZZO_SOFTGPU_ERROR(CUDA_ERROR_ASSERT, "device-side assert triggered"),
    TERRAZZO_SOFTGPU_ERROR(CUDA_ERROR_MISALIGNED_ADDRESS, "misaligned address"),
    TERRAZZO_SOFTGPU_ERROR(CUDA_ERROR_LAUNCH_FAILED, "unspecified launch failure"),
    TERRAZZO_SOFTGPU_ERROR(CUDA_ERROR_NOT_PERMITTED, "operation not permitted"),
    TERRAZZO_SOFTGPU_ERROR(CUDA_ERROR_NOT_SUPPORTED, "operation not supported"),
    TERRAZZO_SOFTGPU_ERROR(CUDA_ERROR_SYSTEM_NOT_READY, "system not yet initialized"),
    TERRAZZO_SOFTGPU_ERROR(CUDA_ERROR_SYSTEM_DRIVER_MISMATCH,
                           "system has unsupported display driver / cuda driver combination"),
    TERRAZZO_SOFTGPU_ERROR(CUDA_ERROR_STREAM_CAPTURE_UNSUPPORTED, "operation not permitted when stream is capturing"),
    TERRAZZO_SOFTGPU_ERROR(CUDA_ERROR_STREAM_CAPTURE_INVALIDATED,
                           "operation failed due to a previous error during capture"),
    TERRAZZO_SOFTGPU_ERROR(CUDA_ERROR_STREAM_CAPTURE_IMPLICIT,
                           "operation would make the legacy stream depend on a capturing blocking stream"),
    TERRAZZO_SOFTGPU_ERROR(CUDA_ERROR_TIMEOUT, "wait operation timed out"),
    TERRAZZO_SOFTGPU_ERROR(CUDA_ERROR_EXTERNAL_DEVICE, "external device operation failed"),
    TERRAZZO_SOFTGPU_ERROR(CUDA_ERROR_UNKNOWN, "unknown error"),
};
#undef TERRAZZO_SOFTGPU_ERROR

const error_entry* find(CUresult result) noexcept {
  for (const error_entry& one : errors) {
    if (one.result == result) return &one;
  }
  return nullptr;
}

}  // namespace

const char* error_name(CUresult result) noexcept {
  const error_entry* found = find(result);
  return found != nullptr ? found->name : nullptr;
}

const char* error_sentence(CUresult result) noexcept {
  const error_entry* found = find(result);
  return found != nullptr ? found->sentence : nullptr;
}

}  // namespace softgpu
