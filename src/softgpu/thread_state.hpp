// What the software GPU keeps for each thread: its stack of current contexts, the capture mode, and the sentence that
// explains the last refused call.
#pragma once

#include <cuda.h>
#include <fmt/format.h>

#include <cstdint>
#include <utility>
#include <vector>

namespace softgpu {

struct thread_state {
  static constexpr std::size_t message_capacity = 1023;
  const char* function = "";                // the driver function that the thread is in, or was in last
  char message[message_capacity + 1] = "";  // empty after a call that succeeded
  std::uint64_t generation = 0;             // of the books that `contexts` belongs to
  std::vector<int> contexts;                // device ordinals, the current one last; no_context where null was pushed
  CUstreamCaptureMode capture_mode = CU_STREAM_CAPTURE_MODE_GLOBAL;
  bool inside_work = false;  // the thread runs a host function of a stream

  static constexpr int no_context = -1;
};

[[nodiscard]] thread_state& this_thread() noexcept;

/// Keeps "cuMemMap: <sentence>" as the thread's message and returns `code`: every refusal says which rule was broken.
template <typename Code, typename... Args>
Code refuse(Code code, fmt::format_string<Args...> format, Args&&... args) {
  thread_state& thread = this_thread();
  const std::size_t capacity = thread_state::message_capacity;
  const auto head = fmt::format_to_n(thread.message, capacity, "{}: ", thread.function);
  const std::size_t used = head.size < capacity ? head.size : capacity;
  const auto rest = fmt::format_to_n(thread.message + used, capacity - used, format, std::forward<Args>(args)...);
  *rest.out = '\0';
  return code;
}

}  // namespace softgpu
