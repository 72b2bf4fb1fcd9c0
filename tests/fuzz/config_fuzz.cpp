// Feeds bytes to all that reads and prints config strings. A zero byte, which no variable can hold, parts a string from
// one that follows it, since some of PyTorch's settings stick from one to the next.
//
// Checked, besides what the sanitizers see:
//   round trip  what either reader accepts is printed, and the strict reader gives the same settings back
//   agreement   where both readers accept a string, it means the same
//   use         the string that an explanation gives to use is sound, and is its own string to use
//   memory      reading a string allocates at most `fixed_bytes` + `bytes_per_byte` x its length at any time
#include <cstdint>
#include <cstdio>
#include <cstdlib>
#include <string>
#include <string_view>

#include "config/explain.hpp"
#include "config/parser.hpp"
#include "counted_memory.hpp"
#include "terrazzo/config.hpp"

namespace {

// The fixed part is for an error's sentences. Each byte can be a token (48 bytes), and each three bytes an entry of a list
// with five warnings (104 bytes and two texts each), in vectors that hold three times their elements while they grow, and
// are sorted beside themselves. Seen: 8 KiB for 257 sound bytes, 720 a byte for a list of nothing but brackets.
constexpr std::int64_t fixed_bytes = 4 << 10;
constexpr std::int64_t bytes_per_byte = 1024;

using namespace terrazzo;
using namespace terrazzo::detail;

[[noreturn]] void report(const char* what, std::string_view text) {
  static_cast<void>(fuzz::stop_counting());
  std::fprintf(stderr, "config_fuzz: %s: \"%.*s\"\n", what, static_cast<int>(text.size()), text.data());
  std::abort();
}

class memory_bound {
 public:
  explicit memory_bound(std::string_view text) : text_(text) { fuzz::start_counting(); }
  ~memory_bound() {
    const std::int64_t peak_bytes = fuzz::stop_counting();
    if (peak_bytes > fixed_bytes + bytes_per_byte * static_cast<std::int64_t>(text_.size())) {
      std::fprintf(stderr, "config_fuzz: %lld bytes at once for %zu\n", static_cast<long long>(peak_bytes),
                   text_.size());
      report("too much memory", text_);
    }
  }
  memory_bound(const memory_bound&) = delete;
  memory_bound& operator=(const memory_bound&) = delete;

 private:
  std::string_view text_;
};

void check_error(const config_error& error, std::string_view text) {
  if (error.message.empty() || error.column == 0 || error.column > text.size() + 1) report("an odd error", text);
  if (to_sentence(error, "config string", text).empty()) report("an empty sentence", text);
}

// As config_from_environment reads.
bool read_leniently(std::string_view text, config& settings) {
  reading result;
  for (const auto parser : {key_owner::pytorch_common, key_owner::pytorch_cuda}) {
    if (const auto error = read_as_pytorch(text, parser, settings, result)) {
      check_error(*error, text);
      return false;
    }
  }
  for (const config_warning& warning : result.warnings)
    if (warning.message.empty() || warning.column == 0 || warning.column > text.size()) report("an odd warning", text);
  return true;
}

bool read_as_terrazzo(std::string_view text, config& settings, reading& result) {
  const auto error = read_strictly(text, settings, result);
  if (error) check_error(*error, text);
  return !error;
}

void check_round_trip(const config& settings, std::string_view text) {
  if (validate_settings(settings) != status::ok) report("accepted, but not valid", text);
  const std::string printed = to_string(settings);
  config again;
  reading ignored;
  if (!read_as_terrazzo(printed, again, ignored)) report("printed, but not read again", printed);
  if (!(again == settings)) report("printed and read as something else", printed);
  if (to_string(again) != printed) report("printed in two ways", printed);
}

// `settings` are those in force, and receive the lenient reading's.
void check(std::string_view text, config& settings) {
  const memory_bound bound(text);
  const bool from_defaults = settings == config{};
  config strict;
  reading found;
  const bool taken_strictly = read_as_terrazzo(text, strict, found);
  if (taken_strictly) check_round_trip(strict, text);
  if (!read_leniently(text, settings)) return;
  check_round_trip(settings, text);
  if (taken_strictly && from_defaults && !(strict == settings)) report("the readers disagree", text);
}

// The string that an explanation gives to use must be sound, whatever the string it is made from.
void check_explanation(const char* variable, std::string_view text) {
  const explanation made = explain(variable, text, {});
  config again;
  reading ignored;
  if (!read_as_terrazzo(made.fixed, again, ignored)) report("fixed, but not sound", text);
  if (explain(variable, made.fixed, {}).fixed != made.fixed) report("fixed in two ways", text);
  for (const problem& each : made.problems)
    if (each.column < 1 || each.column > text.size() + 1) report("a column outside the string", text);
}

}  // namespace

extern "C" int LLVMFuzzerTestOneInput(const std::uint8_t* data, std::size_t size) {
  std::string_view text(reinterpret_cast<const char*>(data), size);
  const std::size_t zero = text.find('\0');
  config settings;
  check(text.substr(0, zero), settings);
  if (zero != std::string_view::npos) check(text.substr(zero + 1), settings);
  for (const char* variable : {"PYTORCH_CUDA_ALLOC_CONF", "TERRAZZO_ALLOC_CONF"})
    check_explanation(variable, text.substr(0, zero));
  return 0;
}
