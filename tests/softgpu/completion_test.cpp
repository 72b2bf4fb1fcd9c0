// Work that completes when told: order within and across streams, what a synchronisation runs, and what happens to work
// whose memory is taken from under it.
#include <atomic>
#include <cstring>
#include <deque>
#include <thread>
#include <vector>

#include "softgpu/driver_table.hpp"
#include "support/softgpu.hpp"

using terrazzo::test::current_context;
using terrazzo::test::driver_table;
using terrazzo::test::softgpu_session;

namespace {

constexpr std::size_t unit = std::size_t{2} << 20;

// A device whose work waits, its context current, and a log of the host functions that have run.
struct manual_gpu {
  explicit manual_gpu(const char* spec = "memory=64MiB;completion=manual") : session(spec), current(session) {}
  ~manual_gpu() {
    for (const CUstream one : streams) CHECK(cuda.cuStreamDestroy_v2(one) == CUDA_SUCCESS);
    for (const CUevent one : events) CHECK(cuda.cuEventDestroy_v2(one) == CUDA_SUCCESS);
    for (const CUdeviceptr one : allocations) CHECK(cuda.cuMemFree_v2(one) == CUDA_SUCCESS);
  }
  CUstream stream(unsigned flags = CU_STREAM_NON_BLOCKING) {
    streams.emplace_back();
    REQUIRE(cuda.cuStreamCreate(&streams.back(), flags) == CUDA_SUCCESS);
    return streams.back();
  }
  CUevent event() {
    events.emplace_back();
    REQUIRE(cuda.cuEventCreate(&events.back(), CU_EVENT_DISABLE_TIMING) == CUDA_SUCCESS);
    return events.back();
  }
  CUdeviceptr allocate(std::size_t bytes) {
    allocations.emplace_back();
    REQUIRE(cuda.cuMemAlloc_v2(&allocations.back(), bytes) == CUDA_SUCCESS);
    return allocations.back();
  }
  // Puts a host function into a stream that writes `number` into the log.
  void note(CUstream into, int number) {
    notes.push_back({this, number});
    const auto write = [](void* argument) {
      const auto* one = static_cast<const entry*>(argument);
      one->home->log.push_back(one->number);
    };
    REQUIRE(cuda.cuLaunchHostFunc(into, write, &notes.back()) == CUDA_SUCCESS);
  }
  struct entry {
    manual_gpu* home;
    int number;
  };
  softgpu_session session;
  current_context current;
  driver_table cuda = driver_table::from(terrazzo_softgpu_symbol);
  std::vector<CUstream> streams;
  std::vector<CUevent> events;
  std::vector<CUdeviceptr> allocations;
  std::deque<entry> notes;
  std::vector<int> log;
};

using numbers = std::vector<int>;

}  // namespace

TEST_CASE("softgpu completion: work waits until it is completed piece by piece") {
  manual_gpu gpu;
  const CUstream stream = gpu.stream();
  CHECK(gpu.cuda.cuStreamQuery(stream) == CUDA_SUCCESS);
  for (int i = 1; i <= 4; ++i) gpu.note(stream, i);
  CHECK(gpu.cuda.cuStreamQuery(stream) == CUDA_ERROR_NOT_READY);
  CHECK(gpu.log == numbers{});
  CHECK(terrazzo_softgpu_complete(stream, 2) == 2);
  CHECK(gpu.log == numbers{1, 2});
  CHECK(gpu.cuda.cuStreamSynchronize(stream) == CUDA_SUCCESS);
  CHECK(gpu.log == numbers{1, 2, 3, 4});
  CHECK(terrazzo_softgpu_complete(stream, 1) == 0);
}

TEST_CASE("softgpu completion: an event holds another stream up until it is reached") {
  manual_gpu gpu;
  const CUstream first = gpu.stream();
  const CUstream second = gpu.stream();
  const CUevent event = gpu.event();
  gpu.note(first, 1);
  CHECK(gpu.cuda.cuEventRecord(event, first) == CUDA_SUCCESS);
  gpu.note(first, 2);
  CHECK(gpu.cuda.cuStreamWaitEvent(second, event, 0) == CUDA_SUCCESS);
  gpu.note(second, 3);
  CHECK(gpu.cuda.cuEventQuery(event) == CUDA_ERROR_NOT_READY);
  CHECK(terrazzo_softgpu_complete(second, SIZE_MAX) == 0);
  SUBCASE("completed by hand") {
    CHECK(terrazzo_softgpu_complete(first, 2) == 2);
    CHECK(gpu.cuda.cuEventQuery(event) == CUDA_SUCCESS);
    CHECK(terrazzo_softgpu_complete(second, SIZE_MAX) == 2);
    CHECK(gpu.log == numbers{1, 3});
  }
  SUBCASE("synchronising the waiter runs what it needs and no more") {
    CHECK(gpu.cuda.cuStreamSynchronize(second) == CUDA_SUCCESS);
    CHECK(gpu.log == numbers{1, 3});
    CHECK(gpu.cuda.cuStreamQuery(first) == CUDA_ERROR_NOT_READY);
  }
  SUBCASE("synchronising the event") {
    CHECK(gpu.cuda.cuEventSynchronize(event) == CUDA_SUCCESS);
    CHECK(gpu.log == numbers{1});
  }
  SUBCASE("a later record does not change what is waited for") {
    CHECK(gpu.cuda.cuEventRecord(event, first) == CUDA_SUCCESS);
    CHECK(gpu.cuda.cuStreamSynchronize(second) == CUDA_SUCCESS);
    CHECK(gpu.log == numbers{1, 3});
    CHECK(gpu.cuda.cuEventQuery(event) == CUDA_ERROR_NOT_READY);
  }
  SUBCASE("the recording stream is destroyed") {
    CHECK(gpu.cuda.cuStreamDestroy_v2(first) == CUDA_SUCCESS);
    gpu.streams.erase(gpu.streams.begin());
    CHECK(gpu.cuda.cuStreamQuery(first) == CUDA_ERROR_INVALID_HANDLE);
    CHECK(gpu.cuda.cuStreamSynchronize(second) == CUDA_SUCCESS);
    CHECK(gpu.log == numbers{1, 3});
  }
  terrazzo_softgpu_complete_all();
  CHECK(gpu.log.size() == 3);
}

TEST_CASE("softgpu completion: the legacy stream keeps its order with blocking streams alone") {
  manual_gpu gpu;
  const CUstream blocking = gpu.stream(CU_STREAM_DEFAULT);
  const CUstream free_running = gpu.stream(CU_STREAM_NON_BLOCKING);
  gpu.note(blocking, 1);
  gpu.note(nullptr, 2);
  gpu.note(blocking, 3);
  gpu.note(free_running, 4);
  CHECK(terrazzo_softgpu_complete(nullptr, SIZE_MAX) == 0);  // 1 comes first
  CHECK(terrazzo_softgpu_complete(free_running, SIZE_MAX) == 1);
  CHECK(terrazzo_softgpu_complete(blocking, SIZE_MAX) == 1);  // 3 waits for 2
  CHECK(gpu.log == numbers{4, 1});
  CHECK(gpu.cuda.cuStreamSynchronize(blocking) == CUDA_SUCCESS);
  CHECK(gpu.log == numbers{4, 1, 2, 3});
}

TEST_CASE("softgpu completion: freeing memory waits for the device") {
  manual_gpu gpu;
  CUdeviceptr address = 0;
  REQUIRE(gpu.cuda.cuMemAlloc_v2(&address, 512) == CUDA_SUCCESS);
  const CUstream stream = gpu.stream();
  CHECK(gpu.cuda.cuMemsetD8Async(address, 1, 512, stream) == CUDA_SUCCESS);
  gpu.note(stream, 1);
  CHECK(gpu.cuda.cuMemFree_v2(address) == CUDA_SUCCESS);
  CHECK(gpu.log == numbers{1});
}

TEST_CASE("softgpu completion: copies read and write when they run and pageable memory when they are called") {
  manual_gpu gpu;
  const CUstream stream = gpu.stream();
  const CUdeviceptr address = gpu.allocate(4);
  unsigned char pageable[4] = {1, 2, 3, 4};
  CHECK(gpu.cuda.cuMemcpyHtoDAsync_v2(address, pageable, 4, stream) == CUDA_SUCCESS);
  pageable[0] = 9;
  void* pinned = nullptr;
  REQUIRE(gpu.cuda.cuMemAllocHost_v2(&pinned, 4) == CUDA_SUCCESS);
  std::memset(pinned, 0, 4);
  CHECK(gpu.cuda.cuMemcpyDtoHAsync_v2(pinned, address, 4, stream) == CUDA_SUCCESS);
  CHECK(static_cast<unsigned char*>(pinned)[1] == 0);
  unsigned char read[4] = {};
  CHECK(gpu.cuda.cuMemcpyDtoHAsync_v2(read, address, 4, stream) == CUDA_SUCCESS);
  CHECK(read[0] == 1);
  CHECK(std::memcmp(pinned, read, 4) == 0);
  CHECK(gpu.cuda.cuMemFreeHost(pinned) == CUDA_SUCCESS);
}

TEST_CASE("softgpu completion: unmapping under waiting work kills the context until it is reset") {
  manual_gpu gpu;
  const CUstream stream = gpu.stream();
  CUmemAllocationProp properties{};
  properties.type = CU_MEM_ALLOCATION_TYPE_PINNED;
  properties.location.type = CU_MEM_LOCATION_TYPE_DEVICE;
  CUmemAccessDesc access{};
  access.location = properties.location;
  access.flags = CU_MEM_ACCESS_FLAGS_PROT_READWRITE;
  CUdeviceptr range = 0;
  CUmemGenericAllocationHandle handle = 0;
  REQUIRE(gpu.cuda.cuMemAddressReserve(&range, unit, 0, 0, 0) == CUDA_SUCCESS);
  REQUIRE(gpu.cuda.cuMemCreate(&handle, unit, &properties, 0) == CUDA_SUCCESS);
  REQUIRE(gpu.cuda.cuMemMap(range, unit, 0, handle, 0) == CUDA_SUCCESS);
  REQUIRE(gpu.cuda.cuMemSetAccess(range, unit, &access, 1) == CUDA_SUCCESS);
  CHECK(gpu.cuda.cuMemsetD8Async(range, 1, unit, stream) == CUDA_SUCCESS);
  gpu.note(stream, 1);
  CHECK(gpu.cuda.cuMemUnmap(range, unit) == CUDA_SUCCESS);
  CHECK(gpu.cuda.cuStreamSynchronize(stream) == CUDA_ERROR_ILLEGAL_ADDRESS);
  CHECK(gpu.log == numbers{});
  // Every later call fails, undoing included.
  CHECK(gpu.cuda.cuMemRelease(handle) == CUDA_ERROR_ILLEGAL_ADDRESS);
  CUdeviceptr address = 0;
  CHECK(gpu.cuda.cuMemAlloc_v2(&address, 1) == CUDA_ERROR_ILLEGAL_ADDRESS);
  CHECK(std::string(terrazzo_softgpu_message()).find("only a reset ends it") != std::string::npos);
  CHECK(gpu.cuda.cuDevicePrimaryCtxReset_v2(0) == CUDA_SUCCESS);
  gpu.streams.clear();  // gone with the context
  CHECK(gpu.cuda.cuMemAlloc_v2(&address, 1) == CUDA_ERROR_CONTEXT_IS_DESTROYED);
  CUcontext context = nullptr;
  CHECK(gpu.cuda.cuDevicePrimaryCtxRetain(&context, 0) == CUDA_SUCCESS);
  CHECK(gpu.cuda.cuDevicePrimaryCtxRelease_v2(0) == CUDA_SUCCESS);
  CHECK(gpu.cuda.cuMemRelease(handle) == CUDA_SUCCESS);
  CHECK(gpu.cuda.cuMemAddressFree(range, unit) == CUDA_SUCCESS);
}

TEST_CASE("softgpu completion: a host function must not call the driver") {
  manual_gpu gpu;
  static std::atomic<int> result;
  result = 0;
  const auto call = [](void* argument) { result = static_cast<driver_table*>(argument)->cuCtxSynchronize(); };
  CHECK(gpu.cuda.cuLaunchHostFunc(nullptr, call, &gpu.cuda) == CUDA_SUCCESS);
  CHECK(gpu.cuda.cuCtxSynchronize() == CUDA_SUCCESS);
  CHECK(result == CUDA_ERROR_NOT_PERMITTED);
}

TEST_CASE("softgpu completion: simulated time flows through streams and events") {
  manual_gpu gpu;
  const CUstream first = gpu.stream();
  const CUstream second = gpu.stream();
  CUevent times[3] = {};
  for (CUevent& one : times) REQUIRE(gpu.cuda.cuEventCreate(&one, CU_EVENT_DEFAULT) == CUDA_SUCCESS);
  CHECK(gpu.cuda.cuEventRecord(times[0], first) == CUDA_SUCCESS);
  CHECK(terrazzo_softgpu_enqueue(
            first, [](void*) {}, nullptr, 3e6) == 0);
  CHECK(gpu.cuda.cuEventRecord(times[1], first) == CUDA_SUCCESS);
  CHECK(gpu.cuda.cuStreamWaitEvent(second, times[1], 0) == CUDA_SUCCESS);
  CHECK(terrazzo_softgpu_enqueue(
            second, [](void*) {}, nullptr, 2e6) == 0);
  CHECK(gpu.cuda.cuEventRecord(times[2], second) == CUDA_SUCCESS);
  float milliseconds = 0;
  CHECK(gpu.cuda.cuEventElapsedTime(&milliseconds, times[0], times[2]) == CUDA_ERROR_NOT_READY);
  CHECK(gpu.cuda.cuCtxSynchronize() == CUDA_SUCCESS);
  CHECK(gpu.cuda.cuEventElapsedTime(&milliseconds, times[0], times[2]) == CUDA_SUCCESS);
  CHECK(milliseconds == doctest::Approx(5));
  for (const CUevent one : times) CHECK(gpu.cuda.cuEventDestroy_v2(one) == CUDA_SUCCESS);
  CHECK(terrazzo_softgpu_enqueue(first, nullptr, nullptr, 0) == 1);
}

TEST_CASE("softgpu completion: threads share the device without harm") {
  softgpu_session session("memory=64MiB");
  const driver_table cuda = driver_table::from(terrazzo_softgpu_symbol);
  std::atomic<int> failures{0};
  std::atomic<int> ran{0};
  std::vector<std::thread> threads;
  for (int t = 0; t < 4; ++t) {
    threads.emplace_back([&] {
      const auto must = [&](CUresult result) {
        if (result != CUDA_SUCCESS) ++failures;
      };
      must(cuda.cuCtxSetCurrent(session.contexts[0]));
      CUstream stream = nullptr;
      must(cuda.cuStreamCreate(&stream, CU_STREAM_NON_BLOCKING));
      for (int i = 0; i < 50; ++i) {
        CUdeviceptr address = 0;
        must(cuda.cuMemAlloc_v2(&address, 4096));
        must(cuda.cuMemsetD8Async(address, 1, 4096, i % 2 == 0 ? stream : nullptr));
        must(cuda.cuLaunchHostFunc(
            i % 3 == 0 ? nullptr : stream, [](void* count) { ++*static_cast<std::atomic<int>*>(count); }, &ran));
        must(cuda.cuStreamSynchronize(stream));
        must(cuda.cuMemFree_v2(address));
      }
      must(cuda.cuStreamDestroy_v2(stream));
      must(cuda.cuCtxSetCurrent(nullptr));
    });
  }
  for (std::thread& one : threads) one.join();
  CHECK(failures == 0);
  CHECK(ran == 200);
}
