// Driver functions about contexts: primary ones only.
#include "softgpu/driver_functions.hpp"

using namespace softgpu;

namespace {

// The device of a context handle; INVALID_CONTEXT if it is none.
CUresult find_context(driver_call& call, CUcontext handle, int& device) {
  for (const context& one : call.all.contexts) {
    if (handle_of(one) != handle) continue;
    device = one.device;
    return CUDA_SUCCESS;
  }
  return refuse(CUDA_ERROR_INVALID_CONTEXT, "{} is not a primary context of a software device", fmt::ptr(handle));
}

}  // namespace

TERRAZZO_SOFTGPU_ENTRY cuDevicePrimaryCtxRetain(CUcontext* handle, CUdevice device) {
  return run_call("cuDevicePrimaryCtxRetain", needs::init, [&](driver_call& call) {
    if (handle == nullptr) return refuse_null("the place for the context");
    const CUresult checked = call.check_device(device);
    if (checked != CUDA_SUCCESS) return checked;
    context& one = call.all.context_of(device);
    if (!one.active) {
      const CUresult activated = call.all.activate(one);
      if (activated != CUDA_SUCCESS) return activated;
    }
    ++one.retained;
    *handle = handle_of(one);
    return CUDA_SUCCESS;
  });
}

TERRAZZO_SOFTGPU_ENTRY cuDevicePrimaryCtxRelease_v2(CUdevice device) {
  return run_call("cuDevicePrimaryCtxRelease_v2", needs::init, [&](driver_call& call) {
    const CUresult checked = call.check_device(device);
    if (checked != CUDA_SUCCESS) return checked;
    context& one = call.all.context_of(device);
    if (one.retained == 0) {
      return refuse(CUDA_ERROR_INVALID_CONTEXT, "the primary context of device {} is not retained", device);
    }
    if (--one.retained == 0 && one.active) call.all.tear_down(call.lock, one);
    return CUDA_SUCCESS;
  });
}

// A reset context stays retained, and comes alive again at the next retain.
TERRAZZO_SOFTGPU_ENTRY cuDevicePrimaryCtxReset_v2(CUdevice device) {
  return run_call("cuDevicePrimaryCtxReset_v2", needs::init, [&](driver_call& call) {
    const CUresult checked = call.check_device(device);
    if (checked != CUDA_SUCCESS) return checked;
    context& one = call.all.context_of(device);
    if (one.active) call.all.tear_down(call.lock, one);
    return CUDA_SUCCESS;
  });
}

TERRAZZO_SOFTGPU_ENTRY cuDevicePrimaryCtxSetFlags_v2(CUdevice device, unsigned int flags) {
  return run_call("cuDevicePrimaryCtxSetFlags_v2", needs::init, [&](driver_call& call) {
    const CUresult checked = call.check_device(device);
    if (checked == CUDA_SUCCESS) call.all.context_of(device).flags = flags;
    return checked;
  });
}

TERRAZZO_SOFTGPU_ENTRY cuDevicePrimaryCtxGetState(CUdevice device, unsigned int* flags, int* active) {
  return run_call("cuDevicePrimaryCtxGetState", needs::init, [&](driver_call& call) {
    const CUresult checked = call.check_device(device);
    if (checked != CUDA_SUCCESS) return checked;
    if (flags == nullptr || active == nullptr) return refuse_null("flags or active");
    *flags = call.all.context_of(device).flags;
    *active = call.all.context_of(device).active ? 1 : 0;
    return CUDA_SUCCESS;
  });
}

TERRAZZO_SOFTGPU_ENTRY cuCtxPushCurrent_v2(CUcontext handle) {
  return run_call("cuCtxPushCurrent_v2", needs::init, [&](driver_call& call) {
    int device = thread_state::no_context;
    const CUresult found = find_context(call, handle, device);
    if (found == CUDA_SUCCESS) call.thread.contexts.push_back(device);
    return found;
  });
}

TERRAZZO_SOFTGPU_ENTRY cuCtxPopCurrent_v2(CUcontext* handle) {
  return run_call("cuCtxPopCurrent_v2", needs::init, [&](driver_call& call) {
    if (call.current == nullptr) return refuse(CUDA_ERROR_INVALID_CONTEXT, "the thread has no current context");
    if (handle != nullptr) *handle = handle_of(*call.current);
    call.thread.contexts.pop_back();
    return CUDA_SUCCESS;
  });
}

TERRAZZO_SOFTGPU_ENTRY cuCtxSetCurrent(CUcontext handle) {
  return run_call("cuCtxSetCurrent", needs::init, [&](driver_call& call) {
    int device = thread_state::no_context;
    if (handle != nullptr) {
      const CUresult found = find_context(call, handle, device);
      if (found != CUDA_SUCCESS) return found;
    }
    std::vector<int>& stack = call.thread.contexts;
    if (!stack.empty()) stack.pop_back();
    if (device != thread_state::no_context) stack.push_back(device);
    return CUDA_SUCCESS;
  });
}

TERRAZZO_SOFTGPU_ENTRY cuCtxGetCurrent(CUcontext* handle) {
  return run_call("cuCtxGetCurrent", needs::init, [&](driver_call& call) {
    if (handle == nullptr) return refuse_null("the place for the context");
    *handle = call.current != nullptr ? handle_of(*call.current) : nullptr;
    return CUDA_SUCCESS;
  });
}

TERRAZZO_SOFTGPU_ENTRY cuCtxGetDevice(CUdevice* device) {
  return run_call("cuCtxGetDevice", needs::init, [&](driver_call& call) {
    if (device == nullptr) return refuse_null("device");
    if (call.current == nullptr) return refuse(CUDA_ERROR_INVALID_CONTEXT, "the thread has no current context");
    *device = call.current->device;
    return CUDA_SUCCESS;
  });
}

TERRAZZO_SOFTGPU_ENTRY cuCtxGetFlags(unsigned int* flags) {
  return run_call("cuCtxGetFlags", needs::context, [&](driver_call& call) {
    if (flags == nullptr) return refuse_null("flags");
    *flags = call.current->flags;
    return CUDA_SUCCESS;
  });
}

TERRAZZO_SOFTGPU_ENTRY cuCtxGetApiVersion(CUcontext handle, unsigned int* version) {
  return run_call("cuCtxGetApiVersion", needs::init, [&](driver_call& call) {
    if (version == nullptr) return refuse_null("version");
    int device = 0;
    if (handle != nullptr) {
      const CUresult found = find_context(call, handle, device);
      if (found != CUDA_SUCCESS) return found;
    } else if (call.current == nullptr) {
      return refuse(CUDA_ERROR_INVALID_CONTEXT, "the thread has no current context");
    }
    *version = 3020;  // what real drivers answer for contexts of the present interface
    return CUDA_SUCCESS;
  });
}

TERRAZZO_SOFTGPU_ENTRY cuCtxGetStreamPriorityRange(int* least, int* greatest) {
  return run_call("cuCtxGetStreamPriorityRange", needs::context, [&](driver_call&) {
    if (least != nullptr) *least = least_priority;
    if (greatest != nullptr) *greatest = greatest_priority;
    return CUDA_SUCCESS;
  });
}

TERRAZZO_SOFTGPU_ENTRY cuCtxSynchronize() {
  return run_call("cuCtxSynchronize", needs::context, [&](driver_call& call) {
    run_all_in(call.all, call.lock, *call.current);
    return call.current->dead;
  });
}
