// Settings back into a string: the canonical form, the table's order, only what differs from the defaults
// (`to_string` in terrazzo/config.hpp), or one setting's value.
#pragma once

#include <string>

#include "config/parser.hpp"

namespace terrazzo::detail {

/// Prints a setting's value as the strict reader takes it.
[[nodiscard]] std::string print_setting_value(const setting& entry);

}  // namespace terrazzo::detail
