// Error codes and exceptions. Inside, every function that can fail returns a `status`; only the C++ rim throws.
// The sentence that belongs to a failure (what, which value, what is allowed, what to do) is kept per thread and
// travels inside the exception, or is read with `last_error_message()`.
#pragma once

#include "terrazzo/cpp20.hpp"

#include <new>
#include <stdexcept>
#include <string>

#include "terrazzo/export.h"
#include "terrazzo/status_codes.h"

namespace terrazzo {

enum class status : int {
#define TERRAZZO_STATUS_ENUMERATOR(name, number, sentence) name = number,
  TERRAZZO_STATUS_CODES(TERRAZZO_STATUS_ENUMERATOR)
#undef TERRAZZO_STATUS_ENUMERATOR
};

/// Names a code, as in "out_of_memory"; "unknown" for a number that is not in the table.
[[nodiscard]] TERRAZZO_API const char* to_string(status code) noexcept;

/// Says in one general sentence what a code means.
[[nodiscard]] TERRAZZO_API const char* describe(status code) noexcept;

/// Tells the particulars of the calling thread's last failure in terrazzo; empty if there was none. Valid until the
/// thread's next failure.
[[nodiscard]] TERRAZZO_API const char* last_error_message() noexcept;

/// Any failure but lack of memory. `what()` is the particular sentence.
class TERRAZZO_API error : public std::runtime_error {
 public:
  error(status code, const std::string& message);
  error(const error&) = default;
  ~error() override;
  [[nodiscard]] status code() const noexcept { return code_; }

 private:
  status code_;
};

/// Lack of device memory. `what()` tells what was asked, what is free and reserved, and one thing to try.
class TERRAZZO_API out_of_memory : public std::bad_alloc {
 public:
  explicit out_of_memory(const std::string& message);
  out_of_memory(const out_of_memory&) = default;
  ~out_of_memory() override;
  [[nodiscard]] const char* what() const noexcept override { return message_.what(); }

 private:
  std::runtime_error message_;  // its copy does not throw, which an exception's copy must not
};

/// Does nothing for `status::ok`, else throws `out_of_memory` or `error` with the thread's last message.
TERRAZZO_API void throw_on_failure(status code);

}  // namespace terrazzo
