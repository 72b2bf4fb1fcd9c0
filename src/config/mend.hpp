// Repairs a config string until its reader accepts it: what is evidently a mistake is mended, the rest is cut out.
//
//   problem   something in the string that is refused, or taken but surely not meant
//   draft     a string under repair, which remembers where each of its characters stood in the string as given
//
// Columns count bytes from 1 and always belong to the string as it was given.
#pragma once

#include <cstddef>
#include <string>
#include <string_view>
#include <vector>

#include "base/severity.hpp"
#include "config/parser.hpp"

namespace terrazzo::detail {

struct problem {
  severity_level severity = severity_level::error;
  std::size_t column = 0;
  std::string key;
  std::string message;  ///< a clause
  std::string meant;    ///< the whole string with this one mended; empty if that is not evident
};

struct mended_string {
  bool accepted = true;  ///< as it was given
  std::string text;
  std::vector<problem> problems;  ///< in the order of their columns, 65 at most
  reading result;                 ///< of the mended string, with the columns of the string as given
  config meaning;                 ///< of the mended string, over the base
};

/// Tells whether a variable's strings are read as PyTorch reads them; the others are read strictly.
[[nodiscard]] bool is_pytorch_variable(std::string_view variable) noexcept;

/// Mends a string as the value of a variable, over the settings that it builds on. Cost: a reading for each problem, 64
/// at most.
[[nodiscard]] mended_string mend(std::string_view variable, std::string_view text, const config& base = {});

}  // namespace terrazzo::detail
