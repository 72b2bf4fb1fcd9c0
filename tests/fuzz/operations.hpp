// Lists of operations on an allocator, as bytes say them, and written so that seeds can be made by hand.
//
//   first byte    the device and the settings (`setups` in trial.hpp)
//   second byte   how it ends: even, all is freed and trimmed; odd, the allocator goes with blocks still live
//   then          an operation's letter, and its arguments, a byte each; blanks and line ends may stand between
//
// An argument's digit means itself, a letter from `a` on 10 and more, any other byte its value. Bytes that are no letter of
// an operation stand for one too, those that matter more often than others, so that all bytes are a list.
#pragma once

#include <array>
#include <cstddef>
#include <cstdint>
#include <span>
#include <vector>

namespace fuzz {

class trial;

using arguments = std::array<std::size_t, 4>;

/// What can be done. For another one: a row in the table of operations.cpp, and a function of `trial` that does it.
struct operation_kind {
  char letter;
  std::size_t argument_count;
  std::size_t share;  // of the bytes that are no letter
  void (*run)(trial& on, const arguments& given);
};

struct operation {
  const operation_kind* kind;
  arguments given;
};

struct operation_list {
  std::size_t setup = 0;
  bool closes_early = false;
  std::vector<operation> operations;
};

/// Reads a list; any bytes are one.
[[nodiscard]] operation_list read_operations(std::span<const std::uint8_t> bytes);

}  // namespace fuzz
