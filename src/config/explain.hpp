// What a config string comes to: for each setting what it does in terrazzo and in PyTorch, whether it acts at all under
// the other settings and on this platform, and what to write instead.
//
//   effect   what a setting does in one of the two allocators, as a sentence (effects.hpp)
//   fixed    the mended string (mend.hpp) without the settings that do nothing: the one to use
#pragma once

#include <functional>
#include <string>
#include <string_view>
#include <vector>

#include "config/effects.hpp"
#include "config/mend.hpp"

namespace terrazzo::detail {

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

  [[nodiscard]] severity_level worst() const noexcept;
};

/// Explains a string as the value of a variable, alone. Throws nothing but std::bad_alloc.
[[nodiscard]] explanation explain(std::string_view variable, std::string_view text, const surroundings& where);

/// Gives an environment variable's value; null if it is not set.
using environment_lookup = std::function<const char*(const char* name)>;

/// Explains the config variables that are set, in the order in which they are looked at, each under all the others.
[[nodiscard]] std::vector<explanation> explain_environment(const environment_lookup& lookup, const surroundings& where);

}  // namespace terrazzo::detail
