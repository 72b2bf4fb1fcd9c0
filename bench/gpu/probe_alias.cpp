// Whether memory mapped at two addresses behaves as one memory (to be measured on a card, item 4): what one stream
// writes at one address, another stream, after an event, reads at the other. Each word's value tells who wrote it and
// when, so that an old value is seen as well as a foreign one. Mismatches are counted per word; there must be none.
//   kernels      fill at one address, event, check at the other, on two streams
//   graph        the same, captured, and replayed with a new value each time
//   copies       memset, copy and read-back through different addresses
//   neighbours   two blocks of 512 B that share a chunk, each touched through its own view by its own stream at once
//   remapped     an address that gets another chunk between two uses

#include "kernels.hpp"
#include "vmm.hpp"

namespace {

using namespace terrazzo::probe;

constexpr std::uint32_t block_words = 128;  // 512 B: the smallest block that terrazzo hands out

/// One chunk seen at two addresses, with access, and the words that the kernels take their values from.
struct two_views {
  explicit two_views(gpu& device)
      : unit(std::max<std::size_t>(device.granularity, 2 * mib)),
        memory(device, unit),
        first(device, unit),
        second(device, unit),
        scratch(device, 4096) {
    for (reservation* view : {&first, &second}) {
      view->map(0, memory);
      view->allow(0, unit);
    }
    device.cuda.cuMemsetD8_v2.must(scratch.address(), static_cast<unsigned char>(0), std::size_t{4096});
    device.cuda.cuCtxSynchronize.must();
  }
  [[nodiscard]] CUdeviceptr base() const { return scratch.address(); }
  [[nodiscard]] CUdeviceptr mismatches() const { return scratch.address() + 256; }

  std::size_t unit;
  chunk memory;
  reservation first;
  reservation second;
  plain_memory scratch;
};

std::uint64_t read_mismatches(const gpu& device, const two_views& views) {
  std::uint64_t count = 0;
  device.cuda.cuMemcpyDtoH_v2.must(static_cast<void*>(&count), views.mismatches(), sizeof(count));
  return count;
}

void conclude(probe& p, const char* call, const std::string& conditions, std::uint64_t rounds,
              std::uint64_t mismatches) {
  p.row(call, fmt::format("{} rounds={}", conditions, rounds), fmt::format("mismatches={}", mismatches));
  if (mismatches != 0) p.fail("{} words of {} rounds did not hold what had been written", mismatches, rounds);
  else if (rounds == 0) p.fail("no round was run in the time given");
  else p.pass("no mismatch in {} rounds ({})", rounds, conditions);
}

void check_kernels(probe& p) {
  gpu& device = p.device();
  device.need_virtual_memory();
  const cuda_calls& cuda = device.cuda;
  const kernels code(device);
  two_views views(device);
  const stream writer(device), reader(device);
  const event written(device), read(device);
  const std::uint32_t most = static_cast<std::uint32_t>(p.repetitions(1'000'000));
  std::uint32_t rounds = 0;
  while (rounds < most && !(rounds % 1024 == 0 && p.time_is_up())) {
    // The place moves, so that lines come and go in the caches; the roles of the two addresses take turns.
    const std::size_t offset = rounds * std::size_t{512} * 7 % views.unit;
    const bool turned = rounds % 2 != 0;
    code.fill(writer, (turned ? views.second : views.first).at(offset), block_words, views.base(), rounds);
    written.record(writer);
    cuda.cuStreamWaitEvent.must(CUstream(reader), CUevent(written), 0u);
    code.check(reader, (turned ? views.first : views.second).at(offset), block_words, views.base(), rounds,
               views.mismatches());
    read.record(reader);
    cuda.cuStreamWaitEvent.must(CUstream(writer), CUevent(read), 0u);
    ++rounds;
  }
  reader.synchronize();
  conclude(p, "fill, event, check", "two streams, 512 B", rounds, read_mismatches(device, views));
}

void check_graph(probe& p) {
  gpu& device = p.device();
  device.need_virtual_memory();
  const cuda_calls& cuda = device.cuda;
  const kernels code(device);
  two_views views(device);
  const stream writer(device), reader(device);
  const event written(device), read(device);
  constexpr int pairs = 50;
  cuda.cuStreamBeginCapture_v2.must(CUstream(writer), CU_STREAM_CAPTURE_MODE_RELAXED);
  code.bump(writer, views.base());
  for (int i = 0; i < pairs; ++i) {
    const std::size_t offset = static_cast<std::size_t>(i % 5) * 512;
    const std::uint32_t add = static_cast<std::uint32_t>(i) << 16;
    code.fill(writer, (i % 2 ? views.second : views.first).at(offset), block_words, views.base(), add);
    written.record(writer);
    cuda.cuStreamWaitEvent.must(CUstream(reader), CUevent(written), 0u);
    code.check(reader, (i % 2 ? views.first : views.second).at(offset), block_words, views.base(), add,
               views.mismatches());
    read.record(reader);
    cuda.cuStreamWaitEvent.must(CUstream(writer), CUevent(read), 0u);
  }
  CUgraph graph = nullptr;
  cuda.cuStreamEndCapture.must(CUstream(writer), &graph);
  CUgraphExec replayed = nullptr;
  cuda.cuGraphInstantiateWithFlags.must(&replayed, graph, 0ull);
  const int most = p.repetitions(20'000);
  int replays = 0;
  for (; replays < most && !p.time_is_up(); ++replays) {
    cuda.cuGraphLaunch.must(replayed, CUstream(writer));
    if (replays % 256 == 255) writer.synchronize();
  }
  writer.synchronize();
  conclude(p, "fill, event, check in a graph", "two branches, 512 B", static_cast<std::uint64_t>(replays) * pairs,
           read_mismatches(device, views));
}

void check_copies(probe& p) {
  gpu& device = p.device();
  device.need_virtual_memory();
  const cuda_calls& cuda = device.cuda;
  two_views views(device);
  const stream writer(device), reader(device);
  const event written(device);
  constexpr std::size_t words = 16 * kib;
  const std::size_t target = views.unit / 2;
  std::vector<std::uint32_t> seen(words);
  const int most = p.repetitions(20'000);
  std::uint64_t mismatches = 0;
  int rounds = 0;
  for (; rounds < most && !p.time_is_up(); ++rounds) {
    // memset through one view, copy within the chunk from the other view to the first, read back through the second
    const std::uint32_t value = static_cast<std::uint32_t>(rounds) * 2654435761u;
    cuda.cuMemsetD32Async.must(views.first.at(0), value, words, CUstream(writer));
    cuda.cuMemcpyDtoDAsync_v2.must(views.first.at(target), views.second.at(0), words * sizeof(value), CUstream(writer));
    written.record(writer);
    cuda.cuStreamWaitEvent.must(CUstream(reader), CUevent(written), 0u);
    cuda.cuMemcpyDtoHAsync_v2.must(static_cast<void*>(seen.data()), views.second.at(target), words * sizeof(value),
                                   CUstream(reader));
    reader.synchronize();
    for (const std::uint32_t word : seen) mismatches += word != value;
  }
  conclude(p, "memset, copy, read back", "two streams, 64 KiB", static_cast<std::uint64_t>(rounds), mismatches);
}

void check_neighbours(probe& p) {
  gpu& device = p.device();
  device.need_virtual_memory();
  const kernels code(device);
  two_views views(device);
  const stream left(device), right(device);
  const std::uint32_t most = static_cast<std::uint32_t>(p.repetitions(200'000));
  std::uint32_t rounds = 0;
  while (rounds < most && !(rounds % 1024 == 0 && p.time_is_up())) {
    // Nothing orders the two streams: only their blocks are apart.
    const std::size_t offset = rounds * std::size_t{1024} % (views.unit / 2);
    code.fill(left, views.first.at(offset), block_words, views.base(), rounds);
    code.fill(right, views.second.at(offset + 512), block_words, views.base(), ~rounds);
    code.check(left, views.first.at(offset), block_words, views.base(), rounds, views.mismatches());
    code.check(right, views.second.at(offset + 512), block_words, views.base(), ~rounds, views.mismatches());
    ++rounds;
  }
  left.synchronize();
  right.synchronize();
  conclude(p, "fill, check", "two streams at once, adjoining blocks of 512 B through two views", rounds,
           read_mismatches(device, views));
}

void check_remapped(probe& p) {
  gpu& device = p.device();
  device.need_virtual_memory();
  const cuda_calls& cuda = device.cuda;
  const std::size_t unit = std::max<std::size_t>(device.granularity, 2 * mib);
  const std::vector<chunk> chunks = make_chunks(device, 2, unit);
  reservation moving(device, unit), home(device, 2 * unit);
  home.map_all(0, chunks, 2);
  home.allow(0, 2 * unit);
  const stream writer(device), reader(device);
  const event written(device);
  constexpr std::size_t words = 4 * kib;
  std::vector<std::uint32_t> seen(2 * words);
  const int most = p.repetitions(20'000);
  std::uint64_t mismatches = 0;
  int rounds = 0;
  for (; rounds < most && !p.time_is_up(); ++rounds) {
    // Each chunk in turn lies at the moving address and is written there; both must keep their own value, seen at home
    // by another stream, and at the moving address nothing of the other chunk must be left.
    for (std::uint32_t which = 0; which < 2; ++which) {
      const std::uint32_t value = static_cast<std::uint32_t>(rounds) * 2 + which;
      moving.map(0, chunks[which]);
      moving.allow(0, unit);
      cuda.cuMemsetD32Async.must(moving.at(0), value, words, CUstream(writer));
      written.record(writer);
      cuda.cuStreamWaitEvent.must(CUstream(reader), CUevent(written), 0u);
      cuda.cuMemcpyDtoHAsync_v2.must(static_cast<void*>(seen.data()), home.at(which * unit), words * sizeof(value),
                                     CUstream(reader));
      cuda.cuMemcpyDtoHAsync_v2.must(static_cast<void*>(seen.data() + words), moving.at(0), words * sizeof(value),
                                     CUstream(reader));
      reader.synchronize();
      moving.unmap(0, unit);
      for (const std::uint32_t word : seen) mismatches += word != value;
    }
    cuda.cuMemcpyDtoH_v2.must(static_cast<void*>(seen.data()), home.at(0), words * sizeof(std::uint32_t));
    for (std::size_t i = 0; i < words; ++i) mismatches += seen[i] != static_cast<std::uint32_t>(rounds) * 2;
  }
  conclude(p, "memset, remap, read back", "one address, two chunks in turn", static_cast<std::uint64_t>(rounds),
           mismatches);
}

}  // namespace

int main(int argc, char** argv) {
  return run_probe(argc, argv,
                   {{"kernels", check_kernels},
                    {"graph", check_graph},
                    {"copies", check_copies},
                    {"neighbours", check_neighbours},
                    {"remapped", check_remapped}});
}
