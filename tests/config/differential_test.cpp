// The lenient reading against PyTorch itself: differential/verdicts.tsv holds what PyTorch made of thousands of sound
// and broken strings, differential/judge.py how it was asked and what the columns mean.
#include <doctest/doctest.h>
#include <fmt/format.h>
#include <fmt/ranges.h>

#include <charconv>
#include <fstream>
#include <map>
#include <string>
#include <vector>

#include "config/numbers.hpp"
#include "config/parser.hpp"

using namespace terrazzo;
using namespace terrazzo::detail;

namespace {

constexpr std::size_t mib = std::size_t{1} << 20;

using values = std::map<std::string, std::string, std::less<>>;

std::vector<std::string> split(const std::string& text, char separator) {
  std::vector<std::string> parts(1);
  for (const char c : text) {
    if (c == separator) parts.emplace_back();
    else parts.back() += c;
  }
  return parts;
}

std::string unescape(const std::string& text) {
  std::string plain;
  for (std::size_t i = 0; i < text.size(); ++i) {
    if (text[i] != '\\') {
      plain += text[i];
      continue;
    }
    switch (text[++i]) {
      case 't':
        plain += '\t';
        break;
      case 'n':
        plain += '\n';
        break;
      case 'r':
        plain += '\r';
        break;
      case 'x':
        plain += static_cast<char>(std::stoi(text.substr(i + 1, 2), nullptr, 16));
        i += 2;
        break;
      default:
        plain += text[i];
    }
  }
  return plain;
}

// A real as this program prints it, whatever printed it before.
std::string reprinted(const std::string& real) {
  double number = -1;
  std::from_chars(real.data(), real.data() + real.size(), number);
  return fmt::format("{}", number);
}

values read_values(const std::string& column) {
  values found;
  if (column.empty()) return found;
  for (const std::string& part : split(column, ';')) {
    const std::size_t equals = part.find('=');
    const std::string key = part.substr(0, equals);
    std::string value = part.substr(equals + 1);
    const option* what = find_option(key);
    REQUIRE(what != nullptr);
    if (what->kind == option_kind::real) value = reprinted(value);
    if (key == "pinned_reserve_segment_size_mb") {
      // Kept in MiB there, and not cut to what bytes can count.
      value = fmt::format("{}", std::min<std::uint64_t>(std::stoull(value), config::unlimited / mib) * mib);
    }
    found.emplace(key, std::move(value));
  }
  return found;
}

std::string print(bool value) { return value ? "1" : "0"; }
std::string print(std::size_t value) { return fmt::format("{}", value); }
std::string print(double value) { return fmt::format("{}", value); }
std::string print(const divisions_array& value) { return fmt::format("{}", fmt::join(value, "/")); }
std::string print(const std::string& value) { return value; }
std::string print(const address_reserve& value) { return print_reserve(value); }
std::string print(growth_policy value) { return fmt::format("{}", static_cast<int>(value)); }

// All that differs from PyTorch's defaults: what acts is in the settings, what is inert in the reading alone.
values our_values(const config& settings, const reading& result) {
  values all{{"large_segment_size_mb", print(settings.large_segment_size_bytes)},
             {"max_split_size_mb", print(settings.max_split_size_bytes)},
             {"max_non_split_rounding_mb",
              print(settings.max_non_split_rounding_bytes.value_or(settings.large_segment_size_bytes))},
             {"garbage_collection_threshold", print(settings.garbage_collection_threshold)},
             {"roundup_power2_divisions", print(settings.roundup_power2_divisions)},
             {"expandable_segments", print(settings.expandable_segments.value_or(false))},
             {"per_process_memory_fraction", print(settings.per_process_memory_fraction)}};
  for (const setting& entry : result.settings) {
    if (entry.what->acts()) continue;
    std::string key(entry.what->key);
    if (key == "backend" || entry.what->kind == option_kind::reserve_list) continue;  // which the file does not tell
    if (key == "release_lock_on_hipmalloc") key = "release_lock_on_cudamalloc";
    if (key == "pinned_use_hip_host_register") key = "pinned_use_cuda_host_register";
    all[key] = std::visit([](const auto& value) { return print(value); }, entry.value);
  }
  const values defaults{{"large_segment_size_mb", print(20 * mib)},
                        {"max_split_size_mb", print(config::unlimited)},
                        {"max_non_split_rounding_mb", print(20 * mib)},
                        {"garbage_collection_threshold", "0"},
                        {"roundup_power2_divisions", print(divisions_array{})},
                        {"pinned_max_round_threshold_mb", print(config::unlimited)},
                        {"pinned_max_cached_size_mb", print(config::unlimited)},
                        {"pinned_num_register_threads", "1"},
                        {"per_process_memory_fraction", "1"}};
  std::erase_if(all, [&](const auto& pair) {
    const auto preset = defaults.find(pair.first);
    return pair.second == (preset != defaults.end() ? preset->second : "0");
  });
  return all;
}

std::size_t count_warnings(const reading& result, std::string_view part) {
  std::size_t count = 0;
  for (const config_warning& warning : result.warnings) count += warning.message.find(part) != std::string::npos;
  return count;
}

// What PyTorch prints about a string we say too; we say more.
void check_warnings(const std::string& column, const reading& result, bool alone) {
  std::size_t reserves = 0;
  bool pinned = false;
  bool async = false;
  for (const std::string& word : split(column, ';')) {
    if (word.starts_with("reserve:")) reserves = std::stoul(word.substr(8));
    pinned = pinned || word == "pinned";
    async = async || word == "async";
  }
  CHECK(count_warnings(result, "is no reserve") == reserves);
  // A value that stuck from the string before is not known here: it is inert.
  if (alone) CHECK(count_warnings(result, "pinned_max_cached_size_mb, which comes first") == pinned);
  if (async) CHECK(count_warnings(result, "cudaMallocAsync ignores") == 1);
}

// As config_from_environment reads a string.
std::optional<config_error> read_both(const std::string& text, config& settings, reading& result) {
  auto error = read_as_pytorch(text, key_owner::pytorch_common, settings, result);
  if (!error) error = read_as_pytorch(text, key_owner::pytorch_cuda, settings, result);
  return error;
}

void check_row(const std::string& line) {
  CAPTURE(line);
  const std::vector<std::string> columns = split(line, '\t');
  REQUIRE(columns.size() >= 4);
  config settings;
  reading result;
  std::optional<config_error> error;
  for (std::size_t i = 3; i < columns.size(); ++i) {
    REQUIRE_FALSE(error.has_value());  // where PyTorch refuses the first string, there is no second one
    error = read_both(unescape(columns[i]), settings, result);
  }
  CAPTURE(error.has_value() ? error->message : "accepted");
  CHECK(error.has_value() == (columns[0] != "+"));
  if (error || columns[0] != "+") return;
  CHECK(fmt::format("{}", our_values(settings, result)) == fmt::format("{}", read_values(columns[1])));
  check_warnings(columns[2], result, columns.size() == 4);
  CHECK(parse_config(to_string(settings)) == settings);
}

}  // namespace

TEST_CASE("config: every string of the verdict file is taken or refused as PyTorch does and means the same") {
  std::ifstream file(TERRAZZO_VERDICTS, std::ios::binary);
  REQUIRE_MESSAGE(file.is_open(), TERRAZZO_VERDICTS);
  std::size_t accepted = 0;
  std::size_t refused = 0;
  for (std::string line; std::getline(file, line);) {
    if (line.starts_with('#') || line.starts_with('!')) continue;
    ++(line.starts_with('+') ? accepted : refused);
    check_row(line);
  }
  CHECK(accepted >= 2'000);
  CHECK(refused >= 3'000);
}
