// Descriptors of one type, made in batches and reused, never given back before the pool goes: a descriptor's memory
// stays one, so that a thread that holds a stale pointer reads a state that tells it so, instead of freed memory.
// Guarded by its owner's lock. Host memory is allocated once in `batch` objects at most.
#pragma once

#include <cstddef>
#include <new>

namespace terrazzo::detail {

template <typename T, T* T::*Link, std::size_t batch = 128>
class object_pool {
 public:
  object_pool() = default;
  ~object_pool() {
    while (batches_ != nullptr) {
      batch_of* next = batches_->next;
      delete batches_;
      batches_ = next;
    }
  }
  object_pool(const object_pool&) = delete;
  object_pool& operator=(const object_pool&) = delete;

  /// Makes sure that the next `count` calls of `take` succeed; false without host memory.
  [[nodiscard]] bool ensure(std::size_t count) noexcept {
    while (free_count_ < count) {
      auto* made = new (std::nothrow) batch_of;
      if (made == nullptr) return false;
      made->next = batches_;
      batches_ = made;
      for (T& item : made->items) put(item);
    }
    return true;
  }

  /// REQUIRES: an `ensure` that covers this call.
  [[nodiscard]] T& take() noexcept {
    T* item = free_;
    free_ = item->*Link;
    item->*Link = nullptr;
    --free_count_;
    return *item;
  }

  void put(T& item) noexcept {
    item.*Link = free_;
    free_ = &item;
    ++free_count_;
  }

 private:
  struct batch_of {
    batch_of* next = nullptr;
    T items[batch];
  };
  batch_of* batches_ = nullptr;
  T* free_ = nullptr;
  std::size_t free_count_ = 0;
};

}  // namespace terrazzo::detail
