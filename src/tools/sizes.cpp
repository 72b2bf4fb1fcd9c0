#include "tools/sizes.hpp"

#include <fmt/format.h>

#include "base/bytes.hpp"
#include "tools/command.hpp"

namespace terrazzo::tools {

std::size_t read_size(const std::string& option, const std::string& text) {
  const std::optional<std::size_t> bytes = detail::read_bytes(text);
  if (!bytes || *bytes == 0 || *bytes > std::size_t{1} << 46)
    throw usage_error(fmt::format("{} takes a size such as 6GiB or 512MiB, up to 64TiB; got '{}'", option, text));
  return *bytes;
}

}  // namespace terrazzo::tools
