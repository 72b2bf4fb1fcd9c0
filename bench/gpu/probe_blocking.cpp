// What the virtual memory calls wait for, and which ranges they accept (to be measured on a card, items 2 and 3).
//   blocking     a kernel spins on a host flag: which calls on unrelated memory do not return before it ends
//   shapes       unmap of many mappings, of a part, over a hole; map of a prefix of a chunk; release before unmap
//   event_wait   wait for an event, then unmap, while another stream is busy; against waiting for the whole context
//
// Nothing here unmaps memory that running work touches.

#include <condition_variable>
#include <functional>
#include <mutex>
#include <optional>
#include <thread>

#include "kernels.hpp"
#include "vmm.hpp"

namespace {

using namespace terrazzo::probe;

/// Ends a spinning kernel if the call it watches has not returned in time, so that a blocking call blocks only so long.
class watchdog {
 public:
  watchdog(spinner& watched, double seconds)
      : thread_([this, &watched, seconds] {
          std::unique_lock lock(mutex_);
          if (returned_.wait_for(lock, std::chrono::duration<double>(seconds), [this] { return done_; })) return;
          barked_ = true;
          watched.release();
        }) {}
  watchdog(const watchdog&) = delete;
  watchdog& operator=(const watchdog&) = delete;
  ~watchdog() { finish(); }

  /// Stands down; tells whether the kernel had to be ended.
  bool finish() {
    {
      const std::lock_guard lock(mutex_);
      done_ = true;
    }
    returned_.notify_one();
    if (thread_.joinable()) thread_.join();
    return barked_;
  }

 private:
  std::mutex mutex_;
  std::condition_variable returned_;
  bool done_ = false;
  bool barked_ = false;
  std::thread thread_;
};

/// A call to be timed, with what must be made ready before and cleared away after it, untimed.
struct timed_call {
  const char* name;
  std::function<void()> before;
  std::function<void()> call;
  std::function<void()> after;
};

std::vector<timed_call> calls_to_watch(gpu& device, std::vector<std::shared_ptr<void>>& keep) {
  const cuda_calls& cuda = device.cuda;
  struct objects {
    explicit objects(gpu& on)
        : memory(on, 2 * mib), range(on, 2 * mib), properties(device_memory(on)), idle(on), done(on) {}
    chunk memory;
    reservation range;
    CUmemAllocationProp properties;
    CUmemGenericAllocationHandle handle = 0;
    CUdeviceptr address = 0;
    CUevent made = nullptr;
    stream idle;
    event done;
  };
  auto owner = std::make_shared<objects>(device);
  keep.push_back(owner);
  objects* const o = owner.get();
  const auto nothing = [] {};
  const auto map = [o] { o->range.map(0, o->memory); };
  const auto allow = [o] { o->range.allow(0, 2 * mib); };
  const auto unmap = [o] { o->range.unmap(0, 2 * mib); };
  const auto create = [o, &cuda] { cuda.cuMemCreate.must(&o->handle, 2 * mib, &o->properties, 0ull); };
  const auto release = [o, &cuda] { cuda.cuMemRelease.must(o->handle); };
  const auto reserve = [o, &cuda] {
    cuda.cuMemAddressReserve.must(&o->address, 2 * mib, std::size_t{0}, CUdeviceptr{0}, 0ull);
  };
  const auto give_back = [o, &cuda] { cuda.cuMemAddressFree.must(o->address, 2 * mib); };
  const auto allocate = [o, &cuda] { cuda.cuMemAlloc_v2.must(&o->address, 2 * mib); };
  const auto deallocate = [o, &cuda] { cuda.cuMemFree_v2.must(o->address); };
  const auto make_event = [o, &cuda] {
    cuda.cuEventCreate.must(&o->made, static_cast<unsigned>(CU_EVENT_DISABLE_TIMING));
  };
  const auto drop_event = [o, &cuda] { cuda.cuEventDestroy_v2.must(o->made); };
  return {
      {"cuMemMap", nothing, map, unmap},
      {"cuMemSetAccess", map, allow, unmap},
      {"cuMemUnmap",
       [=] {
         map();
         allow();
       },
       unmap, nothing},
      {"cuMemUnmap without access set", map, unmap, nothing},
      {"cuMemRelease", create, release, nothing},
      {"cuMemCreate", nothing, create, release},
      {"cuMemAddressReserve", nothing, reserve, give_back},
      {"cuMemAddressFree", reserve, give_back, nothing},
      {"cuMemGetInfo", nothing, [&device] { static_cast<void>(device.free_bytes()); }, nothing},
      {"cuEventCreate", nothing, make_event, drop_event},
      {"cuEventDestroy", make_event, drop_event, nothing},
      {"cuEventRecord", nothing, [o] { o->done.record(o->idle); }, nothing},
      {"cuEventQuery", nothing, [o, &cuda] { cuda.cuEventQuery(CUevent(o->done)); }, nothing},
      {"cuMemAlloc", nothing, allocate, deallocate},
      {"cuMemFree", allocate, deallocate, nothing},
  };
}

void measure_blocking(probe& p) {
  gpu& device = p.device();
  device.need_virtual_memory();
  std::vector<std::shared_ptr<void>> keep;
  const std::vector<timed_call> calls = calls_to_watch(device, keep);
  const int repetitions = p.repetitions(200);
  std::vector<std::vector<double>> idle(calls.size());
  for (std::size_t i = 0; i < calls.size(); ++i) {
    for (int k = 0; k < repetitions; ++k) {
      calls[i].before();
      idle[i].push_back(time_us(calls[i].call));
      calls[i].after();
    }
    p.row(calls[i].name, "load=idle", "us", idle[i]);
  }

  const kernels code(device);
  std::string waiting, free_of_waiting;
  for (const timed_call& watched : calls) {
    // What must be ready beforehand is made ready under the spinning kernel too: where a preparation waits for the
    // kernel, the calls that need it cannot be told apart from it, and the row says so.
    std::vector<double> times;
    std::string blocked;
    std::optional<spinner> spinning(std::in_place, device, code, 5.0);
    for (int k = 0; k < repetitions && blocked.empty() && !p.time_is_up(); ++k) {
      const std::pair<const char*, const std::function<void()>*> steps[] = {
          {"preparation", &watched.before}, {"call", &watched.call}, {"clearing away", &watched.after}};
      for (const auto& [step, work] : steps) {
        watchdog guard(*spinning, 0.3);
        const double us = time_us(*work);
        const bool ended_the_kernel = guard.finish();
        if (work == &watched.call) times.push_back(us);
        if (ended_the_kernel && blocked.empty()) blocked = step;
      }
    }
    spinning->stop();
    const std::string result = blocked.empty()     ? "returns"
                               : blocked == "call" ? "waits for the kernel"
                                                   : "its " + blocked + " waits for the kernel";
    p.row(watched.name, "load=kernel", "us", times, result);
    if (blocked == "call") waiting += fmt::format("{}{}", waiting.empty() ? "" : ", ", watched.name);
    else if (blocked.empty()) free_of_waiting += fmt::format("{}{}", free_of_waiting.empty() ? "" : ", ", watched.name);
  }
  p.pass("beside a running kernel on other memory these wait for it: {}; these return: {}",
         waiting.empty() ? "none" : waiting, free_of_waiting.empty() ? "none" : free_of_waiting);
}

/// Tells which of `count` chunks behind an address are mapped, as in "1101".
std::string mapped_chunks(const gpu& device, CUdeviceptr base, std::size_t count, std::size_t chunk_bytes) {
  std::string mapped;
  for (std::size_t i = 0; i < count; ++i) {
    CUmemGenericAllocationHandle handle = 0;
    void* const address = reinterpret_cast<void*>(base + i * chunk_bytes);
    const bool there = device.cuda.cuMemRetainAllocationHandle(&handle, address) == CUDA_SUCCESS;
    if (there) device.cuda.cuMemRelease(handle);
    mapped += there ? '1' : '0';
  }
  return mapped;
}

void measure_unmap_of_many(probe& p, gpu& device, std::size_t unit) {
  for (const std::size_t count : {1, 8, 64, 512}) {
    if (p.quick && count > 64) continue;
    const std::vector<chunk> chunks = make_chunks(device, count, unit);
    reservation range(device, count * unit);
    std::vector<double> one, each;
    for (int k = 0; k < p.repetitions(20) && !p.time_is_up(0.5); ++k) {
      range.map_all(0, chunks, count);
      range.allow(0, count * unit);
      one.push_back(time_us([&] { range.unmap(0, count * unit); }));
      range.map_all(0, chunks, count);
      range.allow(0, count * unit);
      each.push_back(time_us([&] {
        for (std::size_t i = 0; i < count; ++i) range.unmap(i * unit, unit);
      }));
    }
    p.row("cuMemUnmap", fmt::format("chunk_mib={} chunks={} calls=1", unit / mib, count), "us", one);
    p.row("cuMemUnmap", fmt::format("chunk_mib={} chunks={} calls=chunks", unit / mib, count), "us", each);
  }
}

void measure_shapes(probe& p) {
  gpu& device = p.device();
  device.need_virtual_memory();
  const cuda_calls& cuda = device.cuda;
  const std::size_t unit = std::max<std::size_t>(device.granularity, 2 * mib);
  const CUmemAccessDesc access = read_and_write(device);
  measure_unmap_of_many(p, device, unit);

  // Each case: four chunks mapped with access, one call, what it answered, which of the four are still mapped.
  struct shape {
    const char* call;
    const char* conditions;
    std::vector<std::size_t> holes;  // chunks unmapped, or never mapped, before the call
    std::function<CUresult(CUdeviceptr)> run;
    bool must_succeed;  // terrazzo relies on it
  };
  const chunk twice_as_large(device, 2 * unit);
  const std::vector<chunk> spare = make_chunks(device, 1, unit);
  const shape shapes[] = {
      {"cuMemUnmap", "all of 4 mappings", {}, [&](CUdeviceptr at) { return cuda.cuMemUnmap(at, 4 * unit); }, true},
      {"cuMemUnmap",
       "mappings 1 and 2 of 4",
       {},
       [&](CUdeviceptr at) { return cuda.cuMemUnmap(at + unit, 2 * unit); },
       true},
      {"cuMemUnmap", "a hole at 1 of 4", {1}, [&](CUdeviceptr at) { return cuda.cuMemUnmap(at, 4 * unit); }, false},
      {"cuMemUnmap", "a hole at the start", {0}, [&](CUdeviceptr at) { return cuda.cuMemUnmap(at, 4 * unit); }, false},
      {"cuMemUnmap",
       "nothing mapped at all",
       {0, 1, 2, 3},
       [&](CUdeviceptr at) { return cuda.cuMemUnmap(at, 4 * unit); },
       false},
      {"cuMemSetAccess",
       "mappings 1 and 2 of 4",
       {},
       [&](CUdeviceptr at) { return cuda.cuMemSetAccess(at + unit, 2 * unit, &access, std::size_t{1}); },
       true},
      {"cuMemSetAccess",
       "a hole at 1 of 4",
       {1},
       [&](CUdeviceptr at) { return cuda.cuMemSetAccess(at, 4 * unit, &access, std::size_t{1}); },
       false},
      {"cuMemMap",
       "over a mapping",
       {},
       [&](CUdeviceptr at) { return cuda.cuMemMap(at, unit, std::size_t{0}, spare[0].handle(), 0ull); },
       false},
      {"cuMemMap",
       "into a hole",
       {2},
       [&](CUdeviceptr at) { return cuda.cuMemMap(at + 2 * unit, unit, std::size_t{0}, spare[0].handle(), 0ull); },
       true},
      {"cuMemMap",
       "the first half of a chunk",
       {2},
       [&](CUdeviceptr at) {
         return cuda.cuMemMap(at + 2 * unit, unit, std::size_t{0}, twice_as_large.handle(), 0ull);
       },
       false},
      {"cuMemMap",
       "the second half of a chunk (offset > 0)",
       {2},
       [&](CUdeviceptr at) { return cuda.cuMemMap(at + 2 * unit, unit, unit, twice_as_large.handle(), 0ull); },
       false},
      {"cuMemMap",
       "half of the granularity",
       {2},
       [&](CUdeviceptr at) {
         return cuda.cuMemMap(at + 2 * unit, device.granularity / 2, std::size_t{0}, spare[0].handle(), 0ull);
       },
       false},
      {"cuMemUnmap",
       "half of a larger mapping",
       {2, 3},
       [&](CUdeviceptr at) {
         cuda.cuMemMap.must(at + 2 * unit, 2 * unit, std::size_t{0}, twice_as_large.handle(), 0ull);
         return cuda.cuMemUnmap(at + 2 * unit, unit);
       },
       false},
      {"cuMemAddressFree",
       "with mappings in it",
       {},
       [&](CUdeviceptr at) { return cuda.cuMemAddressFree(at, 4 * unit); },
       false},
  };
  const std::vector<chunk> chunks = make_chunks(device, 4, unit);
  int broken = 0;
  std::string prefix = "unknown";
  for (const shape& tried : shapes) {
    // The reservation is given up, not cleaned, if the case freed it: nobody else asks for its addresses here.
    CUdeviceptr base = 0;
    cuda.cuMemAddressReserve.must(&base, 4 * unit, std::size_t{0}, CUdeviceptr{0}, 0ull);
    for (std::size_t i = 0; i < 4; ++i) {
      if (std::find(tried.holes.begin(), tried.holes.end(), i) != tried.holes.end()) continue;
      cuda.cuMemMap.must(base + i * unit, unit, std::size_t{0}, chunks[i].handle(), 0ull);
      cuda.cuMemSetAccess.must(base + i * unit, unit, &access, std::size_t{1});
    }
    const CUresult result = tried.run(base);
    const std::string after = mapped_chunks(device, base, 4, unit);
    p.row(tried.call, tried.conditions, fmt::format("{} mapped_after={}", device.name_of(result), after));
    if (tried.must_succeed && result != CUDA_SUCCESS) ++broken;
    if (std::string(tried.conditions) == "the first half of a chunk") prefix = device.name_of(result);
    for (std::size_t i = 0; i < 4; ++i) {
      if (cuda.cuMemUnmap(base + i * unit, unit) != CUDA_SUCCESS && i + 1 < 4)
        cuda.cuMemUnmap(base + i * unit, 2 * unit);
    }
    cuda.cuMemAddressFree(base, 4 * unit);
  }

  // Release before unmap: the mapping keeps the memory alive.
  const std::size_t before = device.free_bytes();
  reservation range(device, unit);
  bool alive = false;
  {
    chunk early(device, unit);
    range.map(0, early);
  }
  range.allow(0, unit);
  std::uint32_t word = 0;
  cuda.cuMemsetD8_v2.must(range.at(0), static_cast<unsigned char>(0x5a), unit);
  cuda.cuMemcpyDtoH_v2.must(static_cast<void*>(&word), range.at(unit - sizeof(word)), sizeof(word));
  alive = word == 0x5a5a5a5a;
  const std::size_t held = before - std::min(before, device.free_bytes());
  range.unmap(0, unit);
  p.row("cuMemRelease", "before cuMemUnmap",
        fmt::format("memory_alive={} bytes_held={} bytes_held_after_unmap={}", alive, held,
                    before - std::min(before, device.free_bytes())));
  if (!alive) ++broken;
  if (broken != 0) p.fail("{} of the calls that terrazzo relies on were refused: see the rows", broken);
  else
    p.pass("several whole mappings are unmapped and given access in one call; mapping a prefix of a chunk: {}", prefix);
}

void measure_event_wait(probe& p) {
  gpu& device = p.device();
  device.need_virtual_memory();
  const cuda_calls& cuda = device.cuda;
  constexpr std::size_t bytes = 32 * mib;
  const chunk memory(device, bytes);
  reservation range(device, bytes);
  stream worker(device);
  const event done(device);
  std::vector<std::uint32_t> seen(bytes / sizeof(std::uint32_t));
  int wrong = 0;

  const auto run = [&](const char* conditions, const std::function<void()>& wait) {
    std::vector<double> waits, unmaps;
    for (int k = 0; k < p.repetitions(200) && !p.time_is_up(0.6); ++k) {
      range.map(0, memory);
      range.allow(0, bytes);
      const std::uint32_t value = 0x01010101u * static_cast<std::uint32_t>(k % 251 + 1);
      for (int times = 0; times < 8; ++times)
        cuda.cuMemsetD32Async.must(range.at(0), value, seen.size(), CUstream(worker));
      done.record(worker);
      waits.push_back(time_us(wait));
      unmaps.push_back(time_us([&] { range.unmap(0, bytes); }));
      // Read through a new mapping: all of the work must have been done before the old one went.
      range.map(0, memory);
      range.allow(0, bytes);
      const std::size_t words = k % 20 == 0 ? seen.size() : 1024;
      const std::size_t from = (seen.size() - words) * sizeof(std::uint32_t);
      cuda.cuMemcpyDtoH_v2.must(static_cast<void*>(seen.data()), range.at(from), words * sizeof(std::uint32_t));
      if (std::any_of(seen.begin(), seen.begin() + static_cast<std::ptrdiff_t>(words),
                      [&](auto word) { return word != value; }))
        ++wrong;
      range.unmap(0, bytes);
    }
    p.row("wait", conditions, "us", waits);
    p.row("cuMemUnmap after the wait", conditions, "us", unmaps);
  };
  const auto by_event = [&] { cuda.cuEventSynchronize.must(CUevent(done)); };
  run("by=cuEventSynchronize other_stream=idle", by_event);
  run("by=cuCtxSynchronize other_stream=idle", [&] { cuda.cuCtxSynchronize.must(); });
  std::string busy = "a busy other stream could not be tried (no kernels)";
  try {
    const kernels code(device);
    spinner spinning(device, code, 4);
    run("by=cuEventSynchronize other_stream=busy", by_event);
    busy =
        spinning.running() ? "also while another stream is busy" : "but the unmap waited for another stream's kernel";
    spinning.stop();
  } catch (const unsupported& reason) {
    p.row("wait", "by=cuEventSynchronize other_stream=busy", fmt::format("unsupported here: {}", reason.what()));
  }
  if (wrong != 0) p.fail("{} times the memory did not hold what the work before the event had written", wrong);
  else p.pass("waiting for an event suffices before an unmap; {}", busy);
}

}  // namespace

int main(int argc, char** argv) {
  return run_probe(argc, argv,
                   {{"blocking", measure_blocking}, {"shapes", measure_shapes}, {"event_wait", measure_event_wait}});
}
