#include "config/options.hpp"

#include <algorithm>
#include <bit>
#include <cmath>

#include "base/bits.hpp"
#include "base/bytes.hpp"
#include "base/failure.hpp"
#include "base/words.hpp"

namespace terrazzo::detail {

namespace {

using enum option_kind;
using enum key_owner;

constexpr bool resets = true;
constexpr bool sticks = false;

// clang-format off
constexpr option table[] = {
    {"large_segment_size_mb", mebibytes, pytorch_common, &config::large_segment_size_bytes, sticks,
     {.low = 10, .low_open = true}, "20", "size of a plain segment for requests above 1 MiB and below 10 MiB"},
    {"max_split_size_mb", mebibytes, pytorch_common, &config::max_split_size_bytes, resets,
     {.from_large_segment = true}, "unlimited", "plain segments of this size or more are never split"},
    {"max_non_split_rounding_mb", mebibytes, pytorch_common, &config::max_non_split_rounding_bytes, resets,
     {.from_large_segment = true}, "large_segment_size_mb",
     "how much larger than its request a plain segment that is not split may be"},
    {"garbage_collection_threshold", real, pytorch_common, &config::garbage_collection_threshold, resets,
     {.low = 0, .high = 1, .low_open = true, .high_open = true}, "off",
     "share of the limit above which cached memory is released by age"},
    {"roundup_power2_divisions", divisions, pytorch_common, &config::roundup_power2_divisions, resets,
     {}, "off", "steps between powers of two that requests are rounded up to"},
    {"expandable_segments", boolean, pytorch_common, &config::expandable_segments, sticks,
     {}, "True where the device can", "one growing address range instead of plain segments"},
    {"pinned_use_background_threads", boolean, pytorch_common, {}, sticks,
     {}, "False", "host memory: process events in the background"},
    {"pinned_max_round_threshold_mb", mebibytes, pytorch_common, {}, sticks,
     {}, "unlimited", "host memory: larger requests are not rounded to a power of two"},
    {"pinned_max_cached_size_mb", mebibytes, pytorch_common, {}, sticks,
     {}, "unlimited", "host memory: larger blocks are not cached"},

    {"backend", backend, pytorch_cuda, {}, sticks, {}, "native", "which of PyTorch's own allocators"},
    {"release_lock_on_cudamalloc", boolean, pytorch_cuda, {}, sticks,
     {}, "False", "drop the device's lock around cudaMalloc"},
    {"release_lock_on_hipmalloc", boolean, pytorch_cuda, {}, sticks,
     {}, "False", "another name of release_lock_on_cudamalloc"},
    {"pinned_use_cuda_host_register", boolean, pytorch_cuda, {}, sticks,
     {}, "False", "host memory: pin by cudaHostRegister"},
    {"pinned_use_hip_host_register", boolean, pytorch_cuda, {}, sticks,
     {}, "False", "another name of pinned_use_cuda_host_register"},
    {"pinned_num_register_threads", power_of_two, pytorch_cuda, {}, sticks,
     {.low = 1, .high = 128}, "1", "host memory: threads that pin"},
    {"pinned_reserve_segment_size_mb", mebibytes, pytorch_cuda, {}, sticks,
     {.low = 1}, "off", "host memory: a segment pinned at the start"},
    {"graph_capture_record_stream_reuse", boolean, pytorch_cuda, {}, sticks,
     {}, "False", "reuse blocks inside a capture where the graph's order allows it"},
    {"per_process_memory_fraction", real, pytorch_cuda, &config::per_process_memory_fraction, sticks,
     {.low = 0, .high = 1}, "1.0", "share of the device's memory that may be held"},
    {"pinned_free_catch_all", boolean, pytorch_cuda, {}, sticks,
     {}, "False", "host memory: swallow errors when pinned memory is freed"},
    {"throw_on_cudamalloc_oom", boolean, pytorch_cuda, {}, sticks,
     {}, "False", "fail at once when a request would pass the memory fraction"},
    {"expandable_segments_reserve", reserve, pytorch_cuda, &config::expandable_segments_reserve, sticks,
     {}, "twice the device's memory", "addresses that the one range reserves at a time"},
    {"expandable_segments_reserve_by_class", reserve_list, pytorch_cuda, {}, sticks,
     {}, "empty", "addresses that an expandable segment reserves, for classes of streams"},

    {"limit_mb", exact_mebibytes, terrazzo, &config::limit_bytes, sticks,
     {}, "unlimited", "device memory that terrazzo may hold; the lower of this and the fraction counts"},
    {"headroom_mb", exact_mebibytes, terrazzo, &config::headroom_bytes, sticks,
     {}, "0", "device memory that is left free for what allocates outside terrazzo"},
    {"on_miss", growth, terrazzo, &config::on_miss, sticks,
     {}, "move", "in mapped memory: move idle chunks before new ones are made, create new ones first, or fail"},
};
// clang-format on

std::string describe_range(std::string_view noun, const value_range& range, double low) {
  const bool bounded = range.high < value_range{}.high;
  if (bounded)
    return fmt::format("{}, {} {} and {} {}", noun, range.low_open ? "above" : "at least", low,
                       range.high_open ? "below" : "at most", range.high);
  return fmt::format("{}, {} {}", noun, range.low_open ? "more than" : "at least", low);
}

}  // namespace

std::span<const option> all_options() noexcept { return table; }

const option* find_option(std::string_view key) noexcept {
  const auto found = std::ranges::find(table, key, &option::key);
  return found == std::end(table) ? nullptr : found;
}

const option* nearest_option(std::string_view key) {
  constexpr std::size_t longest_key = 64;
  if (key.size() > longest_key) return nullptr;
  const option* nearest = nullptr;
  std::size_t nearest_distance = most_slips(key) + 1;
  for (const option& candidate : table) {
    // No closer than their lengths are.
    const std::size_t lengths_apart =
        std::max(key.size(), candidate.key.size()) - std::min(key.size(), candidate.key.size());
    if (lengths_apart >= nearest_distance) continue;
    const std::size_t distance = edit_distance(key, candidate.key);
    if (distance < nearest_distance) nearest = &candidate, nearest_distance = distance;
  }
  return nearest;
}

double lowest_value(const option& what, const config& settings) noexcept {
  return what.range.from_large_segment ? static_cast<double>(settings.large_segment_size_bytes / mib) : what.range.low;
}

std::string allowed_values(const option& what, double low) {
  switch (what.kind) {
    case boolean:
      return "True or False";
    case mebibytes:
      return describe_range("a whole number of MiB", what.range, low);
    case exact_mebibytes:
      return describe_range("a number of MiB", what.range, low);
    case power_of_two:
      return describe_range("a power of two", what.range, low);
    case real:
      return describe_range("a number", what.range, low);
    case divisions:
      return "a power of two, or a list [size_mb:divisions, ..., >:divisions] of powers of two";
    case backend:
      return "native or cudaMallocAsync";
    case reserve:
      return "a fraction like 0.5, or GiB like 40G, above 0";
    case reserve_list:
      return "a list [class:reserve, ...] of fractions like 0.5 or GiB like 40G, above 0";
    case growth:
      return "move, create or fail";
  }
  return {};
}

namespace {

status refuse(const option& what, double low, std::string_view got) {
  return fail(status::invalid_config, "{} takes {}; got {}", what.key, allowed_values(what, low), got);
}

status check_bytes(const option& what, const config& settings, std::size_t bytes) {
  const double low = lowest_value(what, settings);
  const auto mebibytes = static_cast<double>(bytes / mib);
  const bool whole = what.kind == exact_mebibytes || bytes % mib == 0;
  if (whole && what.range.holds(mebibytes) && mebibytes >= low) return status::ok;
  return refuse(what, low, format_bytes(bytes));
}

status check_reserve(const option& what, const address_reserve& value) {
  const auto [fraction, bytes] = value;
  if (bytes != 0 ? fraction == 0 : std::isfinite(fraction) && fraction > 0) return status::ok;
  return refuse(what, 0,
                bytes != 0 ? fmt::format("{} and {}", fraction, format_bytes(bytes)) : fmt::format("{}", fraction));
}

}  // namespace

status validate_settings(const config& settings) {
  static const config defaults;
  for (const option& what : table) {
    if (const auto* bytes = std::get_if<std::size_t config::*>(&what.field)) {
      const std::size_t value = settings.**bytes;
      if (value == defaults.**bytes) continue;
      if (status code = check_bytes(what, settings, value); code != status::ok) return code;
    } else if (const auto* maybe = std::get_if<std::optional<std::size_t> config::*>(&what.field)) {
      const std::optional<std::size_t>& value = settings.**maybe;
      if (!value) continue;
      if (status code = check_bytes(what, settings, *value); code != status::ok) return code;
    } else if (const auto* number = std::get_if<double config::*>(&what.field)) {
      const double value = settings.**number;
      if (value != defaults.**number && !what.range.holds(value))
        return refuse(what, what.range.low, fmt::format("{}", value));
    } else if (const auto* array = std::get_if<divisions_array config::*>(&what.field)) {
      for (const std::size_t value : settings.**array)
        if (value != 0 && !std::has_single_bit(value)) return refuse(what, 0, fmt::format("{}", value));
    } else if (const auto* reserved = std::get_if<std::optional<address_reserve> config::*>(&what.field)) {
      const std::optional<address_reserve>& value = settings.**reserved;
      if (!value) continue;
      if (status code = check_reserve(what, *value); code != status::ok) return code;
    } else if (const auto* policy = std::get_if<growth_policy config::*>(&what.field)) {
      const growth_policy value = settings.**policy;
      if (std::ranges::find(growth_words, value, &growth_word::policy) == std::end(growth_words))
        return refuse(what, 0, fmt::format("{}", static_cast<int>(value)));
    }
  }
  return status::ok;
}

}  // namespace terrazzo::detail
