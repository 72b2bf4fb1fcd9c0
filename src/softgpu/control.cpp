// The software GPU's own functions: include/terrazzo/softgpu.h tells what each does.
#include <algorithm>
#include <cstring>
#include <limits>
#include <string>
#include <string_view>

#include "softgpu/functions.hpp"
#include "softgpu/gpu.hpp"
#include "terrazzo/export.h"
#include "terrazzo/softgpu.h"

using namespace softgpu;

#define TERRAZZO_SOFTGPU_CONTROL(type) extern "C" TERRAZZO_API type

namespace {

constexpr std::uint64_t unknown_word = std::numeric_limits<std::uint64_t>::max();

// Enters one of the functions here: names it for messages and takes the lock. No control function throws.
class control {
 public:
  explicit control(const char* function) : all(books()), lock(all.mutex) {
    this_thread().function = function;
    this_thread().message[0] = '\0';
  }
  gpu& all;
  books_lock lock;

  [[nodiscard]] bool check_device(int device, bool all_allowed) const {
    if (all.has_device(device) || (all_allowed && device == -1)) return true;
    refuse(1, "there is no device {} among {}", device, all.contexts.size());
    return false;
  }
};

std::string_view text_of(const char* text) { return text != nullptr ? std::string_view(text) : std::string_view(); }

// What one device contributes to a count.
std::uint64_t count_of(gpu& all, std::string_view what, int device) {
  const context& home = all.context_of(device);
  const auto belongs = [&](const auto& entry) { return entry.second->device == device; };
  if (what == "used_bytes") return all.memory->used_bytes(device);
  if (what == "free_bytes") return all.memory->free_bytes(device);
  if (what == "contexts") return home.active ? 1 : 0;
  if (what == "streams")
    return static_cast<std::uint64_t>(std::count_if(all.streams.begin(), all.streams.end(), belongs));
  if (what == "events") return static_cast<std::uint64_t>(std::count_if(all.events.begin(), all.events.end(), belongs));
  if (what == "cublas_handles") return all.cublas_handles[static_cast<std::size_t>(device)];
  const memory_books::totals totals = all.memory->count(device);
  if (what == "chunks") return totals.chunks;
  if (what == "chunk_bytes") return totals.chunk_bytes;
  if (what == "mappings") return totals.mappings;
  if (what == "allocations") return totals.allocations;
  if (what == "allocated_bytes") return totals.allocated_bytes;
  if (what == "host_allocations") return totals.host_allocations;
  return unknown_word;
}

bool find_stream(gpu& all, void* handle, std::shared_ptr<stream>& result) {
  if (handle == nullptr || handle == static_cast<void*>(CU_STREAM_LEGACY)) {
    const thread_state& thread = this_thread();
    const bool has_current = thread.generation == all.generation && !thread.contexts.empty() &&
                             thread.contexts.back() != thread_state::no_context;
    if (has_current) result = all.context_of(thread.contexts.back()).legacy;
    if (result == nullptr) refuse(1, "the legacy stream is that of the current context, and there is none");
    return result != nullptr;
  }
  const auto found = all.streams.find(reinterpret_cast<std::uintptr_t>(handle));
  if (found == all.streams.end()) {
    refuse(1, "{} is not a stream", handle);
    return false;
  }
  result = found->second;
  return true;
}

}  // namespace

TERRAZZO_SOFTGPU_CONTROL(int) terrazzo_softgpu_configure(const char* spec) {
  control call("terrazzo_softgpu_configure");
  gpu_spec made;
  std::string reason;
  if (!parse_spec(text_of(spec), default_driver_version, made, reason)) return refuse(1, "{}", reason);
  try {
    call.all.build(std::move(made));
  } catch (const std::bad_alloc&) {
    return refuse(1, "the host has no memory for the devices");
  }
  call.all.bad_spec.clear();
  return 0;
}

TERRAZZO_SOFTGPU_CONTROL(const char*) terrazzo_softgpu_message() { return this_thread().message; }

TERRAZZO_SOFTGPU_CONTROL(uint64_t) terrazzo_softgpu_calls(const char* function) {
  control call("terrazzo_softgpu_calls");
  return function != nullptr ? call.all.calls.calls(function) : call.all.calls.all_calls();
}

TERRAZZO_SOFTGPU_CONTROL(void) terrazzo_softgpu_reset_counts() {
  control call("terrazzo_softgpu_reset_counts");
  call.all.calls.reset_counts();
}

TERRAZZO_SOFTGPU_CONTROL(int)
terrazzo_softgpu_fail(const char* function, uint64_t k, int result, uint64_t times) {
  control call("terrazzo_softgpu_fail");
  if (function != nullptr && *function == '\0') return refuse(1, "the function's name is empty");
  if (k != 0 && result == 0) return refuse(1, "the result 0 is no failure");
  call.all.calls.fail(text_of(function), k, result, times);
  return 0;
}

TERRAZZO_SOFTGPU_CONTROL(uint64_t) terrazzo_softgpu_failures() {
  control call("terrazzo_softgpu_failures");
  return call.all.calls.failures();
}

TERRAZZO_SOFTGPU_CONTROL(int) terrazzo_softgpu_set_other_memory(int device, uint64_t bytes) {
  control call("terrazzo_softgpu_set_other_memory");
  if (!call.check_device(device, false)) return 1;
  call.all.memory->set_other_bytes(device, bytes);
  return 0;
}

TERRAZZO_SOFTGPU_CONTROL(uint64_t) terrazzo_softgpu_complete(void* handle, uint64_t count) {
  if (this_thread().inside_work) return 0;
  control call("terrazzo_softgpu_complete");
  std::shared_ptr<stream> one;
  return find_stream(call.all, handle, one) ? run_ready(call.all, call.lock, one, count) : 0;
}

TERRAZZO_SOFTGPU_CONTROL(uint64_t) terrazzo_softgpu_complete_all() {
  if (this_thread().inside_work) return 0;
  control call("terrazzo_softgpu_complete_all");
  std::uint64_t all = 0;
  for (std::uint64_t done = 1; done != 0; all += done) {
    done = 0;
    for (context& home : call.all.contexts) {
      auto streams = home.streams;
      if (home.legacy != nullptr) streams.push_back(home.legacy);
      for (const auto& one : streams) done += run_ready(call.all, call.lock, one, unknown_word);
    }
  }
  return all;
}

TERRAZZO_SOFTGPU_CONTROL(int)
terrazzo_softgpu_enqueue(void* handle, void (*function)(void*), void* argument, double cost_ns) {
  control call("terrazzo_softgpu_enqueue");
  if (this_thread().inside_work) return refuse(1, "a host function in a stream must not enqueue work");
  if (function == nullptr || !(cost_ns >= 0)) return refuse(1, "the work is null or its cost negative");
  std::shared_ptr<stream> one;
  if (!find_stream(call.all, handle, one)) return 1;
  work piece;
  piece.on_host = function;
  piece.argument = argument;
  piece.cost_ns = cost_ns;
  try {
    enqueue(call.all, call.lock, one, std::move(piece));
  } catch (const std::bad_alloc&) {
    return refuse(1, "the host has no memory for the work");
  }
  return 0;
}

TERRAZZO_SOFTGPU_CONTROL(uint64_t) terrazzo_softgpu_count(const char* what, int device) {
  control call("terrazzo_softgpu_count");
  if (!call.check_device(device, true)) return unknown_word;
  const std::string_view word = text_of(what);
  // These belong to no device.
  const memory_books::totals totals = call.all.memory->count(-1);
  if (word == "reservations") return totals.reservations;
  if (word == "reserved_address_bytes") return totals.reserved_address_bytes;
  std::uint64_t sum = 0;
  for (const context& home : call.all.contexts) {
    if (device >= 0 && home.device != device) continue;
    const std::uint64_t one = count_of(call.all, word, home.device);
    if (one == unknown_word) {
      refuse(1, "there is nothing called '{}' to count", word);
      return unknown_word;
    }
    sum += one;
  }
  return sum;
}

TERRAZZO_SOFTGPU_CONTROL(int) terrazzo_softgpu_set_price(const char* function, double a_ns, double b_ns) {
  control call("terrazzo_softgpu_set_price");
  if (function == nullptr || !(a_ns >= 0) || !(b_ns >= 0)) return refuse(1, "no function, or a negative price");
  call.all.calls.set_price(function, a_ns, b_ns);
  return 0;
}

TERRAZZO_SOFTGPU_CONTROL(double) terrazzo_softgpu_priced_ns() {
  control call("terrazzo_softgpu_priced_ns");
  return call.all.calls.priced_ns();
}

TERRAZZO_SOFTGPU_CONTROL(void*) terrazzo_softgpu_symbol(const char* name) {
  control call("terrazzo_softgpu_symbol");
  for (const function_entry& one : all_functions()) {
    if (text_of(name) == one.name) return one.since <= call.all.spec.driver_version ? one.address : nullptr;
  }
  return nullptr;
}

TERRAZZO_SOFTGPU_CONTROL(int) terrazzo_softgpu_enter(const char* function) {
  control call(function);
  const auto injected = call.all.calls.enter(function);
  return injected ? refuse(*injected, "made to fail by terrazzo_softgpu_fail") : 0;
}

TERRAZZO_SOFTGPU_CONTROL(void) terrazzo_softgpu_explain(const char* function, const char* sentence) {
  this_thread().function = function;
  refuse(0, "{}", sentence);
}

TERRAZZO_SOFTGPU_CONTROL(uint64_t) terrazzo_softgpu_generation() {
  control call("terrazzo_softgpu_generation");
  return call.all.generation;
}

TERRAZZO_SOFTGPU_CONTROL(int) terrazzo_softgpu_cublas_pool(int device, uint64_t* bytes) {
  control call("terrazzo_softgpu_cublas_pool");
  if (bytes == nullptr || !call.check_device(device, false)) return 1;
  const device_spec& spec = call.all.spec_of(device);
  if (!spec.cublas_pool_given) return refuse(1, "the spec of device {} has no cublas_pool", device);
  *bytes = spec.cublas_pool_bytes;
  return 0;
}

TERRAZZO_SOFTGPU_CONTROL(int) terrazzo_softgpu_add_cublas_handles(int device, int count) {
  control call("terrazzo_softgpu_add_cublas_handles");
  if (!call.check_device(device, false)) return 1;
  call.all.cublas_handles[static_cast<std::size_t>(device)] +=
      static_cast<std::uint64_t>(static_cast<std::int64_t>(count));
  return 0;
}

TERRAZZO_SOFTGPU_CONTROL(int) terrazzo_softgpu_reach(uint64_t address, uint64_t bytes, int write) {
  control call("terrazzo_softgpu_reach");
  const memory_books& memory = *call.all.memory;
  if (memory.reach_of(address, bytes, write != 0) != memory_books::reach::accessible) return 0;
  return memory.is_backed(address) ? 1 : 2;
}
