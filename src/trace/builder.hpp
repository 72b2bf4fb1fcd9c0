// Makes a program of records, one after the other. Addresses come back after a free, so each is looked up in a table:
//
//   unknown -> live     by an allocation; or, if the first record of an address is a free, by recording having begun
//                       late: its block is an early block, which goes to the beginning when the program is finished
//   live -> asked       by a free that will be completed later, as PyTorch records it; this one is the program's free
//   live, asked -> gone by a completed free, or a plain one; of a live block it is the program's free
//   asked, gone -> live by the next allocation
//
// Memory: an operation is held once, 24 bytes, in chunks that `finish` gives back as it copies them into the program; an
// address takes 64 bytes at worst, while its table doubles; an early block 72 more. So at most 160 bytes a record, of a
// file that holds nothing but frees of addresses that never came before, and about 30 of a real program, which uses its
// addresses again and again.
#pragma once

#include <cstdint>
#include <string>
#include <vector>

#include "trace/program.hpp"

namespace terrazzo::trace {

/// A hash table from 64-bit keys to 8 bytes; nothing is ever taken out.
class address_table {
 public:
  enum class state : std::uint32_t { unknown, live, asked, gone };
  struct entry {
    std::uint64_t key = 0;
    std::uint32_t value = 0;
    std::uint32_t stream : 30 = 0;
    std::uint32_t phase : 2 = 0;

    [[nodiscard]] state is() const noexcept { return static_cast<state>(phase); }
    void become(state next) noexcept { phase = static_cast<std::uint32_t>(next) & 3; }
  };

  /// Finds the key's entry, or makes one, whose state is `unknown`; it must leave that state before the next call.
  [[nodiscard]] entry& at(std::uint64_t key);

  /// Finds the key's entry; null if there is none.
  [[nodiscard]] const entry* find(std::uint64_t key) const noexcept;

  [[nodiscard]] std::size_t size() const noexcept { return size_; }
  void clear() noexcept;

 private:
  [[nodiscard]] std::size_t place_of(std::uint64_t key) const noexcept;
  void grow();

  std::vector<entry> entries_;  // a power of two, at most three quarters of them used
  std::size_t size_ = 0;
};

class program_builder {
 public:
  /// Appends an allocation. If the address is of a live block, its free was not recorded, and is put in before.
  void allocate(std::uint64_t address, std::uint64_t bytes, std::uint64_t stream);

  /// Appends a free. `bytes` and `stream` count if the block turns out to be an early one, the stream always.
  void free(std::uint64_t address, std::uint64_t bytes, std::uint64_t stream);

  /// Appends a free on the block's own stream. REQUIRES: is_live(address).
  void free_live(std::uint64_t address);

  /// Like `free`, of a block that may be freed by `complete` in addition.
  void request_free(std::uint64_t address, std::uint64_t bytes, std::uint64_t stream);
  void complete_free(std::uint64_t address, std::uint64_t bytes, std::uint64_t stream);

  /// Tells of a block that is live where the recording ends. If its address has not come up, it was there all the time,
  /// and becomes an early block.
  void add_live_at_end(std::uint64_t address, std::uint64_t bytes, std::uint64_t stream);

  [[nodiscard]] left_out& omitted() noexcept { return omitted_; }
  [[nodiscard]] bool is_empty() const noexcept { return count_ == 0; }
  [[nodiscard]] bool is_live(std::uint64_t address) const noexcept;

  /// Hands the program over: early blocks first, by address; the rest as it came. The builder is of no use afterwards.
  [[nodiscard]] program finish();

 private:
  // The first chunk is small, since a file may begin many programs; each next one is larger, up to this.
  static constexpr std::size_t first_chunk_operations = 16;
  static constexpr std::size_t most_chunk_operations = 1 << 15;
  struct early_block {
    std::uint64_t address;
    std::uint64_t bytes;
    std::uint32_t stream;
    std::uint32_t block;
  };

  void push(operation_kind kind, std::uint32_t stream, std::uint32_t block, std::uint64_t bytes);
  // Of a live block, or one that becomes an early block.
  void free_block(address_table::entry& of, std::uint64_t bytes, std::uint64_t stream, address_table::state next);
  [[nodiscard]] std::uint32_t stream_number(std::uint64_t handle);
  [[nodiscard]] std::uint32_t next_block();

  std::vector<std::vector<operation>> chunks_;  // none is empty or grows
  std::size_t count_ = 0;
  address_table blocks_;
  address_table streams_;
  std::uint64_t last_stream_handle_ = 0;
  std::uint32_t last_stream_ = 0;
  std::uint32_t block_count_ = 0;
  std::vector<early_block> early_;
  bool saw_request_ = false;
  left_out omitted_;
};

}  // namespace terrazzo::trace
