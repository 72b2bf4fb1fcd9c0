// Sizes as people write them.
#pragma once

#include <cstddef>
#include <string>

namespace terrazzo::tools {

/// Reads "6GiB", "1.5 GB", "512M" or plain bytes; all units are powers of 1024. Throws `usage_error` that names `option`.
[[nodiscard]] std::size_t read_size(const std::string& option, const std::string& text);

}  // namespace terrazzo::tools
