// Driver functions about devices. One multiprocessor count and one set of limits for all: nothing runs kernels here.
#include <algorithm>
#include <cstring>
#include <string>

#include "softgpu/driver_functions.hpp"

using namespace softgpu;

namespace {

// Attributes that a program reads before it decides how to use memory. What is not listed is not modelled.
bool attribute_of(const device_spec& spec, CUdevice_attribute attribute, int& value) {
  switch (attribute) {
    case CU_DEVICE_ATTRIBUTE_COMPUTE_CAPABILITY_MAJOR:
      value = spec.capability_major;
      return true;
    case CU_DEVICE_ATTRIBUTE_COMPUTE_CAPABILITY_MINOR:
      value = spec.capability_minor;
      return true;
    case CU_DEVICE_ATTRIBUTE_VIRTUAL_MEMORY_MANAGEMENT_SUPPORTED:
      value = spec.virtual_memory ? 1 : 0;
      return true;
    case CU_DEVICE_ATTRIBUTE_UNIFIED_ADDRESSING:
    case CU_DEVICE_ATTRIBUTE_CAN_MAP_HOST_MEMORY:
    case CU_DEVICE_ATTRIBUTE_STREAM_PRIORITIES_SUPPORTED:
    case CU_DEVICE_ATTRIBUTE_CONCURRENT_KERNELS:
      value = 1;
      return true;
    case CU_DEVICE_ATTRIBUTE_INTEGRATED:
    case CU_DEVICE_ATTRIBUTE_MANAGED_MEMORY:
    case CU_DEVICE_ATTRIBUTE_CONCURRENT_MANAGED_ACCESS:
    case CU_DEVICE_ATTRIBUTE_PAGEABLE_MEMORY_ACCESS:
    case CU_DEVICE_ATTRIBUTE_MEMORY_POOLS_SUPPORTED:
    case CU_DEVICE_ATTRIBUTE_GPU_DIRECT_RDMA_SUPPORTED:
    case CU_DEVICE_ATTRIBUTE_GPU_DIRECT_RDMA_WITH_CUDA_VMM_SUPPORTED:
    case CU_DEVICE_ATTRIBUTE_HANDLE_TYPE_POSIX_FILE_DESCRIPTOR_SUPPORTED:
    case CU_DEVICE_ATTRIBUTE_HANDLE_TYPE_WIN32_HANDLE_SUPPORTED:
    case CU_DEVICE_ATTRIBUTE_HANDLE_TYPE_FABRIC_SUPPORTED:
    case CU_DEVICE_ATTRIBUTE_GENERIC_COMPRESSION_SUPPORTED:
    case CU_DEVICE_ATTRIBUTE_MULTICAST_SUPPORTED:
    case CU_DEVICE_ATTRIBUTE_TCC_DRIVER:
    case CU_DEVICE_ATTRIBUTE_ECC_ENABLED:
    case CU_DEVICE_ATTRIBUTE_KERNEL_EXEC_TIMEOUT:
    case CU_DEVICE_ATTRIBUTE_COMPUTE_MODE:
      value = 0;
      return true;
    case CU_DEVICE_ATTRIBUTE_MULTIPROCESSOR_COUNT:
      value = 64;
      return true;
    case CU_DEVICE_ATTRIBUTE_WARP_SIZE:
      value = 32;
      return true;
    case CU_DEVICE_ATTRIBUTE_MAX_THREADS_PER_BLOCK:
      value = 1024;
      return true;
    case CU_DEVICE_ATTRIBUTE_MAX_THREADS_PER_MULTIPROCESSOR:
      value = 2048;
      return true;
    case CU_DEVICE_ATTRIBUTE_ASYNC_ENGINE_COUNT:
      value = 2;
      return true;
    case CU_DEVICE_ATTRIBUTE_TEXTURE_ALIGNMENT:
      value = 512;
      return true;
    default:
      return false;
  }
}

}  // namespace

TERRAZZO_SOFTGPU_ENTRY cuDeviceGetCount(int* count) {
  return run_call("cuDeviceGetCount", needs::init, [&](driver_call& call) {
    if (count == nullptr) return refuse_null("count");
    *count = static_cast<int>(call.all.contexts.size());
    return CUDA_SUCCESS;
  });
}

TERRAZZO_SOFTGPU_ENTRY cuDeviceGet(CUdevice* device, int ordinal) {
  return run_call("cuDeviceGet", needs::init, [&](driver_call& call) {
    if (device == nullptr) return refuse_null("device");
    const CUresult checked = call.check_device(ordinal);
    if (checked == CUDA_SUCCESS) *device = ordinal;
    return checked;
  });
}

TERRAZZO_SOFTGPU_ENTRY cuDeviceGetName(char* name, int capacity, CUdevice device) {
  return run_call("cuDeviceGetName", needs::init, [&](driver_call& call) {
    if (name == nullptr || capacity <= 0) return refuse(CUDA_ERROR_INVALID_VALUE, "there is no room for the name");
    const CUresult checked = call.check_device(device);
    if (checked != CUDA_SUCCESS) return checked;
    const std::string& given = call.all.spec_of(device).name;
    const std::size_t length = std::min(given.size(), static_cast<std::size_t>(capacity) - 1);
    std::memcpy(name, given.data(), length);
    name[length] = '\0';
    return CUDA_SUCCESS;
  });
}

TERRAZZO_SOFTGPU_ENTRY cuDeviceGetUuid_v2(CUuuid* uuid, CUdevice device) {
  return run_call("cuDeviceGetUuid_v2", needs::init, [&](driver_call& call) {
    if (uuid == nullptr) return refuse_null("uuid");
    const CUresult checked = call.check_device(device);
    if (checked != CUDA_SUCCESS) return checked;
    std::memcpy(uuid->bytes, "terrazzo softgp", 15);
    uuid->bytes[15] = static_cast<char>(device);
    return CUDA_SUCCESS;
  });
}

TERRAZZO_SOFTGPU_ENTRY cuDeviceTotalMem_v2(std::size_t* bytes, CUdevice device) {
  return run_call("cuDeviceTotalMem_v2", needs::init, [&](driver_call& call) {
    if (bytes == nullptr) return refuse_null("bytes");
    const CUresult checked = call.check_device(device);
    if (checked == CUDA_SUCCESS) *bytes = call.all.spec_of(device).memory_bytes;
    return checked;
  });
}

TERRAZZO_SOFTGPU_ENTRY cuDeviceGetAttribute(int* value, CUdevice_attribute attribute, CUdevice device) {
  return run_call("cuDeviceGetAttribute", needs::init, [&](driver_call& call) {
    if (value == nullptr) return refuse_null("value");
    const CUresult checked = call.check_device(device);
    if (checked != CUDA_SUCCESS) return checked;
    if (attribute_of(call.all.spec_of(device), attribute, *value)) return CUDA_SUCCESS;
    return refuse(CUDA_ERROR_INVALID_VALUE, "attribute {} is not modelled", static_cast<int>(attribute));
  });
}

TERRAZZO_SOFTGPU_ENTRY cuDeviceGetPCIBusId(char* text, int capacity, CUdevice device) {
  return run_call("cuDeviceGetPCIBusId", needs::init, [&](driver_call& call) {
    const std::string id = fmt::format("0000:{:02x}:00.0", device + 1);
    const CUresult checked = call.check_device(device);
    if (checked != CUDA_SUCCESS) return checked;
    if (text == nullptr || capacity <= static_cast<int>(id.size())) {
      return refuse(CUDA_ERROR_INVALID_VALUE, "there is no room for {} characters", id.size() + 1);
    }
    std::memcpy(text, id.c_str(), id.size() + 1);
    return CUDA_SUCCESS;
  });
}

TERRAZZO_SOFTGPU_ENTRY cuDeviceCanAccessPeer(int* can, CUdevice device, CUdevice peer) {
  return run_call("cuDeviceCanAccessPeer", needs::init, [&](driver_call& call) {
    if (can == nullptr) return refuse_null("can");
    CUresult checked = call.check_device(device);
    if (checked == CUDA_SUCCESS) checked = call.check_device(peer);
    if (checked == CUDA_SUCCESS) *can = 0;  // peer access is not modelled
    return checked;
  });
}
