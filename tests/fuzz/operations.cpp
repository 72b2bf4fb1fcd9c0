#include "operations.hpp"

#include <cuda.h>

#include <string_view>

#include "base/bits.hpp"
#include "trial.hpp"

namespace fuzz {
namespace {

using terrazzo::detail::kib;
using terrazzo::detail::mib;

// From 512 bytes to 16 MiB, each down to half of it: the first argument says which power of two, the second how much less.
// One class more has the sizes from 0 to 255.
std::size_t size_of(const arguments& given) {
  const std::size_t size_class = given[0] % 17;
  if (size_class == 16) return given[1];
  const std::size_t most = std::size_t{512} << size_class;
  return most - given[1] * (most / 512);
}

// Two that are not allowed, and the powers of two from 256 bytes to 4 MiB, of which the last is not either.
std::size_t alignment_of(std::size_t given) {
  const std::size_t which = given % 17;
  if (which == 15) return 0;
  if (which == 16) return 3 * kib;
  return std::size_t{256} << which;
}

constexpr std::size_t stream_count = terrazzo::test::program_blocks::stream_count;

constexpr operation_kind kinds[] = {
    // size, size, stream
    {'a', 3, 30, [](trial& on, const arguments& given) { on.allocate(size_of(given), given[2] % stream_count, 512); }},
    // size, size, stream, alignment
    {'A', 4, 6,
     [](trial& on, const arguments& given) {
       on.allocate(size_of(given), given[2] % stream_count, alignment_of(given[3]));
     }},
    // which block: used just before, and not
    {'f', 1, 20, [](trial& on, const arguments& given) { on.deallocate(given[0], true); }},
    {'F', 1, 8, [](trial& on, const arguments& given) { on.deallocate(given[0], false); }},
    // which block, size, size
    {'e', 3, 4,
     [](trial& on, const arguments& given) {
       on.extend(given[0], size_of({given[1], given[2]}));
     }},
    {'u', 1, 3, [](trial& on, const arguments& given) { on.use(given[0]); }},
    // which of the blocks freed last
    {'d', 1, 2, [](trial& on, const arguments& given) { on.deallocate_again(given[0]); }},
    // which block, which place in it
    {'x', 2, 1, [](trial& on, const arguments& given) { on.deallocate_foreign(given[0], given[1]); }},
    // stream, how many pieces of work (0: all)
    {'c', 2, 8, [](trial& on, const arguments& given) { on.complete(given[0] % stream_count, given[1] % 8); }},
    // MiB
    {'t', 1, 3, [](trial& on, const arguments& given) { on.trim(given[0] % 64 * mib); }},
    {'l', 1, 2, [](trial& on, const arguments& given) { on.set_limit(given[0] % 72 * mib); }},
    {'h', 1, 2, [](trial& on, const arguments& given) { on.set_headroom(given[0] % 36 * mib); }},
    {'o', 1, 3, [](trial& on, const arguments& given) { on.set_other_memory(given[0] % 72 * mib); }},
    // which setup's settings
    {'s', 1, 2, [](trial& on, const arguments& given) { on.set_settings(given[0]); }},
    // which driver call from now on, with what result; how often
    {'k', 3, 5,
     [](trial& on, const arguments& given) {
       on.fail_calls(1 + given[0] % 24, given[1] % 2 == 0 ? CUDA_ERROR_UNKNOWN : CUDA_ERROR_OUT_OF_MEMORY,
                     given[2] % 8 < 6 ? 1 : given[2] % 8 - 4);
     }},
    {'p', 0, 1, [](trial& on, const arguments&) { on.reset_peaks(); }},
};

// By byte; null for what stands between operations.
using kind_by_byte = std::array<const operation_kind*, 256>;

kind_by_byte make_table() {
  std::vector<const operation_kind*> shares;
  for (const operation_kind& each : kinds) shares.insert(shares.end(), each.share, &each);
  kind_by_byte table;
  for (std::size_t byte = 0; byte < table.size(); ++byte) table[byte] = shares[byte % shares.size()];
  for (const char blank : {' ', '\n'}) table[static_cast<std::uint8_t>(blank)] = nullptr;
  for (const operation_kind& each : kinds) table[static_cast<std::uint8_t>(each.letter)] = &each;
  return table;
}

std::size_t value_of(std::uint8_t byte) {
  if (byte >= '0' && byte <= '9') return byte - std::size_t{'0'};
  if (byte >= 'a' && byte <= 'z') return byte - std::size_t{'a'} + 10;
  return byte;
}

}  // namespace

operation_list read_operations(std::span<const std::uint8_t> bytes) {
  static const kind_by_byte table = make_table();
  std::size_t at = 0;
  const auto next = [&] { return at < bytes.size() ? value_of(bytes[at++]) : 0; };
  operation_list made;
  made.setup = next();
  made.closes_early = next() % 2 != 0;
  while (at < bytes.size()) {
    const operation_kind* kind = table[bytes[at++]];
    if (kind == nullptr) continue;
    operation one{kind, {}};
    for (std::size_t i = 0; i < kind->argument_count; ++i) one.given[i] = next();
    made.operations.push_back(one);
  }
  return made;
}

}  // namespace fuzz
