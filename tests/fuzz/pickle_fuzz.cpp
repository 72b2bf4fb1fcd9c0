// Feeds bytes to the reader of recorded programs: pickles above all, since they are machines that run; by their first
// bytes also logs, traces of our own, and packed files.
//
// Checked, besides what the sanitizers see:
//   outcome     programs whose invariants hold, or a `trace_error` with a file and a reason
//   pieces      the size of the pieces in which a file is read changes nothing
//   round trip  a program that is written as a trace of our own is read back as it was
//   memory      reading allocates at most `fixed_bytes` + `bytes_per_byte` x the bytes read, unpacked, at any time
#include <algorithm>
#include <cstdint>
#include <cstdio>
#include <cstdlib>
#include <span>
#include <sstream>
#include <string>
#include <utility>
#include <vector>

#include "counted_memory.hpp"
#include "trace/load.hpp"
#include "trace/text.hpp"

namespace {

using namespace terrazzo::trace;

// The fixed part is for the pieces, and an error's sentences. A value that waits on the stack is one byte of a file and
// 16 of memory, three times that while the stack doubles. An open dictionary, of which there are at most 100, has 300
// bytes, and a device with one event has a kilobyte, for 14 bytes of a file and more. With growing size, the most is 16
// bytes a byte, of blocks that were live all the time; small files, such as here, may take more.
constexpr std::int64_t fixed_bytes = 24 << 10;
constexpr std::int64_t bytes_per_byte = 128;
constexpr std::int64_t packed_bytes = input::default_piece_bytes;  // as the packed file is read

[[noreturn]] void report(const char* what, const std::string& detail) {
  static_cast<void>(fuzz::stop_counting());
  std::fprintf(stderr, "pickle_fuzz: %s: %s\n", what, detail.c_str());
  std::abort();
}

struct outcome {
  std::vector<program> programs;
  std::string error;
  std::uint64_t bytes = 0;  // read, unpacked
  bool is_packed = false;
};

outcome read(const std::string& name, std::span<const unsigned char> bytes, std::size_t piece_bytes) {
  outcome made;
  try {
    input from = input::from_memory(name, bytes, piece_bytes);
    made.is_packed = from.is_packed();
    try {
      made.programs = read_programs(from);
    } catch (const trace_error&) {
      made.bytes = from.offset();
      throw;
    }
    made.bytes = from.offset();
  } catch (const trace_error& error) {
    made.error = error.what();
    if (error.file() != name || error.reason().empty()) report("an odd error", made.error);
  }
  return made;
}

bool are_same(const std::vector<program>& a, const std::vector<program>& b) {
  return std::equal(a.begin(), a.end(), b.begin(), b.end(), [](const program& one, const program& other) {
    return one.operations == other.operations && one.stream_count == other.stream_count &&
           one.block_count == other.block_count && one.device == other.device;
  });
}

void check(const program& made) {
  if (const std::string problem = find_problem(made); !problem.empty()) report("an invariant does not hold", problem);
  static_cast<void>(peak_of(made));
  std::ostringstream text;
  write_program(made, text);
  const std::string written = text.str();
  const outcome again = read("again", {reinterpret_cast<const unsigned char*>(written.data()), written.size()}, 512);
  if (again.programs.size() != 1 || !are_same({made}, again.programs)) report("not read back", again.error + written);
}

}  // namespace

extern "C" int LLVMFuzzerTestOneInput(const std::uint8_t* data, std::size_t size) {
  const std::string name = "fuzz";
  fuzz::start_counting();
  outcome made = read(name, {data, size}, input::least_piece_bytes);
  const std::int64_t peak_bytes = fuzz::stop_counting();
  const auto bytes = static_cast<std::int64_t>(std::max<std::uint64_t>(made.bytes, size));
  if (peak_bytes > fixed_bytes + (made.is_packed ? packed_bytes : 0) + bytes_per_byte * bytes)
    report("too much memory", std::to_string(peak_bytes) + " bytes at once for " + std::to_string(bytes));
  if ((made.error.empty()) == made.programs.empty()) report("neither programs nor an error", made.error);

  const outcome in_one_piece = read(name, {data, size}, std::size_t{1} << 16);
  // Of a damaged packed file, the damage may be met before or after what it makes of the content.
  const bool must_agree = !made.is_packed || made.error.empty() != in_one_piece.error.empty();
  if ((must_agree && made.error != in_one_piece.error) || !are_same(made.programs, in_one_piece.programs))
    report("pieces matter", made.error + " / " + in_one_piece.error);
  for (const program& each : made.programs) check(each);
  return 0;
}
