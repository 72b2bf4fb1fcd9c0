// Steering: counts, failures made to happen, prices, other processes' memory, messages. What only software can do.
#include <cstdint>
#include <string>

#include "softgpu/host_can_read.hpp"
#include "support/softgpu.hpp"

using terrazzo::test::current_context;
using terrazzo::test::host_can_read;
using terrazzo::test::softgpu_session;

namespace {

constexpr std::size_t unit = std::size_t{2} << 20;

std::string message() { return terrazzo_softgpu_message(); }

bool says(const char* part) { return message().find(part) != std::string::npos; }

CUmemAllocationProp device_memory(int device = 0) {
  CUmemAllocationProp properties{};
  properties.type = CU_MEM_ALLOCATION_TYPE_PINNED;
  properties.location.type = CU_MEM_LOCATION_TYPE_DEVICE;
  properties.location.id = device;
  return properties;
}

CUmemAccessDesc access_of(int device, CUmemAccess_flags flags) {
  CUmemAccessDesc access{};
  access.location = device_memory(device).location;
  access.flags = flags;
  return access;
}

}  // namespace

TEST_CASE("softgpu control: calls are counted under either name") {
  const softgpu_session session("");
  const current_context current(session);
  CUdeviceptr address = 0;
  terrazzo_softgpu_reset_counts();
  CHECK(session.cuda().cuMemAlloc_v2(&address, 512) == CUDA_SUCCESS);
  CHECK(session.cuda().cuMemFree_v2(address) == CUDA_SUCCESS);
  CHECK(session.calls("cuMemAlloc") == 1);
  CHECK(session.calls("cuMemAlloc_v2") == 1);
  CHECK(session.calls("cuMemFree") == 1);
  CHECK(session.calls("cuMemCreate") == 0);
  CHECK(session.calls() == 2);
}

TEST_CASE("softgpu control: a call fails at the k-th use and has no effect") {
  softgpu_session session("");
  const current_context current(session);
  CUdeviceptr address = 0;
  CHECK(terrazzo_softgpu_fail("cuMemAlloc", 2, CUDA_ERROR_OUT_OF_MEMORY, 2) == 0);
  const CUresult expected[] = {CUDA_SUCCESS, CUDA_ERROR_OUT_OF_MEMORY, CUDA_ERROR_OUT_OF_MEMORY, CUDA_SUCCESS};
  for (const CUresult result : expected) {
    address = 0;
    CHECK(session.cuda().cuMemAlloc_v2(&address, 512) == result);
    CHECK((address != 0) == (result == CUDA_SUCCESS));
    if (result != CUDA_SUCCESS) CHECK(says("made to fail"));
    if (address != 0) CHECK(session.cuda().cuMemFree_v2(address) == CUDA_SUCCESS);
  }
  CHECK(terrazzo_softgpu_failures() == 2);
  CHECK(terrazzo_softgpu_fail("cuMemFree", 1, CUDA_ERROR_UNKNOWN, UINT64_MAX) == 0);
  for (int i = 0; i < 3; ++i) CHECK(session.cuda().cuMemFree_v2(0) == CUDA_ERROR_UNKNOWN);
  CHECK(terrazzo_softgpu_fail("cuMemFree", 0, 0, 0) == 0);
  CHECK(session.cuda().cuMemFree_v2(0) == CUDA_SUCCESS);
  CHECK(terrazzo_softgpu_fail("cuMemFree", 1, 0, 1) == 1);
}

TEST_CASE("softgpu control: any call can be the one that fails but for questions about names") {
  softgpu_session session("");
  const current_context current(session);
  session.fail(nullptr, 2, CUDA_ERROR_UNKNOWN);
  const char* name = nullptr;
  CHECK(session.cuda().cuGetErrorName(CUDA_SUCCESS, &name) == CUDA_SUCCESS);
  CHECK(session.cuda().cuGetErrorName(CUDA_SUCCESS, &name) == CUDA_SUCCESS);
  std::size_t bytes = 0;
  CHECK(session.cuda().cuMemGetInfo_v2(&bytes, &bytes) == CUDA_SUCCESS);
  CHECK(session.cuda().cuCtxSynchronize() == CUDA_ERROR_UNKNOWN);
  CHECK(session.cuda().cuCtxSynchronize() == CUDA_SUCCESS);
}

TEST_CASE("softgpu control: other processes take memory and give it back") {
  softgpu_session session("memory=64MiB;other=16MiB;context=8MiB");
  const current_context current(session);
  std::size_t free = 0;
  std::size_t total = 0;
  const auto free_now = [&] {
    CHECK(session.cuda().cuMemGetInfo_v2(&free, &total) == CUDA_SUCCESS);
    CHECK(total == std::size_t{64} << 20);
    return free;
  };
  CHECK(free_now() == std::size_t{40} << 20);
  CHECK(terrazzo_softgpu_set_other_memory(0, std::uint64_t{1} << 40) == 0);
  CHECK(free_now() == 0);
  CUdeviceptr address = 0;
  CHECK(session.cuda().cuMemAlloc_v2(&address, 512) == CUDA_ERROR_OUT_OF_MEMORY);
  CHECK(says("512 bytes asked for, 0 free of 67108864"));
  CHECK(terrazzo_softgpu_set_other_memory(0, 0) == 0);
  CHECK(free_now() == std::size_t{56} << 20);
  CHECK(terrazzo_softgpu_set_other_memory(1, 0) == 1);
  CHECK(says("there is no device 1 among 1"));
}

TEST_CASE("softgpu control: calls have a price of a + b x chunks") {
  softgpu_session session("");
  const auto properties = device_memory();
  const double before = terrazzo_softgpu_priced_ns();
  CUmemGenericAllocationHandle handle = 0;
  REQUIRE(session.cuda().cuMemCreate(&handle, 3 * unit, &properties, 0) == CUDA_SUCCESS);
  CHECK(terrazzo_softgpu_priced_ns() - before == doctest::Approx(3 * 193'000));
  CHECK(terrazzo_softgpu_set_price("cuMemRelease", 5, 7) == 0);
  const double between = terrazzo_softgpu_priced_ns();
  CHECK(session.cuda().cuMemRelease(handle) == CUDA_SUCCESS);
  CHECK(terrazzo_softgpu_priced_ns() - between == doctest::Approx(5 + 3 * 7));
  CHECK(terrazzo_softgpu_set_price("cuMemRelease", -1, 0) == 1);
}

TEST_CASE("softgpu control: unknown words and a bad spec are told") {
  softgpu_session session("");
  CHECK(session.count("chunkz") == UINT64_MAX);
  CHECK(says("'chunkz'"));
  CHECK(session.count("chunks", 3) == UINT64_MAX);
  CHECK(terrazzo_softgpu_configure("memory=lots") == 1);
  CHECK(says("memory=lots is not understood"));
  CHECK(session.count("contexts") == 1);  // nothing was taken down
}

TEST_CASE("softgpu control: what is not modelled is refused by name") {
  softgpu_session session("devices=2");
  const current_context current(session);
  const auto& cuda = session.cuda();
  CUmemGenericAllocationHandle handle = 0;
  CUmemAllocationProp properties = device_memory();
  properties.location.type = CU_MEM_LOCATION_TYPE_HOST_NUMA;
  CHECK(cuda.cuMemCreate(&handle, unit, &properties, 0) == CUDA_ERROR_NOT_SUPPORTED);
  CHECK(says("cuMemCreate: memory at location type 3 is not modelled"));
  properties = device_memory();
  properties.requestedHandleTypes = CU_MEM_HANDLE_TYPE_POSIX_FILE_DESCRIPTOR;
  CHECK(cuda.cuMemCreate(&handle, unit, &properties, 0) == CUDA_ERROR_NOT_SUPPORTED);
  properties = device_memory();
  properties.allocFlags.gpuDirectRDMACapable = 1;
  CHECK(cuda.cuMemCreate(&handle, unit, &properties, 0) == CUDA_ERROR_NOT_SUPPORTED);

  properties = device_memory();
  CUdeviceptr range = 0;
  REQUIRE(cuda.cuMemCreate(&handle, 2 * unit, &properties, 0) == CUDA_SUCCESS);
  REQUIRE(cuda.cuMemAddressReserve(&range, 2 * unit, 0, 0, 0) == CUDA_SUCCESS);
  CHECK(cuda.cuMemMap(range, unit, 0, handle, 0) == CUDA_ERROR_NOT_SUPPORTED);
  CHECK(says("map it whole"));
  CHECK(cuda.cuMemMap(range, 2 * unit, 0, handle, 0) == CUDA_SUCCESS);
  const CUmemAccessDesc peer = access_of(1, CU_MEM_ACCESS_FLAGS_PROT_READWRITE);
  CHECK(cuda.cuMemSetAccess(range, 2 * unit, &peer, 1) == CUDA_ERROR_INVALID_DEVICE);
  CHECK(says("no peer access"));
  CHECK(cuda.cuMemAddressFree(range, 2 * unit) == CUDA_ERROR_INVALID_VALUE);
  CHECK(says("still has a mapping"));
  CHECK(cuda.cuMemUnmap(range, 2 * unit) == CUDA_SUCCESS);
  CHECK(cuda.cuMemRelease(handle) == CUDA_SUCCESS);
  CHECK(cuda.cuMemRelease(handle) == CUDA_ERROR_INVALID_VALUE);
  CHECK(says("released already"));
  CHECK(cuda.cuMemMap(range, 2 * unit, 0, handle, 0) == CUDA_ERROR_INVALID_VALUE);
  CHECK(cuda.cuMemAddressFree(range, 2 * unit) == CUDA_SUCCESS);
}

TEST_CASE("softgpu memory: addresses fault until access is set and after it is taken") {
  softgpu_session session("memory=64MiB");
  const auto& cuda = session.cuda();
  const auto properties = device_memory();
  const auto readable = access_of(0, CU_MEM_ACCESS_FLAGS_PROT_READ);
  const auto none = access_of(0, CU_MEM_ACCESS_FLAGS_PROT_NONE);
  CUdeviceptr range = 0;
  CUmemGenericAllocationHandle handle = 0;
  REQUIRE(cuda.cuMemAddressReserve(&range, 2 * unit, 0, 0, 0) == CUDA_SUCCESS);
  REQUIRE(cuda.cuMemCreate(&handle, unit, &properties, 0) == CUDA_SUCCESS);
  CHECK_FALSE(host_can_read(range));
  CHECK(cuda.cuMemMap(range, unit, 0, handle, 0) == CUDA_SUCCESS);
  CHECK_FALSE(host_can_read(range));
  CHECK(cuda.cuMemSetAccess(range, unit, &readable, 1) == CUDA_SUCCESS);
  CHECK(host_can_read(range + unit - 1));
  CHECK_FALSE(host_can_read(range + unit));
  CHECK(cuda.cuMemSetAccess(range, unit, &none, 1) == CUDA_SUCCESS);
  CHECK_FALSE(host_can_read(range));
  CHECK(cuda.cuMemSetAccess(range, unit, &readable, 1) == CUDA_SUCCESS);
  CHECK(cuda.cuMemUnmap(range, unit) == CUDA_SUCCESS);
  CHECK_FALSE(host_can_read(range));
  CHECK(cuda.cuMemRelease(handle) == CUDA_SUCCESS);
  CHECK(cuda.cuMemAddressFree(range, 2 * unit) == CUDA_SUCCESS);
}

TEST_CASE("softgpu memory: books alone hold a large card and cost nothing") {
  softgpu_session session("memory=4TiB;backed=0");
  const current_context current(session);
  const auto& cuda = session.cuda();
  const auto properties = device_memory();
  const auto access = access_of(0, CU_MEM_ACCESS_FLAGS_PROT_READWRITE);
  constexpr std::size_t bytes = std::size_t{1} << 39;  // twice; ThreadSanitizer leaves little more
  CUdeviceptr range = 0;
  CUdeviceptr allocated = 0;
  CUmemGenericAllocationHandle handle = 0;
  REQUIRE(cuda.cuMemAddressReserve(&range, bytes, 0, 0, 0) == CUDA_SUCCESS);
  REQUIRE(cuda.cuMemCreate(&handle, bytes, &properties, 0) == CUDA_SUCCESS);
  CHECK(cuda.cuMemMap(range, bytes, 0, handle, 0) == CUDA_SUCCESS);
  CHECK(cuda.cuMemSetAccess(range, bytes, &access, 1) == CUDA_SUCCESS);
  CHECK(cuda.cuMemAlloc_v2(&allocated, bytes) == CUDA_SUCCESS);
  CHECK_FALSE(host_can_read(range));
  CHECK_FALSE(host_can_read(allocated));
  CHECK(terrazzo_softgpu_reach(allocated, bytes, 1) == 2);
  CHECK(terrazzo_softgpu_reach(allocated, bytes + 1, 1) == 0);
  CHECK(cuda.cuMemFree_v2(allocated) == CUDA_SUCCESS);
  CHECK(cuda.cuMemUnmap(range, bytes) == CUDA_SUCCESS);
  CHECK(cuda.cuMemRelease(handle) == CUDA_SUCCESS);
  CHECK(cuda.cuMemAddressFree(range, bytes) == CUDA_SUCCESS);
}

TEST_CASE("softgpu memory: holes do not fail an allocation but bytes do") {
  softgpu_session session("memory=16MiB;backed=0");
  const current_context current(session);
  CUdeviceptr addresses[8];
  for (CUdeviceptr& address : addresses) REQUIRE(session.cuda().cuMemAlloc_v2(&address, unit) == CUDA_SUCCESS);
  CUdeviceptr large = 0;
  CHECK(session.cuda().cuMemAlloc_v2(&large, 1) == CUDA_ERROR_OUT_OF_MEMORY);
  for (int i = 0; i < 8; i += 2) CHECK(session.cuda().cuMemFree_v2(addresses[i]) == CUDA_SUCCESS);
  CHECK(session.cuda().cuMemAlloc_v2(&large, 4 * unit) == CUDA_SUCCESS);
  CHECK(session.cuda().cuMemFree_v2(large) == CUDA_SUCCESS);
  for (int i = 1; i < 8; i += 2) CHECK(session.cuda().cuMemFree_v2(addresses[i]) == CUDA_SUCCESS);
}

TEST_CASE("softgpu memory: reservations share one budget of addresses") {
  softgpu_session session("addresses=8MiB;backed=0");
  CUdeviceptr first = 0;
  CUdeviceptr second = 0;
  CHECK(session.cuda().cuMemAddressReserve(&first, 3 * unit, 0, 0, 0) == CUDA_SUCCESS);
  CHECK(session.cuda().cuMemAddressReserve(&second, 2 * unit, 0, 0, 0) == CUDA_ERROR_OUT_OF_MEMORY);
  CHECK(session.cuda().cuMemAddressFree(first, 3 * unit) == CUDA_SUCCESS);
  CHECK(session.cuda().cuMemAddressReserve(&second, 4 * unit, 16 * unit, 0, 0) == CUDA_SUCCESS);
  CHECK(second % (16 * unit) == 0);
  CHECK(session.cuda().cuMemAddressFree(second, 4 * unit) == CUDA_SUCCESS);
}

TEST_CASE("softgpu device: one without virtual memory management refuses it") {
  softgpu_session session("vmm=0");
  CUdeviceptr range = 0;
  CHECK(session.cuda().cuMemAddressReserve(&range, unit, 0, 0, 0) == CUDA_ERROR_NOT_SUPPORTED);
  const auto properties = device_memory();
  CUmemGenericAllocationHandle handle = 0;
  CHECK(session.cuda().cuMemCreate(&handle, unit, &properties, 0) == CUDA_ERROR_NOT_SUPPORTED);
  CHECK(says("vmm=0"));
}

TEST_CASE("softgpu device: no device means that cuInit says so") {
  REQUIRE(terrazzo_softgpu_configure("devices=0") == 0);
  const auto init = reinterpret_cast<decltype(&cuInit)>(terrazzo_softgpu_symbol("cuInit"));
  const auto count = reinterpret_cast<decltype(&cuDeviceGetCount)>(terrazzo_softgpu_symbol("cuDeviceGetCount"));
  int devices = 0;
  CHECK(count(&devices) == CUDA_ERROR_NOT_INITIALIZED);
  CHECK(init(1) == CUDA_ERROR_INVALID_VALUE);
  CHECK(init(0) == CUDA_ERROR_NO_DEVICE);
}

TEST_CASE("softgpu device: a driver version hides what came later") {
  REQUIRE(terrazzo_softgpu_configure("driver=10.1") == 0);
  CHECK(terrazzo_softgpu_symbol("cuMemAlloc_v2") != nullptr);
  CHECK(terrazzo_softgpu_symbol("cuMemCreate") == nullptr);
  REQUIRE(terrazzo_softgpu_configure("driver=10.2") == 0);
  CHECK(terrazzo_softgpu_symbol("cuMemCreate") != nullptr);
  CHECK(terrazzo_softgpu_symbol("cuMemAlloc") == nullptr);  // only exported names
}
