// Sizes on the command line and in what the examples print.
#pragma once

#include <CLI/CLI.hpp>
#include <cstdint>
#include <optional>
#include <string>
#include <string_view>

namespace example {

/// Reads a size such as 6GiB, 1.5GiB, 512MiB or plain bytes; G and GB mean GiB, and letters may be small. Parts of a
/// byte are left out. Nothing if it is no size.
[[nodiscard]] std::optional<std::uint64_t> read_size(std::string_view text);

/// Writes a size for people: "6 GiB", "1.5 GiB", "79.1 GiB", "512 MiB", "64 KiB", "100 bytes".
[[nodiscard]] std::string size_text(std::uint64_t bytes);

/// Adds an option that takes a size from `least` to `most`; another is refused as CLI11 refuses a value. `value` stays
/// empty where the option is not given.
void add_size_option(CLI::App& app, const std::string& name, std::optional<std::uint64_t>& value, std::uint64_t least,
                     std::uint64_t most, const std::string& description);

}  // namespace example
