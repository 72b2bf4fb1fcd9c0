// What one setting does, here and in PyTorch, under the settings beside it. The sentences say what is so in this version;
// whoever changes what a key does changes its sentence.
#pragma once

#include <cstddef>
#include <optional>
#include <string>
#include <string_view>
#include <utility>
#include <vector>

#include "base/severity.hpp"
#include "config/parser.hpp"

namespace terrazzo::detail {

/// Where the settings are to work.
struct surroundings {
  bool windows = false;
  std::optional<bool> virtual_memory;  ///< of the device; unset: nobody has asked it
};

struct effect {
  bool acts = false;  ///< changes anything
  std::string text;   ///< a sentence; it begins with "Nothing" exactly if the setting does not act
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

inline void advise(explained_setting& out, severity_level severity, std::string advice) {
  out.severity = severity;
  out.advice = std::move(advice);
}

/// What the settings of one string are to each other and to what is set elsewhere.
struct situation {
  const std::vector<setting>& settings;  ///< of the string, each key once
  const config& meaning;                 ///< all that is in force in terrazzo, this string included
  const config& base;                    ///< what would be in force without this string
  const surroundings& where;
  bool own_variable;  ///< TERRAZZO_ALLOC_CONF: PyTorch does not read it

  [[nodiscard]] const setting* find(std::string_view key) const noexcept;
  [[nodiscard]] bool is_true(std::string_view key) const noexcept;
  [[nodiscard]] bool async_backend() const noexcept;
  /// The string asks for expandable segments, and any PyTorch has them on this platform.
  [[nodiscard]] bool expandable_in_pytorch() const noexcept;
  /// A limit below the whole device, as PyTorch's garbage collection needs.
  [[nodiscard]] bool limited_in_pytorch() const noexcept;
  [[nodiscard]] bool expandable_here() const noexcept;
  [[nodiscard]] bool limited_here() const noexcept;
};

[[nodiscard]] explained_setting describe(const setting& entry, const situation& among);

}  // namespace terrazzo::detail
