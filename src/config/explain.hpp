// What a config string comes to: for each setting what it does in terrazzo and in PyTorch, whether it acts at all under
// the other settings and on this platform, and what to write instead.
//
//   problem    something in the string that is refused, or taken but surely not meant
//   effect     what a setting does in one of the two allocators, as a sentence
//   mended     the string with its problems repaired, as far as it is evident what was meant; the rest is cut out
//   fixed      the mended string without the settings that do nothing: the one to use
//
// Columns count bytes from 1 and always belong to the string as it was given.
#pragma once

#include <cstddef>
#include <functional>
#include <optional>
#include <string>
#include <string_view>
#include <vector>

#include "base/severity.hpp"
#include "config/parser.hpp"

namespace terrazzo::detail {

/// Where the settings are to work.
struct surroundings {
  bool windows = false;
  int torch_version = 215;             ///< 100 * major + minor
  std::optional<bool> virtual_memory;  ///< of the device; unset: nobody has asked it
};

/// The surroundings of this process, as far as they are known without a device.
[[nodiscard]] surroundings usual_surroundings() noexcept;

struct problem {
  severity_level severity = severity_level::error;
  std::size_t column = 0;
  std::string key;
  std::string message;  ///< a clause
  std::string meant;    ///< the whole string with this one mended; empty if that is not evident
};

struct effect {
  bool acts = false;  ///< changes anything against the default
  std::string text;   ///< a sentence
};

struct explained_setting {
  const option* what = nullptr;
  std::string value;  ///< as it is understood, canonical
  std::size_t column = 0;
  effect here;
  effect pytorch;
  std::string advice;  ///< sentences; empty: none
  severity_level severity = severity_level::fine;
  bool keep = true;  ///< belongs in the string to use
};

struct explanation {
  std::string variable;  ///< whose rules were applied: PYTORCH_CUDA_ALLOC_CONF, TERRAZZO_ALLOC_CONF ...
  std::string text;
  bool in_force = true;  ///< false: another variable, which is set, comes before this one
  bool accepted = true;  ///< by its reader: PyTorch, or terrazzo for its own variable
  std::vector<problem> problems;
  std::vector<explained_setting> settings;  ///< of the mended string, in its order, each key once
  std::vector<std::string> advice;          ///< about the string as a whole
  std::string mended;
  std::string fixed;
  config meaning;  ///< what terrazzo makes of the mended string

  [[nodiscard]] severity_level worst() const noexcept;
};

/// Tells whether a variable's strings are read as PyTorch reads them; the others are read strictly.
[[nodiscard]] bool is_pytorch_variable(std::string_view variable) noexcept;

/// Explains a string as the value of a variable; `base` are the settings that TERRAZZO_ALLOC_CONF builds on. Throws
/// nothing but std::bad_alloc. Cost: a reading for each mended problem, 64 at most.
[[nodiscard]] explanation explain(std::string_view variable, std::string_view text, const surroundings& where,
                                  const config& base = {});

/// Gives an environment variable's value; null if it is not set.
using environment_lookup = std::function<const char*(const char* name)>;

/// Explains the config variables that are set, in the order in which they are looked at.
[[nodiscard]] std::vector<explanation> explain_environment(const environment_lookup& lookup, const surroundings& where);

/// What the settings of one string are to each other: what `describe` needs to know beside a setting itself.
struct situation {
  const std::vector<setting>& settings;  // each key once
  const config& meaning;
  const surroundings& where;
  bool own_variable;  // TERRAZZO_ALLOC_CONF: PyTorch does not read it

  [[nodiscard]] const setting* find(std::string_view key) const noexcept;
  [[nodiscard]] bool is_true(std::string_view key) const noexcept;
  [[nodiscard]] bool async_backend() const noexcept;
  /// The string asks for expandable segments, and this PyTorch has them here.
  [[nodiscard]] bool expandable_in_pytorch() const noexcept;
  [[nodiscard]] bool expandable_here() const noexcept;
  /// A limit below the whole device, as PyTorch's garbage collection needs.
  [[nodiscard]] bool limited_in_pytorch() const noexcept;
  [[nodiscard]] bool limited_here() const noexcept;
};

/// Explains one setting (effects.cpp).
[[nodiscard]] explained_setting describe(const setting& entry, const situation& among);

}  // namespace terrazzo::detail
