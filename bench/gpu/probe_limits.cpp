// How far the driver goes (to be measured on a card, items 6 and 7). What fills the card or its tables comes last.
//   streams         a busy stream is destroyed: when does its handle's value come back, and what is told about it then
//   two_processes   two processes map at once: how much slower is each
//   full_card       map, set-access, reserve and unmap while not one chunk is left; how much of the free memory can be
//                   had
//   mappings        one chunk mapped at ever more addresses, until a call fails: how many, and what each 1,000 cost

#include <sys/mman.h>
#include <sys/wait.h>
#include <unistd.h>

#include <atomic>
#include <new>
#include <optional>
#include <thread>

#include "kernels.hpp"
#include "vmm.hpp"

namespace {

using namespace terrazzo::probe;

std::string stream_id(const gpu& device, CUstream stream) {
  unsigned long long id = 0;
  if (!device.cuda.cuStreamGetId) return "none";
  const CUresult got = device.cuda.cuStreamGetId(stream, &id);
  return got == CUDA_SUCCESS ? std::to_string(id) : device.name_of(got);
}

void destroy_busy_stream(probe& p) {
  gpu& device = p.device();
  const cuda_calls& cuda = device.cuda;
  std::optional<kernels> code;
  std::string load = "kernel";
  try {
    code.emplace(device);
  } catch (const unsupported& reason) {
    load = "none";
    p.row("kernel", "", fmt::format("unsupported here: {}", reason.what()));
  }
  std::string findings;
  for (int round = 0; round < p.repetitions(10) && !p.time_is_up(); ++round) {
    const plain_memory target(device, 4096);
    CUstream busy = nullptr;
    cuda.cuStreamCreate.must(&busy, static_cast<unsigned>(CU_STREAM_NON_BLOCKING));
    const event earlier(device);
    std::optional<spinner> spinning;
    if (code) {
      // The stream waits for the spinning kernel, so it has unfinished work for as long as we like.
      spinning.emplace(device, *code, 5.0);
      earlier.record(spinning->stream());
      cuda.cuStreamWaitEvent.must(busy, CUevent(earlier), 0u);
    }
    cuda.cuMemsetD32Async.must(target.address(), 1u, std::size_t{1024}, busy);
    earlier.record(busy);
    const std::string old_id = stream_id(device, busy);
    const CUresult destroyed = cuda.cuStreamDestroy_v2(busy);
    const CUresult event_while_busy = cuda.cuEventQuery(CUevent(earlier));

    std::vector<CUstream> made;
    bool came_back = false;
    while (!came_back && made.size() < 512) {
      CUstream fresh = nullptr;
      if (cuda.cuStreamCreate(&fresh, static_cast<unsigned>(CU_STREAM_NON_BLOCKING)) != CUDA_SUCCESS) break;
      made.push_back(fresh);
      came_back = fresh == busy;
    }
    std::string reused = "never";
    if (came_back) {
      const CUresult asked = cuda.cuStreamQuery(made.back());
      reused = fmt::format("after={} query={} same_id={}", made.size(), device.name_of(asked),
                           stream_id(device, made.back()) == old_id);
    }
    if (spinning) spinning->stop();
    const CUresult event_afterwards = cuda.cuEventSynchronize(CUevent(earlier));
    for (const CUstream stream : made) cuda.cuStreamDestroy_v2(stream);
    p.row("cuStreamDestroy", fmt::format("load={} round={}", load, round),
          fmt::format("{}; event_while_busy={} event_afterwards={}; value reused: {} of {} made",
                      device.name_of(destroyed), device.name_of(event_while_busy), device.name_of(event_afterwards),
                      reused, made.size()));
    findings = fmt::format("handle value reused: {}; the event recorded before: {} while busy, {} in the end", reused,
                           device.name_of(event_while_busy), device.name_of(event_afterwards));
    if (event_afterwards != CUDA_SUCCESS) {
      p.fail("an event recorded before its stream was destroyed ended with {}", device.name_of(event_afterwards));
      return;
    }
  }
  p.pass("destroying a stream (load: {}): {}", load, findings);
}

/// What two child processes and their parent share.
struct race {
  static constexpr int rounds = 2;  // one process at work, then both
  std::atomic<int> ready[rounds]{};
  std::atomic<bool> failed{false};
  char reason[512] = {};
  bool not_supported = false;
  double map_us[rounds][2] = {};
  double set_us[rounds][2] = {};
  double unmap_us[rounds][2] = {};
  int repetitions[rounds][2] = {};
};

void wait_for_both(race& shared, int round) {
  shared.ready[round].fetch_add(1);
  const clock::time_point start = clock::now();
  while (shared.ready[round].load() < 2 && !shared.failed.load()) {
    if (microseconds_since(start) > 20e6) throw std::runtime_error("the other process did not come within 20 s");
    std::this_thread::yield();
  }
}

void map_in_a_race(probe& p, race& shared, int self) {
  gpu& device = p.device();
  device.need_virtual_memory();
  const std::size_t unit = std::max<std::size_t>(device.granularity, 2 * mib);
  constexpr std::size_t count = 32;
  const std::vector<chunk> chunks = make_chunks(device, count, unit);
  reservation range(device, count * unit);
  for (int round = 0; round < race::rounds; ++round) {
    wait_for_both(shared, round);
    if (round == 0 && self == 1) continue;
    std::vector<double> map, set, unmap;
    const clock::time_point start = clock::now();
    while (microseconds_since(start) < (p.quick ? 2e4 : 1.5e6)) {
      map.push_back(time_us([&] { range.map_all(0, chunks, count); }) / count);
      set.push_back(time_us([&] { range.allow(0, count * unit); }) / count);
      unmap.push_back(time_us([&] { range.unmap(0, count * unit); }) / count);
    }
    shared.map_us[round][self] = summarise(map).median;
    shared.set_us[round][self] = summarise(set).median;
    shared.unmap_us[round][self] = summarise(unmap).median;
    shared.repetitions[round][self] = static_cast<int>(map.size());
  }
}

void race_two_processes(probe& p) {
  // The children come before any driver call: a driver does not survive a fork.
  void* const pages = mmap(nullptr, sizeof(race), PROT_READ | PROT_WRITE, MAP_SHARED | MAP_ANONYMOUS, -1, 0);
  if (pages == MAP_FAILED) throw std::runtime_error("no memory to share between two processes");
  race& shared = *new (pages) race;
  pid_t children[2] = {};
  for (int self = 0; self < 2; ++self) {
    children[self] = fork();
    if (children[self] < 0) throw std::runtime_error("fork failed");
    if (children[self] > 0) continue;
    try {
      map_in_a_race(p, shared, self);
    } catch (const std::exception& reason) {
      if (!shared.failed.exchange(true)) {
        shared.not_supported = dynamic_cast<const unsupported*>(&reason) != nullptr;
        fmt::format_to_n(shared.reason, sizeof(shared.reason) - 1, "{}", reason.what());
      }
    }
    _exit(0);
  }
  bool crashed = false;
  for (const pid_t child : children) {
    int how = 0;
    waitpid(child, &how, 0);
    crashed |= !WIFEXITED(how);
  }
  if (crashed) throw std::runtime_error("one of the two processes crashed");
  if (shared.failed && shared.not_supported) throw unsupported(shared.reason);
  if (shared.failed) throw std::runtime_error(shared.reason);
  const auto tell = [&](const char* call, double(&us)[race::rounds][2]) {
    for (const auto& [round, self] : {std::pair{0, 0}, std::pair{1, 0}, std::pair{1, 1}})
      p.row(call,
            fmt::format("processes={} process={} medians_of={} per=chunk of 2 MiB", round + 1, self,
                        shared.repetitions[round][self]),
            "us", {us[round][self]});
    return (us[1][0] + us[1][1]) / 2 / std::max(us[0][0], 1e-9);
  };
  const double map = tell("cuMemMap", shared.map_us);
  const double set = tell("cuMemSetAccess", shared.set_us);
  const double unmap = tell("cuMemUnmap", shared.unmap_us);
  p.pass("with two processes at once each call takes longer: map {:.2f}x, set-access {:.2f}x, unmap {:.2f}x", map, set,
         unmap);
}

void map_on_a_full_card(probe& p) {
  gpu& device = p.device();
  device.need_virtual_memory();
  const cuda_calls& cuda = device.cuda;
  const CUmemAccessDesc access = read_and_write(device);
  const std::size_t unit = std::max<std::size_t>(device.granularity, 2 * mib);
  const chunk memory(device, unit);
  const std::size_t free_before = device.free_bytes();

  const CUmemAllocationProp properties = device_memory(device);
  std::vector<CUmemGenericAllocationHandle> taken;
  std::size_t taken_bytes = 0;
  CUresult refused = CUDA_SUCCESS;
  for (std::size_t bytes = std::max<std::size_t>(gib / unit, 1) * unit; bytes >= unit;) {
    CUmemGenericAllocationHandle handle = 0;
    refused = cuda.cuMemCreate(&handle, bytes, &properties, 0ull);
    if (refused == CUDA_SUCCESS) {
      taken.push_back(handle);
      taken_bytes += bytes;
    } else {
      bytes = bytes / 2 / unit * unit;
    }
  }
  const std::size_t left = device.free_bytes();
  p.row("cuMemCreate", "until it fails",
        fmt::format("{}; free_before={} had={} reported_free_after={}", device.name_of(refused), free_before,
                    taken_bytes, left));
  // A far-off address needs page tables of its own: does a mapping still fit?
  CUdeviceptr base = 0;
  const std::size_t reserved = 64 * gib;
  const CUresult reserve = cuda.cuMemAddressReserve(&base, reserved, std::size_t{0}, CUdeviceptr{0}, 0ull);
  p.row("cuMemAddressReserve", "card=full bytes=64 GiB", device.name_of(reserve));
  std::string worst = "every call succeeds";
  if (reserve == CUDA_SUCCESS) {
    std::size_t succeeded = 0;
    CUresult map = CUDA_SUCCESS, set = CUDA_SUCCESS, unmap = CUDA_SUCCESS;
    for (std::size_t offset = 0; offset < reserved; offset += gib) {
      map = cuda.cuMemMap(base + offset, unit, std::size_t{0}, memory.handle(), 0ull);
      if (map != CUDA_SUCCESS) break;
      set = cuda.cuMemSetAccess(base + offset, unit, &access, std::size_t{1});
      unmap = cuda.cuMemUnmap(base + offset, unit);
      if (set != CUDA_SUCCESS || unmap != CUDA_SUCCESS) break;
      ++succeeded;
    }
    const std::string told =
        fmt::format("map={} set_access={} unmap={}", device.name_of(map), device.name_of(set), device.name_of(unmap));
    p.row("map, set-access, unmap", fmt::format("card=full places={}", succeeded), told);
    if (map != CUDA_SUCCESS || set != CUDA_SUCCESS || unmap != CUDA_SUCCESS) worst = told;
    cuda.cuMemAddressFree(base, reserved);
  } else {
    worst = fmt::format("reserve={}", device.name_of(reserve));
  }
  for (const auto handle : taken) cuda.cuMemRelease(handle);
  p.row("cuMemGetInfo", "after giving all back", fmt::format("free={} of {} before", device.free_bytes(), free_before));
  p.pass("{} bytes of {} reported free cannot be had; on the full card: {}",
         free_before - std::min(free_before, taken_bytes), free_before, worst);
}

void map_until_failure(probe& p) {
  gpu& device = p.device();
  device.need_virtual_memory();
  const cuda_calls& cuda = device.cuda;
  const CUmemAccessDesc access = read_and_write(device);
  const std::size_t unit = std::max<std::size_t>(device.granularity, 2 * mib);
  const chunk memory(device, unit);
  constexpr std::size_t batch = 1000;
  const std::size_t most = p.quick ? 5 : 1100;  // batches: beyond the 520,000 mappings that were told of
  const std::size_t stride = batch * unit;
  const std::size_t keep_free = 256 * mib;
  const std::size_t free_before = device.free_bytes();
  std::vector<double> map_us, set_us;
  std::vector<CUdeviceptr> bases;
  std::size_t mappings = 0;
  std::string end = fmt::format("no failure up to {} mappings", most * batch);
  for (std::size_t i = 0; i < most; ++i) {
    if (p.time_is_up(0.6)) {
      end = "time was up";
      break;
    }
    const std::size_t free = device.free_bytes();
    if (free < keep_free) {
      end = "stopped with 256 MiB left free";
      break;
    }
    CUdeviceptr base = 0;
    const CUresult reserved = cuda.cuMemAddressReserve(&base, stride, std::size_t{0}, CUdeviceptr{0}, 0ull);
    if (reserved != CUDA_SUCCESS) {
      end = "cuMemAddressReserve answered " + device.name_of(reserved);
      break;
    }
    bases.push_back(base);
    CUresult mapped = CUDA_SUCCESS;
    std::size_t in_batch = 0;
    const double map_time = time_us([&] {
      for (; in_batch < batch && mapped == CUDA_SUCCESS; ++in_batch)
        mapped = cuda.cuMemMap(base + in_batch * unit, unit, std::size_t{0}, memory.handle(), 0ull);
    });
    if (mapped != CUDA_SUCCESS) {
      mappings += in_batch - 1;
      end = "cuMemMap answered " + device.name_of(mapped);
      break;
    }
    mappings += batch;
    CUresult allowed = CUDA_SUCCESS;
    const double set_time = time_us([&] { allowed = cuda.cuMemSetAccess(base, stride, &access, std::size_t{1}); });
    if (allowed != CUDA_SUCCESS) {
      end = "cuMemSetAccess answered " + device.name_of(allowed);
      break;
    }
    map_us.push_back(map_time / batch);
    set_us.push_back(set_time / batch);
    if (mappings % 50'000 == 0 || p.quick) {
      const std::size_t lost = free_before - std::min(free_before, device.free_bytes());
      p.row("mappings", fmt::format("mappings={}", mappings),
            fmt::format("bytes_lost={} bytes_lost_per_1000={}", lost, lost / (mappings / batch)));
    }
  }
  const std::size_t lost = free_before - std::min(free_before, device.free_bytes());
  p.row("cuMemMap", "per=mapping in batches of 1000", "us", map_us);
  p.row("cuMemSetAccess", "per=mapping in batches of 1000", "us", set_us);
  p.row("mappings", "in all", fmt::format("{} mappings; {}; bytes_lost={}", mappings, end, lost));
  // Told before clearing away, which may take as long as the mapping and be cut off: the process's end clears up as
  // well.
  p.pass("{} mappings of one chunk: {}; {} bytes of device memory lost for each 1,000", mappings, end,
         lost / std::max<std::size_t>(mappings / batch, 1));
}

}  // namespace

int main(int argc, char** argv) {
  return run_probe(argc, argv,
                   {{"streams", destroy_busy_stream},
                    {"two_processes", race_two_processes},
                    {"full_card", map_on_a_full_card},
                    {"mappings", map_until_failure}});
}
