#include "trial.hpp"

#include <algorithm>
#include <bit>

#include "base/bits.hpp"
#include "terrazzo/config.hpp"
#include "terrazzo/softgpu.h"

namespace fuzz {

using terrazzo::config;
using terrazzo::segment_kind;
using terrazzo::status;
using terrazzo::detail::device_allocator;
using terrazzo::detail::driver;
using terrazzo::detail::driver_functions;
using terrazzo::detail::mib;

namespace {

constexpr setup setups[] = {
    {"memory=36MiB", "expandable_segments:True"},
    {"memory=36MiB", "expandable_segments:False"},
    {"memory=64MiB", "expandable_segments:False,max_split_size_mb:20,garbage_collection_threshold:0.6,limit_mb:56"},
    {"memory=36MiB", "expandable_segments:False,large_segment_size_mb:12,roundup_power2_divisions:4"},
    {"memory=36MiB", "expandable_segments:True,roundup_power2_divisions:8"},
    {"memory=64MiB", "expandable_segments:True,headroom_mb:6"},
    {"memory=64MiB", "expandable_segments:True,per_process_memory_fraction:0.4"},
    {"memory=36MiB;vmm=0", ""},
};

constexpr std::size_t chunk_bytes = 2 * mib;
constexpr std::size_t most_freed = 16;  // blocks that are remembered to be freed again

const std::vector<config>& settings_of_setups() {
  static const std::vector<config> all = [] {
    std::vector<config> made;
    for (const setup& each : setups) made.push_back(terrazzo::parse_config(each.conf));
    return made;
  }();
  return all;
}

// The same driver each time, since it stays what it is; only the devices are new, and to be initialised.
std::shared_ptr<const driver> driver_of_new_devices(const std::string& spec) {
  static std::shared_ptr<const driver> api;
  bool made = terrazzo_softgpu_configure(spec.c_str()) == 0;
  if (api == nullptr)
    made = made && driver::load_from(terrazzo_softgpu_symbol, "the software GPU in process", true, api) == status::ok;
  else made = made && api->functions().cuInit(0) == CUDA_SUCCESS;
  return made ? api : nullptr;
}

}  // namespace

trial::trial(std::size_t which, bool echoes) : setup_(setups[which % std::size(setups)]), echoes_(echoes) {
  driver_ = driver_of_new_devices(std::string(setup_.spec) + ";completion=manual");
  say("session_on_streams on(\"{}\", \"{}\");", setup_.spec, setup_.conf);
  // Held, so that what is left in it does not go with it before it is counted.
  if (driver_ == nullptr || driver_->functions().cuDevicePrimaryCtxRetain(&context_, 0) != CUDA_SUCCESS ||
      driver_->functions().cuCtxPushCurrent_v2(context_) != CUDA_SUCCESS)
    report(terrazzo_softgpu_message());
  blocks_ = std::make_unique<terrazzo::test::program_blocks>();
  const config& settings = settings_of_setups()[which % std::size(setups)];
  if (device_allocator::open(driver_, 0, settings, allocator_) != status::ok) report(terrazzo::last_error_message());
  total_bytes_ = terrazzo_softgpu_count("free_bytes", 0);
  take_settings_from(which);
  check();
}

trial::~trial() = default;

void trial::allocate(std::size_t bytes, std::size_t stream, std::size_t alignment) {
  if (alignment == 512) begin("on.allocate({}, {})", bytes, stream);
  else begin("on.allocate({}, {}, {})", bytes, stream, alignment);
  const bool owed = is_owed(bytes, alignment);
  void* block = this;  // a failure must say so here too
  const status outcome = allocator_->allocate(bytes, blocks_->stream(stream), alignment, block);
  const std::string call = step_;
  if (block == nullptr) say("CHECK({} == nullptr);", call);
  else say("void* const b{} = {};", added_, call);

  if ((block != nullptr) != (outcome == status::ok && bytes != 0))
    report(fmt::format("{} with the status {}", block != nullptr ? "a block" : "no block", to_string(outcome)));
  const bool allowed = std::has_single_bit(alignment) && alignment <= 2 * mib;
  if (bytes == 0 ? outcome != status::ok : allowed == (outcome == status::invalid_argument))
    report(fmt::format("the status {} for this alignment", to_string(outcome)));
  if (outcome == status::out_of_memory) {
    if (!was_disturbed()) ++out_of_memory_count_;
    else out_of_memory_count_ = allocator_->stats().out_of_memory_count;
    if (owed && !was_disturbed()) report(fmt::format("refused, but owed: {}", terrazzo::last_error_message()));
  } else if (outcome != status::ok && outcome != status::invalid_argument) {
    if (outcome != status::driver_error || !(was_disturbed() || is_lossy_))
      report(fmt::format("{}: {}", to_string(outcome), terrazzo::last_error_message()));
  }
  check_growth();
  if (block == nullptr) return;
  if (reinterpret_cast<std::uintptr_t>(block) % std::max<std::size_t>(alignment, 512) != 0)
    report(fmt::format("{} is not aligned", block));
  blocks_->add(block, bytes, stream);
  std::optional<std::size_t> most_bytes;
  if (allocator_->kind() == segment_kind::expandable) most_bytes = chunk_bytes_of(bytes, alignment) + chunk_bytes;
  live_.push_back({block, bytes, added_++, most_bytes});
  requested_bytes_ += bytes;
  ++allocation_count_;
}

void trial::free_block(std::size_t index, bool uses) {
  const live_block one = live_[index];
  if (uses) {
    blocks_->use(one.address);
    say("on.use(b{});", one.number);
  }
  blocks_->remove(one.address);
  begin("on.deallocate(b{})", one.number);
  const status outcome = allocator_->deallocate(one.address);
  say("CHECK(on.deallocate(b{}) == status::ok);", one.number);
  if (outcome != status::ok) report(fmt::format("{}: {}", to_string(outcome), terrazzo::last_error_message()));
  live_.erase(live_.begin() + static_cast<std::ptrdiff_t>(index));
  if (freed_.size() == most_freed) freed_.erase(freed_.begin());
  freed_.push_back({one.address, one.number});
  requested_bytes_ -= one.bytes;
  ++deallocation_count_;
}

void trial::deallocate(std::size_t which, bool uses) {
  if (!live_.empty()) free_block(which % live_.size(), uses);
}

void trial::extend(std::size_t which, std::size_t bytes) {
  if (live_.empty()) return;
  live_block& one = live_[which % live_.size()];
  begin("on.extend(b{}, {})", one.number, bytes);
  const status outcome = allocator_->extend(one.address, bytes);
  const std::string call = step_;
  say("CHECK({} {} status::ok);", call, outcome == status::ok ? "==" : "!=");
  if ((outcome == status::invalid_argument) != (bytes == 0))
    report(fmt::format("the status {} for these bytes", to_string(outcome)));
  if (outcome != status::ok && outcome != status::out_of_memory && outcome != status::invalid_argument &&
      (outcome != status::driver_error || !(was_disturbed() || is_lossy_)))
    report(fmt::format("{}: {}", to_string(outcome), terrazzo::last_error_message()));
  check_growth();
  if (outcome != status::ok) return;
  blocks_->resize(one.address, bytes);
  requested_bytes_ += bytes - one.bytes;
  one.bytes = bytes;
  if (one.most_bytes) one.most_bytes = std::max(*one.most_bytes, chunk_bytes_of(bytes, 512) + chunk_bytes);
}

void trial::use(std::size_t which) {
  if (live_.empty()) return;
  const live_block& one = live_[which % live_.size()];
  blocks_->use(one.address);
  say("on.use(b{});", one.number);
}

void trial::deallocate_again(std::size_t which) {
  if (freed_.empty()) return;
  const freed_block& one = freed_[freed_.size() - 1 - which % freed_.size()];
  if (is_live(one.address)) return;  // another block by now
  begin("on.deallocate(b{})", one.number);
  refuse_to_free(one.address);
}

void trial::deallocate_foreign(std::size_t which, std::size_t place) {
  if (live_.empty()) {
    begin("on.deallocate(&on)");
    return refuse_to_free(this);
  }
  const live_block& one = live_[which % live_.size()];
  const std::size_t offsets[] = {1, 8, 512, 64 << 10, chunk_bytes, one.bytes / 2, one.bytes, one.bytes + 512};
  const std::size_t offset = offsets[place % std::size(offsets)];
  char* const address = static_cast<char*>(one.address) + offset;
  if (is_live(address)) return;
  begin("on.deallocate(static_cast<char*>(b{}) + {})", one.number, offset);
  refuse_to_free(address);
}

void trial::refuse_to_free(void* address) {
  const status outcome = allocator_->deallocate(address);
  const std::string call = step_;
  say("CHECK({} != status::ok);", call);
  if (outcome != status::double_free && outcome != status::foreign_pointer)
    report(fmt::format("{} where no block is", to_string(outcome)));
  ++invalid_free_count_;
}

void trial::complete(std::size_t stream, std::size_t count) {
  blocks_->complete(stream, count == 0 ? SIZE_MAX : count);
  if (count == 0) say("on.complete({});", stream);
  else say("on.complete({}, {});", stream, count);
}

void trial::trim(std::size_t keep_bytes) {
  begin("on.trim({})", keep_bytes);
  std::size_t given_back = 0;
  const status outcome = allocator_->trim(keep_bytes, given_back);
  const std::size_t left = reserved_bytes();
  if (outcome == status::ok) say("CHECK(on.trim({}) == status::ok);", keep_bytes);
  else say("CHECK(on.trim({}) != status::ok);", keep_bytes);
  if (outcome != status::ok && !was_disturbed() && !is_lossy_)
    report(fmt::format("{}: {}", to_string(outcome), terrazzo::last_error_message()));
  if (left + given_back != reserved_before_)
    report(fmt::format("{} bytes given back, of {} there are {} left", given_back, reserved_before_, left));
  if (outcome == status::ok && !was_disturbed() && !is_lossy_ && live_.empty() && left > keep_bytes)
    report(fmt::format("{} bytes are kept for nobody", left));
}

void trial::set_limit(std::size_t bytes) {
  const auto share =
      static_cast<std::size_t>(allocator_->settings().per_process_memory_fraction * static_cast<double>(total_bytes_));
  limit_bytes_ = std::min(bytes, share);
  allocator_->set_limit(bytes);
  say("on.allocator->set_limit({});", bytes);
}

void trial::set_headroom(std::size_t bytes) {
  headroom_bytes_ = bytes;
  allocator_->set_headroom(bytes);
  say("on.allocator->set_headroom({});", bytes);
}

void trial::set_other_memory(std::size_t bytes) {
  other_bytes_ = bytes;
  if (terrazzo_softgpu_set_other_memory(0, bytes) != 0) report(terrazzo_softgpu_message());
  say("terrazzo_softgpu_set_other_memory(0, {});", bytes);
}

void trial::take_settings_from(std::size_t which) {
  const config& settings = settings_of_setups()[which % std::size(setups)];
  const auto share = static_cast<std::size_t>(settings.per_process_memory_fraction * static_cast<double>(total_bytes_));
  limit_bytes_ = std::min(settings.limit_bytes, share);
  headroom_bytes_ = settings.headroom_bytes;
}

void trial::set_settings(std::size_t which) {
  begin("on.change(\"{}\")", setups[which % std::size(setups)].conf);
  const status outcome = allocator_->set_settings(settings_of_setups()[which % std::size(setups)]);
  const std::string call = step_;
  say("CHECK({} == status::ok);", call);
  if (outcome != status::ok) report(fmt::format("{}: {}", to_string(outcome), terrazzo::last_error_message()));
  take_settings_from(which);
}

void trial::fail_calls(std::size_t k, CUresult result, std::size_t times) {
  const char* const name = result == CUDA_ERROR_OUT_OF_MEMORY ? "CUDA_ERROR_OUT_OF_MEMORY" : "CUDA_ERROR_UNKNOWN";
  terrazzo_softgpu_fail(nullptr, k, static_cast<int>(result), times);
  if (times == 1) say("on.gpu.fail(nullptr, {}, {});", k, name);
  else say("terrazzo_softgpu_fail(nullptr, {}, {}, {});", k, name, times);
  is_lossy_ = is_lossy_ || times > 1;
}

void trial::reset_peaks() {
  allocator_->reset_peaks();
  say("on.allocator->reset_peaks();");
  const terrazzo::statistics now = allocator_->stats();
  for (const terrazzo::counter* each :
       {&now.requested_bytes, &now.allocated_bytes, &now.active_bytes, &now.reserved_bytes, &now.allocations})
    if (each->peak != each->current)
      report(fmt::format("a peak of {} beside {} after a reset", each->peak, each->current));
}

void trial::finish(bool closes_early) {
  if (closes_early) {
    // No stream may still use a block. A call that is still to fail may do so meanwhile.
    terrazzo_softgpu_complete_all();
    say("terrazzo_softgpu_complete_all();");
    check();
    return close();
  }
  terrazzo_softgpu_fail(nullptr, 0, 0, 0);
  say("terrazzo_softgpu_fail(nullptr, 0, 0, 0);");
  while (!live_.empty()) {
    free_block(live_.size() - 1, false);
    check();
  }
  trim(0);
  check();
  close();
}

void trial::close() {
  begin("on.allocator.reset()");
  allocator_.reset();
  say("on.allocator.reset();");
  terrazzo_softgpu_fail(nullptr, 0, 0, 0);
  blocks_.reset();
  const driver_functions& cuda = driver_->functions();
  CUcontext current = nullptr;
  cuda.cuCtxPopCurrent_v2(&current);
  CUstreamCaptureMode mode = CU_STREAM_CAPTURE_MODE_GLOBAL;
  cuda.cuThreadExchangeStreamCaptureMode(&mode);
  if (is_lossy_) return;
  if (mode != CU_STREAM_CAPTURE_MODE_GLOBAL) report("the thread's stream-capture mode has changed");
  for (const char* what :
       {"chunks", "mappings", "reservations", "allocations", "host_allocations", "events", "streams"})
    if (const std::uint64_t left = terrazzo_softgpu_count(what, -1); left != 0)
      report(fmt::format("{} {} are left behind", left, what));
  if (current != context_ || cuda.cuCtxGetCurrent(&current) != CUDA_SUCCESS || current != nullptr)
    report("other contexts than before are current");
  if (cuda.cuDevicePrimaryCtxRelease_v2(0) != CUDA_SUCCESS || terrazzo_softgpu_count("contexts", -1) != 0)
    report("a context is left behind");
}

}  // namespace fuzz
