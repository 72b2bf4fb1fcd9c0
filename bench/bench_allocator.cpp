// How long an allocation takes on the host, beside mimalloc in the same run: compare the ratios, not the nanoseconds.
//
//   <who>/pair/<bytes>        allocate and free one block, over and over
//   <who>/pair_mixed          the same with sizes from 512 B to 1 MiB, each power of two as likely as another
//   <who>/replace/<live>      free a random block of <live>, allocate another of 512 B to 16 KiB; as many holes as blocks
//   <who>/threads/<threads>   pairs of 4 KiB in each thread, terrazzo's on a stream of its own
//
// Runs on the software GPU without memory behind it (another driver: TERRAZZO_CUDA_DRIVER): no driver call is made
// while the time is taken, which the benchmark checks.
#include <benchmark/benchmark.h>
#include <mimalloc.h>

#include <chrono>
#include <cstdint>
#include <cstdlib>
#include <string>
#include <thread>
#include <vector>

#include "terrazzo/allocator.hpp"

namespace {

constexpr std::uint64_t pair_sizes[] = {512, 4 << 10, 64 << 10, 1 << 20, 16 << 20, 256 << 20};
constexpr std::int64_t live_counts[] = {10, 1'000, 100'000, 1'000'000};

terrazzo::allocator& device() {
  static terrazzo::allocator* one = [] {
    terrazzo::allocator_options options;
    if (std::getenv("TERRAZZO_CUDA_DRIVER") == nullptr) options.driver_path = TERRAZZO_SOFT_DRIVER;
    return new terrazzo::allocator(options);
  }();
  return *one;
}

/// terrazzo on a stream, as the benchmarks see an allocator.
struct on_terrazzo {
  explicit on_terrazzo(std::size_t stream_number = 0)
      : stream(reinterpret_cast<terrazzo::stream_handle>(stream_number * 4096)) {}
  void* take(std::size_t bytes) { return device().allocate(bytes, stream); }
  void give(void* block) { device().deallocate(block); }
  static std::uint64_t driver_calls() { return device().stats().driver_calls; }
  terrazzo::stream_handle stream;
};

struct on_mimalloc {
  explicit on_mimalloc(std::size_t = 0) {}
  void* take(std::size_t bytes) { return mi_malloc(bytes); }
  void give(void* block) { mi_free(block); }
  static std::uint64_t driver_calls() { return 0; }
};

/// xorshift64*: cheap beside what is measured, and the same for both.
struct generator {
  std::uint64_t state = 0x9E3779B97F4A7C15u;
  std::uint64_t operator()() {
    state ^= state >> 12;
    state ^= state << 25;
    state ^= state >> 27;
    return state * 0x2545F4914F6CDD1Du;
  }
};

template <typename Allocator>
void check_driver_calls(benchmark::State& state, std::uint64_t before) {
  if (Allocator::driver_calls() != before) state.SkipWithError("the driver was called while the time was taken");
}

template <typename Allocator>
void pair(benchmark::State& state) {
  Allocator allocator;
  const auto bytes = static_cast<std::size_t>(state.range(0));
  allocator.give(allocator.take(bytes));
  const std::uint64_t calls = Allocator::driver_calls();
  for (auto _ : state) {
    void* block = allocator.take(bytes);
    benchmark::DoNotOptimize(block);
    allocator.give(block);
  }
  state.SetItemsProcessed(state.iterations());
  check_driver_calls<Allocator>(state, calls);
}

template <typename Allocator>
void pair_mixed(benchmark::State& state) {
  Allocator allocator;
  std::vector<std::size_t> sizes(4096);
  generator random;
  for (std::size_t& bytes : sizes) {
    const std::size_t octave = std::size_t{512} << (random() % 11);
    bytes = octave + random() % octave;
    if (bytes > 1 << 20) bytes = 1 << 20;
  }
  for (std::size_t bytes : sizes) allocator.give(allocator.take(bytes));
  const std::uint64_t calls = Allocator::driver_calls();
  std::size_t at = 0;
  for (auto _ : state) {
    void* block = allocator.take(sizes[at++ % sizes.size()]);
    benchmark::DoNotOptimize(block);
    allocator.give(block);
  }
  state.SetItemsProcessed(state.iterations());
  check_driver_calls<Allocator>(state, calls);
}

template <typename Allocator>
void replace(benchmark::State& state) {
  Allocator allocator;
  const auto live_count = static_cast<std::size_t>(state.range(0));
  generator random;
  const auto any_size = [&] { return 512 + random() % (16 * 1024 - 512 + 1); };
  std::vector<void*> live(2 * live_count);
  for (void*& block : live) block = allocator.take(any_size());
  for (std::size_t i = live.size() - 1; i > 0; --i) std::swap(live[i], live[random() % (i + 1)]);
  for (; live.size() > live_count; live.pop_back()) allocator.give(live.back());
  // A first round of replacements, so that what is measured is the steady state.
  for (std::size_t i = 0; i < live_count; ++i) {
    void*& block = live[random() % live_count];
    allocator.give(block);
    block = allocator.take(any_size());
  }
  const std::uint64_t calls = Allocator::driver_calls();
  for (auto _ : state) {
    void*& block = live[random() % live_count];
    allocator.give(block);
    block = allocator.take(any_size());
  }
  state.SetItemsProcessed(state.iterations());
  state.counters["driver_calls"] = static_cast<double>(Allocator::driver_calls() - calls);
  for (void* block : live) allocator.give(block);
}

// Threads of our own, so that the name is threads/<threads> and the rate is by the wall clock.
template <typename Allocator>
void threads(benchmark::State& state) {
  constexpr std::size_t pair_count = 500'000;
  const auto thread_count = static_cast<std::size_t>(state.range(0));
  const auto work = [](std::size_t number) {
    Allocator allocator(number);
    for (std::size_t i = 0; i < pair_count; ++i) {
      void* block = allocator.take(4096);
      benchmark::DoNotOptimize(block);
      allocator.give(block);
    }
  };
  std::chrono::duration<double> elapsed{0};
  for (auto _ : state) {
    const auto start = std::chrono::steady_clock::now();
    std::vector<std::thread> workers;
    for (std::size_t number = 1; number <= thread_count; ++number) workers.emplace_back(work, number);
    for (std::thread& each : workers) each.join();
    elapsed += std::chrono::steady_clock::now() - start;
  }
  const double pairs = static_cast<double>(state.iterations()) * static_cast<double>(thread_count * pair_count);
  state.counters["items_per_second"] = pairs / elapsed.count();
}

template <typename Allocator>
void register_all(const std::string& who) {
  for (const std::uint64_t bytes : pair_sizes)
    benchmark::RegisterBenchmark((who + "/pair").c_str(), pair<Allocator>)->Arg(static_cast<std::int64_t>(bytes));
  benchmark::RegisterBenchmark((who + "/pair_mixed").c_str(), pair_mixed<Allocator>);
  for (const std::int64_t live : live_counts)
    benchmark::RegisterBenchmark((who + "/replace").c_str(), replace<Allocator>)->Arg(live);
  for (const std::int64_t count : {1, 2, 4})
    benchmark::RegisterBenchmark((who + "/threads").c_str(), threads<Allocator>)->Arg(count);
}

}  // namespace

int main(int argc, char** argv) {
  setenv("TERRAZZO_SOFTGPU", "memory=256GiB;backed=0", /*overwrite=*/0);
  register_all<on_terrazzo>("terrazzo");
  register_all<on_mimalloc>("mimalloc");
  benchmark::Initialize(&argc, argv);
  if (benchmark::ReportUnrecognizedArguments(argc, argv)) return 1;
  benchmark::RunSpecifiedBenchmarks();
  return 0;
}
