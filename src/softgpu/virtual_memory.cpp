// The virtual memory management part of the memory books: the rules of cuMemAddressReserve, cuMemCreate, cuMemMap,
// cuMemSetAccess and their undoing. Source: the comments of cuda.h; where it is silent, what programs were seen to rely
// on (one unmap over several whole mappings, memory that outlives its handle while mapped).
#include <bit>

#include "base/bits.hpp"
#include "softgpu/memory_books.hpp"
#include "softgpu/thread_state.hpp"

namespace softgpu {
namespace {

void* pointer(CUdeviceptr address) { return reinterpret_cast<void*>(static_cast<std::uintptr_t>(address)); }

}  // namespace

bool memory_books::has_virtual_memory() const {
  for (const auto& one : devices_) {
    if (one->spec.virtual_memory) return true;
  }
  return false;
}

CUresult memory_books::reserve(std::size_t bytes, std::size_t alignment, CUdeviceptr hint, CUdeviceptr& address) {
  if (bytes == 0 || bytes % reservation_unit_ != 0) {
    return refuse(CUDA_ERROR_INVALID_VALUE, "the size {} is not a positive multiple of {}", bytes, reservation_unit_);
  }
  if (alignment != 0 && !std::has_single_bit(alignment)) {
    return refuse(CUDA_ERROR_INVALID_VALUE, "the alignment {} is not a power of two", alignment);
  }
  if (bytes > address_limit_ - reserved_address_bytes_) {
    return refuse(CUDA_ERROR_OUT_OF_MEMORY, "{} bytes of addresses asked for, {} left of {}", bytes,
                  address_limit_ - reserved_address_bytes_, address_limit_);
  }
  for (const auto& one : devices_) alignment = std::max<std::size_t>(alignment, one->spec.granularity_bytes);
  void* const at = reserve_addresses(bytes, alignment,
                                     pointer(terrazzo::detail::is_aligned(hint, alignment) ? hint : CUdeviceptr{0}));
  if (at == nullptr) return refuse(CUDA_ERROR_OUT_OF_MEMORY, "the host has no {} bytes of addresses", bytes);
  address = reinterpret_cast<std::uintptr_t>(at);
  reservations_.emplace(address, reservation{bytes});
  reserved_address_bytes_ += bytes;
  return CUDA_SUCCESS;
}

CUresult memory_books::free_reservation(CUdeviceptr address, std::size_t bytes) {
  const auto found = reservations_.find(address);
  if (found == reservations_.end() || found->second.bytes != bytes) {
    return refuse(CUDA_ERROR_INVALID_VALUE, "[{:#x}, +{}) is not a whole reservation", address, bytes);
  }
  const auto inside = mappings_.lower_bound(address);
  if (inside != mappings_.end() && inside->first < address + bytes) {
    return refuse(CUDA_ERROR_INVALID_VALUE, "the reservation still has a mapping at {:#x}", inside->first);
  }
  release_addresses(pointer(address), bytes);
  reserved_address_bytes_ -= bytes;
  reservations_.erase(found);
  return CUDA_SUCCESS;
}

CUresult memory_books::check_properties(const CUmemAllocationProp& properties) {
  if (properties.type != CU_MEM_ALLOCATION_TYPE_PINNED) {
    return refuse(CUDA_ERROR_INVALID_VALUE, "the allocation type {} is not CU_MEM_ALLOCATION_TYPE_PINNED",
                  static_cast<int>(properties.type));
  }
  if (properties.location.type != CU_MEM_LOCATION_TYPE_DEVICE) {
    return refuse(CUDA_ERROR_NOT_SUPPORTED, "memory at location type {} is not modelled, only on a device",
                  static_cast<int>(properties.location.type));
  }
  const int device = properties.location.id;
  if (device < 0 || index(device) >= devices_.size()) {
    return refuse(CUDA_ERROR_INVALID_DEVICE, "there is no device {} among {}", device, devices_.size());
  }
  if (!devices_[index(device)]->spec.virtual_memory) {
    return refuse(CUDA_ERROR_NOT_SUPPORTED, "device {} has no virtual memory management (vmm=0)", device);
  }
  return CUDA_SUCCESS;
}

CUresult memory_books::create(std::size_t bytes, const CUmemAllocationProp& properties,
                              CUmemGenericAllocationHandle& handle) {
  const CUresult checked = check_properties(properties);
  if (checked != CUDA_SUCCESS) return checked;
  if (properties.requestedHandleTypes != CU_MEM_HANDLE_TYPE_NONE) {
    return refuse(CUDA_ERROR_NOT_SUPPORTED, "handle types for sharing between processes are not modelled");
  }
  if (properties.allocFlags.gpuDirectRDMACapable != 0 || properties.allocFlags.compressionType != 0 ||
      properties.allocFlags.usage != 0) {
    return refuse(CUDA_ERROR_NOT_SUPPORTED, "allocFlags for RDMA, compression and tile pools are not modelled");
  }
  device_memory& memory = *devices_[index(properties.location.id)];
  if (bytes == 0 || bytes % memory.spec.granularity_bytes != 0) {
    return refuse(CUDA_ERROR_INVALID_VALUE, "the size {} is not a positive multiple of the granularity {}", bytes,
                  memory.spec.granularity_bytes);
  }
  const CUresult taken = take_bytes(properties.location.id, bytes);
  if (taken != CUDA_SUCCESS) return taken;
  handle = next_handle_++;
  const std::uint64_t offset = memory.spec.backed ? memory.file.take(bytes) : 0;
  chunks_.emplace(handle, chunk{properties.location.id, bytes, properties, offset});
  return CUDA_SUCCESS;
}

void memory_books::drop_if_unused(CUmemGenericAllocationHandle handle) {
  const auto found = chunks_.find(handle);
  const chunk& one = found->second;
  if (one.references != 0 || one.mappings != 0) return;
  device_memory& memory = *devices_[index(one.device)];
  if (memory.spec.backed) memory.file.discard(one.file_offset, one.bytes);
  memory.used -= one.bytes;
  chunks_.erase(found);
}

CUresult memory_books::release(CUmemGenericAllocationHandle handle) {
  const auto found = chunks_.find(handle);
  if (found == chunks_.end() || found->second.references == 0) {
    return refuse(CUDA_ERROR_INVALID_VALUE, "{:#x} is no handle of cuMemCreate, or has been released already", handle);
  }
  --found->second.references;
  drop_if_unused(handle);
  return CUDA_SUCCESS;
}

CUresult memory_books::retain_at(CUdeviceptr address, CUmemGenericAllocationHandle& handle) {
  const auto found = mapping_at(address);
  if (found == mappings_.end()) return refuse(CUDA_ERROR_INVALID_VALUE, "nothing is mapped at {:#x}", address);
  handle = found->second.handle;
  ++chunks_.at(handle).references;
  return CUDA_SUCCESS;
}

CUresult memory_books::properties_of(CUmemGenericAllocationHandle handle, CUmemAllocationProp& properties) {
  const auto found = chunks_.find(handle);
  if (found == chunks_.end() || found->second.references == 0) {
    return refuse(CUDA_ERROR_INVALID_VALUE, "{:#x} is no handle of cuMemCreate, or has been released", handle);
  }
  properties = found->second.properties;
  return CUDA_SUCCESS;
}

CUresult memory_books::map(CUdeviceptr address, std::size_t bytes, CUmemGenericAllocationHandle handle) {
  const auto found = chunks_.find(handle);
  if (found == chunks_.end() || found->second.references == 0) {
    return refuse(CUDA_ERROR_INVALID_VALUE, "{:#x} is no handle of cuMemCreate, or has been released", handle);
  }
  chunk& one = found->second;
  const std::size_t granularity = devices_[index(one.device)]->spec.granularity_bytes;
  if (bytes == 0 || !terrazzo::detail::is_aligned(bytes, granularity) ||
      !terrazzo::detail::is_aligned(address, granularity)) {
    return refuse(CUDA_ERROR_INVALID_VALUE,
                  "address {:#x} and size {} are not positive multiples of the granularity {}", address, bytes,
                  granularity);
  }
  if (bytes > one.bytes) {
    return refuse(CUDA_ERROR_INVALID_VALUE, "{} bytes asked for of a handle with {}", bytes, one.bytes);
  }
  if (bytes < one.bytes) {
    return refuse(CUDA_ERROR_NOT_SUPPORTED, "mapping {} bytes of a handle with {} is not modelled: map it whole", bytes,
                  one.bytes);
  }
  const auto range = reservation_at(address);
  if (range == reservations_.end() || bytes > range->second.bytes - (address - range->first)) {
    return refuse(CUDA_ERROR_INVALID_VALUE, "[{:#x}, +{}) does not lie in one reservation", address, bytes);
  }
  const auto next = mappings_.lower_bound(address);
  if (mapping_at(address) != mappings_.end() || (next != mappings_.end() && next->first < address + bytes)) {
    return refuse(CUDA_ERROR_INVALID_VALUE, "part of [{:#x}, +{}) is mapped already", address, bytes);
  }
  mappings_.emplace(address, mapping{bytes, handle});
  ++one.mappings;
  return CUDA_SUCCESS;
}

CUresult memory_books::check_whole_mappings(CUdeviceptr address, std::size_t bytes) const {
  const auto range = reservation_at(address);
  if (range == reservations_.end() || bytes > range->second.bytes - (address - range->first)) {
    return refuse(CUDA_ERROR_INVALID_VALUE, "[{:#x}, +{}) does not lie in one reservation", address, bytes);
  }
  if (bytes == 0) return refuse(CUDA_ERROR_INVALID_VALUE, "the size is 0");
  const CUdeviceptr end = address + bytes;
  for (CUdeviceptr at = address; at < end;) {
    const auto found = mappings_.find(at);
    if (found == mappings_.end()) {
      const bool inside = mapping_at(at) != mappings_.end();
      return refuse(CUDA_ERROR_INVALID_VALUE, "[{:#x}, +{}): {} at {:#x}", address, bytes,
                    inside ? "the range begins inside a mapping," : "nothing is mapped", at);
    }
    at += found->second.bytes;
    if (at > end) {
      return refuse(CUDA_ERROR_INVALID_VALUE, "[{:#x}, +{}) ends inside the mapping at {:#x}", address, bytes,
                    found->first);
    }
  }
  return CUDA_SUCCESS;
}

CUresult memory_books::unmap(CUdeviceptr address, std::size_t bytes) {
  const CUresult checked = check_whole_mappings(address, bytes);
  if (checked != CUDA_SUCCESS) return checked;
  for (auto next = mappings_.find(address); next != mappings_.end() && next->first < address + bytes;) {
    const auto one = next++;
    const CUmemGenericAllocationHandle handle = one->second.handle;
    chunk& shown = chunks_.at(handle);
    if (one->second.access != CU_MEM_ACCESS_FLAGS_PROT_NONE && devices_[index(shown.device)]->spec.backed)
      hide(pointer(one->first), one->second.bytes);
    mappings_.erase(one);
    --shown.mappings;
    drop_if_unused(handle);
  }
  return CUDA_SUCCESS;
}

CUresult memory_books::set_access(CUdeviceptr address, std::size_t bytes, const CUmemAccessDesc* descriptions,
                                  std::size_t count) {
  const CUresult checked = check_whole_mappings(address, bytes);
  if (checked != CUDA_SUCCESS) return checked;
  const auto first = mappings_.find(address);
  for (std::size_t i = 0; i < count; ++i) {
    const CUmemAccessDesc& one = descriptions[i];
    if (one.location.type != CU_MEM_LOCATION_TYPE_DEVICE) {
      return refuse(CUDA_ERROR_NOT_SUPPORTED, "access for location type {} is not modelled, only for devices",
                    static_cast<int>(one.location.type));
    }
    if (one.location.id < 0 || index(one.location.id) >= devices_.size()) {
      return refuse(CUDA_ERROR_INVALID_DEVICE, "there is no device {} among {}", one.location.id, devices_.size());
    }
    if (one.flags != CU_MEM_ACCESS_FLAGS_PROT_NONE && one.flags != CU_MEM_ACCESS_FLAGS_PROT_READ &&
        one.flags != CU_MEM_ACCESS_FLAGS_PROT_READWRITE) {
      return refuse(CUDA_ERROR_INVALID_VALUE, "{} is not an access flag", static_cast<int>(one.flags));
    }
    for (auto at = first; at != mappings_.end() && at->first < address + bytes; ++at) {
      const int home = chunks_.at(at->second.handle).device;
      if (home == one.location.id) continue;
      return refuse(CUDA_ERROR_INVALID_DEVICE,
                    "device {} cannot reach the memory of device {} at {:#x}: no peer access", one.location.id, home,
                    at->first);
    }
  }
  if (count == 0) return CUDA_SUCCESS;
  const CUmemAccess_flags flags = descriptions[count - 1].flags;
  for (auto at = first; at != mappings_.end() && at->first < address + bytes; ++at) {
    const chunk& shown = chunks_.at(at->second.handle);
    device_memory& memory = *devices_[index(shown.device)];
    if (memory.spec.backed && flags != at->second.access) {
      if (flags == CU_MEM_ACCESS_FLAGS_PROT_NONE) {
        hide(pointer(at->first), at->second.bytes);
      } else if (!memory.file.expose(pointer(at->first), at->second.bytes, shown.file_offset,
                                     flags == CU_MEM_ACCESS_FLAGS_PROT_READWRITE)) {
        return refuse(CUDA_ERROR_OUT_OF_MEMORY, "the host cannot map {} bytes more", at->second.bytes);
      }
    }
    at->second.access = flags;
  }
  return CUDA_SUCCESS;
}

CUresult memory_books::get_access(CUdeviceptr address, const CUmemLocation& location, unsigned long long& flags) {
  if (location.type != CU_MEM_LOCATION_TYPE_DEVICE) {
    return refuse(CUDA_ERROR_NOT_SUPPORTED, "access for location type {} is not modelled, only for devices",
                  static_cast<int>(location.type));
  }
  if (location.id < 0 || index(location.id) >= devices_.size()) {
    return refuse(CUDA_ERROR_INVALID_DEVICE, "there is no device {} among {}", location.id, devices_.size());
  }
  const auto found = mapping_at(address);
  if (found == mappings_.end()) return refuse(CUDA_ERROR_INVALID_VALUE, "nothing is mapped at {:#x}", address);
  const bool own = chunks_.at(found->second.handle).device == location.id;
  flags = own ? found->second.access : CU_MEM_ACCESS_FLAGS_PROT_NONE;
  return CUDA_SUCCESS;
}

std::uint64_t memory_books::units_at(CUdeviceptr address, std::size_t bytes) const {
  const auto found = mapping_at(address);
  if (found == mappings_.end()) return 0;
  return bytes / devices_[index(chunks_.at(found->second.handle).device)]->spec.granularity_bytes;
}

std::uint64_t memory_books::units_of(CUmemGenericAllocationHandle handle) const {
  const auto found = chunks_.find(handle);
  if (found == chunks_.end()) return 0;
  return found->second.bytes / devices_[index(found->second.device)]->spec.granularity_bytes;
}

}  // namespace softgpu
