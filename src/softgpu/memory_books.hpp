// All memory of the software GPU: what each device holds, and what lies at which address.
//
//   allocation    one cuMemAlloc: bytes of its own at an address of its own. Its pages come from anywhere on
//                 the device, as on a real card, so only lack of bytes fails it. Below 1 MiB it counts as its size in 512 bytes,
//                 from there on in 2 MiB (a real driver packs the small ones into shared 2 MiB pages, which also count
//                 as used while one of them is alive: not modelled)
//   chunk         one cuMemCreate; it lives while its handle is held or a mapping shows it
//   reservation   addresses without memory, process-wide, belonging to no device
//   mapping       one whole chunk at an address of one reservation; touching it faults until access is set
//
// Invariants, for each device:
//   used = context_bytes (while the primary context lives) + sum of chunk bytes + sum of allocations' charged bytes
//   free = max(0, memory - used - other)
//   a chunk is in the books <=> references + mappings > 0
//   mappings lie in reservations and do not overlap
// New memory holds what the host gives, zeros; a real card gives no such promise, and nothing here relies on it.
// Threads: not locked here; the caller holds the lock of the books (gpu.hpp).
#pragma once

#include <cuda.h>

#include <cstddef>
#include <cstdint>
#include <map>
#include <memory>
#include <vector>

#include "softgpu/host_memory.hpp"
#include "softgpu/spec.hpp"

namespace softgpu {

struct chunk {
  int device;
  std::size_t bytes;
  CUmemAllocationProp properties;
  std::uint64_t file_offset;
  std::uint64_t references = 1;  // of the handle; 0: the handle is not valid any more
  std::uint64_t mappings = 0;
};

struct mapping {
  std::size_t bytes;
  CUmemGenericAllocationHandle handle;
  CUmemAccess_flags access = CU_MEM_ACCESS_FLAGS_PROT_NONE;  // of the chunk's own device
};

struct reservation {
  std::size_t bytes;
};

struct allocation {
  int device;
  std::size_t bytes;          // as asked for
  std::size_t charged_bytes;  // as counted
  std::size_t address_bytes;
  std::uint64_t file_offset;
};

struct host_allocation {
  std::size_t bytes;
  int device;  // whose context made it
};

class memory_books {
 public:
  explicit memory_books(const gpu_spec& spec);
  ~memory_books();
  memory_books(const memory_books&) = delete;
  memory_books& operator=(const memory_books&) = delete;

  [[nodiscard]] std::uint64_t used_bytes(int device) const { return devices_[index(device)]->used; }
  [[nodiscard]] std::uint64_t free_bytes(int device) const;
  void set_other_bytes(int device, std::uint64_t bytes) { devices_[index(device)]->other = bytes; }

  /// Counts a context's own memory; OUT_OF_MEMORY if there is no room for it.
  CUresult take_context_bytes(int device);
  void return_context_bytes(int device);

  // Allocations.
  CUresult allocate(int device, std::size_t bytes, CUdeviceptr& address);
  CUresult free(CUdeviceptr address);
  CUresult allocate_host(int device, std::size_t bytes, void*& address);
  CUresult free_host(void* address);
  /// Frees what a context leaves behind.
  void free_all_of(int device);

  // Virtual memory management: virtual_memory.cpp.
  CUresult reserve(std::size_t bytes, std::size_t alignment, CUdeviceptr hint, CUdeviceptr& address);
  CUresult free_reservation(CUdeviceptr address, std::size_t bytes);
  CUresult create(std::size_t bytes, const CUmemAllocationProp& properties, CUmemGenericAllocationHandle& handle);
  CUresult release(CUmemGenericAllocationHandle handle);
  CUresult retain_at(CUdeviceptr address, CUmemGenericAllocationHandle& handle);
  CUresult properties_of(CUmemGenericAllocationHandle handle, CUmemAllocationProp& properties);
  CUresult map(CUdeviceptr address, std::size_t bytes, CUmemGenericAllocationHandle handle);
  CUresult unmap(CUdeviceptr address, std::size_t bytes);
  CUresult set_access(CUdeviceptr address, std::size_t bytes, const CUmemAccessDesc* descriptions, std::size_t count);
  CUresult get_access(CUdeviceptr address, const CUmemLocation& location, unsigned long long& flags);
  /// Checks what cuMemCreate and cuMemGetAllocationGranularity both check.
  CUresult check_properties(const CUmemAllocationProp& properties);
  [[nodiscard]] bool has_virtual_memory() const;
  /// How many units of the granularity a range of bytes has, for the price of a call.
  [[nodiscard]] std::uint64_t units_at(CUdeviceptr address, std::size_t bytes) const;
  [[nodiscard]] std::uint64_t units_of(CUmemGenericAllocationHandle handle) const;

  // Addresses.
  enum class reach { unknown, no_access, accessible };
  /// Tells whether a device may touch a whole range.
  [[nodiscard]] reach reach_of(CUdeviceptr address, std::size_t bytes, bool write) const;
  [[nodiscard]] bool is_device_address(CUdeviceptr address) const;
  [[nodiscard]] bool is_pinned_host(const void* address) const;
  /// Tells whether the bytes at an address are real; what is no device's memory counts as real.
  [[nodiscard]] bool is_backed(CUdeviceptr address) const;
  struct owner {
    CUdeviceptr begin = 0;
    std::size_t bytes = 0;
    int device = 0;
    bool on_host = false;
    bool mapped = false;  // by virtual memory management
  };
  /// Finds the allocation, mapping or pinned host memory that holds an address.
  [[nodiscard]] bool find_owner(CUdeviceptr address, owner& result) const;

  /// Does a device's copy or fill, in the host memory behind it. Where a device has books only, reading it gives zeros
  /// and writing it does nothing. ILLEGAL_ADDRESS if a device range is not accessible (any more).
  CUresult copy(CUdeviceptr to, CUdeviceptr from, std::size_t bytes);
  CUresult fill(CUdeviceptr to, std::uint32_t value, std::size_t width, std::size_t count);

  struct totals {
    std::uint64_t chunks = 0;
    std::uint64_t chunk_bytes = 0;
    std::uint64_t mappings = 0;
    std::uint64_t allocations = 0;
    std::uint64_t allocated_bytes = 0;
    std::uint64_t host_allocations = 0;
    std::uint64_t reservations = 0;
    std::uint64_t reserved_address_bytes = 0;
  };
  /// Counts what belongs to a device, or to all (-1). Reservations belong to none and are counted either way.
  [[nodiscard]] totals count(int device) const;

 private:
  struct device_memory {
    device_spec spec;
    memory_file file;
    std::uint64_t used = 0;
    std::uint64_t other = 0;
  };
  [[nodiscard]] static std::size_t index(int device) { return static_cast<std::size_t>(device); }
  CUresult take_bytes(int device, std::size_t bytes);
  void drop_if_unused(CUmemGenericAllocationHandle handle);
  void free_allocation(std::map<CUdeviceptr, allocation>::iterator found);
  [[nodiscard]] std::map<CUdeviceptr, mapping>::const_iterator mapping_at(CUdeviceptr address) const;
  [[nodiscard]] std::map<CUdeviceptr, allocation>::const_iterator allocation_at(CUdeviceptr address) const;
  [[nodiscard]] std::map<CUdeviceptr, reservation>::const_iterator reservation_at(CUdeviceptr address) const;
  CUresult check_whole_mappings(CUdeviceptr address, std::size_t bytes) const;

  std::vector<std::unique_ptr<device_memory>> devices_;
  std::uint64_t address_limit_;
  std::uint64_t reserved_address_bytes_ = 0;
  std::uint64_t reservation_unit_;
  CUmemGenericAllocationHandle next_handle_ = 0xa0000000;
  std::map<CUmemGenericAllocationHandle, chunk> chunks_;
  std::map<CUdeviceptr, reservation> reservations_;
  std::map<CUdeviceptr, mapping> mappings_;
  std::map<CUdeviceptr, allocation> allocations_;
  std::map<CUdeviceptr, host_allocation> host_allocations_;
};

}  // namespace softgpu
