// One function for each key: what a setting does, here and in PyTorch, under the settings beside it. The sentences say
// what is so in this version; whoever changes what a key does changes its sentence.
// Sources: PyTorch 2.15's allocator and its issues, by number; cuBLAS' documentation of cublasSetWorkspace.
#include <fmt/format.h>

#include <algorithm>
#include <array>

#include "base/bits.hpp"
#include "config/explain.hpp"
#include "config/numbers.hpp"
#include "config/rounding.hpp"

namespace terrazzo::detail {

namespace {

constexpr int last_torch_without_windows = 213;  // expandable segments: #122057, #189163

std::string mebibytes(std::size_t bytes) { return print_exact_mebibytes(bytes) + " MiB"; }

void ignored_by_backend(explained_setting& out) {
  out.pytorch = {false, "Nothing: backend:cudaMallocAsync does not use the native allocator that this setting is for."};
  out.severity = severity_level::note;
  out.keep = false;
}

// What every setting for host memory has in common.
void host_memory(explained_setting& out, std::string in_pytorch, bool acts) {
  out.here = {false, "Nothing: terrazzo hands out device memory alone."};
  out.pytorch = {acts, std::move(in_pytorch)};
}

void expandable_segments(const setting& entry, const situation& among, explained_setting& out) {
  if (!std::get<bool>(entry.value)) {
    out.here = {true,
                "Memory comes as plain segments, each one contiguous piece of the device, by the rules of PyTorch's "
                "native allocator. A request can then fail while enough memory is free in pieces."};
    out.pytorch = {false, "Nothing: this is the default."};
    out.advice =
        "Leave it out for terrazzo, unless memory must be shared through cudaIpcGetMemHandle or with peer devices.";
    out.severity = severity_level::note;
    out.keep = !among.async_backend();
    return;
  }
  const bool possible = among.where.virtual_memory.value_or(true);
  out.here = {false, possible
                         ? "Nothing new: one growing range of addresses for each device, with memory mapped where a "
                           "request finds room in it, is what terrazzo does anyway."
                         : "Nothing: this device or driver cannot map memory, so that terrazzo takes plain "
                           "segments."};
  if (among.async_backend()) {
    out.pytorch = {false, "Nothing: backend:cudaMallocAsync has no segments."};
    out.advice = "Keep one of the two: expandable_segments:True is PyTorch's native answer to fragmentation.";
    out.severity = severity_level::warning;
    out.keep = false;
    return;
  }
  if (among.where.windows && among.where.torch_version <= last_torch_without_windows) {
    out.pytorch = {false, fmt::format("Nothing: PyTorch {}.{} ignores it on Windows, with a warning (pytorch #122057).",
                                      among.where.torch_version / 100, among.where.torch_version % 100)};
    out.advice = "Use terrazzo, or a PyTorch later than 2.13.";
    out.severity = severity_level::warning;
    return;
  }
  out.pytorch = {true,
                 "Each stream's segments grow by mapping memory behind their end, so that less is stranded in pieces."};
  if (among.where.windows) {
    out.advice =
        "On Windows this is new after PyTorch 2.13: if it warns \"expandable_segments not supported on this "
        "platform\", the build ignores the setting.";
    out.severity = severity_level::note;
  }
}

void max_split_size(const setting& entry, const situation& among, explained_setting& out) {
  const std::string size = mebibytes(std::get<std::size_t>(entry.value));
  const std::string rule = fmt::format(
      "Segments of {0} or more are never split, and serve only requests of {0} or more: large pieces stay whole, and "
      "small requests cannot use them.",
      size);
  out.severity = severity_level::note;
  if (among.expandable_here())
    out.here = {false, "Nothing: a block can be cut from the range and joined again without stranding memory."};
  else out.here = {true, rule};
  if (among.async_backend()) {
    ignored_by_backend(out);
  } else if (among.expandable_in_pytorch()) {
    out.pytorch = {true,
                   "With expandable segments it makes reserved memory grow: large blocks are kept whole, and cannot be "
                   "given back one by one (pytorch #123548)."};
    out.advice = "Take it out: expandable segments do what it is for.";
    out.severity = severity_level::warning;
    out.keep = false;
    return;
  } else {
    out.pytorch = {true, rule};
  }
  out.advice =
      "It limits neither how much is used nor how large a request may be. It does not help against "
      "CUBLAS_STATUS_ALLOC_FAILED either: cuBLAS makes its handles with memory of its own, outside the cache, and asks "
      "for workspaces of 4 to 32 MiB.";
  if (!among.where.windows || among.where.torch_version > last_torch_without_windows)
    out.advice += " In PyTorch, expandable_segments:True removes the fragmentation that it only limits.";
}

void max_non_split_rounding(const setting& entry, const situation& among, explained_setting& out) {
  const bool split_limit = among.find("max_split_size_mb") != nullptr;
  const std::string rule =
      fmt::format("A request of max_split_size_mb or more may take a cached segment that is up to {} larger, whole.",
                  mebibytes(std::get<std::size_t>(entry.value)));
  const std::string needs = "Nothing: it is only about segments that max_split_size_mb keeps whole.";
  if (among.expandable_here()) out.here = {false, "Nothing: it is for plain segments."};
  else out.here = {split_limit, split_limit ? rule : needs};
  if (among.async_backend()) return ignored_by_backend(out);
  out.pytorch = {split_limit, split_limit ? rule : needs};
  if (split_limit) return;
  out.advice = "Set max_split_size_mb with it, or take it out.";
  out.severity = severity_level::warning;
}

void garbage_collection(const setting& entry, const situation& among, explained_setting& out) {
  const double share = std::get<double>(entry.value);
  const std::string rule =
      fmt::format("Above {} of the limit, cached segments that have not been used for long are released.", share);
  if (among.expandable_here()) out.here = {false, "Nothing: it is for plain segments."};
  else if (among.limited_here()) out.here = {true, rule};
  else out.here = {false, "Nothing: it is a share of a limit, and none is set."};
  if (among.async_backend()) return ignored_by_backend(out);
  if (!among.limited_in_pytorch()) {
    out.pytorch = {false,
                   "Nothing: it is a share of the memory fraction, and none is set. PyTorch does not say so "
                   "(pytorch #106660)."};
    out.advice =
        "To have it act, add per_process_memory_fraction below 1, as in per_process_memory_fraction:0.95, or call "
        "torch.cuda.set_per_process_memory_fraction.";
    out.severity = severity_level::warning;
  } else if (among.expandable_in_pytorch()) {
    out.pytorch = {false, "Nothing: it never frees expandable segments."};
    out.severity = severity_level::warning;
  } else {
    out.pytorch = {true, rule};
    if (share < 0.5) {
      out.advice =
          "A low threshold means releasing more, and more often: memory is then taken from the driver again and again. "
          "0.8 is usual.";
      out.severity = severity_level::note;
    }
  }
}

void roundup_divisions(const setting& entry, const situation& among, explained_setting& out) {
  const auto& divisions = std::get<divisions_array>(entry.value);
  const auto coarse = std::ranges::find_if(divisions, [](std::size_t each) { return each > 1; });
  if (coarse == divisions.end()) {
    out.here = out.pytorch = {false, "Nothing: 0 and 1 mean no rounding beyond 512 bytes."};
    out.advice = "Take it out, or give 2 or more: 4 rounds 1200 MiB up to 1280 MiB.";
    out.severity = severity_level::warning;
    return;
  }
  const auto bucket = static_cast<std::size_t>(coarse - divisions.begin());
  const std::string low = mebibytes(mib << bucket);
  const std::string high = mebibytes(mib << (bucket + 1));
  const std::size_t step = (mib << bucket) / *coarse;
  const bool everywhere = std::ranges::count(divisions, *coarse) == std::ssize(divisions);
  constexpr std::size_t example = 1200 * mib;
  std::string rule;
  if (step < min_block_bytes) {
    rule = fmt::format(
        "Next to nothing: steps of less than 512 bytes, for requests of {} to {}, are finer than the rounding that is "
        "done anyway.",
        low, high);
  } else {
    rule = fmt::format(
        "Requests are rounded up in steps, so that cached blocks fit more often: {}. Up to {} % more than "
        "was asked for is then taken.",
        everywhere ? fmt::format("{} becomes {}", mebibytes(example), mebibytes(round_request(example, divisions)))
                   : fmt::format("of {} to {}, in steps of {}", low, high, mebibytes(step)),
        std::max<std::size_t>(100 / *coarse, 1));
  }
  out.here = {true, rule};
  if (among.async_backend()) ignored_by_backend(out);
  else out.pytorch = {true, rule};
  if (among.expandable_here() || among.expandable_in_pytorch()) {
    out.advice =
        "It costs memory and is rarely needed in mapped memory, where blocks need not fit exactly. Try without it.";
    out.severity = severity_level::note;
  }
}

void large_segment_size(const setting& entry, const situation& among, explained_setting& out) {
  const std::size_t bytes = std::get<std::size_t>(entry.value);
  const std::string size = mebibytes(bytes);
  if (among.expandable_here()) out.here = {false, "Nothing: memory is mapped in chunks of 2 MiB, for all requests."};
  else
    out.here = {bytes != config{}.large_segment_size_bytes,
                fmt::format("Requests above 1 MiB and below 10 MiB are cut from segments of {}.", size)};
  if (among.async_backend()) return ignored_by_backend(out);
  out.pytorch = {bytes != config{}.large_segment_size_bytes,
                 among.expandable_in_pytorch()
                     ? fmt::format("Expandable segments for large requests grow in pages of {}.", size)
                     : fmt::format("Requests above 1 MiB and below 10 MiB are cut from segments of {}.", size)};
  out.advice = fmt::format(
      "PyTorch 2.10 and older refuse the whole string because of this key. max_split_size_mb must then be "
      "at least {}.",
      bytes / mib);
  out.severity = severity_level::note;
}

void memory_fraction(const setting& entry, const situation& among, explained_setting& out) {
  const double share = std::get<double>(entry.value);
  const std::string rule = fmt::format("At most {} of the device's memory is held; what passes it fails.", share);
  out.here = {share < 1, share < 1 ? rule : "Nothing: all of the device is the default."};
  if (among.async_backend()) {
    ignored_by_backend(out);
    out.advice = "That backend obeys torch.cuda.set_per_process_memory_fraction, which a program calls.";
  } else {
    out.pytorch = {share < 1, share < 1 ? rule + " It counts from the start; a later string does not move it."
                                        : "Nothing: all of the device is the default."};
  }
  if (share == 0) {
    out.advice = "With 0 nothing can be allocated at all.";
    out.severity = severity_level::warning;
  }
}

void backend(const setting& entry, const situation&, explained_setting& out) {
  const bool async = std::get<std::string>(entry.value) == "cudaMallocAsync";
  out.here = {false, "Nothing: terrazzo stands in place of PyTorch's allocators."};
  out.pytorch = {async, async ? "CUDA's own stream-ordered pool serves all requests; settings for the native allocator "
                                "are ignored. It is fixed when the library is loaded: a later string cannot change it."
                              : "Nothing: this is the default."};
  if (!async) return;
  out.advice =
      "To use terrazzo in PyTorch, take it out. The pool has no expandable segments, and no snapshots of what it "
      "holds.";
  out.severity = severity_level::note;
}

void lock_release(const setting& entry, const situation& among, explained_setting& out) {
  const bool on = std::get<bool>(entry.value);
  out.here = {false, "Nothing: no lock that other streams' cached memory needs is held across a driver call."};
  if (among.async_backend()) return ignored_by_backend(out);
  out.pytorch = {on, on ? "Other threads may allocate cached memory while one thread is inside cudaMalloc."
                        : "Nothing: this is the default."};
}

void register_threads(const setting& entry, const situation& among, explained_setting& out) {
  const bool used = among.is_true("pinned_use_cuda_host_register") || among.is_true("pinned_use_hip_host_register");
  const std::size_t count = std::get<std::size_t>(entry.value);
  if (!used) {
    host_memory(out, "Nothing: it is for pinned_use_cuda_host_register:True, which is not set.", false);
    out.advice = "Add pinned_use_cuda_host_register:True, or take it out.";
    out.severity = severity_level::warning;
    return;
  }
  host_memory(out, fmt::format("{} threads touch the pages of a host block before it is pinned.", count), count != 1);
}

void reserve(const setting& entry, const situation& among, explained_setting& out) {
  const auto& value = std::get<std::string>(entry.value);
  const bool is_list = entry.what->kind == option_kind::reserve_list;
  const bool valid = is_list ? value != "[]" : is_reserve(value);
  out.here = {false, "Nothing: a device has one range, which reserves twice the device's memory in addresses."};
  if (!among.expandable_in_pytorch()) {
    out.pytorch = {false, "Nothing: it is for expandable segments, which are off."};
    out.advice = "Add expandable_segments:True, or take it out.";
    out.severity = severity_level::warning;
    return;
  }
  if (!valid) {
    out.pytorch = {false, is_list ? "Nothing: the list has no entry that can be read."
                                  : "Nothing: PyTorch warns that it cannot read the value, and goes on with 9/8 of the "
                                    "device."};
    out.severity = severity_level::warning;
    return;
  }
  out.pytorch = {true, fmt::format("An expandable segment reserves {} of addresses; a single request cannot be larger "
                                   "than a segment.",
                                   value)};
  out.advice = "PyTorch 2.14 and older refuse the whole string because of this key.";
  out.severity = severity_level::note;
}

void capture_reuse(const setting& entry, const situation& among, explained_setting& out) {
  const bool on = std::get<bool>(entry.value);
  out.here = {false, "Nothing: terrazzo does not manage graph captures yet."};
  if (among.async_backend()) return ignored_by_backend(out);
  out.pytorch = {on, on ? "Inside a capture, a block that another stream used is reused where the graph's order shows "
                          "that it is done."
                        : "Nothing: this is the default."};
}

void throw_early(const setting& entry, const situation& among, explained_setting& out) {
  const bool on = std::get<bool>(entry.value);
  out.here = {false, "Nothing: cached memory is always given up before a request fails."};
  if (among.async_backend()) return ignored_by_backend(out);
  if (!on) {
    out.pytorch = {false, "Nothing: this is the default."};
  } else if (!among.limited_in_pytorch()) {
    out.pytorch = {false, "Nothing: it is about passing per_process_memory_fraction, which is not set."};
    out.advice = "Set per_process_memory_fraction below 1 with it, or take it out.";
    out.severity = severity_level::warning;
  } else {
    out.pytorch = {true,
                   "A request that would pass the memory fraction fails at once, though cached memory might have "
                   "been released for it."};
    out.advice = "Take it out unless failing fast is what you want: it makes running out of memory more likely.";
    out.severity = severity_level::note;
  }
}

void own_bytes(const setting& entry, const situation&, explained_setting& out) {
  const std::string size = mebibytes(std::get<std::size_t>(entry.value));
  const bool is_limit = entry.what->key == "limit_mb";
  out.here = {true, is_limit
                        ? fmt::format("terrazzo holds at most {} of the device's memory.", size)
                        : fmt::format("terrazzo leaves {} of the device free, for cuBLAS handles, modules, NCCL and "
                                      "whatever else allocates outside it.",
                                      size)};
  out.pytorch = {false, "Nothing: the key is terrazzo's own."};
}

using describer = void (*)(const setting&, const situation&, explained_setting&);

struct described_key {
  std::string_view key;
  describer run;
};

// Host settings that need no more than a sentence, in `host_settings` below.
constexpr described_key described_keys[] = {
    {"expandable_segments", expandable_segments},
    {"max_split_size_mb", max_split_size},
    {"max_non_split_rounding_mb", max_non_split_rounding},
    {"garbage_collection_threshold", garbage_collection},
    {"roundup_power2_divisions", roundup_divisions},
    {"large_segment_size_mb", large_segment_size},
    {"per_process_memory_fraction", memory_fraction},
    {"backend", backend},
    {"release_lock_on_cudamalloc", lock_release},
    {"release_lock_on_hipmalloc", lock_release},
    {"pinned_num_register_threads", register_threads},
    {"graph_capture_record_stream_reuse", capture_reuse},
    {"throw_on_cudamalloc_oom", throw_early},
    {"expandable_segments_reserve", reserve},
    {"expandable_segments_reserve_by_class", reserve},
    {"limit_mb", own_bytes},
    {"headroom_mb", own_bytes},
};

struct host_setting {
  std::string_view key;
  std::string_view effect;
};

constexpr host_setting host_settings[] = {
    {"pinned_use_background_threads",
     "A thread in the background asks whether copies from and to pinned memory are done."},
    {"pinned_max_round_threshold_mb", "Pinned host blocks above this size are not rounded up to a power of two."},
    {"pinned_max_cached_size_mb", "Pinned host blocks above this size are given back at once rather than cached."},
    {"pinned_use_cuda_host_register", "Host memory is allocated first and pinned with cudaHostRegister afterwards."},
    {"pinned_use_hip_host_register", "Host memory is allocated first and pinned with cudaHostRegister afterwards."},
    {"pinned_reserve_segment_size_mb",
     "One piece of pinned host memory is taken at the start and small blocks are cut from it."},
    {"pinned_free_catch_all", "Errors when pinned memory is freed, as at the end of a program, are swallowed."},
};

}  // namespace

explained_setting describe(const setting& entry, const situation& among) {
  explained_setting out;
  out.what = entry.what;
  out.column = entry.column;
  const auto found = std::ranges::find(described_keys, entry.what->key, &described_key::key);
  if (found != std::end(described_keys)) {
    found->run(entry, among, out);
  } else {
    const auto host = std::ranges::find(host_settings, entry.what->key, &host_setting::key);
    const auto* on = std::get_if<bool>(&entry.value);
    const bool acts = on == nullptr || *on;
    host_memory(out, acts ? std::string(host->effect) : "Nothing: this is the default.", acts);
  }
  if (among.own_variable && entry.what->owner != key_owner::terrazzo)
    out.pytorch = {false, "Nothing: PyTorch does not read TERRAZZO_ALLOC_CONF."};
  if (!out.here.acts && !out.pytorch.acts && entry.what->key != "expandable_segments") out.keep = false;
  return out;
}

}  // namespace terrazzo::detail
