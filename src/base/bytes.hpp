// Numbers of bytes as people read and write them.
#pragma once

#include <cstddef>
#include <optional>
#include <string>
#include <string_view>

namespace terrazzo::detail {

/// Prints bytes for people, in the largest unit that leaves 1 or more, with three digits or so: "7.81 GiB", "2 MiB".
[[nodiscard]] std::string format_bytes(std::size_t bytes);

/// Reads "6GiB", "1.5 gb", "512M", "100 bytes" or plain bytes; all units are powers of 1024. Parts of a byte are left out.
/// Nothing if it is no size, or more than `std::size_t` counts.
[[nodiscard]] std::optional<std::size_t> read_bytes(std::string_view text);

}  // namespace terrazzo::detail
