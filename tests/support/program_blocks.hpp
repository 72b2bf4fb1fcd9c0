// The blocks that a program holds: a naive list beside an allocator under test, with contents, and with the work of the
// program's streams that still uses them. For a software GPU with `completion=manual`, whose work waits until it is
// completed or waited for.
//
//   marks    bytes at chosen places of a block that tell whose contents they are
//   work     a piece in a block's stream that finds the marks of the piece before it and leaves its own: one that fills
//            the block when it comes, and one each time that the program uses it
//   pending  work that has not run
//
// All writing is work of the block's own stream, in its order, and runs at once only where none is pending there: so a
// stream may get its own memory back while its work is pending, and another may not. Both are noticed: that a block comes
// which pending work of another stream still uses, and, whatever the addresses say, that work finds other marks than it
// left, or no memory.
//
// Knows no test framework: the first thing that was found wrong is kept as a sentence, where blocks are called b0, b1, ...
// in the order in which they came.
#pragma once

#include <cuda.h>
#include <fmt/format.h>

#include <algorithm>
#include <array>
#include <cstddef>
#include <cstdint>
#include <deque>
#include <map>
#include <optional>
#include <string>

#include "base/bits.hpp"
#include "terrazzo/softgpu.h"

namespace terrazzo::test {

class program_blocks {
 public:
  static constexpr std::size_t stream_count = 4;  // the legacy stream, and three that do not wait for it

  /// Makes the streams. REQUIRES, to its end: a current context.
  program_blocks() {
    const auto create = reinterpret_cast<decltype(&cuStreamCreate)>(terrazzo_softgpu_symbol("cuStreamCreate"));
    for (std::size_t i = 1; i < stream_count; ++i)
      if (create(&streams_[i], CU_STREAM_NON_BLOCKING) != CUDA_SUCCESS) note("a stream cannot be made");
  }
  ~program_blocks() {
    const auto destroy = reinterpret_cast<decltype(&cuStreamDestroy_v2)>(terrazzo_softgpu_symbol("cuStreamDestroy_v2"));
    for (std::size_t i = 1; i < stream_count; ++i) destroy(streams_[i]);
  }
  program_blocks(const program_blocks&) = delete;
  program_blocks& operator=(const program_blocks&) = delete;

  [[nodiscard]] CUstream stream(std::size_t number) const { return streams_.at(number); }
  /// The first thing that was found wrong; empty as long as all is well.
  [[nodiscard]] const std::string& problem() const { return problem_; }

  /// Lists a block that the allocator has given for a stream, and fills it.
  void add(void* block, std::size_t bytes, std::size_t stream) {
    list(added_++, reinterpret_cast<std::uintptr_t>(block), bytes, stream);
  }

  /// Notes that a live block has another size now, at its address and with its contents, and fills it anew.
  void resize(void* block, std::size_t bytes) {
    const auto found = live_.find(reinterpret_cast<std::uintptr_t>(block));
    if (found == live_.end()) return;
    const auto [begin, before] = *found;
    if (before.marked) check_marks(before.number, begin, before.bytes, *before.marked);
    live_.erase(found);
    list(before.number, begin, bytes, before.stream);
  }

  /// Has the stream of a live block work with it.
  void use(void* block) {
    const auto found = live_.find(reinterpret_cast<std::uintptr_t>(block));
    if (found != live_.end()) put_work(found->first, found->second);
  }

  /// Strikes a block off the list, if it is on it; to be done when it is freed. Its work goes on.
  void remove(void* block) { live_.erase(reinterpret_cast<std::uintptr_t>(block)); }

  /// Runs up to `count` pieces of a stream's work.
  void complete(std::size_t stream, std::size_t count) { terrazzo_softgpu_complete(streams_.at(stream), count); }

  /// Looks for the marks of all live blocks.
  void check() {
    for (const auto& [begin, one] : live_)
      if (one.marked) check_marks(one.number, begin, one.bytes, *one.marked);
  }

 private:
  using mark = unsigned char;

  void list(unsigned number, std::uintptr_t begin, std::size_t bytes, std::size_t stream) {
    const auto next = live_.lower_bound(begin);
    if (next != live_.end() && next->first < begin + bytes) return note_overlap(number, next->second);
    if (next != live_.begin() && std::prev(next)->first + std::prev(next)->second.bytes > begin)
      return note_overlap(number, std::prev(next)->second);
    for (std::size_t other = 0; other < stream_count; ++other) {
      for (const work& each : pending_[other])
        if (other != stream && each.begin < begin + bytes && begin < each.begin + each.bytes)
          return note("b{} of stream {} has memory that was b{} of stream {}, whose work is still pending", number,
                      stream, each.number, other);
    }
    if (terrazzo_softgpu_reach(begin, bytes, 1) != 1) return note("not all of b{} has memory", number);
    live_.emplace(begin, live_block{number, bytes, stream, {}, {}});
    put_work(begin, live_.at(begin));
  }

  struct live_block {
    unsigned number;
    std::size_t bytes;
    std::size_t stream;
    std::optional<mark> marked;  // what is there now
    std::optional<mark> last;    // what will be there when all its work has run
  };

  struct work {
    program_blocks* home;
    std::size_t stream;
    unsigned number;
    std::uintptr_t begin;
    std::size_t bytes;
    std::optional<mark> found;
    mark left;
  };

  template <typename... Args>
  void note(fmt::format_string<Args...> format, Args&&... args) {
    if (problem_.empty()) problem_ = fmt::format(format, std::forward<Args>(args)...);
  }
  void note_overlap(unsigned number, const live_block& other) { note("b{} overlaps b{}", number, other.number); }

  // Waits its turn behind the stream's other work, and where there is none it runs as if it had been quick. The
  // program's own uses always wait, so that blocks are freed while they are used.
  void put_work(std::uintptr_t begin, live_block& one) {
    const mark left = next_mark_++;
    std::deque<work>& queue = pending_[one.stream];
    queue.push_back({this, one.stream, one.number, begin, one.bytes, one.last, left});
    const bool fills = !one.last.has_value();
    one.last = left;
    if (fills && queue.size() == 1) return run_first_of(one.stream);
    if (terrazzo_softgpu_enqueue(
            streams_[one.stream], [](void* argument) { run(argument); }, &queue.back(), 0) != 0)
      note("no work can be put into stream {}: {}", one.stream, terrazzo_softgpu_message());
  }

  static void run(void* argument) {
    const work& one = *static_cast<const work*>(argument);
    one.home->run_first_of(one.stream);
  }

  void run_first_of(std::size_t stream) {
    const work one = pending_[stream].front();
    pending_[stream].pop_front();
    if (terrazzo_softgpu_reach(one.begin, one.bytes, 1) != 1)
      return note("work of stream {} uses b{}, which has no memory any more", stream, one.number);
    if (one.found) check_marks(one.number, one.begin, one.bytes, *one.found);
    for_each_place(one.begin, one.bytes, [&](std::uintptr_t at) { *byte_at(at) = value_at(at, one.left); });
    const auto live = live_.find(one.begin);
    // What was put in before the block was resized leaves marks for its size then.
    if (live != live_.end() && live->second.number == one.number && live->second.bytes == one.bytes)
      live->second.marked = one.left;
  }

  void check_marks(unsigned number, std::uintptr_t begin, std::size_t bytes, mark expected) {
    std::uintptr_t wrong = 0;
    for_each_place(begin, bytes, [&](std::uintptr_t at) {
      if (wrong == 0 && *byte_at(at) != value_at(at, expected)) wrong = at;
    });
    if (wrong != 0) note("the contents of b{} have changed at byte {} of {}", number, wrong - begin, bytes);
  }

  // Wherever two blocks overlap at their edges, or by 64 KiB and more, both have a mark in one place; also if they do so
  // in one chunk that lies at two addresses.
  template <typename Visit>
  static void for_each_place(std::uintptr_t begin, std::size_t bytes, Visit visit) {
    const std::uintptr_t end = begin + bytes;
    constexpr std::size_t steps[] = {512, 4 << 10, 64 << 10};
    constexpr std::size_t widths[] = {4 << 10, 64 << 10, SIZE_MAX};
    for (std::size_t i = 0; i < std::size(steps); ++i) {
      const std::size_t width = std::min(widths[i], bytes);
      for (std::uintptr_t at = detail::round_up(begin, steps[i]); at < begin + width; at += steps[i]) visit(at);
      if (width == bytes) break;
      for (std::uintptr_t at = detail::round_up(end - width, steps[i]); at < end; at += steps[i]) visit(at);
    }
    visit(end - 1);
  }
  static unsigned char* byte_at(std::uintptr_t at) { return reinterpret_cast<unsigned char*>(at); }
  // Differs within a chunk, and from chunk to chunk.
  static mark value_at(std::uintptr_t at, mark of) { return static_cast<mark>(of + 7 * (at >> 9) + 37 * (at >> 21)); }

  std::array<CUstream, stream_count> streams_{};
  std::map<std::uintptr_t, live_block> live_;
  std::array<std::deque<work>, stream_count> pending_;
  unsigned added_ = 0;
  mark next_mark_ = 1;
  std::string problem_;
};

}  // namespace terrazzo::test
