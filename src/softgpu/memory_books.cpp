#include "softgpu/memory_books.hpp"

#include <algorithm>
#include <cstring>
#include <new>

#include "base/bits.hpp"
#include "softgpu/thread_state.hpp"

namespace softgpu {
namespace {

using terrazzo::detail::mib;
using terrazzo::detail::round_up;

constexpr std::size_t small_limit = mib;
constexpr std::size_t small_unit = 512;
constexpr std::size_t page_bytes = 2 * mib;
constexpr std::align_val_t host_alignment{4096};

void* pointer(CUdeviceptr address) { return reinterpret_cast<void*>(static_cast<std::uintptr_t>(address)); }
CUdeviceptr address_of(const void* pointer) { return reinterpret_cast<std::uintptr_t>(pointer); }

// The entry of a map of ranges that holds an address; end if none does.
template <typename Map>
auto range_at(const Map& ranges, CUdeviceptr address) {
  auto next = ranges.upper_bound(address);
  if (next == ranges.begin()) return ranges.end();
  const auto found = std::prev(next);
  return address - found->first < found->second.bytes ? found : ranges.end();
}

}  // namespace

memory_books::memory_books(const gpu_spec& spec)
    : address_limit_(spec.address_bytes), reservation_unit_(spec.devices.empty() ? page_bytes : ~std::uint64_t{0}) {
  for (const device_spec& one : spec.devices) {
    auto made = std::make_unique<device_memory>();
    made->spec = one;
    made->other = one.other_bytes;
    if (one.backed && !made->file.open()) throw std::bad_alloc();
    reservation_unit_ = std::min(reservation_unit_, one.granularity_bytes);
    devices_.push_back(std::move(made));
  }
}

memory_books::~memory_books() {
  for (std::size_t i = 0; i < devices_.size(); ++i) free_all_of(static_cast<int>(i));
  for (const auto& [address, one] : reservations_) release_addresses(pointer(address), one.bytes);
}

std::uint64_t memory_books::free_bytes(int device) const {
  const device_memory& memory = *devices_[index(device)];
  const std::uint64_t taken = memory.used + std::min(memory.other, memory.spec.memory_bytes);
  return memory.spec.memory_bytes - std::min(taken, memory.spec.memory_bytes);
}

CUresult memory_books::take_bytes(int device, std::size_t bytes) {
  const std::uint64_t free = free_bytes(device);
  if (bytes > free) {
    return refuse(CUDA_ERROR_OUT_OF_MEMORY, "{} bytes asked for, {} free of {} on device {}", bytes, free,
                  devices_[index(device)]->spec.memory_bytes, device);
  }
  devices_[index(device)]->used += bytes;
  return CUDA_SUCCESS;
}

CUresult memory_books::take_context_bytes(int device) {
  return take_bytes(device, devices_[index(device)]->spec.context_bytes);
}
void memory_books::return_context_bytes(int device) {
  devices_[index(device)]->used -= devices_[index(device)]->spec.context_bytes;
}

CUresult memory_books::allocate(int device, std::size_t bytes, CUdeviceptr& address) {
  if (bytes == 0) return refuse(CUDA_ERROR_INVALID_VALUE, "the size is 0");
  device_memory& memory = *devices_[index(device)];
  if (bytes > memory.spec.memory_bytes) {
    return refuse(CUDA_ERROR_OUT_OF_MEMORY, "{} bytes asked for on a device of {}", bytes, memory.spec.memory_bytes);
  }
  const bool small = bytes < small_limit;
  const std::size_t charged = round_up(bytes, small ? small_unit : page_bytes);
  const std::size_t address_bytes = round_up(charged, host_page_bytes());
  const CUresult taken = take_bytes(device, charged);
  if (taken != CUDA_SUCCESS) return taken;
  void* const at = reserve_addresses(address_bytes, small ? host_page_bytes() : page_bytes, nullptr);
  std::uint64_t offset = 0;
  bool usable = at != nullptr;
  if (usable && memory.spec.backed) {
    offset = memory.file.take(address_bytes);
    usable = memory.file.expose(at, address_bytes, offset, true);
    if (!usable) release_addresses(at, address_bytes);
  }
  if (!usable) {
    memory.used -= charged;
    return refuse(CUDA_ERROR_OUT_OF_MEMORY, "the host cannot map {} bytes more", address_bytes);
  }
  address = address_of(at);
  allocations_.emplace(address, allocation{device, bytes, charged, address_bytes, offset});
  return CUDA_SUCCESS;
}

void memory_books::free_allocation(std::map<CUdeviceptr, allocation>::iterator found) {
  const allocation& one = found->second;
  device_memory& memory = *devices_[index(one.device)];
  release_addresses(pointer(found->first), one.address_bytes);
  if (memory.spec.backed) memory.file.discard(one.file_offset, one.address_bytes);
  memory.used -= one.charged_bytes;
  allocations_.erase(found);
}

CUresult memory_books::free(CUdeviceptr address) {
  if (address == 0) return CUDA_SUCCESS;
  const auto found = allocations_.find(address);
  if (found == allocations_.end()) {
    return refuse(CUDA_ERROR_INVALID_VALUE, "{:#x} is not the begin of an allocation that is alive", address);
  }
  free_allocation(found);
  return CUDA_SUCCESS;
}

CUresult memory_books::allocate_host(int device, std::size_t bytes, void*& address) {
  if (bytes == 0) return refuse(CUDA_ERROR_INVALID_VALUE, "the size is 0");
  void* const made = ::operator new(bytes, host_alignment, std::nothrow);
  if (made == nullptr) return refuse(CUDA_ERROR_OUT_OF_MEMORY, "the host has no {} bytes", bytes);
  host_allocations_.emplace(address_of(made), host_allocation{bytes, device});
  address = made;
  return CUDA_SUCCESS;
}

CUresult memory_books::free_host(void* address) {
  if (host_allocations_.erase(address_of(address)) == 0) {
    return refuse(CUDA_ERROR_INVALID_VALUE, "{} was not allocated by cuMemAllocHost or cuMemHostAlloc", address);
  }
  ::operator delete(address, host_alignment);
  return CUDA_SUCCESS;
}

void memory_books::free_all_of(int device) {
  for (auto next = allocations_.begin(); next != allocations_.end();) {
    const auto one = next++;
    if (one->second.device == device) free_allocation(one);
  }
  for (auto next = host_allocations_.begin(); next != host_allocations_.end();) {
    const auto one = next++;
    if (one->second.device != device) continue;
    ::operator delete(pointer(one->first), host_alignment);
    host_allocations_.erase(one);
  }
}

std::map<CUdeviceptr, mapping>::const_iterator memory_books::mapping_at(CUdeviceptr address) const {
  return range_at(mappings_, address);
}
std::map<CUdeviceptr, allocation>::const_iterator memory_books::allocation_at(CUdeviceptr address) const {
  return range_at(allocations_, address);
}
std::map<CUdeviceptr, reservation>::const_iterator memory_books::reservation_at(CUdeviceptr address) const {
  return range_at(reservations_, address);
}

memory_books::reach memory_books::reach_of(CUdeviceptr address, std::size_t bytes, bool write) const {
  if (const auto found = allocation_at(address); found != allocations_.end()) {
    return bytes <= found->second.bytes - (address - found->first) ? reach::accessible : reach::unknown;
  }
  if (bytes > ~CUdeviceptr{0} - address) return reach::unknown;
  reach result = reach::accessible;
  for (const CUdeviceptr end = address + bytes; address < end;) {
    const auto found = mapping_at(address);
    if (found == mappings_.end()) return reach::unknown;
    const CUmemAccess_flags access = found->second.access;
    if (access == CU_MEM_ACCESS_FLAGS_PROT_NONE || (write && access == CU_MEM_ACCESS_FLAGS_PROT_READ))
      result = reach::no_access;
    address = found->first + found->second.bytes;
  }
  return result;
}

bool memory_books::is_device_address(CUdeviceptr address) const {
  return allocation_at(address) != allocations_.end() || reservation_at(address) != reservations_.end();
}

bool memory_books::is_pinned_host(const void* address) const {
  return range_at(host_allocations_, address_of(address)) != host_allocations_.end();
}

bool memory_books::find_owner(CUdeviceptr address, owner& result) const {
  if (const auto one = allocation_at(address); one != allocations_.end()) {
    result = {one->first, one->second.bytes, one->second.device, false, false};
  } else if (const auto shown = mapping_at(address); shown != mappings_.end()) {
    result = {shown->first, shown->second.bytes, chunks_.at(shown->second.handle).device, false, true};
  } else if (const auto host = range_at(host_allocations_, address); host != host_allocations_.end()) {
    result = {host->first, host->second.bytes, host->second.device, true, false};
  } else {
    return false;
  }
  return true;
}

bool memory_books::is_backed(CUdeviceptr address) const {
  owner found;
  return !find_owner(address, found) || found.on_host || devices_[index(found.device)]->spec.backed;
}

CUresult memory_books::copy(CUdeviceptr to, CUdeviceptr from, std::size_t bytes) {
  for (const bool write : {false, true}) {
    const CUdeviceptr address = write ? to : from;
    if (is_device_address(address) && reach_of(address, bytes, write) != reach::accessible) {
      return refuse(CUDA_ERROR_ILLEGAL_ADDRESS,
                    "{} {} bytes at {:#x}, which are not mapped with access when the copy runs",
                    write ? "writes" : "reads", bytes, address);
    }
  }
  if (bytes == 0 || !is_backed(to)) return CUDA_SUCCESS;
  if (is_backed(from)) std::memmove(pointer(to), pointer(from), bytes);
  else std::memset(pointer(to), 0, bytes);
  return CUDA_SUCCESS;
}

CUresult memory_books::fill(CUdeviceptr to, std::uint32_t value, std::size_t width, std::size_t count) {
  if (reach_of(to, width * count, true) != reach::accessible) {
    return refuse(CUDA_ERROR_ILLEGAL_ADDRESS, "fills {} bytes at {:#x}, which are not mapped with access when it runs",
                  width * count, to);
  }
  if (!is_backed(to)) return CUDA_SUCCESS;
  if (width == 1) std::memset(pointer(to), static_cast<int>(value & 0xff), count);
  if (width == 2) std::fill_n(static_cast<std::uint16_t*>(pointer(to)), count, static_cast<std::uint16_t>(value));
  if (width == 4) std::fill_n(static_cast<std::uint32_t*>(pointer(to)), count, value);
  return CUDA_SUCCESS;
}

memory_books::totals memory_books::count(int device) const {
  totals all;
  for (const auto& [handle, one] : chunks_) {
    if (device >= 0 && one.device != device) continue;
    ++all.chunks;
    all.chunk_bytes += one.bytes;
    all.mappings += one.mappings;
  }
  for (const auto& [address, one] : allocations_) {
    if (device >= 0 && one.device != device) continue;
    ++all.allocations;
    all.allocated_bytes += one.bytes;
  }
  for (const auto& [address, one] : host_allocations_) {
    if (device < 0 || one.device == device) ++all.host_allocations;
  }
  all.reservations = reservations_.size();
  all.reserved_address_bytes = reserved_address_bytes_;
  return all;
}

}  // namespace softgpu
