#include "support/size.hpp"

#include <fmt/format.h>

#include "base/bytes.hpp"

namespace example {

using terrazzo::detail::format_bytes;

void add_size_option(CLI::App& app, const std::string& name, std::optional<std::uint64_t>& value, std::uint64_t least,
                     std::uint64_t most, const std::string& description) {
  const auto take = [&value, name, least, most](const std::string& text) {
    value = terrazzo::detail::read_bytes(text);
    if (value && *value >= least && *value <= most) return;
    const auto without_space = [](std::string size) { return size.erase(size.find(' '), 1); };
    throw CLI::ValidationError(
        name, fmt::format("a size such as 6GiB or 512MiB, from {} to {}; got '{}'", without_space(format_bytes(least)),
                          without_space(format_bytes(most)), text));
  };
  app.add_option_function<std::string>(name, take, description)->type_name("SIZE");
}

}  // namespace example
