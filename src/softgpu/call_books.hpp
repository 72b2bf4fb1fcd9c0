// What the software GPU knows of the calls made to it: how often each function was called, which calls are to fail, and
// what each costs in simulated time. Names stand here without their version suffix: cuMemAlloc_v2 is cuMemAlloc.
// Threads: not locked here; the caller holds the lock of the books (gpu.hpp).
#pragma once

#include <cstdint>
#include <map>
#include <optional>
#include <string>
#include <string_view>

namespace softgpu {

class call_books {
 public:
  call_books();

  /// Counts a call and prices its fixed part; gives the result that it is to fail with, if it is to fail.
  std::optional<int> enter(std::string_view function);

  /// Prices what a call touched, in units of the granularity.
  void touch(std::string_view function, std::uint64_t units);

  /// See terrazzo_softgpu_fail. An empty name means any driver function.
  void fail(std::string_view function, std::uint64_t k, int result, std::uint64_t times);
  void set_price(std::string_view function, double fixed_ns, double unit_ns);

  [[nodiscard]] std::uint64_t calls(std::string_view function) const;
  [[nodiscard]] std::uint64_t all_calls() const noexcept { return all_calls_; }
  void reset_counts();
  [[nodiscard]] std::uint64_t failures() const noexcept { return failures_; }
  [[nodiscard]] double priced_ns() const noexcept { return priced_ns_; }

 private:
  struct failure_rule {
    std::uint64_t calls_before = 0;  // this many calls go through first
    std::uint64_t times = 0;         // then this many fail
    int result = 0;
    [[nodiscard]] bool hits();
  };
  struct function_books {
    std::uint64_t calls = 0;
    double fixed_ns = 0;
    double unit_ns = 0;
    failure_rule rule;
  };
  function_books& books_of(std::string_view function);

  std::map<std::string, function_books, std::less<>> functions_;
  failure_rule any_;
  std::uint64_t all_calls_ = 0;
  std::uint64_t failures_ = 0;
  double priced_ns_ = 0;
};

}  // namespace softgpu
