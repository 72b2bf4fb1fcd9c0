#include "workspace/variables.hpp"

#include <fmt/format.h>

#include <charconv>
#include <limits>

#include "base/bits.hpp"
#include "base/bytes.hpp"
#include "workspace/sizes.hpp"

namespace terrazzo::detail {
namespace {

constexpr std::size_t least_recommended_bytes = 4 * mib;  // NVIDIA's recommendation for the smaller cards
constexpr std::size_t most_recommended_bytes = 32 * mib;  // and for the larger ones
// Four times the largest recommendation: whoever wants that much has most likely mistaken the unit.
constexpr std::size_t too_many_bytes = 4 * most_recommended_bytes;

void warn(variable_note& note, std::string advice) {
  note.severity = severity_level::warning;
  note.advice = std::move(advice);
}

void judge_workspace_config(const std::string& value, const variable_lookup&, variable_note& note) {
  if (value.empty()) {
    note.effect = "is empty: the default sizes are used";
    return;
  }
  std::size_t bytes = 0;
  if (parse_workspace_config(value, bytes) != status::ok) {
    note.severity = severity_level::error;
    note.effect =
        "cannot be read: terrazzo makes no workspaces with it, PyTorch ignores it with a warning and takes its default";
    note.advice = "give it as :<KiB>:<count>, any number of times, or unset it for the recommended size";
    return;
  }
  const std::string size = format_bytes(bytes);
  note.effect = fmt::format("gives each workspace, and cuBLAS' own pool of each handle, {}", size);
  if (bytes < least_workspace_bytes) {
    note.effect = bytes == 0 ? std::string("gives cuBLAS no workspace") : note.effect;
    note.effect +=
        ": some routines fail with CUBLAS_STATUS_ALLOC_FAILED below 16 KiB, others get slower; terrazzo takes 16 KiB";
    warn(note, "unset it for the recommended size, or give 16 KiB or more, as in :16:8");
    return;
  }
  if (bytes > too_many_bytes) {
    note.effect += fmt::format(", for every handle and stream; no more than {} are recommended",
                               format_bytes(most_recommended_bytes));
    warn(note, "unset it for the recommended size; its numbers are KiB and a count");
    return;
  }
  if (value == ":16:8" || value == ":4096:8") {
    note.effect += "; one of the two values with which cuBLAS repeats its results bit for bit with several streams";
  }
  if (bytes < least_recommended_bytes) {
    note.severity = severity_level::note;
    note.effect +=
        fmt::format("; fewer algorithms fit than into the recommended {} to {}, so that products can be slower",
                    format_bytes(least_recommended_bytes), format_bytes(most_recommended_bytes));
  }
  if (value.find_first_not_of(":0123456789") != std::string::npos) {
    note.severity = severity_level::note;
    note.effect += "; what is no :<KiB>:<count> is skipped by PyTorch and terrazzo, but not surely by cuBLAS";
    note.advice = "write nothing but pairs, as in :4096:2:16:8";
  }
}

/// Reads a whole number as std::stoi does: spaces and a sign may lead, what follows is ignored.
std::optional<long long> leading_number(const std::string& text, bool& has_more) {
  const std::size_t begin = text.find_first_not_of(" \t\n\v\f\r");
  if (begin == std::string::npos) return std::nullopt;
  const char* first = text.data() + begin + (text[begin] == '+' ? 1 : 0);
  const char* last = text.data() + text.size();
  long long value = 0;
  const auto [stop, error] = std::from_chars(first, last, value);
  if (error == std::errc::invalid_argument) return std::nullopt;
  has_more = stop != last;
  return error == std::errc::result_out_of_range ? std::numeric_limits<long long>::max() : value;
}

bool is_off(const variable_lookup& lookup, const char* name) {
  const char* value = lookup(name);
  return value != nullptr && std::string_view(value) == "0";
}

void judge_lt_workspace_size(const std::string& value, const variable_lookup& lookup, variable_note& note) {
  bool has_more = false;
  const std::optional<long long> number = leading_number(value, has_more);
  if (!number || *number < 0 || *number > std::numeric_limits<int>::max()) {
    note.effect = "is no number of KiB that PyTorch can read: it warns, and takes its default";
    warn(note, "give a whole number of KiB, as in 32768 for 32 MiB, or unset it");
    return;
  }
  const std::size_t bytes = static_cast<std::size_t>(*number) * kib;
  note.effect = fmt::format("lets cuBLASLt work in {} under PyTorch", format_bytes(bytes));
  if (!is_off(lookup, "TORCH_CUBLASLT_UNIFIED_WORKSPACE")) note.effect += ", at most what a cuBLAS workspace has";
  if (has_more) {
    note.effect += "; what stands behind the number is ignored, a unit too";
    warn(note, "give KiB without a unit, as in 32768 for 32 MiB");
    note.better_value = "32768";
  } else if (bytes > gib) {
    note.effect += "; that is more than any algorithm wants: its unit is KiB, not bytes";
    warn(note, "give KiB, as in 32768 for 32 MiB");
    note.better_value = "32768";
  } else if (bytes == 0) {
    note.severity = severity_level::note;
    note.effect += ": only algorithms without a workspace are left";
  }
}

/// Both of PyTorch's flags here are 0 or 1; it warns of anything else and ignores it.
void judge_flag(const std::string& value, variable_note& note, const char* when_on, const char* when_off) {
  if (value == "1" || value == "0") {
    note.effect = value == "1" ? when_on : when_off;
    return;
  }
  note.effect = "is neither 0 nor 1: PyTorch warns, and takes its default";
  warn(note, "set it to 0 or 1, or unset it");
}

void judge_unified_workspace(const std::string& value, const variable_lookup&, variable_note& note) {
  judge_flag(value, note, "lets cuBLASLt work in cuBLAS' workspace, as is the default",
             "gives cuBLASLt a workspace of its own beside cuBLAS' one: more memory for each handle and stream");
  if (value == "0") note.severity = severity_level::note;
}

void judge_workspace_cache(const std::string& value, const variable_lookup&, variable_note& note) {
  judge_flag(value, note, "lets PyTorch keep a workspace for each handle and stream for good",
             "lets PyTorch take the workspace from its allocator for each call, as is the default on CUDA");
}

void judge_heuristics_cache(const std::string& value, const variable_lookup&, variable_note& note) {
  bool has_more = false;
  const std::optional<long long> number = leading_number(value, has_more);
  if (!number || has_more || *number < 0) {
    note.effect = "is no number of entries";
    warn(note, "give a whole number, 0 for none, or unset it");
  } else if (*number == 0) {
    note.severity = severity_level::note;
    note.effect = "turns the cache of cuBLASLt's choices off: each product is planned anew, which costs host time";
  } else {
    note.effect = fmt::format("lets cuBLASLt remember {} of its choices of an algorithm", *number);
  }
}

void judge_log(const std::string& value, const variable_lookup&, variable_note& note) {
  const bool off = value.empty() || value == "0";
  note.effect = off ? "logs nothing" : "lets the library log its calls, which slows them down";
  if (!off) note.severity = severity_level::note;
}

void judge_log_file(const std::string&, const variable_lookup&, variable_note& note) {
  note.effect = "says where the log goes; it turns nothing on by itself";
}

void judge_not_read(const std::string&, const variable_lookup&, variable_note& note) {
  note.effect = "does nothing: there is no such variable, although guides name it";
  warn(note, "unset it");
}

void judge_not_read_config(const std::string&, const variable_lookup&, variable_note& note) {
  note.effect = "does nothing: there is no such variable";
  warn(note,
       "unset it, and set CUBLAS_WORKSPACE_CONFIG=:<KiB>:<count> for cuBLAS, CUBLASLT_WORKSPACE_SIZE=<KiB> for "
       "cuBLASLt under PyTorch");
}

constexpr const char* pytorch = "PyTorch";
constexpr const char* nobody = "nobody";

// clang-format off
constexpr variable_info table[] = {
    {"CUBLAS_WORKSPACE_CONFIG", "cuBLAS, PyTorch and terrazzo", "how large cuBLAS' workspaces are", judge_workspace_config},
    {"CUBLASLT_WORKSPACE_SIZE", pytorch, "how large cuBLASLt's workspaces are, in KiB", judge_lt_workspace_size},
    {"TORCH_CUBLASLT_UNIFIED_WORKSPACE", pytorch, "whether cuBLASLt shares cuBLAS' workspace", judge_unified_workspace},
    {"TORCH_CUBLAS_WORKSPACE_CACHE", pytorch, "whether workspaces are kept between calls", judge_workspace_cache},
    {"CUBLASLT_HEURISTICS_CACHE_CAPACITY", "cuBLASLt", "how many chosen algorithms are remembered", judge_heuristics_cache},
    {"CUBLASLT_LOG_LEVEL", "cuBLASLt", "what is logged", judge_log},
    {"CUBLASLT_LOG_MASK", "cuBLASLt", "what is logged", judge_log},
    {"CUBLASLT_LOG_FILE", "cuBLASLt", "where the log goes", judge_log_file},
    {"CUBLAS_LOGINFO_DBG", "cuBLAS", "whether calls are logged", judge_log},
    {"CUBLAS_LOGDEST_DBG", "cuBLAS", "where the log goes", judge_log_file},
    {"CUBLASLT_HEURISTIC_MODE", nobody, "nothing", judge_not_read},
    {"CUBLAS_WORKSPACE_SIZE", nobody, "nothing", judge_not_read_config},
    {"CUBLASLT_WORKSPACE_CONFIG", nobody, "nothing", judge_not_read_config},
};
// clang-format on

}  // namespace

std::span<const variable_info> cublas_variables() noexcept { return table; }

std::vector<variable_note> explain_variables(std::span<const variable_info> known, const variable_lookup& lookup) {
  std::vector<variable_note> notes;
  for (const variable_info& row : known) {
    const char* value = lookup(row.name);
    if (value == nullptr) continue;
    variable_note note;
    note.name = row.name;
    note.value = value;
    note.owner = row.owner;
    row.judge(note.value, lookup, note);
    notes.push_back(std::move(note));
  }
  return notes;
}

}  // namespace terrazzo::detail
