#include "config/misnomers.hpp"

#include <fmt/format.h>

#include <algorithm>
#include <iterator>

#include "config/options.hpp"

namespace terrazzo::detail {

namespace {

// Sources: strings and variables in public issues and guides; PyTorch's error messages.
constexpr misnomer table[] = {
    {"max_split_mb", "max_split_size_mb", "the key is max_split_size_mb"},
    {"split_size_mb", "max_split_size_mb", "the key is max_split_size_mb"},
    {"max_split_size_gb", "", "sizes are given in MiB, as max_split_size_mb"},
    {"garbage_collect_threshold", "garbage_collection_threshold", "PyTorch's own error message spells it wrong"},
    {"gc_threshold", "garbage_collection_threshold", "the key is written out"},
    {"roundup_power2", "roundup_power2_divisions", "the key takes a number of divisions, not True"},
    {"memory_fraction", "per_process_memory_fraction", "the key is written out"},
    {"max_memory_fraction", "per_process_memory_fraction", "the key is per_process_memory_fraction"},
    {"allocator", "backend", "the key is backend"},
    {"cudaMallocAsync", "backend:cudaMallocAsync", "it is a value of the key backend"},
    {"native", "backend:native", "it is a value of the key backend"},
    {"expandable_segments_handle_type", "", "PyTorch's error messages recommend it, but it is read from no string"},
    {"roundup_bypass_threshold_mb", "",
     "later versions of PyTorch took it away: roundup_power2_divisions takes a list of sizes instead"},
};

}  // namespace

unknown_key explain_unknown(std::string_view key) {
  if (const misnomer* known = find_misnomer(key))
    return {fmt::format("there is no key \"{}\": {}", key, known->remark), std::string(known->meant)};
  if (const option* near = nearest_option(key))
    return {fmt::format("there is no key \"{}\"; the nearest is {}", key, near->key), std::string(near->key)};
  return {fmt::format("there is no key \"{}\"", key), {}};
}

const misnomer* find_misnomer(std::string_view key) noexcept {
  const auto* found = std::ranges::find(table, key, &misnomer::key);
  return found == std::end(table) ? nullptr : found;
}

}  // namespace terrazzo::detail
