// One device's allocator: finds the stream heap of a request, takes from it what is cached, and walks the ladder when
// nothing cached fits (ladder.cpp).
//
// Steps of an allocation: round the request; the heap, through a one-entry cache of the calling thread; lock it,
// nothing else; a slab, the front, or the source's free blocks, and what other streams have marked as finished. Only
// then, with no lock held, the ladder. Steps of a
// deallocation: the address map tells slab or block; its heap; lock that, or leave the block on its remote list.
//
// Threads: all functions but the destructor may be called at any time. After `shutdown` those that
// allocate, free, trim or change settings fail with shut_down.
#pragma once

#include <atomic>
#include <functional>
#include <map>
#include <memory>
#include <mutex>
#include <vector>

#include "allocator/block_source.hpp"
#include "allocator/stream_heap.hpp"
#include "heap/address_map.hpp"
#include "memory/device_memory.hpp"
#include "terrazzo/allocator.hpp"

namespace terrazzo::detail {

class device_allocator {
 public:
  /// Opens the device over a driver. Errors: as the constructor of terrazzo::allocator.
  [[nodiscard]] static status open(std::shared_ptr<const driver> api, int device, const config& settings,
                                   std::unique_ptr<device_allocator>& result);
  ~device_allocator();
  device_allocator(const device_allocator&) = delete;
  device_allocator& operator=(const device_allocator&) = delete;

  [[nodiscard]] status allocate(std::size_t bytes, stream_handle stream, std::size_t alignment, void*& result) noexcept;
  status deallocate(void* pointer) noexcept;
  [[nodiscard]] status extend(void* pointer, std::size_t bytes) noexcept;
  [[nodiscard]] status find_requested_bytes(const void* pointer, std::size_t& bytes) const noexcept;

  status trim(std::size_t keep_bytes, std::size_t& given_back) noexcept;
  void shutdown() noexcept;

  void set_limit(std::size_t bytes) noexcept;
  void set_headroom(std::size_t bytes) noexcept { memory_.set_headroom(bytes); }
  [[nodiscard]] statistics stats() const noexcept;
  void reset_peaks() noexcept;
  [[nodiscard]] status validate() const noexcept;
  /// Calls `visit(block)` for each block of each segment, in the order of addresses within one. Their
  /// addresses, sizes and states fit each other; what a heap guards of them may change meanwhile.
  void visit_blocks(const std::function<void(const block&)>& visit) const;

  [[nodiscard]] const device_memory& memory() const noexcept { return memory_; }
  [[nodiscard]] const primary_context& context() const noexcept { return memory_.context(); }
  /// Those in force now; the reference stays good as long as the allocator lives.
  [[nodiscard]] const config& settings() const noexcept { return *settings_.load(std::memory_order_acquire); }
  /// Changes the settings for all that is allocated from now on. Errors: invalid_config, out_of_host_memory, shut_down;
  /// then nothing has changed.
  [[nodiscard]] status set_settings(const config& settings) noexcept;
  /// Of what is allocated from now on.
  [[nodiscard]] segment_kind kind() const noexcept { return kind_.load(std::memory_order_relaxed); }
  [[nodiscard]] bool is_shut_down() const noexcept { return shut_down_.load(std::memory_order_acquire); }

 private:
  /// A request after rounding: what is to be taken from a heap or from the source.
  struct request {
    std::size_t requested_bytes;  // as the program said
    std::size_t block_bytes;      // of a large block; of a slab, if small
    std::size_t alignment;        // of that block
    std::size_t size_class;       // size_class_count: large
    std::size_t small_alignment;  // of a small block
    [[nodiscard]] bool is_small() const noexcept { return size_class != size_class_count; }
  };

  static constexpr std::size_t kind_count = 2;

  device_allocator() noexcept;

  /// The source of a kind; null if no settings have asked for it.
  [[nodiscard]] std::unique_ptr<block_source>& source_of(segment_kind kind) noexcept {
    return sources_[static_cast<std::size_t>(kind)];
  }
  /// Calls `visit(block_source&)` for each source there is. REQUIRES: growth or heaps_mutex_ is held.
  template <typename Visit>
  void for_each_source(Visit visit) const {
    for (const auto& each : sources_)
      if (each != nullptr) visit(*each);
  }
  /// REQUIRES: growth is held.
  [[nodiscard]] status put_in_force(const config& settings);

  [[nodiscard]] status make_request(std::size_t bytes, std::size_t alignment, request& made) noexcept;
  [[nodiscard]] status find_heap(stream_handle stream, stream_heap*& heap) noexcept;
  [[nodiscard]] TERRAZZO_NOINLINE status allocate_generally(std::size_t bytes, stream_handle stream,
                                                            std::size_t alignment, void*& result) noexcept;
  [[nodiscard]] void* take_cached(stream_heap& heap, const request& wanted) noexcept;

  // The ladder.
  [[nodiscard]] status allocate_on_miss(stream_heap& heap, const request& wanted, void*& result) noexcept;
  [[nodiscard]] status climb(stream_heap& heap, const request& wanted, void*& result) noexcept;
  [[nodiscard]] status grow(stream_heap& heap, const request& wanted, bool last_try, void*& result) noexcept;
  [[nodiscard]] void* take_any_slab(stream_heap& heap, const request& wanted) noexcept;
  [[nodiscard]] status wait_for_everything() noexcept;
  [[nodiscard]] status tell_out_of_memory(const stream_heap& heap, const request& wanted) noexcept;

  /// What an address was found to be.
  struct location {
    stream_heap* heap = nullptr;
    slab* in = nullptr;  // null: a large block
    block* large = nullptr;
    std::uint32_t index = slab::no_index;
    [[nodiscard]] bool is_live(std::uintptr_t address) noexcept;
  };
  [[nodiscard]] bool locate(std::uintptr_t address, location& found) const noexcept;
  [[nodiscard]] status extend_cached(std::uintptr_t address, std::size_t bytes, location& found, bool& done) noexcept;
  TERRAZZO_NOINLINE void end_epoch(stream_heap& heap) noexcept;
  void begin_sharing(stream_heap& heap) noexcept;
  [[nodiscard]] std::size_t epoch_bytes(const stream_heap& heap) const noexcept;
  TERRAZZO_NOINLINE void look_at_marks(stream_heap& heap) noexcept;
  TERRAZZO_COLD status refuse(std::uintptr_t address) const noexcept;
  TERRAZZO_COLD status refuse_after_shutdown() const noexcept;
  void flush_all() noexcept;
  /// Walks all books. REQUIRES: growth is held.
  [[nodiscard]] status walk_books() const noexcept;
  /// Walks them if TERRAZZO_CHECK_LEVEL is `level` or more; corrupted if they are, else `result`, what the step before
  /// came to. REQUIRES: growth is held.
  [[nodiscard]] status check_books(int level, status result) const noexcept;

  // Never used twice, and changed with the kind: what threads have cached of another allocator or kind means nothing.
  std::atomic<std::uint64_t> id_;
  std::atomic<const config*> settings_{nullptr};
  std::atomic<bool> rounds_by_divisions_{false};
  std::atomic<segment_kind> kind_{segment_kind::plain};
  std::atomic<bool> shut_down_{false};
  device_memory memory_;

  mutable std::mutex growth_;  // serialises misses, and whoever must see no miss under way
  std::vector<std::unique_ptr<const config>> settings_so_far_;  // each once; guarded by growth_

  mutable std::mutex heaps_mutex_;  // guards the next three; taken before any lock of the allocator's but growth
  std::unique_ptr<block_source>
      sources_[kind_count];  // by kind; made with growth held too, so that either lock shows them
  std::map<stream_key, stream_heap*> heap_by_stream_[kind_count];  // by kind
  std::vector<std::unique_ptr<stream_heap>> heaps_;                // never shrinks: a heap's address stays good

  mutable std::atomic<std::uint64_t> invalid_free_count_{0};
  std::atomic<std::uint64_t> out_of_memory_count_{0};
  std::atomic<std::uint64_t> retry_count_{0};
};

}  // namespace terrazzo::detail
