// Keys that guides and error messages recommend and that no parser takes, with what was meant. A key that is only
// mistyped is not here: `nearest_option` finds it.
#pragma once

#include <string_view>

namespace terrazzo::detail {

struct misnomer {
  std::string_view key;
  std::string_view meant;   ///< the key to write instead; empty: there is none
  std::string_view remark;  ///< a clause
};

/// Finds a key in the list; null if it is not there.
[[nodiscard]] const misnomer* find_misnomer(std::string_view key) noexcept;

}  // namespace terrazzo::detail
