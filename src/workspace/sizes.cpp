#include "workspace/sizes.hpp"

#include <charconv>

#include "base/bits.hpp"
#include "base/bytes.hpp"
#include "base/failure.hpp"

namespace terrazzo::detail {
namespace {

constexpr const char* config_help =
    "it is a list of :<KiB>:<count> pairs, such as :4096:2:16:8 or :32768:1; unset it for the recommended size";

/// Reads ":<digits>" at `at` and moves behind it. False, with `at` unmoved, if there is none; `overflow` if the number
/// is too large to hold.
bool read_number(const std::string& text, std::size_t& at, std::size_t& value, bool& overflow) {
  if (at >= text.size() || text[at] != ':') return false;
  const char* begin = text.data() + at + 1;
  const char* end = text.data() + text.size();
  if (begin == end || *begin < '0' || *begin > '9') return false;
  const auto [stop, error] = std::from_chars(begin, end, value);
  overflow = overflow || error == std::errc::result_out_of_range;
  at = static_cast<std::size_t>(stop - text.data());
  return true;
}

}  // namespace

std::size_t recommended_workspace_bytes(int capability_major) noexcept {
  const bool large = capability_major == 9 || capability_major == 10 || capability_major == 12;
  return large ? 32 * mib : 4 * mib;
}

status parse_workspace_config(const std::string& text, std::size_t& bytes) {
  std::size_t total = 0;
  bool found = false;
  bool overflow = false;
  for (std::size_t at = 0; at < text.size();) {
    std::size_t behind = at;
    std::size_t kilobytes = 0;
    std::size_t count = 0;
    bool too_large = false;  // of no account in what turns out to be no pair
    if (!read_number(text, behind, kilobytes, too_large) || !read_number(text, behind, count, too_large)) {
      ++at;  // PyTorch searches for pairs, whatever stands between them
      continue;
    }
    std::size_t pair = 0;
    overflow = overflow || too_large || !checked_multiply(kilobytes, count, pair) ||
               !checked_multiply(pair, kib, pair) || !checked_add(total, pair, total);
    found = true;
    at = behind;
  }
  if (!found) {
    return fail(status::invalid_config, "CUBLAS_WORKSPACE_CONFIG='{}' has no size in it: {}", text, config_help);
  }
  if (overflow) {
    return fail(status::invalid_config,
                "CUBLAS_WORKSPACE_CONFIG='{}' sums up to more bytes than an address can hold: {}", text, config_help);
  }
  bytes = total;
  return status::ok;
}

status choose_workspace_size(std::size_t asked_bytes, const char* variable, int capability_major, int capability_minor,
                             workspace_size& result) {
  if (asked_bytes != 0) {
    if (asked_bytes < least_workspace_bytes) {
      return fail(status::invalid_argument,
                  "a workspace of {} is too small: cuBLAS needs at least 16 KiB, or 0 for the recommended size",
                  format_bytes(asked_bytes));
    }
    result = {asked_bytes, "set by the program"};
    return status::ok;
  }
  if (variable != nullptr && *variable != '\0') {
    std::size_t bytes = 0;
    const status parsed = parse_workspace_config(variable, bytes);
    if (parsed != status::ok) return parsed;
    result = {bytes, fmt::format("CUBLAS_WORKSPACE_CONFIG={}", variable)};
    if (bytes < least_workspace_bytes) {
      result.bytes = least_workspace_bytes;
      result.origin += ", raised to 16 KiB, below which cuBLAS may fail";
    }
    return status::ok;
  }
  result = {recommended_workspace_bytes(capability_major),
            fmt::format("recommended for compute capability {}.{}", capability_major, capability_minor)};
  return status::ok;
}

}  // namespace terrazzo::detail
