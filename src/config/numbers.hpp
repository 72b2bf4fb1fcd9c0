// Numbers in config strings, in two manners: strictly, and as PyTorch reads them with std::stoull and std::stod.
// Neither asks the program's locale.
#pragma once

#include <cstddef>
#include <cstdint>
#include <optional>
#include <string>
#include <string_view>
#include <utility>
#include <vector>

#include "terrazzo/config.hpp"

namespace terrazzo::detail {

/// Reads digits and nothing else.
[[nodiscard]] std::optional<std::uint64_t> read_whole(std::string_view text);

/// Reads a finite number, with or without an exponent, and nothing after it.
[[nodiscard]] std::optional<double> read_real(std::string_view text);

/// Reads MiB with or without a fraction, as bytes; nothing if that is no whole number of bytes, or more than fits.
[[nodiscard]] std::optional<std::size_t> read_exact_mebibytes(std::string_view text);

/// Prints bytes as MiB so that `read_exact_mebibytes` gives them back.
[[nodiscard]] std::string print_exact_mebibytes(std::size_t bytes);

/// Reads as std::stoull: a sign may lead, a minus wraps, text after the digits is ignored; `used` receives the length of
/// what was read. Nothing where it throws.
[[nodiscard]] std::optional<std::uint64_t> read_like_stoull(std::string_view text, std::size_t* used = nullptr);

/// Reads as std::stod in the C locale: a sign, hexadecimal, inf and nan, text after the number ignored; `used` receives
/// the length of what was read. Nothing where it throws: no number, too large, too small.
[[nodiscard]] std::optional<double> read_like_stod(std::string_view text, std::size_t* used = nullptr);

/// Guesses the whole number that was meant by a word of which std::stoull reads a part: "1e3" is 1000, and in MiB "40MB"
/// is 40 and "2G" 2048. Empty if it is not evident.
[[nodiscard]] std::string what_number_was_meant(std::string_view word, bool mebibytes);

/// Prints classes and their reserves as a list: "[a:0.5,b:40G]".
[[nodiscard]] std::string join_reserves(const std::vector<std::pair<std::string_view, std::string_view>>& entries);

/// Reads what PyTorch takes for the size of an expandable segment: a fraction, or GiB with a G at the end. Of bytes it
/// cuts the fraction off, and keeps at least one; more than fits becomes the most that does.
[[nodiscard]] std::optional<address_reserve> read_reserve(std::string_view text);

/// Prints a reserve so that `read_reserve` gives it back.
[[nodiscard]] std::string print_reserve(const address_reserve& reserve);

}  // namespace terrazzo::detail
