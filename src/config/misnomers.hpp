// Keys that guides and error messages recommend and that no parser takes, with what was meant. A key that is only
// mistyped is not here: `nearest_option` finds it.
#pragma once

#include <string>
#include <string_view>

namespace terrazzo::detail {

struct misnomer {
  std::string_view key;
  std::string_view meant;   ///< the key to write instead; empty: there is none
  std::string_view remark;  ///< a clause
};

/// Finds a key in the list; null if it is not there.
[[nodiscard]] const misnomer* find_misnomer(std::string_view key) noexcept;

/// What is to be said of a key that nobody knows.
struct unknown_key {
  std::string message;  ///< a clause: that there is no such key, and what was meant
  std::string meant;    ///< what to write instead; empty if that is not evident
};
[[nodiscard]] unknown_key explain_unknown(std::string_view key);

}  // namespace terrazzo::detail
