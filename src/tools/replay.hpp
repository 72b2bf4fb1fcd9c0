// Runs a recorded program through an allocator: on the software GPU, of any memory size, or on a device.
//
//   setup     under which settings, on how much memory, and when a stream finishes what was freed
//   sample    what is live and held at one moment of the run
//   smallest  the least memory of a device on which the program completes, found by bisection
//
// Nothing computes: blocks are allocated and freed in the recorded order, and never touched.
#pragma once

#include <cstddef>
#include <cstdint>
#include <functional>
#include <map>
#include <string>
#include <vector>

#include "terrazzo/config.hpp"
#include "tools/soft_device.hpp"
#include "trace/program.hpp"

namespace terrazzo::tools {

/// When a stream has done all work that uses a block which the program frees.
enum class completion_kind {
  at_free,  ///< at once
  never,    ///< when somebody waits for it, and not before
  delayed,  ///< some operations later
};

struct replay_setup {
  config settings;
  std::size_t memory_bytes = 0;
  completion_kind completion = completion_kind::at_free;
  std::uint64_t delay = 0;  ///< operations, of completion `delayed`
};

struct replay_sample {
  std::uint64_t operation = 0;
  std::size_t live_bytes = 0;  ///< requested, each rounded to 512 B
  std::size_t reserved_bytes = 0;
  std::size_t largest_free_bytes = 0;
};

/// A piece of the address map: what lies at some addresses.
struct map_piece {
  std::uintptr_t address = 0;
  std::size_t bytes = 0;
  enum class content { live, small_blocks, free, unmapped } what = content::free;
};

struct replay_result {
  bool completed = false;
  std::uint64_t failed_operation = 0;  ///< where it ended, if it did not complete
  std::string problem;                 ///< why
  std::size_t reserved_peak_bytes = 0;
  std::size_t reserved_at_peak_bytes = 0;  ///< when the most was live
  std::uint64_t retry_count = 0;
  std::map<std::string, std::uint64_t> driver_calls;  ///< those that were made; one name, "all", on a device
  std::size_t moved_bytes = 0;
  double priced_ms = 0;     ///< of the driver's calls, by the software GPU's prices
  double ns_per_event = 0;  ///< of the host, driver calls included
  std::vector<replay_sample> samples;
  std::vector<map_piece> map;  ///< when the most was live, or where the run ended; if samples were wanted
};

/// Called now and then with the share of the work that is done, 0 to 1.
using replay_progress = std::function<void(double)>;

/// What runs programs. It knows where: the software GPU, or a device.
class replayer {
 public:
  explicit replayer(soft_device& soft) noexcept : soft_(&soft) {}
  /// A device is as large as it is: a setup's memory is kept by a limit.
  replayer(std::shared_ptr<const detail::driver> api, int device) noexcept : api_(std::move(api)), device_(device) {}

  /// Runs a program once. `sample_count`: how many samples are wanted, about; 0: none, which is faster. Throws
  /// `terrazzo::error` for whatever is not a lack of memory.
  [[nodiscard]] replay_result run(const trace::program& program, const replay_setup& setup,
                                  std::size_t sample_count = 0, const replay_progress& progress = {});

  /// Finds the smallest memory to a thousandth of the peak. Other setups may lie below that fail: with plain segments
  /// more memory is not always better.
  [[nodiscard]] std::size_t find_smallest(const trace::program& program, replay_setup setup,
                                          const replay_progress& progress = {});

 private:
  soft_device* soft_ = nullptr;
  std::shared_ptr<const detail::driver> api_;
  int device_ = 0;
};

}  // namespace terrazzo::tools
