// What the driver contract's cases begin with: a current context, and a reservation with chunks mapped in it. Included
// by driver_contract.hpp alone, under its requirements.
#include <doctest/doctest.h>

#include <cstddef>
#include <utility>
#include <vector>

#include "softgpu/driver_table.hpp"

namespace {
namespace contract {

using terrazzo::test::driver_table;

// Device 0's primary context, current for a scope.
struct session {
  session() {
    REQUIRE(cuda.cuDevicePrimaryCtxRetain(&context, 0) == CUDA_SUCCESS);
    REQUIRE(cuda.cuCtxPushCurrent_v2(context) == CUDA_SUCCESS);
  }
  ~session() {
    CUcontext popped = nullptr;
    CHECK(cuda.cuCtxPopCurrent_v2(&popped) == CUDA_SUCCESS);
    CHECK(popped == context);
    CHECK(cuda.cuDevicePrimaryCtxRelease_v2(0) == CUDA_SUCCESS);
  }
  session(const session&) = delete;
  session& operator=(const session&) = delete;
  const driver_table& cuda = contract_driver();
  CUcontext context = nullptr;
};

CUmemAllocationProp device_memory() {
  CUmemAllocationProp properties{};
  properties.type = CU_MEM_ALLOCATION_TYPE_PINNED;
  properties.location.type = CU_MEM_LOCATION_TYPE_DEVICE;
  properties.location.id = 0;
  return properties;
}

// A reservation of `units` chunk sizes, and chunks mapped at some of them.
struct range : session {
  explicit range(std::size_t units_in) : units(units_in) {
    const CUmemAllocationProp properties = device_memory();
    REQUIRE(cuda.cuMemGetAllocationGranularity(&unit, &properties, CU_MEM_ALLOC_GRANULARITY_MINIMUM) == CUDA_SUCCESS);
    REQUIRE(cuda.cuMemAddressReserve(&begin, units * unit, 0, 0, 0) == CUDA_SUCCESS);
  }
  ~range() {
    for (const auto& [address, bytes] : mapped) CHECK(cuda.cuMemUnmap(address, bytes) == CUDA_SUCCESS);
    for (const CUmemGenericAllocationHandle handle : handles) CHECK(cuda.cuMemRelease(handle) == CUDA_SUCCESS);
    CHECK(cuda.cuMemAddressFree(begin, units * unit) == CUDA_SUCCESS);
  }
  [[nodiscard]] CUdeviceptr at(std::size_t position) const { return begin + position * unit; }
  CUmemGenericAllocationHandle create(std::size_t count = 1) {
    const CUmemAllocationProp properties = device_memory();
    CUmemGenericAllocationHandle handle = 0;
    REQUIRE(cuda.cuMemCreate(&handle, count * unit, &properties, 0) == CUDA_SUCCESS);
    handles.push_back(handle);
    return handle;
  }
  void map(std::size_t position, CUmemGenericAllocationHandle handle, std::size_t count = 1) {
    REQUIRE(cuda.cuMemMap(at(position), count * unit, 0, handle, 0) == CUDA_SUCCESS);
    mapped.emplace_back(at(position), count * unit);
  }
  void open(std::size_t position, std::size_t count = 1) {
    CUmemAccessDesc access{};
    access.location = device_memory().location;
    access.flags = CU_MEM_ACCESS_FLAGS_PROT_READWRITE;
    REQUIRE(cuda.cuMemSetAccess(at(position), count * unit, &access, 1) == CUDA_SUCCESS);
  }
  std::size_t units;
  std::size_t unit = 0;
  CUdeviceptr begin = 0;
  std::vector<std::pair<CUdeviceptr, std::size_t>> mapped;
  std::vector<CUmemGenericAllocationHandle> handles;
};

}  // namespace contract
}  // namespace
