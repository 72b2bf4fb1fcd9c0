// Sources: CUDA programming guide, "CUDA environment variables" and "Lazy loading"; PyTorch 2.15, "CUDA environment
// variables" and c10/cuda/CUDACachingAllocator.cpp.
#include "tools/variables.hpp"

#include <fmt/format.h>

namespace terrazzo::tools {
namespace {

using detail::severity_level;

void judge_caching(variable_note& note) {
  note.owner = "PyTorch";
  note.effect =
      "turns the cache of PyTorch's own allocator off: each tensor is taken from the driver and given back at once, "
      "which makes programs many times slower, and no setting of a config string acts";
  if (note.value != "1") note.effect += ". Most versions look only at whether it is set, even to 0";
  note.advice = "unset it; it is meant for memory checkers";
  note.severity = severity_level::warning;
}

void judge_module_loading(variable_note& note) {
  note.owner = "CUDA";
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
void judge_visible_devices(variable_note& note) {
  note.owner = "CUDA";
  note.effect = note.value.empty() || note.value == "-1"
                    ? "hides all devices"
                    : "shows these devices alone to CUDA, in this order, and counts them from 0";
}

struct judged_variable {
  const char* name;
  void (*judge)(variable_note& note);
};

constexpr judged_variable table[] = {
    {"PYTORCH_NO_CUDA_MEMORY_CACHING", judge_caching},
    {"CUDA_MODULE_LOADING", judge_module_loading},
    {"CUDA_VISIBLE_DEVICES", judge_visible_devices},
};

}  // namespace

std::vector<variable_note> explain_other_variables(const variable_lookup& lookup) {
  std::vector<variable_note> notes = detail::explain_variables(lookup);
  for (const judged_variable& each : table) {
    const char* value = lookup(each.name);
    if (value == nullptr) continue;
    variable_note note;
    note.name = each.name;
    note.value = value;
    each.judge(note);
    notes.push_back(std::move(note));
  }
  return notes;
}

}  // namespace terrazzo::tools
