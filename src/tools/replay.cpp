#include "tools/replay.hpp"

#include <fmt/format.h>

#include <algorithm>
#include <chrono>
#include <cmath>
#include <deque>

#include "allocator/device_allocator.hpp"
#include "base/bits.hpp"
#include "driver/functions.hpp"
#include "tools/command.hpp"

namespace terrazzo::tools {
namespace {

using clock = std::chrono::steady_clock;
using trace::operation;
using trace::operation_kind;

void count_done(void* counter) { ++*static_cast<std::uint64_t*>(counter); }

/// The streams of a program.
class replay_streams {
 public:
  replay_streams(soft_device* soft, const detail::primary_context& context, std::size_t count,
                 const replay_setup& setup)
      : soft_(soft), setup_(setup), context_(context), current_(context) {
    handles_.push_back(nullptr);
    work_.resize(count);
    const detail::driver& api = context.api();
    for (std::size_t i = 1; i < count; ++i) {
      CUstream made = nullptr;
      const CUresult code = api.call(api.functions().cuStreamCreate, &made, unsigned{CU_STREAM_NON_BLOCKING});
      if (code != CUDA_SUCCESS) throw_on_failure(api.fail_call("cuStreamCreate", code, "making the program's streams"));
      handles_.push_back(made);
    }
  }

  ~replay_streams() {
    if (is_asynchronous()) {  // what still waits counts in `work_`
      for (const CUstream each : handles_) soft_->terrazzo_softgpu_complete(each, UINT64_MAX);
    }
    const detail::driver& api = context_.api();
    for (std::size_t i = 1; i < handles_.size(); ++i) api.call_twice(api.functions().cuStreamDestroy_v2, handles_[i]);
  }
  replay_streams(const replay_streams&) = delete;
  replay_streams& operator=(const replay_streams&) = delete;

  [[nodiscard]] CUstream operator[](std::size_t i) const noexcept { return handles_[i]; }

  /// The work that uses a block which is freed now.
  void use(std::uint32_t stream, std::uint64_t now) {
    if (!is_asynchronous()) return;
    soft_->terrazzo_softgpu_enqueue(handles_[stream], count_done, &work_[stream].done, 0);
    ++work_[stream].enqueued;
    if (setup_.completion == completion_kind::delayed) pending_.push_back({now + setup_.delay, stream});
  }
  void finish_until(std::uint64_t now) {
    for (; !pending_.empty() && pending_.front().due <= now; pending_.pop_front()) {
      const std::uint32_t stream = pending_.front().stream;
      stream_work& work = work_[stream];
      // Between the program's pieces of work lie events, which take no time.
      const std::uint64_t target = ++work.due;
      while (work.done < target && soft_->terrazzo_softgpu_complete(handles_[stream], 1) != 0) {
      }
      if (work.done == work.enqueued) soft_->terrazzo_softgpu_complete(handles_[stream], UINT64_MAX);
    }
  }

 private:
  [[nodiscard]] bool is_asynchronous() const noexcept {
    return soft_ != nullptr && setup_.completion != completion_kind::at_free;
  }
  struct pending_use {
    std::uint64_t due;
    std::uint32_t stream;
  };
  struct stream_work {
    std::uint64_t enqueued = 0;
    std::uint64_t due = 0;
    std::uint64_t done = 0;
  };

  soft_device* soft_;
  const replay_setup setup_;
  const detail::primary_context& context_;
  const detail::context_scope current_;  // for the program's own work, as a program has it
  std::vector<CUstream> handles_;
  std::vector<stream_work> work_;  // the software GPU has its addresses
  std::deque<pending_use> pending_;
};

void count_calls(const soft_device& soft, replay_result& result) {
#define TERRAZZO_COUNT_CALLS(name, since, use)                                      \
  if (const std::uint64_t calls = soft.terrazzo_softgpu_calls(#name); calls != 0) { \
    const std::string_view full = #name;                                            \
    const std::size_t version = full.rfind("_v");                                   \
    result.driver_calls[std::string(full.substr(0, version))] += calls;             \
  }
  TERRAZZO_DRIVER_FUNCTIONS(TERRAZZO_COUNT_CALLS)
#undef TERRAZZO_COUNT_CALLS
}

std::vector<map_piece> draw_map(const detail::device_allocator& memory) {
  using content = map_piece::content;
  std::vector<map_piece> map;
  memory.visit_blocks([&](const detail::block& one) {
    if (one.in_state(detail::block_state::shadow)) return;
    const content what = one.in_state(detail::block_state::allocated)  ? content::live
                         : one.in_state(detail::block_state::cut_up)   ? content::small_blocks
                         : one.in_state(detail::block_state::unmapped) ? content::unmapped
                                                                       : content::free;
    if (!map.empty() && map.back().what == what && what != content::live &&
        map.back().address + map.back().bytes == one.begin())
      map.back().bytes += one.bytes;
    else map.push_back({one.begin(), one.bytes, what});
  });
  return map;
}

}  // namespace

replay_result replayer::run(const trace::program& program, const replay_setup& setup, std::size_t sample_count,
                            const replay_progress& progress) {
  std::shared_ptr<const detail::driver> api = api_;
  config settings = setup.settings;
  if (soft_ != nullptr) {
    api = soft_->configure(fmt::format("memory={};backed=0;completion={}", setup.memory_bytes,
                                       setup.completion == completion_kind::at_free ? "immediate" : "manual"));
  } else if (setup.memory_bytes != 0) {
    settings.limit_bytes = std::min(settings.limit_bytes, setup.memory_bytes);
  }
  std::unique_ptr<detail::device_allocator> memory;
  throw_on_failure(detail::device_allocator::open(api, device_, settings, memory));
  replay_streams streams(soft_, memory->context(), std::max<std::size_t>(program.stream_count, 1), setup);
  const std::uint64_t calls_before = api->call_count();
  const double priced_before = soft_ != nullptr ? soft_->terrazzo_softgpu_priced_ns() : 0;
  if (soft_ != nullptr) soft_->terrazzo_softgpu_reset_counts();

  replay_result result;
  std::vector<void*> blocks(program.block_count);
  std::vector<std::size_t> bytes(program.block_count);
  std::size_t live = 0;
  const std::uint64_t total = program.operations.size();
  const std::uint64_t peak_at = trace::peak_of(program).operation;
  const std::uint64_t between = std::max<std::uint64_t>(1, total / std::max<std::size_t>(sample_count, 200));
  std::chrono::nanoseconds spent{0};
  const auto take_sample = [&](std::uint64_t at) {
    const statistics now = memory->stats();
    if (at == peak_at + 1) result.reserved_at_peak_bytes = now.reserved_bytes.current;
    if (sample_count != 0) result.samples.push_back({at, live, now.reserved_bytes.current, now.largest_free_bytes});
  };

  result.completed = true;
  for (std::uint64_t at = 0; at < total && result.completed;) {
    std::uint64_t end = std::min(total, at + between);
    if (at <= peak_at && peak_at < end) end = peak_at + 1;
    const auto begun = clock::now();
    for (; at < end; ++at) {
      const operation& one = program.operations[at];
      streams.finish_until(at);
      if (one.kind == operation_kind::free) {
        streams.use(one.stream, at);
        throw_on_failure(memory->deallocate(blocks[one.block]));
        live -= bytes[one.block];
        continue;
      }
      const status allocated = memory->allocate(one.bytes, streams[one.stream], 512, blocks[one.block]);
      if (allocated == status::ok) {
        live += bytes[one.block] = trace::rounded_bytes(one.bytes);
        continue;
      }
      if (allocated != status::out_of_memory) throw_on_failure(allocated);
      result.completed = false;
      result.failed_operation = at;
      result.problem = last_error_message();
      break;
    }
    spent += clock::now() - begun;
    if (sample_count != 0 || end == peak_at + 1) take_sample(at);
    if (sample_count != 0 && (at == peak_at + 1 || !result.completed)) result.map = draw_map(*memory);
    if (progress) progress(static_cast<double>(at) / static_cast<double>(total));
  }

  const statistics after = memory->stats();
  result.reserved_peak_bytes = after.reserved_bytes.peak;
  result.retry_count = after.retry_count;
  result.ns_per_event = total == 0 ? 0 : static_cast<double>(spent.count()) / static_cast<double>(total);
  if (soft_ == nullptr) {
    result.driver_calls["all"] = api->call_count() - calls_before;
    return result;
  }
  count_calls(*soft_, result);
  result.priced_ms = (soft_->terrazzo_softgpu_priced_ns() - priced_before) / 1e6;
  // Each chunk is mapped once when it is made; whatever is mapped beyond that has moved.
  const std::uint64_t maps = result.driver_calls["cuMemMap"];
  const std::uint64_t creates = result.driver_calls["cuMemCreate"];
  result.moved_bytes = (maps - std::min(maps, creates)) * memory->memory().chunk_bytes();
  std::erase_if(result.driver_calls, [](const auto& each) { return each.second == 0; });
  return result;
}

std::size_t replayer::find_smallest(const trace::program& program, replay_setup setup,
                                    const replay_progress& progress) {
  const std::uint64_t peak = trace::peak_of(program).bytes;
  constexpr std::size_t unit = std::size_t{64} << 10;
  const std::size_t tolerance = std::max<std::size_t>(unit, peak / 2000);
  const auto completes = [&](std::size_t bytes) {
    setup.memory_bytes = detail::round_up(bytes, unit);
    return run(program, setup).completed;
  };
  std::size_t low = peak;
  std::size_t high = std::max<std::size_t>(peak, unit);
  // From the peak upwards in growing steps, so that the first memory that suffices is found, not a later one.
  for (std::size_t step = tolerance; !completes(high); step *= 2) {
    if (progress) progress(std::min(0.5, static_cast<double>(high - peak) / static_cast<double>(peak + 1)));
    if (high > std::size_t{1} << 46)
      throw error(status::out_of_memory, "terrazzo: no memory is enough for the program");
    low = high;
    high += step;
  }
  const double span = static_cast<double>(std::max<std::size_t>(high - low, 1));
  while (high - low > tolerance) {
    const std::size_t middle = low + (high - low) / 2;
    (completes(middle) ? high : low) = middle;
    if (progress) progress(1 - 0.5 * static_cast<double>(high - low) / span);
  }
  return detail::round_up(high, unit);
}

}  // namespace terrazzo::tools
