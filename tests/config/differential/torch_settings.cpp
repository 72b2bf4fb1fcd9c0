// What judge.py needs of PyTorch beyond its Python face: the settings in force, which PyTorch's headers show without a
// device, and the exception that a string from the environment raises. Compiled by judge.py, never by the build.
#include <c10/cuda/CUDAAllocatorConfig.h>
#include <c10/util/Exception.h>

#include <sstream>
#include <stdexcept>
#include <string>

using c10::CachingAllocator::AcceleratorAllocatorConfig;
using c10::cuda::CUDACachingAllocator::CUDAAllocatorConfig;

namespace {

std::string settings_in_force() {
  std::ostringstream text;
  text.precision(17);
  const auto line = [&](const char* key, auto value) { text << key << '=' << value << '\n'; };
  line("large_segment_size_mb", AcceleratorAllocatorConfig::large_segment_size());
  line("max_split_size_mb", AcceleratorAllocatorConfig::max_split_size());
  line("max_non_split_rounding_mb", AcceleratorAllocatorConfig::max_non_split_rounding_size());
  line("garbage_collection_threshold", AcceleratorAllocatorConfig::garbage_collection_threshold());
  std::string divisions;
  for (const std::size_t count : AcceleratorAllocatorConfig::roundup_power2_divisions())
    divisions += (divisions.empty() ? "" : "/") + std::to_string(count);
  line("roundup_power2_divisions", divisions);
  line("expandable_segments", AcceleratorAllocatorConfig::use_expandable_segments());
  line("pinned_use_background_threads", AcceleratorAllocatorConfig::pinned_use_background_threads());
  line("pinned_max_round_threshold_mb", AcceleratorAllocatorConfig::pinned_max_round_threshold());
  line("pinned_max_cached_size_mb", AcceleratorAllocatorConfig::pinned_max_cached_size());
  line("release_lock_on_cudamalloc", CUDAAllocatorConfig::release_lock_on_cudamalloc());
  line("pinned_use_cuda_host_register", CUDAAllocatorConfig::pinned_use_cuda_host_register());
  line("pinned_num_register_threads", CUDAAllocatorConfig::pinned_num_register_threads());
  line("pinned_reserve_segment_size_mb", CUDAAllocatorConfig::pinned_reserve_segment_size_mb());
  line("graph_capture_record_stream_reuse", CUDAAllocatorConfig::graph_capture_record_stream_reuse());
  line("per_process_memory_fraction", CUDAAllocatorConfig::per_process_memory_fraction());
  line("pinned_free_catch_all", CUDAAllocatorConfig::pinned_free_catch_all());
  line("throw_on_cudamalloc_oom", CUDAAllocatorConfig::throw_on_cudamalloc_oom());
  return text.str();
}

}  // namespace

/// Returns "key=value" lines, or "! class: message" where reading the environment's string fails.
extern "C" const char* torch_settings() {
  static std::string text;
  try {
    text = settings_in_force();
  } catch (const c10::ValueError& error) {
    text = std::string("! ValueError: ") + error.what_without_backtrace();
  } catch (const c10::Error& error) {
    text = std::string("! RuntimeError: ") + error.what_without_backtrace();
  } catch (const std::out_of_range& error) {
    text = std::string("! IndexError: ") + error.what();
  } catch (const std::invalid_argument& error) {
    text = std::string("! ValueError: ") + error.what();
  }
  return text.c_str();
}
