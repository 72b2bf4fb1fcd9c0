#include "softgpu/streams.hpp"

#include <algorithm>
#include <limits>
#include <utility>

#include "softgpu/gpu.hpp"

namespace softgpu {
namespace {

constexpr std::uint64_t any_ticket = std::numeric_limits<std::uint64_t>::max();

// What the first piece of a stream waits for elsewhere: run that stream up to that ticket.
struct obstacle {
  std::shared_ptr<stream> where;
  std::uint64_t ticket = 0;
};

bool holds_up(const stream& other, std::uint64_t ticket) {
  return !other.queue.empty() && other.queue.front().ticket < ticket;
}

obstacle obstacle_of(gpu& all, const stream& one) {
  const work& first = one.queue.front();
  if (first.waits_for != nullptr && !first.waits_for->done)
    return {first.waits_for->where.lock(), first.waits_for->ticket};
  context& home = all.contexts[static_cast<std::size_t>(one.device)];
  if (one.blocking() && holds_up(*home.legacy, first.ticket)) return {home.legacy, first.ticket - 1};
  if (one.legacy) {
    for (const auto& other : home.streams) {
      if (other->blocking() && holds_up(*other, first.ticket)) return {other, first.ticket - 1};
    }
  }
  return {};
}

void finish(gpu& all, stream& one) {
  work& first = one.queue.front();
  double begin = std::max(one.clock_ns, first.enqueued_ns);
  if (first.waits_for != nullptr) begin = std::max(begin, first.waits_for->time_ns);
  one.clock_ns = begin + first.cost_ns;
  if (first.records != nullptr) {
    first.records->done = true;
    first.records->time_ns = one.clock_ns;
  }
  one.queue.pop_front();
  if (one.destroyed && one.queue.empty()) {
    std::erase_if(all.contexts[static_cast<std::size_t>(one.device)].streams,
                  [&](const std::shared_ptr<stream>& each) { return each.get() == &one; });
  }
}

void run_first(gpu& all, books_lock& lock, const std::shared_ptr<stream>& one) {
  work& first = one->queue.front();
  context& home = all.contexts[static_cast<std::size_t>(one->device)];
  // In a context with a sticky error nothing runs any more; waiting for it must still end.
  if (home.dead == CUDA_SUCCESS && first.on_device) {
    thread_state& thread = this_thread();
    const char* const caller = std::exchange(thread.function, first.function);
    home.dead = first.on_device(all);
    thread.function = caller;
  } else if (home.dead == CUDA_SUCCESS && first.on_host != nullptr) {
    one->running = true;
    void (*const function)(void*) = first.on_host;
    void* const argument = first.argument;
    lock.unlock();
    this_thread().inside_work = true;
    function(argument);
    this_thread().inside_work = false;
    lock.lock();
    one->running = false;
    all.work_finished.notify_all();
  }
  finish(all, *one);
}

}  // namespace

bool context::idle() const {
  return legacy->queue.empty() &&
         std::all_of(streams.begin(), streams.end(), [](const auto& one) { return one->queue.empty(); });
}

void run_up_to(gpu& all, books_lock& lock, const std::shared_ptr<stream>& one, std::uint64_t ticket) {
  while (!one->queue.empty() && one->queue.front().ticket <= ticket) {
    if (one->running) {
      all.work_finished.wait(lock);
    } else if (const obstacle first = obstacle_of(all, *one); first.where != nullptr) {
      run_up_to(all, lock, first.where, first.ticket);
    } else {
      run_first(all, lock, one);
    }
  }
}

void run_all_of(gpu& all, books_lock& lock, const std::shared_ptr<stream>& one) {
  if (one->legacy) {
    const auto others = all.contexts[static_cast<std::size_t>(one->device)].streams;
    for (const auto& other : others) {
      if (other->blocking()) run_up_to(all, lock, other, any_ticket);
    }
  }
  run_up_to(all, lock, one, any_ticket);
}

void run_all_in(gpu& all, books_lock& lock, context& one) {
  const auto streams = one.streams;
  for (const auto& each : streams) run_up_to(all, lock, each, any_ticket);
  if (one.legacy != nullptr) run_up_to(all, lock, one.legacy, any_ticket);
}

std::uint64_t run_ready(gpu& all, books_lock& lock, const std::shared_ptr<stream>& one, std::uint64_t count) {
  std::uint64_t done = 0;
  while (done < count && !one->queue.empty() && !one->running && obstacle_of(all, *one).where == nullptr) {
    run_first(all, lock, one);
    ++done;
  }
  return done;
}

std::uint64_t enqueue(gpu& all, books_lock& lock, const std::shared_ptr<stream>& into, work piece) {
  const std::uint64_t ticket = all.contexts[static_cast<std::size_t>(into->device)].next_ticket++;
  piece.ticket = ticket;
  piece.enqueued_ns = all.calls.priced_ns();
  piece.function = this_thread().function;
  if (piece.records != nullptr) {
    piece.records->where = into;
    piece.records->ticket = ticket;
  }
  into->queue.push_back(std::move(piece));
  if (!all.spec.manual_completion) run_up_to(all, lock, into, ticket);
  return ticket;
}

bool is_idle(const gpu& all, const stream& one) {
  if (!one.queue.empty()) return false;
  if (!one.legacy) return true;
  const auto& others = all.contexts[static_cast<std::size_t>(one.device)].streams;
  return std::all_of(others.begin(), others.end(),
                     [](const auto& other) { return !other->blocking() || other->queue.empty(); });
}

}  // namespace softgpu
