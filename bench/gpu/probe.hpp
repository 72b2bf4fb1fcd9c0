// What every probe program shares: a device opened through terrazzo's own loader, rows of measurements, a finding.
//
// A probe is `probe_x ITEM [--device N] [--quick] [--seconds S]`. It prints tab-separated lines, each flushed at once,
// so that a crash loses nothing that was measured before it:
//   row <item> <call> <case> <result> <unit> <n> <min> <median> <p99>    a measurement
//   finding <item> <pass|fail|unsupported> <sentence>                    the last line of an item
//   fact <key> <value>                                                   something about the machine
// Other lines are for people. bench/gpu/verify runs the probes and makes files of the lines.
// Threads: one thread reports; an item's other threads only measure.
#pragma once

#include <fmt/format.h>

#include <chrono>
#include <cstddef>
#include <initializer_list>
#include <memory>
#include <string>
#include <vector>

#include "base/bits.hpp"
#include "calls.hpp"
#include "driver/driver.hpp"

namespace terrazzo::probe {

using detail::gib;
using detail::kib;
using detail::mib;
using clock = std::chrono::steady_clock;

/// Microseconds since `start`.
[[nodiscard]] inline double microseconds_since(clock::time_point start) {
  return std::chrono::duration<double, std::micro>(clock::now() - start).count();
}

/// Times one call of `work`, in microseconds. The two readings of the clock cost about 0.05 us of it.
template <typename Work>
[[nodiscard]] double time_us(Work&& work) {
  const clock::time_point start = clock::now();
  work();
  return microseconds_since(start);
}

struct summary {
  std::size_t n = 0;
  double min = 0;
  double median = 0;
  double p99 = 0;
};
[[nodiscard]] summary summarise(std::vector<double> samples);

/// Names a driver's result, as in "CUDA_ERROR_OUT_OF_MEMORY".
[[nodiscard]] std::string name_of(const cuda_calls& cuda, CUresult result);

/// One device, its primary context current on the opening thread, and the probes' own table of driver functions.
struct gpu {
  std::shared_ptr<const detail::driver> driver;
  detail::primary_context context;
  cuda_calls cuda;
  CUdevice device = 0;
  bool software = false;        // the driver is terrazzo's software GPU: its times mean nothing
  std::size_t granularity = 0;  // bytes; 0 where the device has no virtual memory management

  [[nodiscard]] std::size_t free_bytes() const;
  [[nodiscard]] std::string name_of(CUresult result) const { return probe::name_of(cuda, result); }
  void make_current() const { cuda.cuCtxPushCurrent_v2.must(context.context()); }
  /// Throws `unsupported` if the device cannot do virtual memory management.
  void need_virtual_memory() const;
};

/// The command line, the reports and the device of a running item.
class probe {
 public:
  bool quick = false;   // a hundredth of the repetitions: to see that everything runs, not to measure
  double seconds = 60;  // an item's loops stop in time to end within this
  int device_ordinal = 0;
  std::string item;

  /// Opens the device on first use. Throws `unsupported` if there is none.
  gpu& device();

  /// Scales a count of repetitions down if asked to be quick; never below `least`.
  [[nodiscard]] int repetitions(int full, int least = 2) const { return quick ? std::max(least, full / 100) : full; }

  /// Tells whether this share of the item's seconds has passed.
  [[nodiscard]] bool time_is_up(double share = 0.8) const;

  void row(const std::string& call, const std::string& conditions, const std::string& result) const;
  void row(const std::string& call, const std::string& conditions, const std::string& unit, std::vector<double> samples,
           const std::string& result = "ok") const;
  void fact(const std::string& key, const std::string& value) const;
  void note(const std::string& sentence) const;  // for people

  template <typename... Args>
  void pass(fmt::format_string<Args...> format, Args&&... args) const {
    finding("pass", fmt::format(format, std::forward<Args>(args)...));
  }
  template <typename... Args>
  void fail(fmt::format_string<Args...> format, Args&&... args) const {
    finding("fail", fmt::format(format, std::forward<Args>(args)...));
  }
  void finding(const char* outcome, const std::string& sentence) const;

 private:
  std::unique_ptr<gpu> gpu_;
  clock::time_point start_ = clock::now();
};

struct item {
  const char* name;
  void (*run)(probe&);
};

/// Runs the item that the command line names. An `unsupported` becomes a finding of that name, any other exception a
/// failure. Returns the exit code: 0 unless the command line makes no sense.
int run_probe(int argc, char** argv, std::initializer_list<item> items);

}  // namespace terrazzo::probe
