#include "trace/program.hpp"

#include <fmt/format.h>

#include <algorithm>
#include <limits>

namespace terrazzo::trace {

namespace {

constexpr std::uint64_t largest = std::numeric_limits<std::uint64_t>::max();
constexpr std::uint64_t rounding = 512;
__extension__ using wide_sum = unsigned __int128;  // 2^32 sizes of up to 2^64 bytes fit

}  // namespace

std::uint64_t rounded_bytes(std::uint64_t requested_bytes) noexcept {
  return requested_bytes > largest - rounding ? largest : (requested_bytes + rounding - 1) / rounding * rounding;
}

live_peak peak_of(const program& of) {
  std::vector<std::uint64_t> block_bytes(of.block_count);
  wide_sum live = 0;
  wide_sum most = 0;
  live_peak peak;
  for (std::size_t i = 0; i < of.operations.size(); ++i) {
    const operation& each = of.operations[i];
    if (each.kind == operation_kind::free) {
      live -= block_bytes[each.block];
      continue;
    }
    live += block_bytes[each.block] = rounded_bytes(each.bytes);
    if (live > most) most = live, peak.operation = i;
  }
  peak.bytes = most > largest ? largest : static_cast<std::uint64_t>(most);
  return peak;
}

std::string find_problem(const program& in) {
  std::vector<bool> is_live;
  std::uint32_t streams = 0;
  std::size_t index = 0;
  const auto problem = [&](const char* invariant) { return fmt::format("{} at operation {}", invariant, index); };
  for (; index < in.operations.size(); ++index) {
    const operation& each = in.operations[index];
    if (each.stream > streams) return problem("stream order");
    if (each.stream == streams) ++streams;
    if (each.kind == operation_kind::allocate) {
      if (each.block != is_live.size()) return problem("block order");
      is_live.push_back(true);
    } else {
      if (each.block >= is_live.size() || !is_live[each.block]) return problem("one life");
      if (each.bytes != 0) return problem("free bytes");
      is_live[each.block] = false;
    }
  }
  if (in.stream_count != streams) return problem("stream order: stream_count");
  if (in.block_count != is_live.size() || in.early_block_count > in.block_count)
    return problem("block order: block_count");
  return {};
}

}  // namespace terrazzo::trace
