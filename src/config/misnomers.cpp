#include "config/misnomers.hpp"

#include <algorithm>
#include <iterator>

namespace terrazzo::detail {

namespace {

// Sources: strings pasted in public issues and guides (tests/config/pasted_strings.tsv); PyTorch's error messages.
constexpr misnomer table[] = {
    {"max_split_mb", "max_split_size_mb", "the key is max_split_size_mb"},
    {"max_split_size", "max_split_size_mb", "the key carries its unit"},
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
    {"caching_allocator", "", "PyTorch has no such key"},
    {"pooled", "", "PyTorch has no such key"},
    {"heuristic", "", "PyTorch has no such key"},
    {"nmalloc", "", "PyTorch has no such key"},
};

}  // namespace

const misnomer* find_misnomer(std::string_view key) noexcept {
  const auto* found = std::ranges::find(table, key, &misnomer::key);
  return found == std::end(table) ? nullptr : found;
}

}  // namespace terrazzo::detail
