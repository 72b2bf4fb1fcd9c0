// How the room says that a file cannot be read.
#pragma once

#include <cstdint>
#include <stdexcept>
#include <string>

namespace terrazzo::trace {

/// A file that cannot be read, or whose content cannot be understood. `what()` is a whole sentence without its full stop:
/// "<file>: <place>: <reason>", without the place where there is none.
class trace_error : public std::runtime_error {
 public:
  /// `place`: where in the file, as `byte_place` and `line_place` print it; empty: nowhere in particular.
  trace_error(const std::string& file, const std::string& place, const std::string& reason)
      : std::runtime_error(file + ": " + (place.empty() ? "" : place + ": ") + reason),
        file_(file),
        place_(place),
        reason_(reason) {}

  [[nodiscard]] const std::string& file() const noexcept { return file_; }
  [[nodiscard]] const std::string& place() const noexcept { return place_; }
  [[nodiscard]] const std::string& reason() const noexcept { return reason_; }

 private:
  std::string file_;
  std::string place_;
  std::string reason_;
};

/// Prints a place: bytes are counted from 0, lines from 1.
[[nodiscard]] inline std::string byte_place(std::uint64_t offset) { return "byte " + std::to_string(offset); }
[[nodiscard]] inline std::string line_place(std::uint64_t line) { return "line " + std::to_string(line); }

}  // namespace terrazzo::trace
