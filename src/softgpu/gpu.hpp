// Room softgpu/: the software GPU, a library of its own with CUDA's exported names. It knows nothing of terrazzo's
// other rooms (but for the arithmetic in base/bits.hpp), and they nothing of it.
//
//   books      everything the software GPU knows: one set a process, made at the first call from TERRAZZO_SOFTGPU, made
//              anew by terrazzo_softgpu_configure
//   device     what a spec string tells (spec.hpp) and the memory it holds (memory_books.hpp)
//   context    a device's primary context; no other contexts are modelled. Streams, events, allocations and pinned host
//              memory live in it and go with it; chunks, reservations and mappings do not
//   call       one entry into a driver function: counted, priced, perhaps made to fail, refused by name if it
//              breaks a rule
//
// Handles are numbers that are never given twice, so a handle of something gone is always noticed. (A real driver may
// use a destroyed stream's value again.) Threads: one lock over the books; every driver function holds it from begin to
// end, but for the time that a host function of a stream runs. The books are never destroyed: other libraries may call
// in while the process exits.
#pragma once

#include <condition_variable>
#include <cstdint>
#include <map>
#include <memory>
#include <mutex>
#include <new>
#include <string>
#include <vector>

#include "softgpu/call_books.hpp"
#include "softgpu/memory_books.hpp"
#include "softgpu/spec.hpp"
#include "softgpu/streams.hpp"
#include "softgpu/thread_state.hpp"

namespace softgpu {

struct gpu {
  std::mutex mutex;
  std::condition_variable work_finished;

  gpu_spec spec;
  std::string bad_spec;  // why TERRAZZO_SOFTGPU could not be read; cuInit then fails
  std::uint64_t generation = 0;
  bool initialised = false;
  call_books calls;
  std::unique_ptr<memory_books> memory;
  std::vector<context> contexts;  // one a device
  std::map<std::uintptr_t, std::shared_ptr<stream>> streams;
  std::map<std::uintptr_t, std::shared_ptr<event>> events;
  std::vector<std::uint64_t> cublas_handles;  // one number a device; the software cuBLAS keeps it
  std::uintptr_t next_handle = 0xe0000000;

  /// Takes everything down and starts afresh. REQUIRES: the lock, and no other thread inside.
  void build(gpu_spec made);

  [[nodiscard]] bool has_device(int device) const noexcept {
    return device >= 0 && static_cast<std::size_t>(device) < contexts.size();
  }
  [[nodiscard]] context& context_of(int device) { return contexts[static_cast<std::size_t>(device)]; }
  [[nodiscard]] const device_spec& spec_of(int device) const { return spec.devices[static_cast<std::size_t>(device)]; }

  /// Makes a primary context alive; OUT_OF_MEMORY if the device has no room for it.
  CUresult activate(context& one);
  /// Ends its work and frees what lives in it.
  void tear_down(books_lock& lock, context& one);

  [[nodiscard]] std::uintptr_t take_handle() noexcept { return next_handle += 16; }
};

/// The process' books. Made at the first call.
gpu& books();

/// The version that cuDriverGetVersion reports if the spec does not say: each library has its own.
extern const int default_driver_version;

[[nodiscard]] CUcontext handle_of(const context& one) noexcept;

enum class needs {
  nothing,  // not even cuInit
  init,     // cuInit
  sound,    // and that the thread's current context, if it has one, has no sticky error
  context,  // and that the thread has a current context that is alive
};

/// One call of a driver function, from entry to return.
class driver_call {
 public:
  driver_call(const char* function, needs what);

  /// What stands in the way of the call: an injected failure or a missing need.
  [[nodiscard]] CUresult admitted() const noexcept { return admitted_; }
  [[nodiscard]] CUresult finish(CUresult result);

  gpu& all;
  thread_state& thread;
  books_lock lock;
  /// The thread's current context; null if it has none. Never null under needs::context.
  context* current = nullptr;

  /// Prices what the call touches.
  void touch(std::uint64_t units) { all.calls.touch(thread.function, units); }

  /// Finds a stream by its handle, the special ones included. INVALID_HANDLE if there is none. REQUIRES:
  /// needs::context.
  CUresult find(CUstream handle, std::shared_ptr<stream>& result);
  CUresult find(CUevent handle, std::shared_ptr<event>& result);
  CUresult check_device(int device);

  /// Puts work into a stream; gives the sticky error if running it brought one.
  CUresult put(const std::shared_ptr<stream>& into, work piece);

 private:
  CUresult admit(needs what);
  CUresult admitted_;
};

/// Runs the body of a driver function, `CUresult(driver_call&)`, as one call.
template <typename Body>
CUresult run_call(const char* function, needs what, Body body) noexcept {
  try {
    driver_call call(function, what);
    return call.finish(call.admitted() == CUDA_SUCCESS ? body(call) : call.admitted());
  } catch (const std::bad_alloc&) {
    return CUDA_ERROR_OUT_OF_MEMORY;
  }
}

}  // namespace softgpu
