// Sources: CUDA programming guide, "CUDA environment variables" and "Lazy loading"; PyTorch 2.15, "CUDA environment
// variables" and c10/cuda/CUDACachingAllocator.cpp.
#include "tools/variables.hpp"

#include <iterator>

namespace terrazzo::tools {
namespace {

using detail::severity_level;

void judge_caching(const std::string&, const variable_lookup&, variable_note& note) {
  note.effect =
      "turns the cache of PyTorch's own allocator off: each tensor is taken from the driver and given back at once, "
      "which makes programs many times slower, and no setting of a config string acts";
  if (note.value != "1") note.effect += ". Most versions look only at whether it is set, even to 0";
  note.advice = "unset it; it is meant for memory checkers";
  note.severity = severity_level::warning;
}

void judge_module_loading(const std::string&, const variable_lookup&, variable_note& note) {
  if (note.value == "LAZY" || note.value == "DEFAULT") {
    note.effect = "loads a kernel into device memory when it is first launched, which is the default since CUDA 12.2";
    return;
  }
  note.severity = severity_level::warning;
  note.advice = "unset it";
  note.effect = note.value == "EAGER"
                    ? "loads all kernels of every library into device memory at the start: hundreds of "
                      "MiB, of which most are never run"
                    : "is none of DEFAULT, LAZY and EAGER, which CUDA knows";
}

// Whether such devices exist is for `doctor` to see.
void judge_visible_devices(const std::string&, const variable_lookup&, variable_note& note) {
  note.effect = note.value.empty() || note.value == "-1"
                    ? "hides all devices"
                    : "shows these devices alone to CUDA, in this order, and counts them from 0";
}

constexpr variable_info table[] = {
    {"PYTORCH_NO_CUDA_MEMORY_CACHING", "PyTorch", "whether PyTorch's own allocator caches", judge_caching},
    {"CUDA_MODULE_LOADING", "CUDA", "when kernels are loaded into device memory", judge_module_loading},
    {"CUDA_VISIBLE_DEVICES", "CUDA", "which devices there are, and in which order", judge_visible_devices},
};

constexpr own_variable own_table[] = {
    {"PYTORCH_CUDA_ALLOC_CONF", "settings in PyTorch's grammar, read as PyTorch reads them"},
    {"PYTORCH_ALLOC_CONF", "the same; counts if the former is not set"},
    {"TERRAZZO_ALLOC_CONF", "settings in the same grammar, read strictly; they win key by key"},
    {"TERRAZZO_CUDA_DRIVER", "the CUDA driver's file, instead of the system's"},
    {"TERRAZZO_CUBLAS", "cuBLAS' file, instead of the one that is found"},
    {"TERRAZZO_SOFTGPU", "what card the software GPU is, where that is the driver"},
    {"NO_COLOR", "set to something: no colours, unless --color says otherwise"},
    {"COLUMNS", "the width to which text is broken on a terminal"},
};

}  // namespace

std::vector<variable_info> other_variables() {
  const auto cublas = detail::cublas_variables();
  std::vector<variable_info> all(cublas.begin(), cublas.end());
  all.insert(all.end(), std::begin(table), std::end(table));
  return all;
}

std::vector<variable_note> explain_other_variables(const variable_lookup& lookup) {
  return explain_variables(other_variables(), lookup);
}

std::span<const own_variable> own_variables() noexcept { return own_table; }

}  // namespace terrazzo::tools
