#include "config/mend.hpp"

#include <fmt/format.h>

#include <algorithm>
#include <numeric>

namespace terrazzo::detail {

bool is_pytorch_variable(std::string_view variable) noexcept { return variable.starts_with("PYTORCH_"); }

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
std::string mend_one(const std::string& text, const config_error& error) {
  if (!error.corrected.empty() && error.corrected != text) return error.corrected;
  return without_setting(text, error.column);
}

// Repairs the string until its reader accepts it, and notes each thing that had to be repaired. Mistakes beyond the
// limit are cut out together: nobody reads so many.
void repair(const reader& by, draft& candidate, mended_string& out) {
  constexpr std::size_t limit = 64;
  std::string reason;        // why the string was refused one step before
  bool taken_alone = false;  // what was mended then is no reason by itself
  while (const auto refused = by.read(candidate.text(), out.meaning, out.result)) {
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
    candidate.replace_by(mend_one(candidate.text(), *first));
  }
}

}  // namespace

mended_string mend(std::string_view variable, std::string_view text, const config& base) {
  mended_string out;
  draft candidate(text);
  repair({variable, base}, candidate, out);
  out.text = candidate.text();
  for (const config_warning& each : out.result.warnings) {
    const std::string hint = each.meant.empty() ? std::string() : fmt::format("; write {}", each.meant);
    out.problems.push_back(
        {severity_level::warning, candidate.original_column(each.column), each.key, each.message + hint, {}});
  }
  std::ranges::stable_sort(out.problems, {}, &problem::column);
  for (setting& each : out.result.settings) each.column = candidate.original_column(each.column);
  return out;
}

}  // namespace terrazzo::detail
