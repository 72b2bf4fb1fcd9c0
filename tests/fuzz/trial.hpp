// One allocator on a small software GPU, and all that is known of it without looking inside. Each operation is done, said
// as code, and followed by the checks:
//
//   blocks     no two overlap, all have memory and their alignment, and contents stay; no stream gets what pending work
//              of another still uses (support/program_blocks.hpp)
//   outcome    only statuses that the operation may have: driver_error only if a call was made to fail meanwhile, and
//              out_of_memory not if `is_owed`
//   refusals   what is no live block is not freed, and is counted
//   counters   as the list of live blocks says; what is reserved is what the software GPU says, and does not grow beyond the
//              limit or into the headroom
//   books      `validate` finds nothing
//   end        whether the blocks are freed before or not, nothing stays on the device, and the thread's current contexts
//              and stream-capture mode are what they were
//
// A check that does not hold prints the operations so far as a test case, and aborts; so does what a sanitizer finds.
#pragma once

#include <cuda.h>
#include <fmt/format.h>

#include <cstdint>
#include <memory>
#include <optional>
#include <string>
#include <string_view>
#include <vector>

#include "allocator/device_allocator.hpp"
#include "support/program_blocks.hpp"

namespace fuzz {

/// A device and the settings an allocator has at first.
struct setup {
  const char* spec;
  const char* conf;
};

class trial {
 public:
  /// Opens the allocator. `echoes`: everything is printed as it is done, for what ends without a check.
  trial(std::size_t setup, bool echoes);
  /// Takes all down. REQUIRES: `finish` before.
  ~trial();
  trial(const trial&) = delete;
  trial& operator=(const trial&) = delete;

  // The operations. Blocks and settings are counted round: any number means one, if there is one.
  void allocate(std::size_t bytes, std::size_t stream, std::size_t alignment);
  void deallocate(std::size_t which, bool uses);
  void use(std::size_t which);
  void extend(std::size_t which, std::size_t bytes);
  void deallocate_again(std::size_t which);
  void deallocate_foreign(std::size_t which, std::size_t place);
  void complete(std::size_t stream, std::size_t count);
  void trim(std::size_t keep_bytes);
  void set_limit(std::size_t bytes);
  void set_headroom(std::size_t bytes);
  void set_other_memory(std::size_t bytes);
  void set_settings(std::size_t which);
  void fail_calls(std::size_t k, CUresult result, std::size_t times);
  void reset_peaks();

  /// Does what every operation is followed by.
  void check();
  void finish(bool closes_early);

  /// Prints what was done so far and why that is wrong, and aborts.
  [[noreturn]] void report(std::string_view reason);
  /// Prints what was done so far; for the sanitizers, which end the program themselves.
  void print(std::string_view reason) const;

 private:
  struct live_block {
    void* address;
    std::size_t bytes;
    unsigned number;
    std::optional<std::size_t> most_bytes;  // of chunks that it can keep from others; none: of a plain segment
  };
  struct freed_block {
    void* address;
    unsigned number;
  };

  /// Notes the call that is about to be made, so that it is known if it does not come back.
  template <typename... Args>
  void begin(fmt::format_string<Args...> format, Args&&... args) {
    step_.clear();
    fmt::format_to(std::back_inserter(step_), format, std::forward<Args>(args)...);
    failures_before_ = terrazzo_softgpu_failures();
    reserved_before_ = reserved_bytes();
  }
  /// Says what was called, as a statement of the test case.
  template <typename... Args>
  void say(fmt::format_string<Args...> format, Args&&... args) {
    step_.clear();
    const std::size_t before = code_.size();
    code_ += "  ";
    fmt::format_to(std::back_inserter(code_), format, std::forward<Args>(args)...);
    code_ += '\n';
    if (echoes_) echo(before);
  }
  void echo(std::size_t from) const;

  [[nodiscard]] bool was_disturbed() const { return terrazzo_softgpu_failures() != failures_before_; }
  [[nodiscard]] std::size_t reserved_bytes() const { return allocator_->stats().reserved_bytes.current; }
  [[nodiscard]] bool is_live(const void* address) const;
  [[nodiscard]] std::size_t chunk_bytes_of(std::size_t bytes, std::size_t alignment) const;
  [[nodiscard]] bool is_owed(std::size_t bytes, std::size_t alignment) const;
  void take_settings_from(std::size_t which);
  void free_block(std::size_t index, bool uses);
  void refuse_to_free(void* address);
  void check_growth();
  void check_counters();
  void close();

  const setup& setup_;
  const bool echoes_;
  std::string code_;
  std::string step_;

  std::shared_ptr<const terrazzo::detail::driver> driver_;
  CUcontext context_ = nullptr;
  std::unique_ptr<terrazzo::detail::device_allocator> allocator_;
  std::unique_ptr<terrazzo::test::program_blocks> blocks_;
  std::vector<live_block> live_;
  std::vector<freed_block> freed_;  // the newest last
  unsigned added_ = 0;
  bool is_lossy_ = false;  // calls that give something back may fail, and fail again: then it is lost

  std::uint64_t failures_before_ = 0;
  std::size_t reserved_before_ = 0;
  std::size_t total_bytes_ = 0;
  std::size_t limit_bytes_ = 0;
  std::size_t headroom_bytes_ = 0;
  std::size_t other_bytes_ = 0;
  std::size_t requested_bytes_ = 0;
  std::uint64_t allocation_count_ = 0;
  std::uint64_t deallocation_count_ = 0;
  std::uint64_t invalid_free_count_ = 0;
  std::uint64_t out_of_memory_count_ = 0;
};

}  // namespace fuzz
