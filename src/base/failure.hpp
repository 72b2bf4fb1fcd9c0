// How a failure is told: `return fail(status::..., "sentence {}", value)` keeps the sentence for the calling thread and
// hands back the code. Host memory is allocated once a thread, and done without if there is none, so that running out
// of it can be told too.
#pragma once

#include <fmt/format.h>

#include <cstddef>
#include <string_view>
#include <utility>

#include "terrazzo/status.hpp"

namespace terrazzo::detail {

/// The calling thread's message buffer; longer sentences are cut.
struct failure_message {
  static constexpr std::size_t capacity = 2047;
  char text[capacity + 1];
};
[[nodiscard]] failure_message& thread_failure_message() noexcept;

/// Keeps the formatted sentence as the thread's last error message and returns `code`.
template <typename... Args>
status fail(status code, fmt::format_string<Args...> format, Args&&... args) noexcept {
  failure_message& message = thread_failure_message();
  try {
    auto result = fmt::format_to_n(message.text, failure_message::capacity, format, std::forward<Args>(args)...);
    *result.out = '\0';
  } catch (...) {
    message.text[0] = '\0';
  }
  return code;
}

}  // namespace terrazzo::detail
