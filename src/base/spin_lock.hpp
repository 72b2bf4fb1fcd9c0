// A lock for critical sections of some tens of nanoseconds: one atomic exchange to take, one plain store to release,
// which is half of what a std::mutex pays when nobody waits. Never held across a driver call; under it host memory
// is allocated only for new descriptors, in batches.
#pragma once

#include <atomic>
#include <thread>

#include "base/platform.hpp"

namespace terrazzo::detail {

class spin_lock {
 public:
  TERRAZZO_ALWAYS_INLINE bool try_lock() noexcept { return !locked_.exchange(true, std::memory_order_acquire); }

  TERRAZZO_ALWAYS_INLINE void lock() noexcept {
    if (!try_lock()) wait();
  }

  TERRAZZO_ALWAYS_INLINE void unlock() noexcept { locked_.store(false, std::memory_order_release); }

 private:
  TERRAZZO_COLD void wait() noexcept {
    do {
      for (int spins = 0; locked_.load(std::memory_order_relaxed); ++spins) {
        // The holder may have been descheduled: spinning longer than its critical section takes would only burn its
        // core.
        if (spins < 128) cpu_relax();
        else std::this_thread::yield();
      }
    } while (!try_lock());
  }

  std::atomic<bool> locked_{false};
};

}  // namespace terrazzo::detail
