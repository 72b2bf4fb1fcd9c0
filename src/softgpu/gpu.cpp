#include "softgpu/gpu.hpp"

#include <cstdio>
#include <cstdlib>
#include <thread>
#include <utility>

#include "base/platform.hpp"
#include "softgpu/error_names.hpp"

namespace softgpu {
namespace {

// Takes the current spec from the environment. What is wrong with it goes to stderr as well: a program that only sees
// cuInit fail does not know to ask for the message.
gpu* make_books() {
  auto* made = new gpu;
  gpu_spec spec;
  spec.driver_version = default_driver_version;
  const char* text = std::getenv("TERRAZZO_SOFTGPU");
  if (text == nullptr || !parse_spec(text, default_driver_version, spec, made->bad_spec)) {
    if (text != nullptr) std::fprintf(stderr, "TERRAZZO_SOFTGPU: %s\n", made->bad_spec.c_str());
    spec.devices.resize(text == nullptr ? 1 : 0);
  }
  made->build(std::move(spec));
  return made;
}

}  // namespace

thread_state& this_thread() noexcept {
#ifdef TERRAZZO_EMULATED_THREAD_LOCAL
  static thread_local thread_state* const state = new thread_state;  // stays when the thread ends: see platform.hpp
  return *state;
#else
  thread_local thread_state state;
  return state;
#endif
}

gpu& books() {
  static gpu* const one = make_books();
  return *one;
}

CUcontext handle_of(const context& one) noexcept {
  return reinterpret_cast<CUcontext>(std::uintptr_t{0xc0000000} + 16 * static_cast<std::uintptr_t>(one.device));
}

void gpu::build(gpu_spec made) {
  auto fresh = std::make_unique<memory_books>(made);
  std::vector<context> empty(made.devices.size());
  for (std::size_t i = 0; i < empty.size(); ++i) empty[i].device = static_cast<int>(i);
  streams.clear();
  events.clear();
  contexts = std::move(empty);
  cublas_handles.assign(made.devices.size(), 0);
  memory = std::move(fresh);
  calls = call_books();
  spec = std::move(made);
  initialised = false;
  ++generation;
}

CUresult gpu::activate(context& one) {
  const CUresult taken = memory->take_context_bytes(one.device);
  if (taken != CUDA_SUCCESS) return taken;
  one.legacy = std::make_shared<stream>();
  one.legacy->device = one.device;
  one.legacy->legacy = true;
  one.legacy->id = take_handle();
  one.active = true;
  return CUDA_SUCCESS;
}

void gpu::tear_down(books_lock& lock, context& one) {
  run_all_in(*this, lock, one);
  std::erase_if(streams, [&](const auto& entry) { return entry.second->device == one.device; });
  std::erase_if(events, [&](const auto& entry) { return entry.second->device == one.device; });
  one.streams.clear();
  one.per_thread.clear();
  one.legacy.reset();
  memory->free_all_of(one.device);
  memory->return_context_bytes(one.device);
  one.active = false;
  one.dead = CUDA_SUCCESS;
}

driver_call::driver_call(const char* function, needs what) : all(books()), thread(this_thread()), lock(all.mutex) {
  thread.function = function;
  thread.message[0] = '\0';
  if (thread.generation != all.generation) {
    thread.contexts.clear();
    thread.generation = all.generation;
  }
  if (!thread.contexts.empty() && thread.contexts.back() != thread_state::no_context)
    current = &all.context_of(thread.contexts.back());
  admitted_ = admit(what);
}

CUresult driver_call::admit(needs what) {
  if (thread.inside_work && what != needs::nothing) {
    return refuse(CUDA_ERROR_NOT_PERMITTED, "a host function in a stream must not call the driver");
  }
  if (const auto injected = all.calls.enter(thread.function)) {
    return refuse(static_cast<CUresult>(*injected), "made to fail by terrazzo_softgpu_fail");
  }
  if (what == needs::nothing) return CUDA_SUCCESS;
  if (!all.initialised) return refuse(CUDA_ERROR_NOT_INITIALIZED, "cuInit has not been called");
  if (what == needs::init) return CUDA_SUCCESS;
  if (current != nullptr && current->dead != CUDA_SUCCESS) {
    return refuse(current->dead, "the context of device {} died of this error earlier; only a reset ends it",
                  current->device);
  }
  if (what == needs::sound) return CUDA_SUCCESS;
  if (current == nullptr) return refuse(CUDA_ERROR_INVALID_CONTEXT, "the thread has no current context");
  if (!current->active) {
    return refuse(CUDA_ERROR_CONTEXT_IS_DESTROYED, "the current context, the primary one of device {}, is not alive",
                  current->device);
  }
  return CUDA_SUCCESS;
}

CUresult driver_call::finish(CUresult result) {
  if (result == CUDA_SUCCESS) thread.message[0] = '\0';
  else if (thread.message[0] == '\0') refuse(result, "{}", error_sentence(result));
  return result;
}

CUresult driver_call::find(CUstream handle, std::shared_ptr<stream>& result) {
  if (handle == nullptr || handle == CU_STREAM_LEGACY) {
    result = current->legacy;
    return CUDA_SUCCESS;
  }
  if (handle == CU_STREAM_PER_THREAD) {
    std::shared_ptr<stream>& own = current->per_thread[std::this_thread::get_id()];
    if (own == nullptr) {
      own = std::make_shared<stream>();
      own->device = current->device;
      own->id = all.take_handle();
      current->streams.push_back(own);
    }
    result = own;
    return CUDA_SUCCESS;
  }
  const auto found = all.streams.find(reinterpret_cast<std::uintptr_t>(handle));
  if (found == all.streams.end()) return refuse(CUDA_ERROR_INVALID_HANDLE, "{} is not a stream", fmt::ptr(handle));
  result = found->second;
  return CUDA_SUCCESS;
}

CUresult driver_call::find(CUevent handle, std::shared_ptr<event>& result) {
  const auto found = all.events.find(reinterpret_cast<std::uintptr_t>(handle));
  if (found == all.events.end()) return refuse(CUDA_ERROR_INVALID_HANDLE, "{} is not an event", fmt::ptr(handle));
  result = found->second;
  return CUDA_SUCCESS;
}

CUresult driver_call::check_device(int device) {
  if (all.has_device(device)) return CUDA_SUCCESS;
  return refuse(CUDA_ERROR_INVALID_DEVICE, "there is no device {} among {}", device, all.contexts.size());
}

CUresult driver_call::put(const std::shared_ptr<stream>& into, work piece) {
  enqueue(all, lock, into, std::move(piece));
  return all.context_of(into->device).dead;
}

}  // namespace softgpu
