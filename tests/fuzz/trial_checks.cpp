// What holds after each operation, and how it is told that it does not.
#include <algorithm>
#include <bit>
#include <cstdio>
#include <cstdlib>

#include "base/bits.hpp"
#include "trial.hpp"

namespace fuzz {

using terrazzo::statistics;
using terrazzo::status;
using terrazzo::detail::mib;
using terrazzo::detail::round_up;

namespace {
constexpr std::size_t chunk_bytes = 2 * mib;
}

bool trial::is_live(const void* address) const {
  return std::any_of(live_.begin(), live_.end(), [&](const live_block& one) { return one.address == address; });
}

// The most memory that a request may need, in whole chunks: what is small needs a slab.
std::size_t trial::chunk_bytes_of(std::size_t bytes, std::size_t alignment) const {
  const auto& divisions = allocator_->settings().roundup_power2_divisions;
  const bool rounds = std::any_of(divisions.begin(), divisions.end(), [](std::size_t each) { return each > 1; });
  const std::size_t rounded = rounds ? std::bit_ceil(bytes) : round_up(bytes, 512);
  return round_up(rounded + (alignment > 512 ? alignment : 0), chunk_bytes);
}

// Tells whether a request must be served, since whole chunks are free, or can be had, for all of it. Segments of the plain
// kind promise this only while none has a live block; what blocks of the other kind keep is known.
bool trial::is_owed(std::size_t bytes, std::size_t alignment) const {
  if (is_lossy_) return false;
  std::size_t kept_bytes = 0;
  for (const live_block& one : live_) {
    if (!one.most_bytes) return false;
    kept_bytes += *one.most_bytes;
  }
  const std::size_t others = std::min(total_bytes_, other_bytes_ + headroom_bytes_);
  return kept_bytes + chunk_bytes_of(bytes, alignment) <= std::min(limit_bytes_, total_bytes_ - others);
}

void trial::check_growth() {
  const std::size_t reserved = reserved_bytes();
  if (reserved <= reserved_before_) return;
  if (reserved > limit_bytes_) report(fmt::format("{} bytes are held, beyond the limit {}", reserved, limit_bytes_));
  if (const std::uint64_t free = terrazzo_softgpu_count("free_bytes", 0); free < headroom_bytes_)
    report(fmt::format("{} bytes are free, less than the headroom {}", free, headroom_bytes_));
}

void trial::check() {
  blocks_->check();
  if (!blocks_->problem().empty()) report(blocks_->problem());
  if (allocator_->validate() != status::ok) report(terrazzo::last_error_message());
  check_counters();
}

void trial::check_counters() {
  const statistics now = allocator_->stats();
  const auto expect = [&](const char* what, std::uint64_t told, std::uint64_t known) {
    if (told != known) report(fmt::format("{}: {} are told, but {} are known", what, told, known));
  };
  expect("requested_bytes", now.requested_bytes.current, requested_bytes_);
  expect("allocations", now.allocations.current, live_.size());
  expect("allocation_count", now.allocation_count, allocation_count_);
  expect("deallocation_count", now.deallocation_count, deallocation_count_);
  expect("invalid_free_count", now.invalid_free_count, invalid_free_count_);
  expect("out_of_memory_count", now.out_of_memory_count, out_of_memory_count_);
  expect("limit_bytes", now.limit_bytes, limit_bytes_);
  if (!is_lossy_) expect("reserved_bytes", now.reserved_bytes.current, terrazzo_softgpu_count("used_bytes", 0));
  const terrazzo::counter* const growing[] = {&now.requested_bytes, &now.allocated_bytes, &now.active_bytes,
                                              &now.reserved_bytes};
  for (std::size_t i = 0; i + 1 < std::size(growing); ++i)
    if (growing[i]->current > growing[i + 1]->current)
      report("requested <= allocated <= active <= reserved does not hold");
  for (const terrazzo::counter* each : {growing[0], growing[1], growing[2], growing[3], &now.allocations})
    if (each->peak < each->current && !is_lossy_) report("a peak is less than what is there now");
}

void trial::report(std::string_view reason) {
  print(reason);
  std::abort();
}

void trial::print(std::string_view reason) const {
  std::string code = code_;
  if (!step_.empty()) code += "  " + step_ + ";\n";
  if (allocator_ != nullptr) code += "  REQUIRE(on.is_valid());\n";
  // A block that is not named again would be a variable that is not used.
  for (unsigned number = 0; number <= added_; ++number) {
    const std::string declared = fmt::format("  void* const b{} = ", number);
    const std::size_t at = code.find(declared);
    if (at == std::string::npos || code.find(fmt::format("(b{})", number)) != std::string::npos) continue;
    code.insert(code.find(";\n", at), " != nullptr)");
    code.replace(at, declared.size(), "  CHECK(");
  }
  std::fprintf(stderr,
               "\nTEST_CASE(\"...\") {  // tests/allocator, with streams_fixture.hpp\n%s}\n"
               "// %.*s\n\n",
               code.c_str(), static_cast<int>(reason.size()), reason.data());
}

void trial::echo(std::size_t from) const { std::fputs(code_.c_str() + from, stderr); }

}  // namespace fuzz
