// One function for each key; those for mapped memory alone are in mapped_effects.cpp. The two texts first say what the
// setting does as such; `describe` then sees whether it changes anything against what is so without it.
// Sources: PyTorch 2.15's allocator and its issues, by number; cuBLAS' documentation of cublasSetWorkspace.
#include "config/effects.hpp"

#include <fmt/format.h>

#include <algorithm>
#include <limits>

#include "base/bits.hpp"
#include "config/mapped_effects.hpp"
#include "config/numbers.hpp"
#include "config/rounding.hpp"

namespace terrazzo::detail {

const setting* situation::find(std::string_view key) const noexcept {
  const auto found = std::ranges::find_if(settings, [&](const setting& each) { return each.what->key == key; });
  return found == settings.end() ? nullptr : &*found;
}

bool situation::is_true(std::string_view key) const noexcept {
  const setting* found = find(key);
  return found != nullptr && std::get<bool>(found->value);
}

bool situation::async_backend() const noexcept {
  const setting* found = find("backend");
  return found != nullptr && std::get<std::string>(found->value) != "native";
}

// PyTorch up to 2.13 ignores it on Windows (#122057, #189163).
bool situation::expandable_in_pytorch() const noexcept {
  return is_true("expandable_segments") && !async_backend() && !where.windows;
}

bool situation::limited_in_pytorch() const noexcept {
  const setting* found = find("per_process_memory_fraction");
  return found != nullptr && std::get<double>(found->value) < 1;
}

bool situation::expandable_here() const noexcept {
  return meaning.expandable_segments.value_or(true) && where.virtual_memory.value_or(true);
}

bool situation::limited_here() const noexcept {
  return meaning.per_process_memory_fraction < 1 || meaning.limit_bytes != config::unlimited;
}

namespace {

using enum severity_level;

std::string mebibytes(std::size_t bytes) { return print_exact_mebibytes(bytes) + " MiB"; }

void ignored_by_backend(explained_setting& out) {
  out.pytorch = {false, "Nothing: backend:cudaMallocAsync does not use the native allocator that this setting is for."};
  out.severity = note;
  out.keep = false;
}

void expandable_segments(const setting& entry, const situation& among, explained_setting& out) {
  const bool wanted = std::get<bool>(entry.value);
  if (!among.where.virtual_memory.value_or(true)) {
    out.here = {false, "Nothing: this device or driver cannot map memory, so that terrazzo takes plain segments."};
  } else if (wanted) {
    out.here = {true, "One growing range of addresses for each device, with memory mapped where a request finds room."};
  } else {
    out.here = {true,
                "Memory comes as plain segments, each one contiguous piece of the device, by the rules of PyTorch's "
                "native allocator. A request can then fail while enough memory is free in pieces."};
  }
  if (!wanted) {
    out.pytorch = {true, "Memory comes as segments that cannot grow."};
    advise(out, note,
           "Leave it out for terrazzo, unless memory must be shared through cudaIpcGetMemHandle or with peer devices.");
    out.keep = !among.async_backend();
    return;
  }
  if (among.async_backend()) {
    out.pytorch = {false, "Nothing: backend:cudaMallocAsync has no segments."};
    advise(out, warning, "Keep one of the two: expandable_segments:True is PyTorch's native answer to fragmentation.");
    out.keep = false;
    return;
  }
  out.pytorch = {true,
                 "Each stream's segments grow by mapping memory behind their end, so that less is stranded in pieces."};
  if (!among.where.windows) return;
  out.pytorch.text += " On Windows that is so after PyTorch 2.13 alone.";
  advise(out, note,
         "PyTorch up to 2.13 ignores it on Windows, with the warning \"expandable_segments not supported on this "
         "platform\" (pytorch #122057): use a later one, or terrazzo.");
}

void max_split_size(const setting& entry, const situation& among, explained_setting& out) {
  const std::string rule = fmt::format(
      "Segments of {0} or more are never split, and serve only requests of {0} or more: large pieces stay whole, and "
      "small requests cannot use them.",
      mebibytes(std::get<std::size_t>(entry.value)));
  out.severity = note;
  if (among.expandable_here())
    out.here = {false, "Nothing: a block can be cut from the range and joined again without stranding memory."};
  else out.here = {true, rule};
  if (among.expandable_in_pytorch()) {
    out.pytorch = {true,
                   "With expandable segments, free memory in pieces of this size or more is refused to smaller "
                   "requests, so that new memory is mapped beside it and reserved memory grows (pytorch #123548)."};
    advise(out, warning, "Take it out: expandable segments do what it is for.");
    out.keep = false;
    return;
  }
  if (among.async_backend()) ignored_by_backend(out);
  else out.pytorch = {true, rule};
  out.advice =
      "It limits neither how much is used nor how large a request may be. It does not help against "
      "CUBLAS_STATUS_ALLOC_FAILED either: cuBLAS makes its handles with memory of its own, outside the cache, and asks "
      "for workspaces of 4 to 32 MiB.";
  out.advice += among.is_true("expandable_segments")
                    ? " With a PyTorch later than 2.13, take it out: it makes reserved memory grow then."
                    : " In PyTorch, expandable_segments:True removes the fragmentation that it only limits.";
}

void max_non_split_rounding(const setting& entry, const situation& among, explained_setting& out) {
  const std::string rule =
      fmt::format("A request of max_split_size_mb or more takes a cached block only if that is less than {} larger.",
                  mebibytes(std::get<std::size_t>(entry.value)));
  const std::string needs = "Nothing: it is only about requests of max_split_size_mb or more, which is not set.";
  const auto effect_under = [&](bool split_limit) { return effect{split_limit, split_limit ? rule : needs}; };
  if (among.expandable_here()) out.here = {false, "Nothing: it is for plain segments."};
  else out.here = effect_under(among.meaning.max_split_size_bytes != config::unlimited);
  if (among.async_backend()) return ignored_by_backend(out);
  out.pytorch = effect_under(among.find("max_split_size_mb") != nullptr);
  if (!out.pytorch.acts) advise(out, warning, "Set max_split_size_mb with it, or take it out.");
}

void garbage_collection(const setting& entry, const situation& among, explained_setting& out) {
  const double share = std::get<double>(entry.value);
  const auto rule = [&](std::string_view what) {
    return fmt::format("Above {} of the limit, cached {} that have not been used for long are released.", share, what);
  };
  if (among.limited_here()) out.here = {true, rule(among.expandable_here() ? "chunks" : "segments")};
  else out.here = {false, "Nothing: it is a share of a limit, and none is set."};
  if (among.async_backend()) return ignored_by_backend(out);
  if (!among.limited_in_pytorch()) {
    out.pytorch = {false,
                   "Nothing: it is a share of the memory fraction, and none is set. PyTorch does not say so (pytorch "
                   "#106660)."};
    advise(out, warning,
           "To have it act, add per_process_memory_fraction below 1, as in per_process_memory_fraction:0.95, or call "
           "torch.cuda.set_per_process_memory_fraction.");
  } else if (among.expandable_in_pytorch()) {
    out.pytorch = {false, "Nothing: it never frees expandable segments."};
    out.severity = warning;
  } else {
    out.pytorch = {true, rule("segments")};
    if (share < 0.5) {
      advise(out, note,
             "A low threshold means releasing more, and more often: memory is then taken from the driver again and "
             "again. 0.8 is usual.");
    }
  }
}

void roundup_divisions(const setting& entry, const situation& among, explained_setting& out) {
  const auto& divisions = std::get<divisions_array>(entry.value);
  // Told by the sizes that the fewest divisions serve: there it costs most.
  const auto coarsest = std::ranges::min_element(
      divisions, {}, [](std::size_t each) { return each > 1 ? each : std::numeric_limits<std::size_t>::max(); });
  if (*coarsest <= 1) {
    out.here = out.pytorch = {false, "Nothing: 0 and 1 mean no rounding beyond 512 bytes."};
    advise(out, warning, "Take it out, or give 2 or more: 4 rounds 1200 MiB up to 1280 MiB.");
    return;
  }
  const bool everywhere = std::ranges::count(divisions, *coarsest) == std::ssize(divisions);
  const std::size_t bucket = everywhere ? 10 : static_cast<std::size_t>(coarsest - divisions.begin());
  const std::size_t example = (mib << bucket) / 64 * 75;  // 1200 MiB, of 1 GiB
  const std::string rule = fmt::format(
      "Requests are rounded up in steps between powers of two, so that cached blocks fit more often: {} becomes {}. At "
      "most {} % more than was asked for is taken.",
      mebibytes(example), mebibytes(round_request(example, divisions)), std::max<std::size_t>(100 / *coarsest, 1));
  out.here = {true, rule};
  if (among.async_backend()) ignored_by_backend(out);
  else out.pytorch = {true, rule};
  if (among.expandable_here() || among.expandable_in_pytorch()) {
    advise(out, note,
           "It costs memory and is rarely needed in mapped memory, where blocks need not fit exactly. Try without it.");
  }
}

void large_segment_size(const setting& entry, const situation& among, explained_setting& out) {
  const std::string size = mebibytes(std::get<std::size_t>(entry.value));
  const std::string rule = fmt::format("Requests above 1 MiB and below 10 MiB are cut from segments of {}.", size);
  if (among.expandable_here()) out.here = {false, "Nothing: memory is mapped in chunks of 2 MiB, for all requests."};
  else out.here = {true, rule};
  if (among.async_backend()) return ignored_by_backend(out);
  out.pytorch = {true, among.expandable_in_pytorch()
                           ? fmt::format("Expandable segments for large requests grow in pages of {}.", size)
                           : rule};
  advise(out, note,
         fmt::format("PyTorch 2.10 and older refuse the whole string because of this key. max_split_size_mb must then "
                     "be at least {}.",
                     size));
}

void memory_fraction(const setting& entry, const situation& among, explained_setting& out) {
  const double share = std::get<double>(entry.value);
  const std::string rule = fmt::format("At most {} of the device's memory is held; what passes it fails.", share);
  out.here = {true, rule};
  if (among.async_backend()) {
    ignored_by_backend(out);
    out.advice = "That backend obeys torch.cuda.set_per_process_memory_fraction, which a program calls.";
  } else {
    out.pytorch = {true, rule + " It counts from the start; a later string does not move it."};
  }
  if (share == 0) advise(out, warning, "With 0 nothing can be allocated at all.");
}

void backend(const setting& entry, const situation&, explained_setting& out) {
  out.here = {false, "Nothing: terrazzo stands in place of PyTorch's allocators."};
  out.pytorch = {
      true,
      "CUDA's own stream-ordered pool serves all requests; settings for the native allocator are ignored. It "
      "is fixed when the library is loaded: a later string cannot change it."};
  if (std::get<std::string>(entry.value) == "native") return;
  advise(out, note,
         "To use terrazzo in PyTorch, take it out. The pool has no expandable segments, and no snapshots of what it "
         "holds.");
}

void lock_release(const setting&, const situation& among, explained_setting& out) {
  out.here = {false, "Nothing: no lock that other streams' cached memory needs is held across a driver call."};
  if (among.async_backend()) return ignored_by_backend(out);
  out.pytorch = {true, "Other threads may allocate cached memory while one thread is inside cudaMalloc."};
}

void capture_reuse(const setting&, const situation& among, explained_setting& out) {
  out.here = {false, "Nothing: terrazzo does not manage graph captures yet."};
  if (among.async_backend()) return ignored_by_backend(out);
  out.pytorch = {
      true,
      "Inside a capture, a block that another stream used is reused where the graph's order shows that it is "
      "done."};
}

void throw_early(const setting& entry, const situation& among, explained_setting& out) {
  out.here = {false, "Nothing: cached memory is always given up before a request fails."};
  if (among.async_backend()) return ignored_by_backend(out);
  if (!std::get<bool>(entry.value)) return;
  if (!among.limited_in_pytorch()) {
    out.pytorch = {false, "Nothing: it is about passing per_process_memory_fraction, which is not set."};
    advise(out, warning, "Set per_process_memory_fraction below 1 with it, or take it out.");
    return;
  }
  out.pytorch = {true,
                 "A request that would pass the memory fraction fails at once, though cached memory might have been "
                 "released for it."};
  advise(out, note, "Take it out unless failing fast is what you want: it makes running out of memory more likely.");
}

void own_bytes(const setting& entry, const situation&, explained_setting& out) {
  const std::string size = mebibytes(std::get<std::size_t>(entry.value));
  out.here = {true, entry.what->key == "limit_mb"
                        ? fmt::format("terrazzo holds at most {} of the device's memory.", size)
                        : fmt::format("terrazzo leaves {} of the device free, for cuBLAS handles, modules, NCCL and "
                                      "whatever else allocates outside it.",
                                      size)};
  out.pytorch = {false, "Nothing: the key is terrazzo's own."};
}

void register_threads(const setting& entry, const situation& among, explained_setting& out) {
  out.pytorch = {true, fmt::format("{} threads touch the pages of a host block before it is pinned.",
                                   std::get<std::size_t>(entry.value))};
  if (among.is_true("pinned_use_cuda_host_register") || among.is_true("pinned_use_hip_host_register")) return;
  out.pytorch = {false, "Nothing: it is for pinned_use_cuda_host_register:True, which is not set."};
  advise(out, warning, "Add pinned_use_cuda_host_register:True, or take it out.");
}

struct described_key {
  std::string_view key;
  void (*run)(const setting&, const situation&, explained_setting&);
  const char* in_pytorch = nullptr;  // where one sentence is enough: settings for host memory
};

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
    {"graph_capture_record_stream_reuse", capture_reuse},
    {"throw_on_cudamalloc_oom", throw_early},
    {"expandable_segments_reserve", describe_reserve},
    {"expandable_segments_reserve_by_class", describe_reserve_by_class},
    {"limit_mb", own_bytes},
    {"headroom_mb", own_bytes},
    {"on_miss", describe_growth},
    {"pinned_num_register_threads", register_threads},
    {"pinned_use_background_threads", nullptr,
     "A thread in the background asks whether copies from and to pinned memory are done."},
    {"pinned_max_round_threshold_mb", nullptr,
     "Pinned host blocks above this size are not rounded up to a power of two."},
    {"pinned_max_cached_size_mb", nullptr,
     "Pinned host blocks above this size are given back at once rather than cached."},
    {"pinned_use_cuda_host_register", nullptr,
     "Host memory is allocated first and pinned with cudaHostRegister afterwards."},
    {"pinned_use_hip_host_register", nullptr,
     "Host memory is allocated first and pinned with cudaHostRegister afterwards."},
    {"pinned_reserve_segment_size_mb", nullptr,
     "One piece of pinned host memory is taken at the start and small blocks are cut from it."},
    {"pinned_free_catch_all", nullptr,
     "Errors when pinned memory is freed, as at the end of a program, are swallowed."},
};

// Settings as they are compared: what is unset is what it comes to.
config with(const setting* entry, config settings) {
  if (entry != nullptr) apply(*entry, settings);
  settings.expandable_segments = settings.expandable_segments.value_or(true);
  settings.max_non_split_rounding_bytes =
      settings.max_non_split_rounding_bytes.value_or(settings.large_segment_size_bytes);
  settings.expandable_segments_reserve = settings.expandable_segments_reserve.value_or(address_reserve{2, 0});
  return settings;
}

// Tells whether the value is what PyTorch does without the setting.
bool is_pytorch_default(const setting& entry) {
  switch (entry.what->kind) {
    case option_kind::boolean:
      return !std::get<bool>(entry.value);
    case option_kind::backend:
      return std::get<std::string>(entry.value) == "native";
    case option_kind::power_of_two:
      return std::get<std::size_t>(entry.value) == 1;
    case option_kind::reserve: {
      const auto* value = std::get_if<address_reserve>(&entry.value);
      return value != nullptr && value->fraction >= pytorch_reserve;
    }
    default:
      return entry.what->acts() && with(&entry, {}) == with(nullptr, {});
  }
}

}  // namespace

explained_setting describe(const setting& entry, const situation& among) {
  explained_setting out;
  out.what = entry.what;
  out.column = entry.column;
  const auto found = std::ranges::find(described_keys, entry.what->key, &described_key::key);
  out.here = {false, "Nothing: terrazzo hands out device memory alone."};
  if (found->run != nullptr) found->run(entry, among, out);
  else out.pytorch = {true, found->in_pytorch};

  // A value that was found wanting keeps that verdict.
  if (out.severity < warning && entry.what->owner != key_owner::terrazzo && is_pytorch_default(entry))
    out.pytorch = {false, "Nothing: this is the default."};
  if (out.here.acts) {
    if (with(&entry, among.meaning) != with(nullptr, among.meaning))
      out.here = {false, "Nothing: TERRAZZO_ALLOC_CONF sets it too, and wins."};
    else if (with(&entry, among.base) == with(nullptr, among.base))
      out.here = {false, "Nothing new: it is so without this setting."};
  }
  // PyTorch reads so small a number only in hexadecimal, which is not how it is printed.
  const double* const real = std::get_if<double>(&entry.value);
  const bool vanishing = real != nullptr && *real != 0 && *real < std::numeric_limits<double>::min();
  if (among.own_variable) {
    const bool own_key = entry.what->owner == key_owner::terrazzo;
    if (!own_key) out.pytorch = {false, "Nothing: PyTorch does not read TERRAZZO_ALLOC_CONF."};
    if (!own_key || !out.here.acts) {
      // Whatever was said of PyTorch does not matter here.
      out.advice.clear();
      out.severity = out.here.acts ? fine : note;
      out.keep = out.here.acts;
    }
  } else if (!out.here.acts && !out.pytorch.acts) {
    out.keep = false;
  }
  if (vanishing) {
    advise(out, warning, "The number is too small to be told from 0: take it out, or give 0 where that is allowed.");
    out.keep = false;
  }
  return out;
}

}  // namespace terrazzo::detail
