// A slab: a block cut into small blocks of one size class. All that is known of a small block is one 32-bit record:
//   allocated   allocated_flag | bytes requested
//   free        index of the next free block of the slab, or end_of_list
//
// Invariants: used: used + length of the free list == capacity; listed: the slab is in its heap's list of partial slabs
// exactly if used < capacity.
// Guarded by the lock of `heap`, but for the atomics. A thread that does not hold that lock frees a block by setting
// its bit in `remote`, as a visitor: a slab is not closed while it has visitors, so that one who has found `heap` to be
// what he expects may read everything but the free list.
#pragma once

#include <atomic>
#include <cstddef>
#include <cstdint>

#include "heap/block.hpp"
#include "heap/size_class.hpp"

namespace terrazzo::detail {

struct slab {
  static constexpr std::uint32_t allocated_flag = 1u << 31;
  static constexpr std::uint32_t end_of_list = 0xffff;
  static constexpr std::uint32_t no_index = 0xffffffff;

  std::atomic<std::uintptr_t> address{0};
  std::atomic<stream_heap*> heap{nullptr};
  std::uint32_t block_bytes = 0;
  std::uint32_t reciprocal = 0;
  std::uint16_t size_class = 0;
  std::uint16_t capacity = 0;
  std::uint16_t used = 0;
  std::uint16_t first_free = 0;
  block* backing = nullptr;
  slab* prev = nullptr;
  slab* next = nullptr;
  slab* remote_next = nullptr;
  std::atomic<bool> queued{false};         ///< on its heap's remote list
  std::atomic<std::uint32_t> visitors{0};  ///< threads that are freeing a block without the lock
  std::atomic<std::uint64_t> remote[slab_max_blocks / 64] = {};
  std::atomic<std::uint32_t> records[slab_max_blocks] = {};

  /// Cuts a block into a class' small blocks, all of them free. REQUIRES: the block is at most slab_max_bytes large,
  /// and large enough for one and no more than slab_max_blocks of them.
  void open(block& under, std::size_t of_class, stream_heap* owner) noexcept {
    const size_class_info& info = size_classes[of_class];
    address.store(under.begin(), std::memory_order_relaxed);
    block_bytes = static_cast<std::uint32_t>(info.block_bytes);
    reciprocal = static_cast<std::uint32_t>((std::size_t{1} << reciprocal_shift) / (info.block_bytes / 512) + 1);
    size_class = static_cast<std::uint16_t>(of_class);
    capacity = static_cast<std::uint16_t>(under.bytes / info.block_bytes);
    used = 0;
    first_free = 0;
    backing = &under;
    prev = next = remote_next = nullptr;
    for (auto& word : remote) word.store(0, std::memory_order_relaxed);
    for (std::uint32_t i = 0; i < capacity; ++i)
      records[i].store(i + 1 < capacity ? i + 1 : end_of_list, std::memory_order_relaxed);
    heap.store(owner, std::memory_order_release);
  }

  /// Gives the index of the small block that begins at an address; no_index if none does.
  [[nodiscard]] std::uint32_t index_of(std::uintptr_t at) const noexcept {
    const std::size_t offset = at - address.load(std::memory_order_relaxed);
    if (offset >= slab_max_bytes) return no_index;
    const std::size_t index = ((offset / 512) * reciprocal) >> reciprocal_shift;
    return index < capacity && index * block_bytes == offset ? static_cast<std::uint32_t>(index) : no_index;
  }

  [[nodiscard]] std::uintptr_t address_of(std::uint32_t index) const noexcept {
    return address.load(std::memory_order_relaxed) + std::size_t{index} * block_bytes;
  }
  [[nodiscard]] std::uint32_t record(std::uint32_t index) const noexcept {
    return records[index].load(std::memory_order_relaxed);
  }
  [[nodiscard]] static bool is_allocated(std::uint32_t record) noexcept { return (record & allocated_flag) != 0; }
  [[nodiscard]] static std::size_t requested_of(std::uint32_t record) noexcept { return record & ~allocated_flag; }

  /// REQUIRES: used < capacity.
  [[nodiscard]] std::uint32_t take(std::size_t requested_bytes) noexcept {
    const std::uint32_t index = first_free;
    first_free = static_cast<std::uint16_t>(record(index));
    records[index].store(allocated_flag | static_cast<std::uint32_t>(requested_bytes), std::memory_order_relaxed);
    ++used;
    return index;
  }

  /// REQUIRES: the block is allocated.
  void set_requested(std::uint32_t index, std::size_t requested_bytes) noexcept {
    records[index].store(allocated_flag | static_cast<std::uint32_t>(requested_bytes), std::memory_order_relaxed);
  }

  /// REQUIRES: the block is allocated.
  void put(std::uint32_t index) noexcept {
    records[index].store(first_free, std::memory_order_relaxed);
    first_free = static_cast<std::uint16_t>(index);
    --used;
  }

  /// Tells whether a small block waits on the remote list to be freed.
  [[nodiscard]] bool is_remote(std::uint32_t index) const noexcept {
    return (remote[index / 64].load(std::memory_order_relaxed) >> (index % 64) & 1) != 0;
  }

 private:
  // Offsets and blocks are counted in units of 512 B: below 1024 and at most 128, so that the quotient by
  // multiplication is exact (1024 / 2^20 < 1 / 128).
  static constexpr unsigned reciprocal_shift = 20;
};

static_assert(slab_max_bytes / 512 <= 1024 && small_limit_bytes / 512 <= 128);

}  // namespace terrazzo::detail
