// Driver functions about allocations, host memory, and what lies at an address.
#include "softgpu/driver_functions.hpp"

using namespace softgpu;

namespace {

template <typename T>
CUresult answer(void* place, T value) {
  *static_cast<T*>(place) = value;
  return CUDA_SUCCESS;
}

}  // namespace

TERRAZZO_SOFTGPU_ENTRY cuMemGetInfo_v2(std::size_t* free, std::size_t* total) {
  return run_call("cuMemGetInfo_v2", needs::context, [&](driver_call& call) {
    if (free == nullptr || total == nullptr) return refuse_null("free or total");
    *free = call.all.memory->free_bytes(call.current->device);
    *total = call.all.spec_of(call.current->device).memory_bytes;
    return CUDA_SUCCESS;
  });
}

TERRAZZO_SOFTGPU_ENTRY cuMemAlloc_v2(CUdeviceptr* address, std::size_t bytes) {
  return run_call("cuMemAlloc_v2", needs::context, [&](driver_call& call) {
    if (address == nullptr) return refuse_null("the place for the address");
    call.touch(bytes / call.all.spec_of(call.current->device).granularity_bytes);
    return call.all.memory->allocate(call.current->device, bytes, *address);
  });
}

// Like a real driver's, this waits for the device: what still runs may use the memory.
TERRAZZO_SOFTGPU_ENTRY cuMemFree_v2(CUdeviceptr address) {
  return run_call("cuMemFree_v2", needs::context, [&](driver_call& call) {
    run_all_in(call.all, call.lock, *call.current);
    if (call.current->dead != CUDA_SUCCESS) return call.current->dead;
    return call.all.memory->free(address);
  });
}

TERRAZZO_SOFTGPU_ENTRY cuMemGetAddressRange_v2(CUdeviceptr* begin, std::size_t* bytes, CUdeviceptr address) {
  return run_call("cuMemGetAddressRange_v2", needs::context, [&](driver_call& call) {
    memory_books::owner found;
    if (!call.all.memory->find_owner(address, found)) {
      return refuse(CUDA_ERROR_NOT_FOUND, "no memory lies at {:#x}", address);
    }
    if (begin != nullptr) *begin = found.begin;
    if (bytes != nullptr) *bytes = found.bytes;
    return CUDA_SUCCESS;
  });
}

TERRAZZO_SOFTGPU_ENTRY cuMemAllocHost_v2(void** address, std::size_t bytes) {
  return run_call("cuMemAllocHost_v2", needs::context, [&](driver_call& call) {
    if (address == nullptr) return refuse_null("the place for the address");
    return call.all.memory->allocate_host(call.current->device, bytes, *address);
  });
}

// The flags only matter to kernels and to speed, neither of which is modelled.
TERRAZZO_SOFTGPU_ENTRY cuMemHostAlloc(void** address, std::size_t bytes, unsigned int flags) {
  return run_call("cuMemHostAlloc", needs::context, [&](driver_call& call) {
    if (address == nullptr) return refuse_null("the place for the address");
    constexpr unsigned known = CU_MEMHOSTALLOC_PORTABLE | CU_MEMHOSTALLOC_DEVICEMAP | CU_MEMHOSTALLOC_WRITECOMBINED;
    if ((flags & ~known) != 0) return refuse(CUDA_ERROR_INVALID_VALUE, "the flags {:#x} are not known", flags);
    return call.all.memory->allocate_host(call.current->device, bytes, *address);
  });
}

TERRAZZO_SOFTGPU_ENTRY cuMemFreeHost(void* address) {
  return run_call("cuMemFreeHost", needs::context, [&](driver_call& call) {
    run_all_in(call.all, call.lock, *call.current);
    if (call.current->dead != CUDA_SUCCESS) return call.current->dead;
    return call.all.memory->free_host(address);
  });
}

TERRAZZO_SOFTGPU_ENTRY cuPointerGetAttribute(void* data, CUpointer_attribute attribute, CUdeviceptr address) {
  return run_call("cuPointerGetAttribute", needs::init, [&](driver_call& call) {
    if (data == nullptr) return refuse_null("data");
    memory_books::owner found;
    if (!call.all.memory->find_owner(address, found)) {
      return refuse(CUDA_ERROR_INVALID_VALUE, "{:#x} is not an address of the driver's", address);
    }
    switch (attribute) {
      case CU_POINTER_ATTRIBUTE_CONTEXT:
        return answer(data, handle_of(call.all.context_of(found.device)));
      case CU_POINTER_ATTRIBUTE_MEMORY_TYPE:
        return answer<unsigned>(data, found.on_host ? CU_MEMORYTYPE_HOST : CU_MEMORYTYPE_DEVICE);
      case CU_POINTER_ATTRIBUTE_DEVICE_POINTER:
        return answer(data, address);
      case CU_POINTER_ATTRIBUTE_HOST_POINTER:
        if (!found.on_host) return refuse(CUDA_ERROR_INVALID_VALUE, "the host cannot touch device memory");
        return answer(data, reinterpret_cast<void*>(static_cast<std::uintptr_t>(address)));
      case CU_POINTER_ATTRIBUTE_IS_MANAGED:
        return answer<bool>(data, false);
      case CU_POINTER_ATTRIBUTE_DEVICE_ORDINAL:
        return answer(data, found.device);
      case CU_POINTER_ATTRIBUTE_RANGE_START_ADDR:
        return answer(data, found.begin);
      case CU_POINTER_ATTRIBUTE_RANGE_SIZE:
        return answer(data, found.bytes);
      case CU_POINTER_ATTRIBUTE_MAPPED:
        return answer<bool>(data, true);
      default:
        return refuse(CUDA_ERROR_NOT_SUPPORTED, "pointer attribute {} is not modelled", static_cast<int>(attribute));
    }
  });
}
