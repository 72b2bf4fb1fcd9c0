// How much a finding matters.
#pragma once

#include <cstddef>
#include <string_view>

namespace terrazzo::detail {

/// The least first, so that the worst of several is the greatest.
enum class severity_level { fine, note, warning, error };

[[nodiscard]] constexpr std::string_view to_string(severity_level of) noexcept {
  constexpr std::string_view names[] = {"fine", "note", "warning", "error"};
  return names[static_cast<std::size_t>(of)];
}

}  // namespace terrazzo::detail
