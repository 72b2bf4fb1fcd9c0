#include "terrazzo/status.hpp"

#include "base/bits.hpp"
#include "base/failure.hpp"
#include "base/platform.hpp"

namespace terrazzo {

const char* to_string(status code) noexcept {
  switch (code) {
#define TERRAZZO_STATUS_NAME(name, number, sentence) \
  case status::name:                                 \
    return #name;
    TERRAZZO_STATUS_CODES(TERRAZZO_STATUS_NAME)
#undef TERRAZZO_STATUS_NAME
  }
  return "unknown";
}

const char* describe(status code) noexcept {
  switch (code) {
#define TERRAZZO_STATUS_SENTENCE(name, number, sentence) \
  case status::name:                                     \
    return sentence;
    TERRAZZO_STATUS_CODES(TERRAZZO_STATUS_SENTENCE)
#undef TERRAZZO_STATUS_SENTENCE
  }
  return "not a terrazzo status";
}

const char* last_error_message() noexcept { return detail::thread_failure_message().text; }

error::error(status code, const std::string& message) : std::runtime_error(message), code_(code) {}
error::~error() = default;

out_of_memory::out_of_memory(const std::string& message) : message_(message) {}
out_of_memory::~out_of_memory() = default;

void throw_on_failure(status code) {
  if (code == status::ok) return;
  const char* message = last_error_message();
  if (*message == '\0') message = describe(code);
  if (code == status::out_of_memory) throw out_of_memory(message);
  throw error(code, fmt::format("terrazzo: {}", message));
}

namespace detail {

namespace {

#ifndef TERRAZZO_EMULATED_THREAD_LOCAL
failure_message shared_message{};  // for threads that found no host memory for one of their own
constinit thread_local failure_message* thread_message = nullptr;

// Ends a thread's message with the thread. Failures told after that, by other destructors, go to the shared one.
struct message_owner {
  ~message_owner() {
    delete thread_message;
    thread_message = &shared_message;
  }
};
#endif

}  // namespace

#ifdef TERRAZZO_EMULATED_THREAD_LOCAL
failure_message& thread_failure_message() noexcept {
  static thread_local failure_message message{};
  return message;
}
#else
// Not a thread-local array: variables of the initial-exec model put all of a library's thread-local storage into a
// space of less than 2 KiB, and a library that does not fit there cannot be opened by a running program, such as
// Python.
failure_message& thread_failure_message() noexcept {
  if (thread_message == nullptr) {
    thread_message = new (std::nothrow) failure_message{};
    if (thread_message == nullptr) return shared_message;
    static thread_local message_owner owner;
    (void)owner;
  }
  return *thread_message;
}
#endif

}  // namespace detail
}  // namespace terrazzo
