// The contract of a CUDA driver, as far as terrazzo relies on it: one suite, included by one file for each driver that
// it is to hold for (the software GPU in process, its shared library, a real card). It holds only what a real driver
// does.
//
// REQUIRES, before it is included: the macro TERRAZZO_CONTRACT, a name for the driver, and a function
// `const terrazzo::test::driver_table& contract_driver()`, of a driver that has been initialised and has a device 0.
#include <doctest/doctest.h>

#include <atomic>
#include <cstdint>
#include <cstring>
#include <string>
#include <thread>
#include <vector>

#include "softgpu/driver_contract_fixture.hpp"

namespace {
namespace contract {

TEST_CASE("driver contract " TERRAZZO_CONTRACT ": results have names and versions are told") {
  const driver_table& cuda = contract_driver();
  const char* text = nullptr;
  CHECK(cuda.cuGetErrorName(CUDA_ERROR_OUT_OF_MEMORY, &text) == CUDA_SUCCESS);
  CHECK(std::string(text) == "CUDA_ERROR_OUT_OF_MEMORY");
  CHECK(cuda.cuGetErrorString(CUDA_ERROR_OUT_OF_MEMORY, &text) == CUDA_SUCCESS);
  CHECK(std::string(text) == "out of memory");
  CHECK(cuda.cuGetErrorName(static_cast<CUresult>(998), &text) == CUDA_ERROR_INVALID_VALUE);
  CHECK(text == nullptr);
  int version = 0;
  CHECK(cuda.cuDriverGetVersion(&version) == CUDA_SUCCESS);
  CHECK(version >= 12000);
}

TEST_CASE("driver contract " TERRAZZO_CONTRACT ": devices are counted described and told from none") {
  const driver_table& cuda = contract_driver();
  int count = 0;
  REQUIRE(cuda.cuDeviceGetCount(&count) == CUDA_SUCCESS);
  REQUIRE(count >= 1);
  CUdevice device = -1;
  CHECK(cuda.cuDeviceGet(&device, 0) == CUDA_SUCCESS);
  CHECK(cuda.cuDeviceGet(&device, count) == CUDA_ERROR_INVALID_DEVICE);
  CHECK(cuda.cuDeviceGet(&device, -1) == CUDA_ERROR_INVALID_DEVICE);
  CHECK(cuda.cuDeviceGet(nullptr, 0) == CUDA_ERROR_INVALID_VALUE);
  char name[64] = "";
  CHECK(cuda.cuDeviceGetName(name, sizeof name, 0) == CUDA_SUCCESS);
  CHECK(std::strlen(name) > 0);
  char cut[4] = "???";
  CHECK(cuda.cuDeviceGetName(cut, sizeof cut, 0) == CUDA_SUCCESS);
  CHECK(std::strlen(cut) == 3);
  std::size_t bytes = 0;
  CHECK(cuda.cuDeviceTotalMem_v2(&bytes, 0) == CUDA_SUCCESS);
  CHECK(bytes > 0);
  int value = -1;
  CHECK(cuda.cuDeviceGetAttribute(&value, CU_DEVICE_ATTRIBUTE_COMPUTE_CAPABILITY_MAJOR, 0) == CUDA_SUCCESS);
  CHECK(value >= 1);
  CHECK(cuda.cuDeviceGetAttribute(&value, CU_DEVICE_ATTRIBUTE_UNIFIED_ADDRESSING, 0) == CUDA_SUCCESS);
  CHECK(value == 1);
}

TEST_CASE("driver contract " TERRAZZO_CONTRACT ": a thread without a current context is refused") {
  std::thread([] {
    const driver_table& cuda = contract_driver();
    CUcontext context = reinterpret_cast<CUcontext>(1);
    CHECK(cuda.cuCtxGetCurrent(&context) == CUDA_SUCCESS);
    CHECK(context == nullptr);
    CUdeviceptr address = 0;
    CHECK(cuda.cuMemAlloc_v2(&address, 4096) == CUDA_ERROR_INVALID_CONTEXT);
    std::size_t bytes = 0;
    CHECK(cuda.cuMemGetInfo_v2(&bytes, &bytes) == CUDA_ERROR_INVALID_CONTEXT);
    CUstream stream = nullptr;
    CHECK(cuda.cuStreamCreate(&stream, CU_STREAM_NON_BLOCKING) == CUDA_ERROR_INVALID_CONTEXT);
    CUevent event = nullptr;
    CHECK(cuda.cuEventCreate(&event, CU_EVENT_DISABLE_TIMING) == CUDA_ERROR_INVALID_CONTEXT);
    CHECK(cuda.cuCtxSynchronize() == CUDA_ERROR_INVALID_CONTEXT);
    CHECK(cuda.cuCtxPopCurrent_v2(&context) == CUDA_ERROR_INVALID_CONTEXT);
    CUdevice device = 0;
    CHECK(cuda.cuCtxGetDevice(&device) == CUDA_ERROR_INVALID_CONTEXT);
  }).join();
}

TEST_CASE("driver contract " TERRAZZO_CONTRACT ": current contexts are a stack for each thread") {
  const session here;
  const driver_table& cuda = here.cuda;
  CUcontext again = nullptr;
  CHECK(cuda.cuDevicePrimaryCtxRetain(&again, 0) == CUDA_SUCCESS);
  CHECK(again == here.context);
  CHECK(cuda.cuCtxPushCurrent_v2(again) == CUDA_SUCCESS);
  CUcontext current = nullptr;
  CHECK(cuda.cuCtxPopCurrent_v2(&current) == CUDA_SUCCESS);
  CHECK(current == here.context);
  CHECK(cuda.cuCtxGetCurrent(&current) == CUDA_SUCCESS);
  CHECK(current == here.context);
  CUdevice device = -1;
  CHECK(cuda.cuCtxGetDevice(&device) == CUDA_SUCCESS);
  CHECK(device == 0);
  CHECK(cuda.cuDevicePrimaryCtxRelease_v2(0) == CUDA_SUCCESS);
  unsigned flags = 0;
  int active = 0;
  CHECK(cuda.cuDevicePrimaryCtxGetState(0, &flags, &active) == CUDA_SUCCESS);
  CHECK(active == 1);
  std::thread([&] {
    CHECK(cuda.cuCtxGetCurrent(&current) == CUDA_SUCCESS);
    CHECK(current == nullptr);
    CHECK(cuda.cuCtxSetCurrent(here.context) == CUDA_SUCCESS);
    CHECK(cuda.cuCtxSynchronize() == CUDA_SUCCESS);
    CHECK(cuda.cuCtxSetCurrent(nullptr) == CUDA_SUCCESS);
    CHECK(cuda.cuCtxGetCurrent(&current) == CUDA_SUCCESS);
    CHECK(current == nullptr);
  }).join();
}

TEST_CASE("driver contract " TERRAZZO_CONTRACT ": allocations are aligned counted and freed once") {
  const session here;
  const driver_table& cuda = here.cuda;
  std::size_t free_before = 0;
  std::size_t total = 0;
  REQUIRE(cuda.cuMemGetInfo_v2(&free_before, &total) == CUDA_SUCCESS);
  CHECK(free_before <= total);
  CUdeviceptr address = 0;
  for (const std::size_t bytes : {std::size_t{1}, std::size_t{513}, std::size_t{1} << 20, std::size_t{33} << 20}) {
    CAPTURE(bytes);
    REQUIRE(cuda.cuMemAlloc_v2(&address, bytes) == CUDA_SUCCESS);
    CHECK(address % 512 == 0);
    CHECK(cuda.cuMemFree_v2(address) == CUDA_SUCCESS);
    CHECK(cuda.cuMemFree_v2(address) == CUDA_ERROR_INVALID_VALUE);
  }
  REQUIRE(cuda.cuMemAlloc_v2(&address, std::size_t{64} << 20) == CUDA_SUCCESS);
  std::size_t free_after = 0;
  CHECK(cuda.cuMemGetInfo_v2(&free_after, &total) == CUDA_SUCCESS);
  CHECK(free_before - free_after >= std::size_t{64} << 20);
  CHECK(cuda.cuMemFree_v2(address + 512) == CUDA_ERROR_INVALID_VALUE);
  CHECK(cuda.cuMemFree_v2(address) == CUDA_SUCCESS);
  CHECK(cuda.cuMemFree_v2(0) == CUDA_SUCCESS);
  CHECK(cuda.cuMemAlloc_v2(&address, 0) == CUDA_ERROR_INVALID_VALUE);
  CHECK(cuda.cuMemAlloc_v2(nullptr, 512) == CUDA_ERROR_INVALID_VALUE);
  CHECK(cuda.cuMemAlloc_v2(&address, total + 1) == CUDA_ERROR_OUT_OF_MEMORY);
}

TEST_CASE("driver contract " TERRAZZO_CONTRACT ": pinned host memory is usable and freed once") {
  const session here;
  void* address = nullptr;
  REQUIRE(here.cuda.cuMemAllocHost_v2(&address, 1000) == CUDA_SUCCESS);
  std::memset(address, 1, 1000);
  CUmemorytype type{};
  CHECK(here.cuda.cuPointerGetAttribute(&type, CU_POINTER_ATTRIBUTE_MEMORY_TYPE,
                                        reinterpret_cast<CUdeviceptr>(address)) == CUDA_SUCCESS);
  CHECK(type == CU_MEMORYTYPE_HOST);
  CHECK(here.cuda.cuMemFreeHost(address) == CUDA_SUCCESS);
  CHECK(here.cuda.cuMemFreeHost(address) == CUDA_ERROR_INVALID_VALUE);
  REQUIRE(here.cuda.cuMemHostAlloc(&address, 1000, CU_MEMHOSTALLOC_PORTABLE) == CUDA_SUCCESS);
  CHECK(here.cuda.cuMemFreeHost(address) == CUDA_SUCCESS);
}

TEST_CASE("driver contract " TERRAZZO_CONTRACT ": one chunk at two addresses is the same bytes") {
  range here(4);
  const driver_table& cuda = here.cuda;
  const CUmemGenericAllocationHandle handle = here.create();
  for (const std::size_t position : {0, 3}) {
    here.map(position, handle);
    here.open(position);
  }
  CHECK(cuda.cuMemsetD8_v2(here.at(0), 0x11, here.unit) == CUDA_SUCCESS);
  CHECK(cuda.cuMemsetD32_v2(here.at(3) + 4, 0xdeadbeef, 1) == CUDA_SUCCESS);
  CHECK(cuda.cuCtxSynchronize() == CUDA_SUCCESS);
  std::uint32_t words[3] = {};
  CHECK(cuda.cuMemcpyDtoH_v2(words, here.at(0), sizeof words) == CUDA_SUCCESS);
  CHECK(words[0] == 0x11111111);
  CHECK(words[1] == 0xdeadbeef);
  CHECK(words[2] == 0x11111111);
}

TEST_CASE("driver contract " TERRAZZO_CONTRACT ": memory outlives its handle while it is mapped") {
  range here(1);
  const driver_table& cuda = here.cuda;
  here.map(0, here.create());
  here.open(0);
  CHECK(cuda.cuMemsetD8_v2(here.at(0), 7, here.unit) == CUDA_SUCCESS);
  CHECK(cuda.cuMemRelease(here.handles.back()) == CUDA_SUCCESS);
  here.handles.pop_back();
  unsigned char byte = 0;
  CHECK(cuda.cuMemcpyDtoH_v2(&byte, here.at(0) + here.unit - 1, 1) == CUDA_SUCCESS);
  CHECK(byte == 7);
  CUmemGenericAllocationHandle again = 0;
  CHECK(cuda.cuMemRetainAllocationHandle(&again, reinterpret_cast<void*>(here.at(0) + 5)) == CUDA_SUCCESS);
  CUmemAllocationProp properties{};
  CHECK(cuda.cuMemGetAllocationPropertiesFromHandle(&properties, again) == CUDA_SUCCESS);
  CHECK(properties.location.id == 0);
  CHECK(cuda.cuMemRelease(again) == CUDA_SUCCESS);
}

TEST_CASE("driver contract " TERRAZZO_CONTRACT ": a contiguous range of chunks is opened copied and unmapped at once") {
  range here(4);
  const driver_table& cuda = here.cuda;
  for (std::size_t i = 0; i < 4; ++i) here.map(i, here.create());
  here.open(0, 4);
  unsigned long long flags = 0;
  const CUmemLocation location = device_memory().location;
  CHECK(cuda.cuMemGetAccess(&flags, &location, here.at(2)) == CUDA_SUCCESS);
  CHECK(flags == CU_MEM_ACCESS_FLAGS_PROT_READWRITE);
  std::vector<unsigned char> bytes(2 * here.unit);
  for (std::size_t i = 0; i < bytes.size(); ++i) bytes[i] = static_cast<unsigned char>(i * 7 / 5);
  CHECK(cuda.cuMemcpyHtoD_v2(here.at(0) + 100, bytes.data(), bytes.size()) == CUDA_SUCCESS);
  CHECK(cuda.cuMemcpyDtoD_v2(here.at(2) - 1, here.at(0) + 100, bytes.size() - here.unit) == CUDA_SUCCESS);
  std::vector<unsigned char> read(here.unit);
  CHECK(cuda.cuMemcpyDtoH_v2(read.data(), here.at(2) - 1, read.size()) == CUDA_SUCCESS);
  CHECK(std::memcmp(read.data(), bytes.data(), read.size()) == 0);
  CHECK(cuda.cuMemUnmap(here.at(0), 4 * here.unit) == CUDA_SUCCESS);
  here.mapped.clear();
  // What is mapped anew begins without access.
  here.map(1, here.handles[0]);
  CHECK(cuda.cuMemGetAccess(&flags, &location, here.at(1)) == CUDA_SUCCESS);
  CHECK(flags == CU_MEM_ACCESS_FLAGS_PROT_NONE);
}

TEST_CASE("driver contract " TERRAZZO_CONTRACT ": virtual memory calls that break a rule are refused") {
  range here(6);
  const driver_table& cuda = here.cuda;
  const std::size_t unit = here.unit;
  const CUmemGenericAllocationHandle handle = here.create();
  here.map(1, handle);
  here.map(3, here.create(2), 2);
  CUmemAllocationProp properties = device_memory();
  CUmemAccessDesc access{};
  access.location = properties.location;
  access.flags = CU_MEM_ACCESS_FLAGS_PROT_READWRITE;
  CUmemGenericAllocationHandle made = 0;
  CUdeviceptr reserved = 0;

  const struct {
    const char* rule;
    CUresult result;
  } refused[] = {
      {"map at an offset", cuda.cuMemMap(here.at(0), unit, unit, handle, 0)},
      {"map at an address between units", cuda.cuMemMap(here.at(0) + unit / 2, unit, 0, handle, 0)},
      {"map half a unit", cuda.cuMemMap(here.at(0), unit / 2, 0, handle, 0)},
      {"map more than the handle has", cuda.cuMemMap(here.at(5), 2 * unit, 0, handle, 0)},
      {"map where something is mapped", cuda.cuMemMap(here.at(1), unit, 0, handle, 0)},
      {"map with flags", cuda.cuMemMap(here.at(0), unit, 0, handle, 1)},
      {"unmap nothing", cuda.cuMemUnmap(here.at(0), unit)},
      {"unmap over a hole", cuda.cuMemUnmap(here.at(1), 3 * unit)},
      {"unmap half of a mapping", cuda.cuMemUnmap(here.at(3), unit)},
      {"open nothing", cuda.cuMemSetAccess(here.at(0), unit, &access, 1)},
      {"open over a hole", cuda.cuMemSetAccess(here.at(1), 3 * unit, &access, 1)},
      {"create half a unit", cuda.cuMemCreate(&made, unit / 2, &properties, 0)},
      {"create nothing", cuda.cuMemCreate(&made, 0, &properties, 0)},
      {"create with flags", cuda.cuMemCreate(&made, unit, &properties, 1)},
      {"reserve nothing", cuda.cuMemAddressReserve(&reserved, 0, 0, 0, 0)},
      {"reserve with an odd alignment", cuda.cuMemAddressReserve(&reserved, unit, 3 * unit, 0, 0)},
      {"free part of a reservation", cuda.cuMemAddressFree(here.at(0), unit)},
      {"free no reservation", cuda.cuMemAddressFree(here.at(1), 5 * unit)},
  };
  for (const auto& one : refused) {
    CAPTURE(one.rule);
    CHECK(one.result == CUDA_ERROR_INVALID_VALUE);
  }
  properties.location.id = 4096;
  CHECK(cuda.cuMemCreate(&made, unit, &properties, 0) == CUDA_ERROR_INVALID_DEVICE);
}

TEST_CASE("driver contract " TERRAZZO_CONTRACT ": more memory than the device has is refused") {
  const session here;
  std::size_t total = 0;
  REQUIRE(here.cuda.cuDeviceTotalMem_v2(&total, 0) == CUDA_SUCCESS);
  const CUmemAllocationProp properties = device_memory();
  std::size_t unit = 0;
  REQUIRE(here.cuda.cuMemGetAllocationGranularity(&unit, &properties, CU_MEM_ALLOC_GRANULARITY_MINIMUM) ==
          CUDA_SUCCESS);
  CUmemGenericAllocationHandle handle = 0;
  CHECK(here.cuda.cuMemCreate(&handle, (total / unit + 1) * unit, &properties, 0) == CUDA_ERROR_OUT_OF_MEMORY);
}

TEST_CASE("driver contract " TERRAZZO_CONTRACT ": a copy to addresses without memory is refused at once") {
  range here(2);
  unsigned char byte = 0;
  CHECK(here.cuda.cuMemcpyHtoD_v2(here.at(0), &byte, 1) == CUDA_ERROR_INVALID_VALUE);
  CHECK(here.cuda.cuCtxSynchronize() == CUDA_SUCCESS);
}

TEST_CASE("driver contract " TERRAZZO_CONTRACT ": fills have their widths") {
  const session here;
  const driver_table& cuda = here.cuda;
  CUdeviceptr address = 0;
  REQUIRE(cuda.cuMemAlloc_v2(&address, 16) == CUDA_SUCCESS);
  CHECK(cuda.cuMemsetD8_v2(address, 0xff, 16) == CUDA_SUCCESS);
  CHECK(cuda.cuMemsetD8_v2(address, 1, 3) == CUDA_SUCCESS);
  CHECK(cuda.cuMemsetD16_v2(address + 4, 0x1234, 2) == CUDA_SUCCESS);
  CHECK(cuda.cuMemsetD32_v2(address + 8, 0x01020304, 1) == CUDA_SUCCESS);
  CHECK(cuda.cuMemsetD16_v2(address + 5, 0, 1) == CUDA_ERROR_INVALID_VALUE);
  CHECK(cuda.cuMemsetD32_v2(address + 10, 0, 1) == CUDA_ERROR_INVALID_VALUE);
  unsigned char bytes[16] = {};
  CHECK(cuda.cuMemcpyDtoH_v2(bytes, address, 16) == CUDA_SUCCESS);
  const unsigned char expected[16] = {1, 1, 1, 0xff, 0x34, 0x12, 0x34, 0x12, 4, 3, 2, 1, 0xff, 0xff, 0xff, 0xff};
  CHECK(std::memcmp(bytes, expected, 16) == 0);
  CHECK(cuda.cuMemFree_v2(address) == CUDA_SUCCESS);
}

TEST_CASE("driver contract " TERRAZZO_CONTRACT ": streams keep order and events carry it across") {
  const session here;
  const driver_table& cuda = here.cuda;
  constexpr std::size_t bytes = 1 << 16;
  CUstream first = nullptr;
  CUstream second = nullptr;
  CUevent event = nullptr;
  REQUIRE(cuda.cuStreamCreate(&first, CU_STREAM_NON_BLOCKING) == CUDA_SUCCESS);
  REQUIRE(cuda.cuStreamCreateWithPriority(&second, CU_STREAM_NON_BLOCKING, -1) == CUDA_SUCCESS);
  REQUIRE(cuda.cuEventCreate(&event, CU_EVENT_DISABLE_TIMING) == CUDA_SUCCESS);
  CHECK(cuda.cuEventQuery(event) == CUDA_SUCCESS);  // never recorded
  CUdeviceptr from = 0;
  CUdeviceptr to = 0;
  REQUIRE(cuda.cuMemAlloc_v2(&from, bytes) == CUDA_SUCCESS);
  REQUIRE(cuda.cuMemAlloc_v2(&to, bytes) == CUDA_SUCCESS);
  std::vector<unsigned char> read(bytes);
  CHECK(cuda.cuMemsetD8Async(from, 1, bytes, first) == CUDA_SUCCESS);
  CHECK(cuda.cuMemsetD8Async(from, 2, bytes, first) == CUDA_SUCCESS);
  CHECK(cuda.cuEventRecord(event, first) == CUDA_SUCCESS);
  CHECK(cuda.cuStreamWaitEvent(second, event, 0) == CUDA_SUCCESS);
  CHECK(cuda.cuMemcpyDtoDAsync_v2(to, from, bytes, second) == CUDA_SUCCESS);
  CHECK(cuda.cuMemcpyDtoHAsync_v2(read.data(), to, bytes, second) == CUDA_SUCCESS);
  CHECK(cuda.cuStreamSynchronize(second) == CUDA_SUCCESS);
  CHECK(cuda.cuEventQuery(event) == CUDA_SUCCESS);
  CHECK(cuda.cuStreamQuery(second) == CUDA_SUCCESS);
  CHECK(read.front() == 2);
  CHECK(read.back() == 2);
  CUstreamCaptureStatus status{};
  CHECK(cuda.cuStreamIsCapturing(first, &status) == CUDA_SUCCESS);
  CHECK(status == CU_STREAM_CAPTURE_STATUS_NONE);
  unsigned flags = 0;
  CHECK(cuda.cuStreamGetFlags(first, &flags) == CUDA_SUCCESS);
  CHECK(flags == CU_STREAM_NON_BLOCKING);
  CHECK(cuda.cuMemFree_v2(from) == CUDA_SUCCESS);
  CHECK(cuda.cuMemFree_v2(to) == CUDA_SUCCESS);
  CHECK(cuda.cuEventDestroy_v2(event) == CUDA_SUCCESS);
  CHECK(cuda.cuStreamDestroy_v2(first) == CUDA_SUCCESS);
  CHECK(cuda.cuStreamDestroy_v2(second) == CUDA_SUCCESS);
}

TEST_CASE("driver contract " TERRAZZO_CONTRACT ": host functions run in stream order") {
  const session here;
  CUstream stream = nullptr;
  REQUIRE(here.cuda.cuStreamCreate(&stream, CU_STREAM_DEFAULT) == CUDA_SUCCESS);
  static std::atomic<int> step;
  step = 0;
  for (std::intptr_t i = 0; i < 3; ++i) {
    const auto check_order = [](void* expected) {
      if (step == static_cast<int>(reinterpret_cast<std::intptr_t>(expected))) ++step;
    };
    CHECK(here.cuda.cuLaunchHostFunc(stream, check_order, reinterpret_cast<void*>(i)) == CUDA_SUCCESS);
  }
  CHECK(here.cuda.cuStreamSynchronize(stream) == CUDA_SUCCESS);
  CHECK(step == 3);
  CHECK(here.cuda.cuStreamDestroy_v2(stream) == CUDA_SUCCESS);
}

TEST_CASE("driver contract " TERRAZZO_CONTRACT ": events measure time and refuse where there is none") {
  const session here;
  const driver_table& cuda = here.cuda;
  CUevent start = nullptr;
  CUevent end = nullptr;
  CUevent untimed = nullptr;
  REQUIRE(cuda.cuEventCreate(&start, CU_EVENT_DEFAULT) == CUDA_SUCCESS);
  REQUIRE(cuda.cuEventCreate(&end, CU_EVENT_DEFAULT) == CUDA_SUCCESS);
  REQUIRE(cuda.cuEventCreate(&untimed, CU_EVENT_DISABLE_TIMING) == CUDA_SUCCESS);
  float milliseconds = -1;
  CHECK(cuda.cuEventElapsedTime(&milliseconds, start, end) == CUDA_ERROR_INVALID_HANDLE);
  for (const CUevent event : {start, end, untimed}) CHECK(cuda.cuEventRecord(event, nullptr) == CUDA_SUCCESS);
  for (const CUevent event : {end, untimed}) CHECK(cuda.cuEventSynchronize(event) == CUDA_SUCCESS);
  CHECK(cuda.cuEventElapsedTime(&milliseconds, start, end) == CUDA_SUCCESS);
  CHECK(milliseconds >= 0);
  CHECK(cuda.cuEventElapsedTime(&milliseconds, start, untimed) == CUDA_ERROR_INVALID_HANDLE);
  for (const CUevent event : {start, end, untimed}) CHECK(cuda.cuEventDestroy_v2(event) == CUDA_SUCCESS);
}

TEST_CASE("driver contract " TERRAZZO_CONTRACT ": addresses know their owner") {
  range here(2);
  const driver_table& cuda = here.cuda;
  here.map(0, here.create());
  here.map(1, here.create());
  here.open(0, 2);
  CUdeviceptr allocated = 0;
  REQUIRE(cuda.cuMemAlloc_v2(&allocated, std::size_t{4} << 20) == CUDA_SUCCESS);
  for (const CUdeviceptr address : {here.at(1), allocated + 17}) {
    CAPTURE(address);
    CUmemorytype type{};
    CHECK(cuda.cuPointerGetAttribute(&type, CU_POINTER_ATTRIBUTE_MEMORY_TYPE, address) == CUDA_SUCCESS);
    CHECK(type == CU_MEMORYTYPE_DEVICE);
    int ordinal = -1;
    CHECK(cuda.cuPointerGetAttribute(&ordinal, CU_POINTER_ATTRIBUTE_DEVICE_ORDINAL, address) == CUDA_SUCCESS);
    CHECK(ordinal == 0);
  }
  CUdeviceptr begin = 0;
  std::size_t bytes = 0;
  CHECK(cuda.cuMemGetAddressRange_v2(&begin, &bytes, allocated + 17) == CUDA_SUCCESS);
  CHECK(begin == allocated);
  CHECK(bytes == std::size_t{4} << 20);
  CHECK(cuda.cuMemGetAddressRange_v2(&begin, &bytes, here.at(1) + 17) == CUDA_SUCCESS);
  CHECK(begin == here.at(1));  // one chunk, not the whole run
  int local = 0;
  int ordinal = -1;
  CHECK(cuda.cuPointerGetAttribute(&ordinal, CU_POINTER_ATTRIBUTE_DEVICE_ORDINAL,
                                   reinterpret_cast<CUdeviceptr>(&local)) == CUDA_ERROR_INVALID_VALUE);
  CHECK(cuda.cuMemFree_v2(allocated) == CUDA_SUCCESS);
}

TEST_CASE("driver contract " TERRAZZO_CONTRACT ": the capture mode is exchanged for each thread") {
  std::thread([] {
    const driver_table& cuda = contract_driver();
    CUstreamCaptureMode mode = CU_STREAM_CAPTURE_MODE_RELAXED;
    CHECK(cuda.cuThreadExchangeStreamCaptureMode(&mode) == CUDA_SUCCESS);
    CHECK(mode == CU_STREAM_CAPTURE_MODE_GLOBAL);
    CHECK(cuda.cuThreadExchangeStreamCaptureMode(&mode) == CUDA_SUCCESS);
    CHECK(mode == CU_STREAM_CAPTURE_MODE_RELAXED);
  }).join();
}

TEST_CASE("driver contract " TERRAZZO_CONTRACT ": entry points are found by name and version") {
  const driver_table& cuda = contract_driver();
  void* function = nullptr;
  CUdriverProcAddressQueryResult found{};
  CHECK(cuda.cuGetProcAddress_v2("cuMemCreate", &function, 12000, CU_GET_PROC_ADDRESS_DEFAULT, &found) == CUDA_SUCCESS);
  CHECK(found == CU_GET_PROC_ADDRESS_SUCCESS);
  CHECK(function != nullptr);
  CHECK(cuda.cuGetProcAddress_v2("cuMemCreate", &function, 9000, CU_GET_PROC_ADDRESS_DEFAULT, &found) == CUDA_SUCCESS);
  CHECK(found == CU_GET_PROC_ADDRESS_VERSION_NOT_SUFFICIENT);
  CHECK(function == nullptr);
  CHECK(cuda.cuGetProcAddress_v2("cuNoSuchThing", &function, 12000, CU_GET_PROC_ADDRESS_DEFAULT, &found) ==
        CUDA_SUCCESS);
  CHECK(found == CU_GET_PROC_ADDRESS_SYMBOL_NOT_FOUND);
}

}  // namespace contract
}  // namespace
