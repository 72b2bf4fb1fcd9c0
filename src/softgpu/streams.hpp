// Streams, events and the work that waits in them.
//
//   work     one piece put into a stream: a copy, a fill, a host function, the recording of an event, a wait for one
//   ticket   the number of a piece of work within its context, growing; everything a piece waits for has a smaller one,
//            so that running what a piece needs always ends
//   record   one recording of an event; waiting for an event means its newest record at the time of the wait
//
// Order: pieces of one stream run one after the other. A piece of the legacy stream runs after all pieces with smaller
// tickets in the context's blocking streams, and theirs after its. A wait holds its stream until the record is done.
// completion=immediate: work has run when the call that enqueued it returns. completion=manual: it waits until the
// program completes it (terrazzo_softgpu_complete) or synchronises with it.
// Simulated time: a stream has a clock; a piece begins at the latest of the stream's clock, the priced host time at its
// enqueueing and the record it waits for, and takes its cost. Copies and fills cost nothing.
// Threads: under the lock of the books, which is let go while a host function runs.
#pragma once

#include <cuda.h>

#include <cstdint>
#include <deque>
#include <functional>
#include <map>
#include <memory>
#include <mutex>
#include <thread>
#include <vector>

namespace softgpu {

struct gpu;
struct stream;

struct record {
  std::weak_ptr<stream> where;
  std::uint64_t ticket = 0;
  bool done = false;
  double time_ns = 0;
};

struct event {
  int device = 0;
  unsigned flags = 0;
  std::shared_ptr<record> newest;  // null until recorded
};

struct work {
  std::function<CUresult(gpu&)> on_device;  // runs under the lock
  void (*on_host)(void*) = nullptr;         // runs without it
  void* argument = nullptr;
  std::shared_ptr<record> waits_for;
  std::shared_ptr<record> records;
  double cost_ns = 0;
  const char* function = "";  // that enqueued it
  std::uint64_t ticket = 0;
  double enqueued_ns = 0;
};

struct stream {
  int device = 0;
  std::uint64_t id = 0;
  unsigned flags = 0;
  int priority = 0;
  bool legacy = false;
  bool destroyed = false;  // gone from the books once its work has run
  bool running = false;    // a thread runs the first piece, without the lock
  double clock_ns = 0;
  std::deque<work> queue;  // the first piece stays here while it runs
  [[nodiscard]] bool blocking() const noexcept { return !legacy && (flags & CU_STREAM_NON_BLOCKING) == 0; }
};

/// A device's primary context: what is in it exists while it is active.
struct context {
  int device = 0;
  std::uint64_t retained = 0;
  bool active = false;
  unsigned flags = 0;
  CUresult dead = CUDA_SUCCESS;  // the sticky error, until the context is reset
  std::uint64_t next_ticket = 1;
  std::shared_ptr<stream> legacy;
  std::map<std::thread::id, std::shared_ptr<stream>> per_thread;
  std::vector<std::shared_ptr<stream>> streams;  // all but the legacy one, destroyed ones with work included

  [[nodiscard]] bool idle() const;
};

using books_lock = std::unique_lock<std::mutex>;

inline constexpr int least_priority = 0;
inline constexpr int greatest_priority = -5;

/// Puts work into a stream, and runs it at once where completion is immediate. Gives its ticket.
std::uint64_t enqueue(gpu& all, books_lock& lock, const std::shared_ptr<stream>& into, work piece);

/// Runs everything in a stream up to a ticket, and what that needs in other streams.
void run_up_to(gpu& all, books_lock& lock, const std::shared_ptr<stream>& one, std::uint64_t ticket);

/// Runs everything in a stream; for the legacy stream everything in the context's blocking streams too.
void run_all_of(gpu& all, books_lock& lock, const std::shared_ptr<stream>& one);

/// Runs everything in a context.
void run_all_in(gpu& all, books_lock& lock, context& one);

/// Runs up to `count` pieces of a stream, none that waits for work elsewhere. Gives how many.
std::uint64_t run_ready(gpu& all, books_lock& lock, const std::shared_ptr<stream>& one, std::uint64_t count);

/// Tells whether a synchronisation with a stream would have nothing to wait for.
[[nodiscard]] bool is_idle(const gpu& all, const stream& one);

}  // namespace softgpu
