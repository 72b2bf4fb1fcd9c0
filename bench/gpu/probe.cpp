#include "probe.hpp"

#include <algorithm>
#include <cstdio>
#include <cstdlib>
#include <cstring>
#include <string_view>

#include "base/shared_library.hpp"
#include "terrazzo/status.hpp"

namespace terrazzo::probe {
namespace {

// Set while a device is open, so that a thrown failure can name its result; names never change afterwards.
const cuda_calls* naming_calls = nullptr;

std::string without_separators(std::string text) {
  for (char& character : text)
    if (character == '\t' || character == '\n' || character == '\r') character = ' ';
  return text;
}

void print_line(std::initializer_list<std::string> fields) {
  std::string line;
  for (const std::string& field : fields) {
    if (!line.empty()) line += '\t';
    line += without_separators(field);
  }
  std::puts(line.c_str());
  std::fflush(stdout);
}

std::unique_ptr<gpu> open_gpu(int ordinal) {
  auto opened = std::make_unique<gpu>();
  if (detail::driver::load("", opened->driver) != status::ok) throw unsupported(last_error_message());
  if (detail::primary_context::retain(opened->driver, ordinal, opened->context) != status::ok)
    throw unsupported(last_error_message());
  opened->context.leak();  // an item may leave the context in an error; the process ends soon
  std::string reason;
  const detail::shared_library library = detail::shared_library::open(opened->driver->origin(), reason);
  if (!library) throw unsupported(reason);
  cuda_calls& cuda = opened->cuda;
#define TERRAZZO_PROBE_TAKE(name) \
  cuda.name.function = reinterpret_cast<decltype(cuda.name.function)>(library.symbol(#name));
  TERRAZZO_PROBE_FUNCTIONS(TERRAZZO_PROBE_TAKE)
#undef TERRAZZO_PROBE_TAKE
  naming_calls = &opened->cuda;
  opened->software = library.symbol("terrazzo_softgpu_configure") != nullptr;
  opened->device = opened->context.device_handle();
  opened->make_current();
  int capable = 0;
  cuda.cuDeviceGetAttribute.must(&capable, CU_DEVICE_ATTRIBUTE_VIRTUAL_MEMORY_MANAGEMENT_SUPPORTED, opened->device);
  if (capable != 0 && opened->driver->has_virtual_memory()) {
    CUmemAllocationProp properties{};
    properties.type = CU_MEM_ALLOCATION_TYPE_PINNED;
    properties.location = {CU_MEM_LOCATION_TYPE_DEVICE, {opened->device}};
    cuda.cuMemGetAllocationGranularity.must(&opened->granularity, &properties, CU_MEM_ALLOC_GRANULARITY_MINIMUM);
  }
  return opened;
}

}  // namespace

void throw_failed_call(const char* function, CUresult result) {
  const std::string name = naming_calls != nullptr ? name_of(*naming_calls, result) : std::to_string(result);
  const std::string sentence = fmt::format("{} answered {}", function, name);
  if (result == CUDA_ERROR_NOT_SUPPORTED) throw unsupported(sentence);
  throw call_failed(sentence, result);
}

summary summarise(std::vector<double> samples) {
  if (samples.empty()) return {};
  std::sort(samples.begin(), samples.end());
  const std::size_t n = samples.size();
  // The p99 is the smallest sample that 99 % do not exceed: with fewer than 100 samples, the largest.
  const std::size_t p99_rank = (n * 99 + 99) / 100;
  const double median = n % 2 == 1 ? samples[n / 2] : (samples[n / 2 - 1] + samples[n / 2]) / 2;
  return {n, samples.front(), median, samples[p99_rank - 1]};
}

std::string name_of(const cuda_calls& cuda, CUresult result) {
  const char* name = nullptr;
  if (cuda.cuGetErrorName && cuda.cuGetErrorName(result, &name) == CUDA_SUCCESS && name != nullptr) return name;
  return std::to_string(static_cast<int>(result));
}

std::size_t gpu::free_bytes() const {
  std::size_t free = 0;
  std::size_t total = 0;
  cuda.cuMemGetInfo_v2.must(&free, &total);
  return free;
}

void gpu::need_virtual_memory() const {
  if (granularity == 0) throw unsupported("the device or its driver has no virtual memory management");
}

gpu& probe::device() {
  if (!gpu_) gpu_ = open_gpu(device_ordinal);
  return *gpu_;
}

bool probe::time_is_up(double share) const { return microseconds_since(start_) > seconds * share * 1e6; }

void probe::row(const std::string& call, const std::string& conditions, const std::string& result) const {
  print_line({"row", item, call, conditions, result, "", "", "", "", ""});
}

void probe::row(const std::string& call, const std::string& conditions, const std::string& unit,
                std::vector<double> samples, const std::string& result) const {
  const summary all = summarise(std::move(samples));
  print_line({"row", item, call, conditions, result, unit, std::to_string(all.n), fmt::format("{:.6g}", all.min),
              fmt::format("{:.6g}", all.median), fmt::format("{:.6g}", all.p99)});
}

void probe::fact(const std::string& key, const std::string& value) const { print_line({"fact", key, value}); }
void probe::note(const std::string& sentence) const { print_line({sentence}); }

void probe::finding(const char* outcome, const std::string& sentence) const {
  print_line({"finding", item, outcome, sentence});
}

int run_probe(int argc, char** argv, std::initializer_list<item> items) {
  probe running;
  bool understood = true;
  for (int i = 1; i < argc; ++i) {
    const std::string_view argument = argv[i];
    if (argument == "--quick") running.quick = true;
    else if (argument == "--seconds" && i + 1 < argc) running.seconds = std::atof(argv[++i]);
    else if (argument == "--device" && i + 1 < argc) running.device_ordinal = std::atoi(argv[++i]);
    else if (running.item.empty() && !argument.starts_with("-")) running.item = argument;
    else understood = false;
  }
  const item* chosen = nullptr;
  for (const item& candidate : items)
    if (running.item == candidate.name) chosen = &candidate;
  if (!understood || chosen == nullptr) {
    std::fprintf(stderr, "usage: %s ITEM [--device N] [--quick] [--seconds S]; items:", argv[0]);
    for (const item& candidate : items) std::fprintf(stderr, " %s", candidate.name);
    std::fprintf(stderr, "\n");
    return 2;
  }
  try {
    chosen->run(running);
  } catch (const unsupported& reason) {
    running.finding("unsupported", fmt::format("unsupported here: {}", reason.what()));
  } catch (const std::exception& reason) {
    running.finding("fail", reason.what());
  }
  // The driver's own threads may still run after an item that ended in an error: leave without destructors.
  std::fflush(stdout);
  std::_Exit(0);
}

}  // namespace terrazzo::probe
