// Which calls a stream capture bears (to be measured on a card, item 5). For every capture mode, every call is made
// once while another stream captures: by the capturing thread or by another one, under the thread's own capture mode or
// with it exchanged for RELAXED, as terrazzo does on its slow path. A row tells what the call answered, and whether the
// capture still ended in a graph that can be instantiated.

#include <functional>
#include <thread>
#include <utility>

#include "vmm.hpp"

namespace {

using namespace terrazzo::probe;

/// Everything the calls need, made before any capture.
struct fixture {
  explicit fixture(gpu& on)
      : device(on),
        unit(std::max<std::size_t>(on.granularity, 2 * mib)),
        memory(on, unit),
        range(on, unit),
        captured(on),
        other(on),
        recorded(on),
        unrecorded(on),
        target(on, 4096),
        properties(device_memory(on)),
        access(read_and_write(on)) {
    recorded.record(other);
    other.synchronize();
  }
  gpu& device;
  std::size_t unit;
  chunk memory;
  reservation range;
  stream captured;
  stream other;
  event recorded;
  event unrecorded;
  plain_memory target;
  CUmemAllocationProp properties;
  CUmemAccessDesc access;
  // made by a call or its preparation, taken away after it; 0 where there is none
  CUmemGenericAllocationHandle handle = 0;
  CUdeviceptr address = 0;
  void* host = nullptr;
  CUevent event_made = nullptr;
  CUstream stream_made = nullptr;
};

struct tried_call {
  const char* name;
  std::function<void(fixture&)> before;  // before the capture
  std::function<CUresult(fixture&)> call;
  std::function<void(fixture&)> after;  // after it; undoes `before` and, if it succeeded, the call
  bool needed = false;                  // terrazzo makes it on its slow path: must do no harm once RELAXED
};

// Clearing away is by trial: a call that failed leaves nothing, and the driver refuses to undo what is not there.
void unmap(fixture& f) { f.device.cuda.cuMemUnmap(f.range.at(0), f.unit); }
CUresult map(fixture& f) {
  return f.device.cuda.cuMemMap(f.range.at(0), f.unit, std::size_t{0}, f.memory.handle(), 0ull);
}
CUresult allow(fixture& f) { return f.device.cuda.cuMemSetAccess(f.range.at(0), f.unit, &f.access, std::size_t{1}); }
CUresult create(fixture& f) { return f.device.cuda.cuMemCreate(&f.handle, f.unit, &f.properties, 0ull); }
CUresult release(fixture& f) {
  return f.handle == 0 ? CUDA_SUCCESS : f.device.cuda.cuMemRelease(std::exchange(f.handle, 0));
}
CUresult reserve(fixture& f) {
  return f.device.cuda.cuMemAddressReserve(&f.address, f.unit, std::size_t{0}, CUdeviceptr{0}, 0ull);
}
CUresult unreserve(fixture& f) {
  return f.address == 0 ? CUDA_SUCCESS : f.device.cuda.cuMemAddressFree(std::exchange(f.address, 0), f.unit);
}
CUresult allocate(fixture& f) { return f.device.cuda.cuMemAlloc_v2(&f.address, f.unit); }
CUresult deallocate(fixture& f) {
  return f.address == 0 ? CUDA_SUCCESS : f.device.cuda.cuMemFree_v2(std::exchange(f.address, 0));
}
CUresult make_event(fixture& f) {
  return f.device.cuda.cuEventCreate(&f.event_made, static_cast<unsigned>(CU_EVENT_DISABLE_TIMING));
}
CUresult drop_event(fixture& f) {
  return f.event_made == nullptr ? CUDA_SUCCESS : f.device.cuda.cuEventDestroy_v2(std::exchange(f.event_made, nullptr));
}
CUresult make_stream(fixture& f) {
  return f.device.cuda.cuStreamCreate(&f.stream_made, static_cast<unsigned>(CU_STREAM_NON_BLOCKING));
}
CUresult drop_stream(fixture& f) {
  return f.stream_made == nullptr ? CUDA_SUCCESS
                                  : f.device.cuda.cuStreamDestroy_v2(std::exchange(f.stream_made, nullptr));
}
CUresult pin_host(fixture& f) { return f.device.cuda.cuMemHostAlloc(&f.host, std::size_t{4096}, 0u); }
CUresult unpin_host(fixture& f) {
  return f.host == nullptr ? CUDA_SUCCESS : f.device.cuda.cuMemFreeHost(std::exchange(f.host, nullptr));
}
CUresult with_default_pool(fixture& f, const std::function<CUresult(CUmemoryPool)>& use) {
  CUmemoryPool pool = nullptr;
  const CUresult got = f.device.cuda.cuDeviceGetDefaultMemPool(&pool, f.device.device);
  return got == CUDA_SUCCESS ? use(pool) : got;
}

std::vector<tried_call> calls_to_try() {
  const auto nothing = [](fixture&) {};
  const auto made = [](CUresult (*make)(fixture&)) { return [make](fixture& f) { make(f); }; };
  const auto mapped = [](fixture& f) { map(f); };
  const auto mapped_with_access = [](fixture& f) { map(f), allow(f); };
  return {
      {"cuMemAddressReserve", nothing, reserve, made(unreserve), true},
      {"cuMemAddressFree", made(reserve), unreserve, made(unreserve), true},
      {"cuMemCreate", nothing, create, made(release), true},
      {"cuMemRelease", made(create), release, made(release), true},
      {"cuMemMap", nothing, map, unmap, true},
      {"cuMemSetAccess", mapped, allow, unmap, true},
      {"cuMemUnmap", mapped_with_access, [](fixture& f) { return f.device.cuda.cuMemUnmap(f.range.at(0), f.unit); },
       unmap, true},
      {"cuMemGetAllocationGranularity", nothing,
       [](fixture& f) {
         std::size_t unit = 0;
         return f.device.cuda.cuMemGetAllocationGranularity(&unit, &f.properties, CU_MEM_ALLOC_GRANULARITY_MINIMUM);
       },
       nothing, true},
      {"cuMemGetInfo", nothing,
       [](fixture& f) {
         std::size_t free = 0, total = 0;
         return f.device.cuda.cuMemGetInfo_v2(&free, &total);
       },
       nothing, true},
      {"cuMemAlloc", nothing, allocate, made(deallocate), true},
      {"cuMemFree", made(allocate), deallocate, made(deallocate), true},
      {"cuMemHostAlloc", nothing, pin_host, made(unpin_host)},
      {"cuMemFreeHost", made(pin_host), unpin_host, made(unpin_host)},
      {"cuMemGetAddressRange", nothing,
       [](fixture& f) {
         CUdeviceptr base = 0;
         std::size_t bytes = 0;
         return f.device.cuda.cuMemGetAddressRange_v2(&base, &bytes, f.target.address());
       },
       nothing},
      {"cuPointerGetAttribute", nothing,
       [](fixture& f) {
         int type = 0;
         return f.device.cuda.cuPointerGetAttribute(static_cast<void*>(&type), CU_POINTER_ATTRIBUTE_MEMORY_TYPE,
                                                    f.target.address());
       },
       nothing},
      {"cuEventCreate", nothing, make_event, made(drop_event), true},
      {"cuEventDestroy", made(make_event), drop_event, made(drop_event), true},
      {"cuEventRecord on another stream", nothing,
       [](fixture& f) { return f.device.cuda.cuEventRecord(CUevent(f.unrecorded), CUstream(f.other)); }, nothing, true},
      {"cuEventRecord on the capturing stream", nothing,
       [](fixture& f) { return f.device.cuda.cuEventRecord(CUevent(f.unrecorded), CUstream(f.captured)); }, nothing},
      {"cuEventQuery", nothing, [](fixture& f) { return f.device.cuda.cuEventQuery(CUevent(f.recorded)); }, nothing,
       true},
      {"cuEventSynchronize", nothing, [](fixture& f) { return f.device.cuda.cuEventSynchronize(CUevent(f.recorded)); },
       nothing, true},
      {"cuStreamWaitEvent on another stream", nothing,
       [](fixture& f) { return f.device.cuda.cuStreamWaitEvent(CUstream(f.other), CUevent(f.recorded), 0u); }, nothing,
       true},
      {"cuStreamWaitEvent on the capturing stream", nothing,
       [](fixture& f) { return f.device.cuda.cuStreamWaitEvent(CUstream(f.captured), CUevent(f.recorded), 0u); },
       nothing},
      {"cuStreamQuery of another stream", nothing,
       [](fixture& f) { return f.device.cuda.cuStreamQuery(CUstream(f.other)); }, nothing},
      {"cuStreamQuery of the capturing stream", nothing,
       [](fixture& f) { return f.device.cuda.cuStreamQuery(CUstream(f.captured)); }, nothing},
      {"cuStreamQuery of the legacy stream", nothing,
       [](fixture& f) { return f.device.cuda.cuStreamQuery(CUstream{nullptr}); }, nothing},
      {"cuStreamIsCapturing of the capturing stream", nothing,
       [](fixture& f) {
         CUstreamCaptureStatus status = CU_STREAM_CAPTURE_STATUS_NONE;
         return f.device.cuda.cuStreamIsCapturing(CUstream(f.captured), &status);
       },
       nothing, true},
      {"cuStreamGetId of the capturing stream", nothing,
       [](fixture& f) {
         unsigned long long id = 0;
         return f.device.cuda.cuStreamGetId(CUstream(f.captured), &id);
       },
       nothing},
      {"cuStreamSynchronize of another stream", nothing,
       [](fixture& f) { return f.device.cuda.cuStreamSynchronize(CUstream(f.other)); }, nothing},
      {"cuStreamCreate", nothing, make_stream, made(drop_stream)},
      {"cuStreamDestroy", made(make_stream), drop_stream, made(drop_stream)},
      {"cuCtxSynchronize", nothing, [](fixture& f) { return f.device.cuda.cuCtxSynchronize(); }, nothing},
      {"cuMemcpyDtoH", nothing,
       [](fixture& f) {
         char byte = 0;
         return f.device.cuda.cuMemcpyDtoH_v2(static_cast<void*>(&byte), f.target.address(), std::size_t{1});
       },
       nothing},
      {"cuMemPoolTrimTo", nothing,
       [](fixture& f) {
         return with_default_pool(
             f, [&f](CUmemoryPool pool) { return f.device.cuda.cuMemPoolTrimTo(pool, std::size_t{0}); });
       },
       nothing},
      {"cuMemPoolGetAttribute", nothing,
       [](fixture& f) {
         cuuint64_t bytes = 0;
         return with_default_pool(f, [&](CUmemoryPool pool) {
           return f.device.cuda.cuMemPoolGetAttribute(pool, CU_MEMPOOL_ATTR_RESERVED_MEM_CURRENT,
                                                      static_cast<void*>(&bytes));
         });
       },
       nothing},
      {"cuDeviceGraphMemTrim", nothing, [](fixture& f) { return f.device.cuda.cuDeviceGraphMemTrim(f.device.device); },
       nothing},
  };
}

struct outcome {
  CUresult call = CUDA_SUCCESS;
  std::string capture;  // "graph", or what spoiled it
};

/// Makes one call while a stream captures.
outcome try_call(fixture& f, const tried_call& tried, CUstreamCaptureMode mode, bool other_thread, bool relaxed) {
  const cuda_calls& cuda = f.device.cuda;
  outcome told;
  const auto call = [&] {
    CUstreamCaptureMode exchanged = CU_STREAM_CAPTURE_MODE_RELAXED;
    if (relaxed) cuda.cuThreadExchangeStreamCaptureMode(&exchanged);
    told.call = tried.call(f);
    if (relaxed) cuda.cuThreadExchangeStreamCaptureMode(&exchanged);
  };
  tried.before(f);
  cuda.cuStreamBeginCapture_v2.must(CUstream(f.captured), mode);
  cuda.cuMemsetD32Async(f.target.address(), 1u, std::size_t{16}, CUstream(f.captured));
  std::string missing;
  if (other_thread) {
    std::thread([&] {
      try {
        f.device.make_current();
        call();
      } catch (const unsupported& reason) {
        missing = reason.what();
      }
    }).join();
  } else {
    try {
      call();
    } catch (const unsupported& reason) {
      missing = reason.what();
    }
  }
  cuda.cuMemsetD32Async(f.target.address(), 2u, std::size_t{16}, CUstream(f.captured));
  CUgraph graph = nullptr;
  const CUresult ended = cuda.cuStreamEndCapture(CUstream(f.captured), &graph);
  if (ended == CUDA_SUCCESS && graph != nullptr) {
    CUgraphExec made = nullptr;
    const CUresult instantiated = cuda.cuGraphInstantiateWithFlags(&made, graph, 0ull);
    told.capture = instantiated == CUDA_SUCCESS ? "graph" : "instantiate " + f.device.name_of(instantiated);
    if (made != nullptr) cuda.cuGraphExecDestroy(made);
    cuda.cuGraphDestroy(graph);
  } else {
    told.capture = "end " + f.device.name_of(ended);
  }
  tried.after(f);
  if (!missing.empty()) throw unsupported(missing);
  return told;
}

void try_all(probe& p) {
  gpu& device = p.device();
  device.need_virtual_memory();
  fixture f(device);
  int tried_count = 0;
  int harmed_when_relaxed = 0;
  std::string harmful;  // needed calls that harm a capture even so
  for (const auto& [mode, mode_name] : {std::pair{CU_STREAM_CAPTURE_MODE_GLOBAL, "global"},
                                        std::pair{CU_STREAM_CAPTURE_MODE_THREAD_LOCAL, "thread_local"},
                                        std::pair{CU_STREAM_CAPTURE_MODE_RELAXED, "relaxed"}}) {
    for (const bool other_thread : {false, true}) {
      for (const bool relaxed : {false, true}) {
        for (const tried_call& tried : calls_to_try()) {
          if (p.time_is_up()) throw std::runtime_error(fmt::format("time was up after {} calls", tried_count));
          const std::string conditions = fmt::format("capture={} thread={} caller={}", mode_name,
                                                     other_thread ? "other" : "same", relaxed ? "relaxed" : "as_is");
          try {
            const outcome told = try_call(f, tried, mode, other_thread, relaxed);
            p.row(tried.name, conditions, fmt::format("{}; capture: {}", device.name_of(told.call), told.capture));
            if (relaxed && tried.needed && (told.call != CUDA_SUCCESS || told.capture != "graph")) {
              ++harmed_when_relaxed;
              if (harmful.find(tried.name) == std::string::npos)
                harmful += fmt::format("{}{}", harmful.empty() ? "" : ", ", tried.name);
            }
            ++tried_count;
          } catch (const unsupported& reason) {
            if (tried_count == 0) throw;  // no capture at all
            p.row(tried.name, conditions, fmt::format("unsupported here: {}", reason.what()));
          }
        }
      }
    }
  }
  if (harmed_when_relaxed != 0)
    p.fail("{} of {} calls failed or spoiled a capture under the RELAXED exchange though terrazzo needs them: {}",
           harmed_when_relaxed, tried_count, harmful);
  else
    p.pass("{} calls tried; under the RELAXED exchange none that terrazzo makes on its slow path spoils a capture",
           tried_count);
}

}  // namespace

int main(int argc, char** argv) { return run_probe(argc, argv, {{"calls", try_all}}); }
