// Sizes on the command line of the examples.
#pragma once

#include <CLI/CLI.hpp>
#include <cstdint>
#include <optional>
#include <string>

namespace example {

/// Adds an option that takes a size, such as 6GiB, from `least` to `most` bytes; another is refused as CLI11 refuses a
/// value. `value` stays empty where the option is not given.
void add_size_option(CLI::App& app, const std::string& name, std::optional<std::uint64_t>& value, std::uint64_t least,
                     std::uint64_t most, const std::string& description);

}  // namespace example
