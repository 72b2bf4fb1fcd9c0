// Driver functions about streams. Capture is not modelled yet: beginning one is refused, and no stream ever captures.
#include "softgpu/driver_functions.hpp"

using namespace softgpu;

namespace {

CUresult create(driver_call& call, CUstream* handle, unsigned flags, int priority) {
  if (handle == nullptr) return refuse_null("the place for the stream");
  if ((flags & ~static_cast<unsigned>(CU_STREAM_NON_BLOCKING)) != 0) {
    return refuse(CUDA_ERROR_INVALID_VALUE, "the flags {:#x} are not known", flags);
  }
  auto made = std::make_shared<stream>();
  const std::uintptr_t number = call.all.take_handle();
  made->device = call.current->device;
  made->id = number;
  made->flags = flags;
  made->priority = std::min(std::max(priority, greatest_priority), least_priority);
  call.current->streams.push_back(made);
  call.all.streams.emplace(number, std::move(made));
  *handle = reinterpret_cast<CUstream>(number);
  return CUDA_SUCCESS;
}

// Finds the stream and hands it on; for functions that only ask.
template <typename Answer>
CUresult ask(const char* function, CUstream handle, const void* place, Answer answer) {
  return run_call(function, needs::context, [&](driver_call& call) {
    if (place == nullptr) return refuse_null("the place for the answer");
    std::shared_ptr<stream> one;
    const CUresult found = call.find(handle, one);
    if (found == CUDA_SUCCESS) answer(*one);
    return found;
  });
}

}  // namespace

TERRAZZO_SOFTGPU_ENTRY cuStreamCreate(CUstream* handle, unsigned int flags) {
  return run_call("cuStreamCreate", needs::context,
                  [&](driver_call& call) { return create(call, handle, flags, least_priority); });
}

TERRAZZO_SOFTGPU_ENTRY cuStreamCreateWithPriority(CUstream* handle, unsigned int flags, int priority) {
  return run_call("cuStreamCreateWithPriority", needs::context,
                  [&](driver_call& call) { return create(call, handle, flags, priority); });
}

// The handle is gone at once; the stream's work still runs.
TERRAZZO_SOFTGPU_ENTRY cuStreamDestroy_v2(CUstream handle) {
  return run_call("cuStreamDestroy_v2", needs::context, [&](driver_call& call) {
    const auto found = call.all.streams.find(reinterpret_cast<std::uintptr_t>(handle));
    if (found == call.all.streams.end()) {
      return refuse(CUDA_ERROR_INVALID_HANDLE, "{} is not a stream that can be destroyed", fmt::ptr(handle));
    }
    const std::shared_ptr<stream> one = std::move(found->second);
    call.all.streams.erase(found);
    one->destroyed = true;
    if (one->queue.empty()) std::erase(call.all.context_of(one->device).streams, one);
    return CUDA_SUCCESS;
  });
}

TERRAZZO_SOFTGPU_ENTRY cuStreamQuery(CUstream handle) {
  return run_call("cuStreamQuery", needs::context, [&](driver_call& call) {
    std::shared_ptr<stream> one;
    const CUresult found = call.find(handle, one);
    if (found != CUDA_SUCCESS) return found;
    return is_idle(call.all, *one) ? CUDA_SUCCESS : refuse(CUDA_ERROR_NOT_READY, "work waits in the stream");
  });
}

TERRAZZO_SOFTGPU_ENTRY cuStreamSynchronize(CUstream handle) {
  return run_call("cuStreamSynchronize", needs::context, [&](driver_call& call) {
    std::shared_ptr<stream> one;
    const CUresult found = call.find(handle, one);
    if (found != CUDA_SUCCESS) return found;
    run_all_of(call.all, call.lock, one);
    return call.all.context_of(one->device).dead;
  });
}

TERRAZZO_SOFTGPU_ENTRY cuStreamWaitEvent(CUstream handle, CUevent event_handle, unsigned int flags) {
  return run_call("cuStreamWaitEvent", needs::context, [&](driver_call& call) {
    if (flags != CU_EVENT_WAIT_DEFAULT) return refuse(CUDA_ERROR_NOT_SUPPORTED, "external waits are not modelled");
    std::shared_ptr<stream> one;
    std::shared_ptr<event> awaited;
    CUresult found = call.find(handle, one);
    if (found == CUDA_SUCCESS) found = call.find(event_handle, awaited);
    if (found != CUDA_SUCCESS || awaited->newest == nullptr) return found;
    work piece;
    piece.waits_for = awaited->newest;
    return call.put(one, std::move(piece));
  });
}

TERRAZZO_SOFTGPU_ENTRY cuStreamGetFlags(CUstream handle, unsigned int* flags) {
  return ask("cuStreamGetFlags", handle, flags, [&](const stream& one) { *flags = one.flags; });
}

TERRAZZO_SOFTGPU_ENTRY cuStreamGetPriority(CUstream handle, int* priority) {
  return ask("cuStreamGetPriority", handle, priority, [&](const stream& one) { *priority = one.priority; });
}

TERRAZZO_SOFTGPU_ENTRY cuStreamGetId(CUstream handle, unsigned long long* id) {
  return ask("cuStreamGetId", handle, id, [&](const stream& one) { *id = one.id; });
}

TERRAZZO_SOFTGPU_ENTRY cuStreamIsCapturing(CUstream handle, CUstreamCaptureStatus* status) {
  return ask("cuStreamIsCapturing", handle, status, [&](const stream&) { *status = CU_STREAM_CAPTURE_STATUS_NONE; });
}

TERRAZZO_SOFTGPU_ENTRY cuStreamBeginCapture_v2(CUstream handle, CUstreamCaptureMode) {
  return run_call("cuStreamBeginCapture_v2", needs::context, [&](driver_call& call) {
    std::shared_ptr<stream> one;
    const CUresult found = call.find(handle, one);
    return found == CUDA_SUCCESS ? refuse(CUDA_ERROR_NOT_SUPPORTED, "stream capture is not modelled") : found;
  });
}

TERRAZZO_SOFTGPU_ENTRY cuStreamEndCapture(CUstream handle, CUgraph*) {
  return run_call("cuStreamEndCapture", needs::context, [&](driver_call& call) {
    std::shared_ptr<stream> one;
    const CUresult found = call.find(handle, one);
    return found == CUDA_SUCCESS ? refuse(CUDA_ERROR_ILLEGAL_STATE, "the stream does not capture") : found;
  });
}

TERRAZZO_SOFTGPU_ENTRY cuThreadExchangeStreamCaptureMode(CUstreamCaptureMode* mode) {
  return run_call("cuThreadExchangeStreamCaptureMode", needs::init, [&](driver_call& call) {
    if (mode == nullptr) return refuse_null("mode");
    if (*mode != CU_STREAM_CAPTURE_MODE_GLOBAL && *mode != CU_STREAM_CAPTURE_MODE_THREAD_LOCAL &&
        *mode != CU_STREAM_CAPTURE_MODE_RELAXED) {
      return refuse(CUDA_ERROR_INVALID_VALUE, "{} is not a capture mode", static_cast<int>(*mode));
    }
    std::swap(*mode, call.thread.capture_mode);
    return CUDA_SUCCESS;
  });
}

TERRAZZO_SOFTGPU_ENTRY cuLaunchHostFunc(CUstream handle, CUhostFn function, void* argument) {
  return run_call("cuLaunchHostFunc", needs::context, [&](driver_call& call) {
    if (function == nullptr) return refuse_null("the function");
    std::shared_ptr<stream> one;
    const CUresult found = call.find(handle, one);
    if (found != CUDA_SUCCESS) return found;
    work piece;
    piece.on_host = function;
    piece.argument = argument;
    return call.put(one, std::move(piece));
  });
}
