// From a config string to settings, in two manners.
//   strict    for TERRAZZO_ALLOC_CONF and strings of the program: everything is checked, and an error knows its place
//             and, where one is evident, the string that was meant
//   lenient   for PyTorch's variables: takes what PyTorch takes and means the same by it, however odd
// A reading that fails changes nothing.
#pragma once

#include <optional>
#include <span>
#include <string>
#include <string_view>
#include <variant>
#include <vector>

#include "config/options.hpp"

namespace terrazzo::detail {

/// Bytes for keys in MiB; text for `backend`, for lists of reserves, and for a reserve that PyTorch cannot read: such a
/// setting changes nothing.
using option_value =
    std::variant<bool, std::size_t, double, divisions_array, std::string, address_reserve, growth_policy>;

/// An option as it stood in a string.
struct setting {
  const option* what;
  option_value value;
  std::size_t column;  ///< of its key, 1-based
};

/// What PyTorch takes, but was surely not meant.
struct config_warning {
  std::size_t column = 0;  ///< 1-based, in bytes, of the word or separator concerned
  std::string key;         ///< the key concerned
  std::string message;     ///< a clause that says what PyTorch makes of it
  std::string meant;       ///< what to write in place of that word or separator; empty if it is not evident
};

/// What a string says, in its order, and what the lenient reading warns about.
struct reading {
  std::vector<setting> settings;
  std::vector<config_warning> warnings;
};

/// Why a string cannot be read.
struct config_error {
  std::size_t column = 0;  ///< 1-based, in bytes; one past the end where something is missing
  std::string key;         ///< the key concerned, or what stands in its place
  std::string message;     ///< a clause without the column
  std::string corrected;   ///< the whole string with this one error mended; empty if it is not evident
};

/// Stores a setting's value in its field; does nothing for an inert option.
void apply(const setting& entry, config& settings);

/// Reads strictly. `settings` holds the values that the string builds on, and receives the result.
[[nodiscard]] std::optional<config_error> read_strictly(std::string_view text, config& settings, reading& result);

/// Reads as one of PyTorch's two parsers, `pytorch_common` or `pytorch_cuda`, reads: it takes its own keys and skips
/// the other's. Call it for the common one first. `settings` are those in force: the common parser first sets the keys
/// back that do not stick from one string to the next.
[[nodiscard]] std::optional<config_error> read_as_pytorch(std::string_view text, key_owner parser, config& settings,
                                                          reading& result);

/// The environment variables that one of PyTorch's parsers looks at: the first that is set counts, whole, even if it is
/// empty. PyTorch's CUDA builds let the HIP variable set the common keys, but not the CUDA ones.
[[nodiscard]] std::span<const char* const> variables_of(key_owner parser) noexcept;

inline constexpr const char* own_variable = "TERRAZZO_ALLOC_CONF";

/// Puts an error into one sentence; `source` is the variable's name, or another word for where `text` came from.
[[nodiscard]] std::string to_sentence(const config_error& error, std::string_view source, std::string_view text);

}  // namespace terrazzo::detail
