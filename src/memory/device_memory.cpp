#include "memory/device_memory.hpp"

#include <algorithm>

#include "base/bits.hpp"
#include "base/failure.hpp"

namespace terrazzo::detail {

status device_memory::open(const primary_context& context) {
  context_ = context;
  const context_scope scope(context_);
  if (scope.result() != status::ok) return scope.result();
  const driver& cuda = api();
  const CUresult code = cuda.call(cuda.functions().cuDeviceTotalMem_v2, &total_bytes_, context_.device_handle());
  if (code != CUDA_SUCCESS) return context_.fail_call("cuDeviceTotalMem", code, "asking the device for its memory");
  limit_bytes_ = total_bytes_;

  if (!cuda.has_virtual_memory()) {
    virtual_memory_reason_ = "the driver has no virtual memory management (cuMemCreate and its kin, from 10.2 on)";
  } else if (try_virtual_memory() == status::ok) {
    virtual_memory_ = true;
  } else {
    virtual_memory_reason_ = last_error_message();
  }
  held_peak_ = 0;
  return status::ok;
}

status device_memory::try_virtual_memory() noexcept {
  const driver& cuda = api();
  const CUmemAllocationProp properties = chunk_properties();
  std::size_t granularity = 0;
  const CUresult code = cuda.call(cuda.functions().cuMemGetAllocationGranularity, &granularity, &properties,
                                  CU_MEM_ALLOC_GRANULARITY_MINIMUM);
  if (code != CUDA_SUCCESS)
    return context_.fail_call("cuMemGetAllocationGranularity", code, "asking how large a chunk must be");
  if (granularity == 0 || !std::has_single_bit(granularity))
    return fail(status::not_supported, "the driver's granularity of {} bytes is no power of two", granularity);
  granularity_bytes_ = granularity;
  chunk_bytes_ = std::max(granularity, 2 * mib);
  if (chunk_bytes_ > total_bytes_)
    return fail(status::not_supported, "one chunk of {} bytes is more than the device's {}", chunk_bytes_,
                total_bytes_);

  std::vector<chunk_handle> chunks;
  try {
    chunks.reserve(1);
  } catch (const std::bad_alloc&) {
    return fail(status::out_of_host_memory, "no host memory to try virtual memory management");
  }
  std::uintptr_t address = 0;
  status result = reserve(2 * chunk_bytes_, address);
  if (result != status::ok) return result;
  result = create_chunks(1, chunks);
  if (result == status::ok) {
    result = map(address, chunks.data(), 1);
    if (result == status::ok) {
      aliases_ = map(address + chunk_bytes_, chunks.data(), 1) == status::ok;
      if (aliases_) aliases_ = unmap(address + chunk_bytes_, chunk_bytes_) == status::ok;
      result = unmap(address, chunk_bytes_);
    }
    release_chunk(chunks[0]);
  } else if (result == status::out_of_memory) {
    result = status::ok;  // no room for one chunk now says nothing against virtual memory management
    aliases_ = true;
  }
  unreserve(address, 2 * chunk_bytes_);
  return result;
}

CUmemAllocationProp device_memory::chunk_properties() const noexcept {
  CUmemAllocationProp properties{};
  properties.type = CU_MEM_ALLOCATION_TYPE_PINNED;
  properties.location.type = CU_MEM_LOCATION_TYPE_DEVICE;
  properties.location.id = context_.device();
  // No flag and no handle type that was not asked for: gpuDirectRDMACapable breaks set-access under WSL2, file
  // descriptors slowed 525 drivers (facts told by pytorch #192330 and PR #130890).
  return properties;
}

status device_memory::query_free_bytes(std::size_t& bytes) const noexcept {
  std::size_t total = 0;
  const CUresult code = api().call(api().functions().cuMemGetInfo_v2, &bytes, &total);
  if (code != CUDA_SUCCESS) return context_.fail_call("cuMemGetInfo", code, "asking for the device's free memory");
  return status::ok;
}

status device_memory::wait_for_device() const noexcept {
  if (const status lost = context_.refuse_if_lost(); lost != status::ok) return lost;
  const CUresult code = api().call(api().functions().cuCtxSynchronize);
  if (code != CUDA_SUCCESS) return context_.fail_call("cuCtxSynchronize", code, "waiting for the device's work");
  return status::ok;
}

status device_memory::admit(std::size_t count, std::size_t piece_bytes, std::size_t& admitted) noexcept {
  const std::size_t limit = limit_bytes();
  std::size_t held = held_bytes();
  do admitted = std::min(count, (limit - std::min(limit, held)) / piece_bytes);
  while (!held_bytes_.compare_exchange_weak(held, held + admitted * piece_bytes, std::memory_order_relaxed));
  status result = status::ok;
  if (admitted < count)
    result = fail(status::out_of_memory, "{} bytes more would exceed the limit of {} bytes: {} are held",
                  count * piece_bytes, limit, held);

  const std::size_t headroom = headroom_bytes();
  if (headroom == 0 || admitted == 0) return result;
  std::size_t free = 0;
  const status asked = query_free_bytes(free);
  const std::size_t room = asked == status::ok ? (free - std::min(free, headroom)) / piece_bytes : 0;
  if (room >= admitted) return result;
  dismiss((admitted - room) * piece_bytes);
  admitted = room;
  if (asked != status::ok) return asked;
  return fail(status::out_of_memory, "{} bytes more would leave less than the headroom of {} bytes: {} are free",
              count * piece_bytes, headroom, free);
}

namespace {
void raise_to(std::atomic<std::size_t>& peak, std::size_t value) noexcept {
  std::size_t known = peak.load(std::memory_order_relaxed);
  while (known < value && !peak.compare_exchange_weak(known, value, std::memory_order_relaxed)) {
  }
}
}  // namespace

status device_memory::allocate_plain(std::size_t bytes, std::uintptr_t& address) noexcept {
  std::size_t admitted = 0;
  const status allowed = admit(1, bytes, admitted);
  if (allowed != status::ok) return allowed;
  CUdeviceptr made = 0;
  const CUresult code = api().call(api().functions().cuMemAlloc_v2, &made, bytes);
  if (code != CUDA_SUCCESS) {
    dismiss(bytes);
    return context_.fail_call("cuMemAlloc", code, "taking a segment");
  }
  raise_to(held_peak_, held_bytes());
  address = static_cast<std::uintptr_t>(made);
  return status::ok;
}

status device_memory::free_plain(std::uintptr_t address, std::size_t bytes) noexcept {
  if (const status lost = context_.refuse_if_lost(); lost != status::ok) return lost;
  const CUresult code = api().call_twice(api().functions().cuMemFree_v2, static_cast<CUdeviceptr>(address));
  if (code != CUDA_SUCCESS) return context_.fail_call("cuMemFree", code, "giving a segment back");
  dismiss(bytes);
  return status::ok;
}

status device_memory::create_chunks(std::size_t count, std::vector<chunk_handle>& chunks) noexcept {
  std::size_t admitted = 0;
  const status allowed = admit(count, chunk_bytes_, admitted);
  const CUmemAllocationProp properties = chunk_properties();
  for (std::size_t made = 0; made < admitted; ++made) {
    chunk_handle chunk = 0;
    const CUresult code = api().call(api().functions().cuMemCreate, &chunk, chunk_bytes_, &properties, 0ull);
    if (code != CUDA_SUCCESS) {
      dismiss((admitted - made) * chunk_bytes_);
      return context_.fail_call("cuMemCreate", code, "making a chunk");
    }
    chunks.push_back(chunk);
    raise_to(held_peak_, held_bytes() - (admitted - made - 1) * chunk_bytes_);
  }
  return allowed;
}

status device_memory::release_chunk(chunk_handle chunk) noexcept {
  if (const status lost = context_.refuse_if_lost(); lost != status::ok) return lost;
  const CUresult code = api().call_twice(api().functions().cuMemRelease, chunk);
  if (code != CUDA_SUCCESS) return context_.fail_call("cuMemRelease", code, "giving a chunk back");
  dismiss(chunk_bytes_);
  return status::ok;
}

status device_memory::reserve(std::size_t bytes, std::uintptr_t& address) noexcept {
  CUdeviceptr made = 0;
  const CUresult code =
      api().call(api().functions().cuMemAddressReserve, &made, bytes, chunk_bytes_, CUdeviceptr{0}, 0ull);
  if (code != CUDA_SUCCESS) return context_.fail_call("cuMemAddressReserve", code, "reserving addresses");
  address = static_cast<std::uintptr_t>(made);
  return status::ok;
}

status device_memory::unreserve(std::uintptr_t address, std::size_t bytes) noexcept {
  if (const status lost = context_.refuse_if_lost(); lost != status::ok) return lost;
  const CUresult code = api().call_twice(api().functions().cuMemAddressFree, static_cast<CUdeviceptr>(address), bytes);
  if (code != CUDA_SUCCESS) return context_.fail_call("cuMemAddressFree", code, "giving reserved addresses back");
  return status::ok;
}

status device_memory::map(std::uintptr_t address, const chunk_handle* chunks, std::size_t count) noexcept {
  const driver_functions& cuda = api().functions();
  const CUdeviceptr begin = static_cast<CUdeviceptr>(address);
  for (std::size_t i = 0; i < count; ++i) {
    const CUresult code =
        api().call(cuda.cuMemMap, begin + i * chunk_bytes_, chunk_bytes_, std::size_t{0}, chunks[i], 0ull);
    if (code == CUDA_SUCCESS) continue;
    if (i != 0) api().call_twice(cuda.cuMemUnmap, begin, i * chunk_bytes_);
    return context_.fail_call("cuMemMap", code, "mapping a chunk");
  }
  CUmemAccessDesc access{};
  access.location.type = CU_MEM_LOCATION_TYPE_DEVICE;
  access.location.id = context_.device();
  access.flags = CU_MEM_ACCESS_FLAGS_PROT_READWRITE;
  const CUresult code = api().call(cuda.cuMemSetAccess, begin, count * chunk_bytes_,
                                   static_cast<const CUmemAccessDesc*>(&access), std::size_t{1});
  if (code != CUDA_SUCCESS) {
    api().call_twice(cuda.cuMemUnmap, begin, count * chunk_bytes_);
    return context_.fail_call("cuMemSetAccess", code, "opening mapped chunks");
  }
  return status::ok;
}

status device_memory::unmap(std::uintptr_t address, std::size_t bytes) noexcept {
  if (const status lost = context_.refuse_if_lost(); lost != status::ok) return lost;
  const CUresult code = api().call_twice(api().functions().cuMemUnmap, static_cast<CUdeviceptr>(address), bytes);
  if (code != CUDA_SUCCESS) return context_.fail_call("cuMemUnmap", code, "unmapping chunks");
  return status::ok;
}

}  // namespace terrazzo::detail
