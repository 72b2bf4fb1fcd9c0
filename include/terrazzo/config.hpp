// Settings: how terrazzo behaves, read from PyTorch's config strings, terrazzo's own, or set field by field.
// The keys' grammar, ranges and meaning stand in one table, src/config/options.hpp.
#pragma once

#include "terrazzo/cpp20.hpp"

#include <array>
#include <cstddef>
#include <limits>
#include <optional>
#include <string>
#include <string_view>
#include <vector>

#include "terrazzo/export.h"

namespace terrazzo {

/// What serves a request that finds no room in mapped memory, though chunks lie idle elsewhere.
enum class growth_policy {
  /// While a program holds less than half of its limit, idle chunks are moved to where addresses are contiguous before
  /// new ones are made; after that, new ones come first.
  move,
  create,  ///< new chunks up to the limit first; then idle ones are moved
  fail,    ///< chunks are never moved and edges never shared: a request that needs it fails
};

/// How many addresses to reserve. Exactly one of the two is not 0.
struct address_reserve {
  double fraction = 0;    ///< of the device's memory; finite, >= 0
  std::size_t bytes = 0;  ///< rounded up to whole chunks

  friend bool operator==(const address_reserve&, const address_reserve&) = default;
};

struct config {
  static constexpr std::size_t unlimited = std::numeric_limits<std::size_t>::max();
  static constexpr std::size_t roundup_bucket_count = 16;

  /// Unset or true: one growing address range per device and pool, where the device can; false: plain segments.
  std::optional<bool> expandable_segments;
  /// Plain segments of this size or more are never split, and serve only requests of this size or more. Bytes.
  std::size_t max_split_size_bytes = unlimited;
  /// How much larger than an oversize request a plain segment may be that serves it whole. Bytes; unset:
  /// large_segment_size_bytes.
  std::optional<std::size_t> max_non_split_rounding_bytes;
  /// Size of a plain segment made for requests above 1 MiB and below 10 MiB. Bytes, > 10 MiB.
  std::size_t large_segment_size_bytes = std::size_t{20} << 20;
  /// Share of the limit above which cached memory that has not been used for long is released, plain segments or
  /// chunks; it takes a limit, by `limit_bytes` or a fraction below 1. 0: never. [0, 1)
  double garbage_collection_threshold = 0.0;
  /// Divisions between powers of two that a request is rounded up to, for sizes from 1 MiB << i on; 0 or 1: 512 B
  /// rounding.
  std::array<std::size_t, roundup_bucket_count> roundup_power2_divisions{};
  /// Share of the device's memory that terrazzo may hold. [0, 1]
  double per_process_memory_fraction = 1.0;
  /// Addresses that the range of mapped memory reserves at a time; a request for more gets a range of its own size.
  /// Unset: twice the device's memory.
  std::optional<address_reserve> expandable_segments_reserve;
  /// Bytes of device memory that terrazzo may hold, whatever the fraction says.
  std::size_t limit_bytes = unlimited;
  /// Bytes of device memory that terrazzo leaves free for what allocates outside it (cuBLAS handles, modules, NCCL).
  std::size_t headroom_bytes = 0;
  /// Whether mapped memory first grows or first moves chunks, where one of the two must be done.
  growth_policy on_miss = growth_policy::move;

  friend bool operator==(const config&, const config&) = default;
};

/// Reads a string strictly: an unknown key, a value outside its range or a misplaced separator throws `error` with code
/// invalid_config, the column, the allowed range and the nearest known key. Unmentioned settings keep `base`'s values.
[[nodiscard]] TERRAZZO_API config parse_config(std::string_view text, const config& base = {});

/// Reads a string as PyTorch 2.15 reads it, separators that are not looked at and all. As when PyTorch is handed a second
/// string, the settings that do not stick go back to their defaults, and the others keep `base`'s values. `warnings`, if
/// not null, receives a sentence for each thing that PyTorch takes but was surely not meant, such as the unit in
/// `max_split_size_mb:40MB`. Throws `error` (invalid_config) where PyTorch throws.
[[nodiscard]] TERRAZZO_API config parse_pytorch_config(std::string_view text, const config& base = {},
                                                       std::vector<std::string>* warnings = nullptr);

/// Reads PYTORCH_CUDA_ALLOC_CONF, else PYTORCH_ALLOC_CONF, as PyTorch's CUDA builds read them (there
/// PYTORCH_HIP_ALLOC_CONF stands between the two, for some keys), then TERRAZZO_ALLOC_CONF strictly, which wins key by
/// key. `warnings` as above; each names its variable. Throws `error` as above; the message names the variable.
[[nodiscard]] TERRAZZO_API config config_from_environment(std::vector<std::string>* warnings = nullptr);

/// Prints the settings that differ from the defaults, so that `parse_config` of the result gives them back.
[[nodiscard]] TERRAZZO_API std::string to_string(const config& settings);

}  // namespace terrazzo
