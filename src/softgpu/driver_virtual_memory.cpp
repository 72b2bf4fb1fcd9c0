// Driver functions of virtual memory management. As cuda.h lists their errors, they need no current context. None of
// them waits for work: what still runs on memory that is unmapped dies of an illegal address.
#include "softgpu/driver_functions.hpp"

using namespace softgpu;

namespace {

CUresult check_support(const driver_call& call) {
  if (call.all.memory->has_virtual_memory()) return CUDA_SUCCESS;
  return refuse(CUDA_ERROR_NOT_SUPPORTED, "no device has virtual memory management (vmm=0)");
}

CUresult check_flags(unsigned long long flags) {
  return flags == 0 ? CUDA_SUCCESS : refuse(CUDA_ERROR_INVALID_VALUE, "the flags {:#x} are not 0", flags);
}

}  // namespace

TERRAZZO_SOFTGPU_ENTRY cuMemGetAllocationGranularity(std::size_t* bytes, const CUmemAllocationProp* properties,
                                                     CUmemAllocationGranularity_flags option) {
  return run_call("cuMemGetAllocationGranularity", needs::sound, [&](driver_call& call) {
    if (bytes == nullptr || properties == nullptr) return refuse_null("the place for the granularity, or prop,");
    if (option != CU_MEM_ALLOC_GRANULARITY_MINIMUM && option != CU_MEM_ALLOC_GRANULARITY_RECOMMENDED) {
      return refuse(CUDA_ERROR_INVALID_VALUE, "{} is not an option", static_cast<int>(option));
    }
    const CUresult checked = call.all.memory->check_properties(*properties);
    if (checked == CUDA_SUCCESS) *bytes = call.all.spec_of(properties->location.id).granularity_bytes;
    return checked;
  });
}

TERRAZZO_SOFTGPU_ENTRY cuMemAddressReserve(CUdeviceptr* address, std::size_t bytes, std::size_t alignment,
                                           CUdeviceptr hint, unsigned long long flags) {
  return run_call("cuMemAddressReserve", needs::sound, [&](driver_call& call) {
    if (address == nullptr) return refuse_null("the place for the address");
    CUresult checked = check_support(call);
    if (checked == CUDA_SUCCESS) checked = check_flags(flags);
    return checked == CUDA_SUCCESS ? call.all.memory->reserve(bytes, alignment, hint, *address) : checked;
  });
}

TERRAZZO_SOFTGPU_ENTRY cuMemAddressFree(CUdeviceptr address, std::size_t bytes) {
  return run_call("cuMemAddressFree", needs::sound,
                  [&](driver_call& call) { return call.all.memory->free_reservation(address, bytes); });
}

TERRAZZO_SOFTGPU_ENTRY cuMemCreate(CUmemGenericAllocationHandle* handle, std::size_t bytes,
                                   const CUmemAllocationProp* properties, unsigned long long flags) {
  return run_call("cuMemCreate", needs::sound, [&](driver_call& call) {
    if (handle == nullptr || properties == nullptr) return refuse_null("the place for the handle, or prop,");
    const CUresult checked = check_flags(flags);
    if (checked != CUDA_SUCCESS) return checked;
    const CUresult created = call.all.memory->create(bytes, *properties, *handle);
    if (created == CUDA_SUCCESS) call.touch(call.all.memory->units_of(*handle));
    return created;
  });
}

TERRAZZO_SOFTGPU_ENTRY cuMemRelease(CUmemGenericAllocationHandle handle) {
  return run_call("cuMemRelease", needs::sound, [&](driver_call& call) {
    call.touch(call.all.memory->units_of(handle));
    return call.all.memory->release(handle);
  });
}

TERRAZZO_SOFTGPU_ENTRY cuMemRetainAllocationHandle(CUmemGenericAllocationHandle* handle, void* address) {
  return run_call("cuMemRetainAllocationHandle", needs::sound, [&](driver_call& call) {
    if (handle == nullptr) return refuse_null("the place for the handle");
    return call.all.memory->retain_at(reinterpret_cast<std::uintptr_t>(address), *handle);
  });
}

TERRAZZO_SOFTGPU_ENTRY cuMemGetAllocationPropertiesFromHandle(CUmemAllocationProp* properties,
                                                              CUmemGenericAllocationHandle handle) {
  return run_call("cuMemGetAllocationPropertiesFromHandle", needs::sound, [&](driver_call& call) {
    if (properties == nullptr) return refuse_null("prop");
    return call.all.memory->properties_of(handle, *properties);
  });
}

TERRAZZO_SOFTGPU_ENTRY cuMemMap(CUdeviceptr address, std::size_t bytes, std::size_t offset,
                                CUmemGenericAllocationHandle handle, unsigned long long flags) {
  return run_call("cuMemMap", needs::sound, [&](driver_call& call) {
    const CUresult checked = check_flags(flags);
    if (checked != CUDA_SUCCESS) return checked;
    if (offset != 0) return refuse(CUDA_ERROR_INVALID_VALUE, "the offset {} is not 0, the only one allowed", offset);
    call.touch(call.all.memory->units_of(handle));
    return call.all.memory->map(address, bytes, handle);
  });
}

TERRAZZO_SOFTGPU_ENTRY cuMemUnmap(CUdeviceptr address, std::size_t bytes) {
  return run_call("cuMemUnmap", needs::sound, [&](driver_call& call) {
    call.touch(call.all.memory->units_at(address, bytes));
    return call.all.memory->unmap(address, bytes);
  });
}

TERRAZZO_SOFTGPU_ENTRY cuMemSetAccess(CUdeviceptr address, std::size_t bytes, const CUmemAccessDesc* descriptions,
                                      std::size_t count) {
  return run_call("cuMemSetAccess", needs::sound, [&](driver_call& call) {
    if (descriptions == nullptr || count == 0) return refuse(CUDA_ERROR_INVALID_VALUE, "there is no description");
    call.touch(call.all.memory->units_at(address, bytes));
    return call.all.memory->set_access(address, bytes, descriptions, count);
  });
}

TERRAZZO_SOFTGPU_ENTRY cuMemGetAccess(unsigned long long* flags, const CUmemLocation* location, CUdeviceptr address) {
  return run_call("cuMemGetAccess", needs::sound, [&](driver_call& call) {
    if (flags == nullptr || location == nullptr) return refuse_null("flags or location");
    return call.all.memory->get_access(address, *location, *flags);
  });
}
