// What the virtual memory calls cost (facts: to be measured, item 1 of virtual memory, item 4 of cuBLAS).
//   chunk_sizes   reserve, create, map, set-access, unmap, release, free addresses, one call each, by chunk size; plain
//                 cuMemAlloc and cuMemFree beside them; and the line a + b x 2 MiB through the medians
//   set_access    one set-access over N chunks against N, by chunk size, idle and while the device is busy

#include <cmath>

#include "background.hpp"

namespace {

using namespace terrazzo::probe;

constexpr std::size_t unit_bytes = 2 * mib;

/// The line a + b * units through (units, microseconds), each point weighed by 1 / time, so that small sizes count too.
struct line {
  double a = 0;
  double b = 0;
};
line fit(const std::vector<std::pair<double, double>>& points) {
  double w = 0, wx = 0, wy = 0, wxx = 0, wxy = 0;
  for (const auto& [x, y] : points) {
    const double weight = 1 / std::max(y * y, 1e-6);
    w += weight;
    wx += weight * x;
    wy += weight * y;
    wxx += weight * x * x;
    wxy += weight * x * y;
  }
  const double determinant = w * wxx - wx * wx;
  if (points.size() < 2 || determinant <= 0) return {};
  return {(wxx * wy - wx * wxy) / determinant, (w * wxy - wx * wy) / determinant};
}

struct call_times {
  const char* call;
  std::vector<double> us{};
  std::vector<std::pair<double, double>> medians{};  // (units of 2 MiB, microseconds) by chunk size
};

void measure_chunk_sizes(probe& p) {
  gpu& device = p.device();
  device.need_virtual_memory();
  const cuda_calls& cuda = device.cuda;
  const CUmemAllocationProp properties = device_memory(device);
  const CUmemAccessDesc access = read_and_write(device);
  const std::size_t room = std::min(device.free_bytes() / 2, p.quick ? 256 * mib : 4 * gib);

  call_times reserve{"cuMemAddressReserve"}, create{"cuMemCreate"}, map{"cuMemMap"}, set{"cuMemSetAccess"},
      unmap{"cuMemUnmap"}, release{"cuMemRelease"}, give_back{"cuMemAddressFree"}, plain{"cuMemAlloc"},
      free{"cuMemFree"};
  call_times* const all[] = {&reserve, &create, &map, &set, &unmap, &release, &give_back, &plain, &free};
  bool warmed_up = false;
  for (const std::size_t size : {2, 2, 4, 8, 20, 32, 64, 128, 256, 512, 1024}) {
    const std::size_t bytes = size * mib;
    if (bytes % device.granularity != 0) continue;
    const std::size_t count = std::min<std::size_t>(room / bytes, p.quick ? 8 : 1024);
    if (count < 2) break;
    for (call_times* times : all) times->us.clear();
    for (int round = 0; round < (count < 100 ? 3 : 1) && !p.time_is_up(); ++round) {
      CUdeviceptr base = 0;
      reserve.us.push_back(
          time_us([&] { cuda.cuMemAddressReserve.must(&base, count * bytes, std::size_t{0}, CUdeviceptr{0}, 0ull); }));
      std::vector<CUmemGenericAllocationHandle> handles(count);
      for (auto& handle : handles)
        create.us.push_back(time_us([&] { cuda.cuMemCreate.must(&handle, bytes, &properties, 0ull); }));
      for (std::size_t i = 0; i < count; ++i)
        map.us.push_back(
            time_us([&] { cuda.cuMemMap.must(base + i * bytes, bytes, std::size_t{0}, handles[i], 0ull); }));
      for (std::size_t i = 0; i < count; ++i)
        set.us.push_back(time_us([&] { cuda.cuMemSetAccess.must(base + i * bytes, bytes, &access, std::size_t{1}); }));
      for (std::size_t i = 0; i < count; ++i)
        unmap.us.push_back(time_us([&] { cuda.cuMemUnmap.must(base + i * bytes, bytes); }));
      for (const auto handle : handles) release.us.push_back(time_us([&] { cuda.cuMemRelease.must(handle); }));
      give_back.us.push_back(time_us([&] { cuda.cuMemAddressFree.must(base, count * bytes); }));

      std::vector<CUdeviceptr> addresses(std::min<std::size_t>(count, 64));
      for (auto& address : addresses) plain.us.push_back(time_us([&] { cuda.cuMemAlloc_v2.must(&address, bytes); }));
      for (const auto address : addresses) free.us.push_back(time_us([&] { cuda.cuMemFree_v2.must(address); }));
    }
    if (!warmed_up) {  // the first size is run twice: the first calls of a process pay for more than themselves
      warmed_up = true;
      continue;
    }
    for (call_times* times : all) {
      if (times->us.empty()) continue;
      const bool whole_range = times == &reserve || times == &give_back;
      p.row(times->call, fmt::format("chunk_mib={}{}", size, whole_range ? fmt::format(" chunks={}", count) : ""), "us",
            times->us);
      times->medians.emplace_back(static_cast<double>(bytes) / static_cast<double>(unit_bytes),
                                  summarise(times->us).median);
    }
  }
  std::string sentence;
  for (call_times* times : {&create, &map, &set, &unmap, &release, &plain, &free}) {
    const line price = fit(times->medians);
    p.row(times->call, "fitted over chunk sizes", fmt::format("{:.3f} us + {:.4f} us x 2 MiB", price.a, price.b));
    sentence += fmt::format("{}{} {:.1f} {:+.2f} n", sentence.empty() ? "" : ", ", times->call, price.a, price.b);
  }
  if (create.medians.empty()) p.fail("not even two chunks of 2 MiB fitted into the free memory");
  else p.pass("prices in us for a chunk of n x 2 MiB: {}", sentence);
}

void compare_set_access(probe& p, background& load, std::size_t chunk_bytes, const std::vector<chunk>& chunks,
                        std::size_t count, double& one_by_n) {
  gpu& device = p.device();
  const std::size_t bytes = count * chunk_bytes;
  reservation range(device, bytes);
  const int least = p.repetitions(count >= 1024 ? 3 : 20);
  const int most = p.repetitions(count >= 1024 ? 30 : 400);
  std::vector<double> one, each;
  const double slower_one = load.run(least, most, [&] {
    range.map_all(0, chunks, count);
    one.push_back(time_us([&] { range.allow(0, bytes); }));
    range.unmap(0, bytes);
  });
  const double slower_each = load.run(least, most, [&] {
    range.map_all(0, chunks, count);
    each.push_back(time_us([&] {
      for (std::size_t i = 0; i < count; ++i) range.allow(i * chunk_bytes, chunk_bytes);
    }));
    range.unmap(0, bytes);
  });
  const std::string conditions = fmt::format("chunk_mib={} chunks={} load={}", chunk_bytes / mib, count, load.name());
  const auto slower = [](double factor) {
    return factor > 0 ? fmt::format("load_slower={:.3f}", factor) : "load_slower=unknown";
  };
  p.row("cuMemSetAccess", conditions + " calls=1", "us", one, slower(slower_one));
  p.row("cuMemSetAccess", conditions + " calls=chunks", "us", each, slower(slower_each));
  one_by_n = summarise(one).median / std::max(summarise(each).median, 1e-9);
}

void measure_set_access(probe& p) {
  gpu& device = p.device();
  device.need_virtual_memory();
  std::unique_ptr<kernels> code;
  std::vector<std::unique_ptr<background>> loads;
  loads.push_back(std::make_unique<idle_background>());
  try {
    code = std::make_unique<kernels>(device);
    loads.push_back(std::make_unique<kernel_background>(device, *code));
  } catch (const unsupported& reason) {
    p.row("cuMemSetAccess", "load=kernel", fmt::format("unsupported here: {}", reason.what()));
  }
  try {
    const std::size_t copy_bytes = std::min(device.free_bytes() / 16, p.quick ? 8 * mib : gib);
    loads.push_back(std::make_unique<copies_background>(device, terrazzo::detail::round_down(copy_bytes, mib)));
  } catch (const unsupported& reason) {
    p.row("cuMemSetAccess", "load=copies", fmt::format("unsupported here: {}", reason.what()));
  }

  std::string sentence;
  for (const std::size_t size : {2, 20, 128}) {
    const std::size_t chunk_bytes = size * mib;
    if (chunk_bytes % device.granularity != 0) continue;
    const std::size_t room = std::min(device.free_bytes() / 10 * 6, p.quick ? 256 * mib : gib * 1024);
    constexpr std::size_t counts[] = {1, 8, 64, 1024};
    std::size_t largest = 0;
    for (const std::size_t count : counts)
      if (count * chunk_bytes <= room) largest = count;
    const std::vector<chunk> chunks = make_chunks(device, largest, chunk_bytes);
    for (const std::size_t count : counts) {
      if (count > largest) {
        p.row("cuMemSetAccess", fmt::format("chunk_mib={} chunks={}", size, count),
              "left out: needs more memory than may be taken for it");
        continue;
      }
      for (const auto& load : loads) {
        if (p.time_is_up()) {
          p.row("cuMemSetAccess", fmt::format("chunk_mib={} chunks={} load={}", size, count, load->name()),
                "left out: time is up");
          continue;
        }
        if (!load->usable()) {
          p.row("cuMemSetAccess", fmt::format("chunk_mib={} chunks={} load={}", size, count, load->name()),
                "left out: the load came to its time limit before the calls were done");
          continue;
        }
        double ratio = 0;
        compare_set_access(p, *load, chunk_bytes, chunks, count, ratio);
        if (count == 64 && std::string(load->name()) == "idle")
          sentence += fmt::format("{}{:.2f} for chunks of {} MiB", sentence.empty() ? "" : ", ", ratio, size);
      }
    }
  }
  if (sentence.empty()) p.fail("no chunk size could be run with 64 chunks");
  else p.pass("time of one set-access over 64 chunks, as a share of 64 calls, idle: {}", sentence);
}

}  // namespace

int main(int argc, char** argv) {
  return run_probe(argc, argv, {{"chunk_sizes", measure_chunk_sizes}, {"set_access", measure_set_access}});
}
