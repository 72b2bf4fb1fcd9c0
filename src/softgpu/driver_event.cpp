// Driver functions about events. Times are simulated: see streams.hpp.
#include "softgpu/driver_functions.hpp"

using namespace softgpu;

namespace {

CUresult record_event(driver_call& call, CUevent handle, CUstream stream_handle) {
  std::shared_ptr<event> one;
  std::shared_ptr<stream> into;
  CUresult found = call.find(handle, one);
  if (found == CUDA_SUCCESS) found = call.find(stream_handle, into);
  if (found != CUDA_SUCCESS) return found;
  if (one->device != into->device) {
    return refuse(CUDA_ERROR_INVALID_HANDLE, "the event is of device {}, the stream of device {}", one->device,
                  into->device);
  }
  one->newest = std::make_shared<record>();
  work piece;
  piece.records = one->newest;
  return call.put(into, std::move(piece));
}

CUresult measure(driver_call& call, float* milliseconds, CUevent start, CUevent end) {
  if (milliseconds == nullptr) return refuse_null("the place for the time");
  double times[2];
  const CUevent handles[2] = {start, end};
  for (int i = 0; i < 2; ++i) {
    std::shared_ptr<event> one;
    const CUresult found = call.find(handles[i], one);
    if (found != CUDA_SUCCESS) return found;
    if ((one->flags & CU_EVENT_DISABLE_TIMING) != 0 || one->newest == nullptr) {
      return refuse(CUDA_ERROR_INVALID_HANDLE, "an event without timing, or never recorded, has no time");
    }
    if (!one->newest->done) return refuse(CUDA_ERROR_NOT_READY, "the event has not been reached");
    times[i] = one->newest->time_ns;
  }
  *milliseconds = static_cast<float>((times[1] - times[0]) / 1e6);
  return CUDA_SUCCESS;
}

}  // namespace

TERRAZZO_SOFTGPU_ENTRY cuEventCreate(CUevent* handle, unsigned int flags) {
  return run_call("cuEventCreate", needs::context, [&](driver_call& call) {
    if (handle == nullptr) return refuse_null("the place for the event");
    if ((flags & CU_EVENT_INTERPROCESS) != 0) {
      return refuse(CUDA_ERROR_NOT_SUPPORTED, "events shared between processes are not modelled");
    }
    constexpr unsigned known = CU_EVENT_BLOCKING_SYNC | CU_EVENT_DISABLE_TIMING;
    if ((flags & ~known) != 0) return refuse(CUDA_ERROR_INVALID_VALUE, "the flags {:#x} are not known", flags);
    auto made = std::make_shared<event>();
    made->device = call.current->device;
    made->flags = flags;
    const std::uintptr_t number = call.all.take_handle();
    call.all.events.emplace(number, std::move(made));
    *handle = reinterpret_cast<CUevent>(number);
    return CUDA_SUCCESS;
  });
}

TERRAZZO_SOFTGPU_ENTRY cuEventRecord(CUevent handle, CUstream stream) {
  return run_call("cuEventRecord", needs::context,
                  [&](driver_call& call) { return record_event(call, handle, stream); });
}

TERRAZZO_SOFTGPU_ENTRY cuEventRecordWithFlags(CUevent handle, CUstream stream, unsigned int flags) {
  return run_call("cuEventRecordWithFlags", needs::context, [&](driver_call& call) {
    if (flags != CU_EVENT_RECORD_DEFAULT) return refuse(CUDA_ERROR_NOT_SUPPORTED, "external records are not modelled");
    return record_event(call, handle, stream);
  });
}

TERRAZZO_SOFTGPU_ENTRY cuEventQuery(CUevent handle) {
  return run_call("cuEventQuery", needs::sound, [&](driver_call& call) {
    std::shared_ptr<event> one;
    const CUresult found = call.find(handle, one);
    if (found != CUDA_SUCCESS) return found;
    if (one->newest == nullptr || one->newest->done) return call.all.context_of(one->device).dead;
    return refuse(CUDA_ERROR_NOT_READY, "the event has not been reached");
  });
}

TERRAZZO_SOFTGPU_ENTRY cuEventSynchronize(CUevent handle) {
  return run_call("cuEventSynchronize", needs::context, [&](driver_call& call) {
    std::shared_ptr<event> one;
    const CUresult found = call.find(handle, one);
    if (found != CUDA_SUCCESS || one->newest == nullptr) return found;
    const std::shared_ptr<stream> where = one->newest->where.lock();
    if (where != nullptr) run_up_to(call.all, call.lock, where, one->newest->ticket);
    return call.all.context_of(one->device).dead;
  });
}

TERRAZZO_SOFTGPU_ENTRY cuEventDestroy_v2(CUevent handle) {
  return run_call("cuEventDestroy_v2", needs::context, [&](driver_call& call) {
    std::shared_ptr<event> one;
    const CUresult found = call.find(handle, one);
    if (found == CUDA_SUCCESS) call.all.events.erase(reinterpret_cast<std::uintptr_t>(handle));
    return found;
  });
}

TERRAZZO_SOFTGPU_ENTRY cuEventElapsedTime(float* milliseconds, CUevent start, CUevent end) {
  return run_call("cuEventElapsedTime", needs::context,
                  [&](driver_call& call) { return measure(call, milliseconds, start, end); });
}

TERRAZZO_SOFTGPU_ENTRY cuEventElapsedTime_v2(float* milliseconds, CUevent start, CUevent end) {
  return run_call("cuEventElapsedTime_v2", needs::context,
                  [&](driver_call& call) { return measure(call, milliseconds, start, end); });
}
