// The option table: every key that PyTorch or terrazzo knows, once. Parsers, printer, `--help` and the documentation
// are made from it, so that they cannot contradict each other.
//
// Words:
//   option   a row of the table
//   setting  an option with a value, as it stood in a string
//   acts     an option with a `field` changes what terrazzo does; one without is understood, checked and else inert, so
//            that a variable shared with PyTorch never stops a program
// Source: PyTorch 2.15's c10/core/AllocatorConfig.cpp and c10/cuda/CUDAAllocatorConfig.cpp for keys, ranges and
// defaults.
#pragma once

#include <array>
#include <cstddef>
#include <limits>
#include <optional>
#include <span>
#include <string>
#include <string_view>
#include <variant>

#include "terrazzo/config.hpp"
#include "terrazzo/status.hpp"

namespace terrazzo::detail {

using divisions_array = std::array<std::size_t, config::roundup_bucket_count>;

enum class option_kind {
  boolean,          ///< True or False
  mebibytes,        ///< a whole number of MiB
  exact_mebibytes,  ///< MiB with a fraction, exact to the byte: keys of terrazzo's own
  power_of_two,     ///< a count
  real,             ///< a number
  divisions,        ///< N, or [size_mb:N, ..., >:N]
  backend,          ///< native or cudaMallocAsync
  reserve,          ///< a fraction of the device's memory, or GiB with a G at the end
  reserve_list,     ///< [class:reserve, ...]
  growth,           ///< one of `growth_words`
};

/// Which of PyTorch's two parsers takes the key; each skips the other's.
enum class key_owner { pytorch_common, pytorch_cuda, terrazzo };

/// Numbers that a key takes. Whole MiB up to the largest fit a double exactly.
struct value_range {
  double low = 0;
  double high = static_cast<double>(std::numeric_limits<std::size_t>::max() >> 20);
  bool low_open = false;
  bool high_open = false;
  bool from_large_segment = false;  ///< the lower end is what large_segment_size_mb is set to
  [[nodiscard]] constexpr bool holds(double value) const noexcept {
    return (low_open ? value > low : value >= low) && (high_open ? value < high : value <= high);
  }
};

using option_field = std::variant<std::monostate, std::optional<bool> config::*, std::size_t config::*,
                                  std::optional<std::size_t> config::*, double config::*, divisions_array config::*,
                                  std::optional<address_reserve> config::*, growth_policy config::*>;

/// The words of `on_miss`.
struct growth_word {
  std::string_view word;
  growth_policy policy;
};
inline constexpr growth_word growth_words[] = {
    {"move", growth_policy::move}, {"create", growth_policy::create}, {"fail", growth_policy::fail}};

struct option {
  std::string_view key;
  option_kind kind;
  key_owner owner;
  option_field field;       ///< what it changes; none: inert
  bool resets;              ///< PyTorch sets it back when another string is read; the others stick
  value_range range;        ///< for numbers
  std::string_view preset;  ///< the default, in words
  std::string_view help;    ///< one line
  [[nodiscard]] constexpr bool acts() const noexcept { return field.index() != 0; }
};

/// All options, PyTorch's common ones first, then its CUDA ones, then terrazzo's.
[[nodiscard]] std::span<const option> all_options() noexcept;

/// Finds an option by its exact key; null if there is none.
[[nodiscard]] const option* find_option(std::string_view key) noexcept;

/// Finds the option whose key needs the fewest typing mistakes to become `key`; null if none is near.
[[nodiscard]] const option* nearest_option(std::string_view key);

/// Says what an option takes, as in "a whole number of MiB, 20 or more". `low` is the range's lower end, which for two
/// of them depends on another setting.
[[nodiscard]] std::string allowed_values(const option& what, double low);

/// Tells the lower end of an option's range under the given settings: sizes that are compared with segments must not be
/// smaller than `large_segment_size_mb`.
[[nodiscard]] double lowest_value(const option& what, const config& settings) noexcept;

/// Checks all settings against the table, for those that a program has set field by field. Returns invalid_config with
/// a sentence that names the key and the allowed range.
[[nodiscard]] status validate_settings(const config& settings);

}  // namespace terrazzo::detail
