#include "config/explain.hpp"

#include <fmt/format.h>

#include <algorithm>
#include <numeric>

#include "base/platform.hpp"
#include "config/printer.hpp"
#include "config/tokenizer.hpp"

namespace terrazzo::detail {

surroundings usual_surroundings() noexcept {
  surroundings here;
#ifdef _WIN32
  here.windows = true;
#endif
  return here;
}

severity_level explanation::worst() const noexcept {
  severity_level most = severity_level::fine;
  for (const problem& each : problems) most = std::max(most, each.severity);
  for (const explained_setting& each : settings) most = std::max(most, each.severity);
  return most;
}

bool is_pytorch_variable(std::string_view variable) noexcept { return variable.starts_with("PYTORCH_"); }

const setting* situation::find(std::string_view key) const noexcept {
  const auto found = std::ranges::find_if(settings, [&](const setting& each) { return each.what->key == key; });
  return found == settings.end() ? nullptr : &*found;
}

bool situation::is_true(std::string_view key) const noexcept {
  const setting* found = find(key);
  return found != nullptr && std::get<bool>(found->value);
}

bool situation::async_backend() const noexcept {
  const setting* found = find("backend");
  return found != nullptr && std::get<std::string>(found->value) != "native";
}

bool situation::expandable_in_pytorch() const noexcept {
  return is_true("expandable_segments") && !async_backend() && !(where.windows && where.torch_version <= 213);
}

bool situation::expandable_here() const noexcept {
  return meaning.expandable_segments.value_or(true) && where.virtual_memory.value_or(true);
}

bool situation::limited_in_pytorch() const noexcept { return meaning.per_process_memory_fraction < 1; }

bool situation::limited_here() const noexcept {
  return limited_in_pytorch() || meaning.limit_bytes != config::unlimited;
}

namespace {

// A string under repair, which remembers for each of its characters where that stood in the string as given.
class draft {
 public:
  explicit draft(std::string_view text) : text_(text), origin_(text.size() + 1) {
    std::iota(origin_.begin(), origin_.end(), std::size_t{1});
  }

  [[nodiscard]] const std::string& text() const noexcept { return text_; }
  [[nodiscard]] std::size_t original_column(std::size_t column) const noexcept {
    return origin_[std::min(column, origin_.size()) - 1];
  }

  void replace_by(std::string_view mended) {
    const std::size_t shorter = std::min(text_.size(), mended.size());
    std::size_t head = 0;
    while (head < shorter && text_[head] == mended[head]) ++head;
    std::size_t tail = 0;
    while (tail < shorter - head && text_[text_.size() - 1 - tail] == mended[mended.size() - 1 - tail]) ++tail;
    std::vector<std::size_t> origin(origin_.begin(), origin_.begin() + static_cast<std::ptrdiff_t>(head));
    origin.resize(mended.size() - tail, origin_[head]);
    origin.insert(origin.end(), origin_.end() - static_cast<std::ptrdiff_t>(tail) - 1, origin_.end());
    text_ = mended;
    origin_ = std::move(origin);
  }

 private:
  std::string text_;
  std::vector<std::size_t> origin_;  // one more than there are characters: the end has a column too
};

// The setting that a column lies in, as offsets: from comma to comma, commas in brackets aside.
struct span {
  std::size_t begin;
  std::size_t end;
};
span setting_at(std::string_view text, std::size_t column) {
  std::size_t begin = 0;
  int depth = 0;
  for (std::size_t at = 0; at < text.size(); ++at) {
    if (text[at] == '[') ++depth;
    if (text[at] == ']') depth = std::max(depth - 1, 0);
    if (text[at] != ',' || depth != 0) continue;
    if (at + 1 >= column) return {begin, at};  // the comma itself belongs to what stands before it
    begin = at + 1;
  }
  return {begin, text.size()};
}

std::string without_setting(std::string_view text, std::size_t column) {
  const auto [begin, end] = setting_at(text, column);
  if (end < text.size()) return fmt::format("{}{}", text.substr(0, begin), text.substr(end + 1));
  return std::string(text.substr(0, begin > 0 ? begin - 1 : 0));
}

// Reads a string as its variable's reader does, over settings that are there already.
struct reader {
  std::string_view variable;
  const config& base;

  [[nodiscard]] bool is_lenient() const noexcept { return is_pytorch_variable(variable); }

  [[nodiscard]] std::optional<config_error> read(std::string_view text, config& meaning, reading& result) const {
    meaning = base;
    result = {};
    if (!is_lenient()) return read_strictly(text, meaning, result);
    for (const key_owner parser : {key_owner::pytorch_common, key_owner::pytorch_cuda}) {
      if (std::ranges::find(variables_of(parser), variable) == variables_of(parser).end()) continue;
      if (auto error = read_as_pytorch(text, parser, meaning, result)) return error;
    }
    return std::nullopt;
  }
};

// Mends one error of the strict reading, or cuts out the setting that it lies in.
std::string mend(const std::string& text, const config_error& error) {
  if (!error.corrected.empty() && error.corrected != text) return error.corrected;
  return without_setting(text, error.column);
}

// Repairs the string until its reader accepts it, and notes each thing that had to be repaired. Mistakes beyond the
// limit are cut out together: nobody reads so many.
void repair(const reader& by, draft& candidate, explanation& out, config& meaning, reading& result) {
  constexpr std::size_t limit = 64;
  std::string reason;        // why the string was refused one step before
  bool taken_alone = false;  // what was mended then is no reason by itself
  while (const auto refused = by.read(candidate.text(), meaning, result)) {
    // Strict reading stops at the first oddity, which PyTorch may have taken: then the reason has not gone with it.
    if (taken_alone && refused->message == reason) out.problems.back().severity = severity_level::warning;
    reason = refused->message;
    out.accepted = false;
    if (out.problems.size() == limit) {
      out.problems.push_back({severity_level::error,
                              candidate.original_column(refused->column),
                              refused->key,
                              "more mistakes follow, which are not listed",
                              {}});
      candidate.replace_by("");
      continue;
    }
    config ignored = by.base;
    reading unused;
    auto first = read_strictly(candidate.text(), ignored, unused);
    if (!first) first = refused;
    const auto [begin, end] = setting_at(candidate.text(), first->column);
    taken_alone = !by.read(candidate.text().substr(begin, end - begin), ignored, unused);
    out.problems.push_back({severity_level::error, candidate.original_column(first->column), first->key, first->message,
                            first->corrected});
    candidate.replace_by(mend(candidate.text(), *first));
  }
}

// Each key once, in the order of their last mention: the value that counts.
std::vector<setting> last_of_each(const std::vector<setting>& all, const config& meaning) {
  std::vector<setting> unique;
  for (const setting& each : all) {
    std::erase_if(unique, [&](const setting& earlier) { return earlier.what == each.what; });
    unique.push_back(each);
    // Lists that come one after the other add up.
    if (each.what->kind == option_kind::divisions) unique.back().value = meaning.roundup_power2_divisions;
  }
  std::ranges::sort(unique, {}, &setting::column);  // the two parsers' settings, in the string's order
  return unique;
}

// The settings that are worth keeping. What goes may leave another one without effect, so this repeats until none goes.
std::string print_what_acts(std::vector<setting> settings, const config& base, const surroundings& where, bool own) {
  for (bool settled = false; !settled;) {
    config meaning = base;
    for (const setting& each : settings) apply(each, meaning);
    const situation among{settings, meaning, where, own};
    std::vector<setting> kept;
    for (const setting& each : settings)
      if (describe(each, among).keep) kept.push_back(each);
    settled = kept.size() == settings.size();
    settings = std::move(kept);
  }
  std::string text;
  for (const setting& each : settings)
    text += fmt::format("{}{}:{}", text.empty() ? "" : ",", each.what->key, print_setting_value(each));
  return text;
}

void advise_on_variable(explanation& out, const std::vector<setting>& settings) {
  if (out.text.find_first_not_of(" \t\r\n") == std::string::npos && out.variable != own_variable) {
    out.advice.push_back(
        fmt::format("An empty {} sets nothing, but on Linux it counts as set: the variables that come after it are not "
                    "looked at. Unset it.",
                    out.variable));
  }
  if (out.variable != "PYTORCH_HIP_ALLOC_CONF") return;
  if (!settings.empty()) {
    out.advice.push_back(
        "PyTorch for CUDA takes the keys that all devices share from this variable, if PYTORCH_CUDA_ALLOC_CONF is not "
        "set; its own name for them is PYTORCH_CUDA_ALLOC_CONF.");
  }
  reading skipped;
  config ignored;
  if (read_as_pytorch(out.text, key_owner::pytorch_cuda, ignored, skipped)) return;
  for (const setting& each : skipped.settings) {
    out.advice.push_back(fmt::format(
        "{} is skipped: PyTorch for CUDA reads it from PYTORCH_CUDA_ALLOC_CONF and PYTORCH_ALLOC_CONF alone.",
        each.what->key));
  }
}

}  // namespace

explanation explain(std::string_view variable, std::string_view text, const surroundings& where, const config& base) {
  const reader by{variable, base};
  explanation out;
  out.variable = variable;
  out.text = text;

  draft candidate(text);
  reading result;
  repair(by, candidate, out, out.meaning, result);
  out.mended = candidate.text();
  for (const config_warning& each : result.warnings) {
    const std::string hint = each.meant.empty() ? std::string() : fmt::format("; write {}", each.meant);
    out.problems.push_back(
        {severity_level::warning, candidate.original_column(each.column), each.key, each.message + hint, {}});
  }
  std::ranges::stable_sort(out.problems, {}, &problem::column);

  const std::vector<setting> settings = last_of_each(result.settings, out.meaning);
  const situation among{settings, out.meaning, where, !by.is_lenient()};
  for (const setting& each : settings) {
    explained_setting made = describe(each, among);
    made.value = print_setting_value(each);
    made.column = candidate.original_column(each.column);
    out.settings.push_back(std::move(made));
  }
  out.fixed = print_what_acts(settings, base, where, !by.is_lenient());
  advise_on_variable(out, settings);
  return out;
}

std::vector<explanation> explain_environment(const environment_lookup& lookup, const surroundings& where) {
  std::vector<explanation> all;
  config meaning;
  const char* first = nullptr;
  for (const char* name : variables_of(key_owner::pytorch_common)) {
    const char* text = lookup(name);
    if (text == nullptr) continue;
    all.push_back(explain(name, text, where));
    explanation& made = all.back();
    if (first == nullptr) {
      first = name;
      meaning = made.meaning;
      continue;
    }
    made.in_force = false;
    made.advice.push_back(fmt::format(
        "It is not looked at, since {} is set: they are not merged, and the first that is set counts whole.{}", first,
        std::string_view(first) == "PYTORCH_HIP_ALLOC_CONF"
            ? " Only its keys for CUDA alone, which the other variable cannot set, are taken."
            : ""));
  }
  if (const char* text = lookup(own_variable)) all.push_back(explain(own_variable, text, where, meaning));
  return all;
}

}  // namespace terrazzo::detail
