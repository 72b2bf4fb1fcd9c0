// How far the work of one stream has come: a few marks in it, each an event with the stamp of what was freed before.
// Others may take what a stream has freed once the host has seen a mark behind it reached.
//
// An event is recorded by a thread that frees or asks for memory, on the stream that it does so for, never on another's: a
// handle may be capturing, destroyed, or mean another stream to another thread, and only who is using it knows. While
// the stream is capturing none is recorded. Afterwards the event alone is asked.
//
// Threads: a mutex of its own, held across driver calls; who finds it taken goes on without.
// REQUIRES of functions that call the driver: a context_scope on the calling thread.
#pragma once

#include <array>
#include <cstddef>
#include <cstdint>
#include <mutex>

#include "driver/driver.hpp"

namespace terrazzo::detail {

class stream_marks {
 public:
  static constexpr std::size_t capacity = 4;

  stream_marks(const primary_context& context, CUstream stream) noexcept : context_(context), stream_(stream) {}
  ~stream_marks() { close(); }
  stream_marks(const stream_marks&) = delete;
  stream_marks& operator=(const stream_marks&) = delete;

  /// Sets a mark behind everything that is in the stream now. With all places taken the newest mark moves there. False
  /// if there is none now: the stream captures, the driver refuses, or another thread is at it.
  bool set(std::uint64_t stamp) noexcept;

  /// Asks which marks have been reached; gives the newest one's stamp, 0 if none was since it was asked before.
  [[nodiscard]] std::uint64_t ask() noexcept;

  /// Gives the events back; no mark is set afterwards.
  void close() noexcept;

 private:
  struct mark {
    CUevent event = nullptr;
    std::uint64_t stamp = 0;
  };

  /// Makes a call; notes an error that stays.
  template <typename Function, typename... Args>
  CUresult call(Function function, Args... args) const noexcept {
    const CUresult code = context_.api().call(function, args...);
    context_.note_if_sticky(code);
    return code;
  }

  const primary_context& context_;
  const CUstream stream_;
  std::mutex mutex_;
  std::array<mark, capacity> marks_{};  // the first `count_` are set, oldest first; the rest are events to use again
  std::size_t count_ = 0;
  bool closed_ = false;
};

}  // namespace terrazzo::detail
