// The strict reader: a cursor over the tokens; each error says what to write instead where that is evident.
//   string  = [ setting { "," setting } ]
//   setting = key ":" value
//   value   = word | "[" word ":" word { "," word ":" word } "]"
#include <fmt/format.h>

#include <algorithm>
#include <bit>
#include <cmath>
#include <set>

#include "base/bits.hpp"
#include "base/words.hpp"
#include "config/misnomers.hpp"
#include "config/numbers.hpp"
#include "config/parser.hpp"
#include "config/tokenizer.hpp"

namespace terrazzo::detail {

namespace {

std::string lower_case(std::string_view word) {
  std::string lower(word);
  std::ranges::transform(lower, lower.begin(), [](char c) { return c >= 'A' && c <= 'Z' ? char(c - 'A' + 'a') : c; });
  return lower;
}

// Spellings of a boolean that are surely meant as one.
std::string_view meant_boolean(std::string_view word) {
  const std::string lower = lower_case(word);
  if (lower == "true" || lower == "1" || lower == "yes" || lower == "on") return "True";
  if (lower == "false" || lower == "0" || lower == "no" || lower == "off") return "False";
  return {};
}

// The number that a word begins with, and what follows it.
std::optional<double> leading_number(std::string_view word, std::string_view& rest) {
  const std::size_t digits = std::min(word.find_first_not_of("0123456789."), word.size());
  rest = word.substr(digits);
  return read_real(word.substr(0, digits));
}

// "40MB" and "2GiB" as a number of MiB; none if the unit is another.
std::optional<double> number_of_mebibytes(std::string_view word) {
  std::string_view unit;
  const auto number = leading_number(word, unit);
  const std::string lower = lower_case(unit);
  if (!number || *number > 1e12) return std::nullopt;
  if (lower == "g" || lower == "gb" || lower == "gib") return *number * 1024;
  return lower.empty() || lower == "m" || lower == "mb" || lower == "mib" ? number : std::nullopt;
}

// A whole number of MiB that is not below the range; empty if nothing is evident.
std::string meant_mebibytes(std::string_view word, double low) {
  const auto number = number_of_mebibytes(word);
  return number ? fmt::format("{}", static_cast<std::uint64_t>(std::max(std::ceil(*number), low))) : std::string();
}

std::string meant_exact_mebibytes(std::string_view word) {
  const auto number = number_of_mebibytes(word);
  const std::string meant = number ? fmt::format("{}", *number) : std::string();
  return read_exact_mebibytes(meant) ? meant : std::string();
}

// "0.8x" without what follows, and a percentage as a share; empty if nothing is evident.
std::string meant_real(std::string_view word, const value_range& range) {
  std::string_view rest;
  auto number = leading_number(word, rest);
  if (!number || rest.find_first_of("0123456789") != std::string_view::npos) return {};
  if (*number >= 10 && *number <= 100 && range.high <= 1 && (rest.empty() || rest == "%")) *number /= 100;
  return range.holds(*number) ? fmt::format("{}", *number) : std::string();
}

// The next power of two, for a number that a person may have meant.
std::string meant_power_of_two(std::optional<std::uint64_t> number) {
  if (!number || *number < 2 || *number > 128) return {};
  return fmt::format("{}", std::bit_ceil(*number));
}

std::string_view meant_backend(std::string_view word) {
  const std::string lower = lower_case(word);
  if (lower == "cudamallocasync" || lower == "hipmallocasync" || lower == "async") return "cudaMallocAsync";
  // PyTorch's own cache is what stands over cudaMalloc.
  if (lower == "native" || lower == "cudamalloc" || lower == "default") return "native";
  return {};
}

// "40GB" and "40GiB" as GiB, "512MB" too, and a percentage as a share; empty if nothing is evident.
std::string meant_reserve(std::string_view word) {
  std::string_view rest;
  const auto number = leading_number(word, rest);
  if (!number || !(*number > 0)) return {};
  if (rest == "%") return print_reserve({*number / 100, 0});
  const auto mebibytes = rest.empty() ? std::nullopt : number_of_mebibytes(word);
  return mebibytes ? fmt::format("{}G", *mebibytes / 1024) : std::string();
}

std::string_view meant_growth(std::string_view word) {
  const std::string lower = lower_case(word);
  if (lower == "default" || lower == "harvest" || lower == "remap") return "move";
  if (lower == "grow" || lower == "map" || lower == "new") return "create";
  if (lower == "error" || lower == "none" || lower == "never" || lower == "oom") return "fail";
  for (const growth_word& each : growth_words)
    if (edit_distance(lower, each.word) <= 1) return each.word;  // they are short: two slips make another word
  return {};
}

class strict_reader {
 public:
  strict_reader(std::string_view text, config& settings, reading& result)
      : text_(text), tokens_(tokenize(text)), settings_(settings), result_(result) {}

  std::optional<config_error> run() {
    if (tokens_.empty()) return std::nullopt;
    config merged = settings_;
    while (!error_) {
      read_setting();
      if (error_ || at_end()) break;
      if (!here().is(',')) refuse_here(fmt::format("\"{}\" stands where a comma was expected", here().text));
      else if (at_ + 1 == tokens_.size()) refuse_here("nothing follows the comma", cut(here().begin, text_.size()));
      else ++at_;
    }
    if (error_) return error_;
    for (const setting& entry : found_) apply(entry, merged);
    check_together(merged);
    if (error_) return error_;
    settings_ = merged;
    result_.settings.insert(result_.settings.end(), found_.begin(), found_.end());
    return std::nullopt;
  }

 private:
  [[nodiscard]] bool at_end() const { return at_ == tokens_.size(); }
  [[nodiscard]] const token& here() const { return tokens_[at_]; }

  // The string with [begin, end) replaced.
  [[nodiscard]] std::string with(std::size_t begin, std::size_t end, std::string_view replacement) const {
    return fmt::format("{}{}{}", text_.substr(0, begin), replacement, text_.substr(end));
  }
  [[nodiscard]] std::string with(const token& word, std::string_view replacement) const {
    return with(word.begin, word.end, replacement);
  }
  [[nodiscard]] std::string cut(std::size_t begin, std::size_t end) const { return with(begin, end, ""); }

  void refuse(std::size_t offset, std::string message, std::string corrected = {}) {
    if (!error_) error_ = config_error{offset + 1, key_, std::move(message), std::move(corrected)};
  }
  void refuse_here(std::string message, std::string corrected = {}) {
    refuse(at_end() ? text_.size() : here().begin, std::move(message), std::move(corrected));
  }
  void refuse_value(const token& word, std::string_view meant = {}) {
    const double low = lowest_value(*what_, settings_);
    refuse(word.begin, fmt::format("{} takes {}; got \"{}\"", key_, allowed_values(*what_, low), word.text),
           meant.empty() ? std::string() : with(word, meant));
  }

  void read_setting() {
    const token& key = here();
    key_ = key.text;
    if (key.is_separator()) {
      return refuse_here(fmt::format("\"{}\" stands where a key was expected", key.text),
                         key.is(',') ? cut(key.begin, key.end) : std::string());
    }
    what_ = find_option(key.text);
    if (what_ == nullptr) return refuse_key(key);
    if (key.was_broken()) return refuse_here(fmt::format("white space inside the key {}", key_), with(key, key_));
    const auto earlier = std::ranges::find(found_, what_, &setting::what);
    if (earlier != found_.end())
      return refuse_here(fmt::format("{} is given twice, first in column {}", key_, earlier->column));
    ++at_;
    if (at_end() || !here().is(':')) {
      // A bare key that is true or false was surely meant to be true.
      const bool bare = at_end() || here().is(',');
      if (bare && what_->kind == option_kind::boolean)
        return refuse_here(fmt::format("{} has no value", key_), with(key.end, key.end, ":True"));
      if (at_end()) return refuse_here(fmt::format("{} has no value", key_));
      return refuse_here(fmt::format("a colon must follow {}", key_),
                         here().is(',') ? with(here(), ":") : std::string());
    }
    ++at_;
    if (at_end() || here().is(',') || here().is(':') || here().is(']'))
      return refuse_here(fmt::format("{} has no value", key_));
    setting entry{what_, {}, key.begin + 1};
    read_value(entry);
    found_.push_back(std::move(entry));
  }

  // The place of a character that a word holds and that belongs to no word; npos if there is none.
  [[nodiscard]] std::size_t find_in(const token& word, std::string_view characters) const {
    const std::size_t at = text_.find_first_of(characters, word.begin);
    return at < word.end ? at : std::string_view::npos;
  }

  // Marks that have strayed into a word, and separators that are other characters here.
  bool refuse_strays(const token& word) {
    if (const std::size_t at = find_in(word, "\"'`"); at != std::string_view::npos) {
      refuse(at, "a quotation mark is part of the string here; it belongs to the shell or the file around it",
             cut(at, at + 1));
    } else if (const auto control = std::ranges::find_if(
                   word.text, [](char c) { return static_cast<unsigned char>(c) < 0x20 || c == 0x7f; });
               control != word.text.end()) {
      refuse(word.begin, "a control character is part of this word");
    } else if (const std::size_t semicolon = find_in(word, ";"); semicolon != std::string_view::npos) {
      refuse(semicolon, "a comma, not a semicolon, stands between two settings", with(semicolon, semicolon + 1, ","));
    }
    return error_.has_value();
  }

  // White space inside a value: the next setting follows it, or it is dropped.
  void refuse_broken(const token& word) {
    const std::size_t space = find_in(word, " \t\n\v\f\r");
    const std::size_t next = text_.find_first_not_of(" \t\n\v\f\r", space);
    const std::size_t end = text_.find_first_of(" \t\n\v\f\r:=", next);
    const std::string_view follower = text_.substr(next, std::min(end, word.end) - next);
    if (find_option(follower) != nullptr || nearest_option(follower) != nullptr || find_misnomer(follower) != nullptr)
      return refuse(space, "a comma, not white space, stands between two settings", with(space, next, ","));
    refuse_here("white space inside a value", with(word, word.text));
  }

  void refuse_key(const token& key) {
    if (refuse_strays(key)) return;
    // "key=value": the name is mended together with the sign.
    const std::size_t equals = std::min(key.text.find('='), key.text.size());
    const std::string name = key.text.substr(0, equals);
    const std::string rest = equals < key.text.size() ? ":" + key.text.substr(equals + 1) : std::string();
    key_ = name;
    if (!rest.empty() && find_option(name) != nullptr) {
      return refuse(text_.find('=', key.begin), "a colon, not \"=\", stands between a key and its value",
                    with(key, name + rest));
    }
    const unknown_key told = explain_unknown(name);
    refuse_here(told.message, told.meant.empty() ? std::string() : with(key, told.meant + rest));
  }

  void read_value(setting& entry) {
    const token word = here();
    if (word.is('[')) {
      if (what_->kind == option_kind::divisions) return read_divisions(entry);
      if (what_->kind == option_kind::reserve_list) return read_reserves(entry);
      return refuse_value(word);
    }
    if (what_->kind == option_kind::reserve_list) return refuse_value(word);
    if (refuse_strays(word)) return;
    if (word.was_broken()) return refuse_broken(word);
    ++at_;
    read_word(word, entry);
  }

  void read_word(const token& word, setting& entry) {
    const value_range& range = what_->range;
    switch (what_->kind) {
      case option_kind::boolean:
        if (word.text != "True" && word.text != "False") return refuse_value(word, meant_boolean(word.text));
        entry.value = word.text == "True";
        return;
      case option_kind::mebibytes: {
        const auto number = read_whole(word.text);
        // How it compares with large_segment_size_mb is seen when all of the string is known.
        if (!number || !range.holds(static_cast<double>(*number)))
          return refuse_value(word,
                              meant_mebibytes(word.text, lowest_value(*what_, settings_) + (range.low_open ? 1 : 0)));
        entry.value = static_cast<std::size_t>(*number) * mib;
        return;
      }
      case option_kind::exact_mebibytes: {
        const auto bytes = read_exact_mebibytes(word.text);
        if (!bytes) return refuse_value(word, meant_exact_mebibytes(word.text));
        entry.value = *bytes;
        return;
      }
      case option_kind::power_of_two: {
        const auto number = read_whole(word.text);
        if (!number || !std::has_single_bit(*number) || !range.holds(static_cast<double>(*number)))
          return refuse_value(word, meant_power_of_two(number));
        entry.value = static_cast<std::size_t>(*number);
        return;
      }
      case option_kind::real: {
        const auto number = read_real(word.text);
        if (!number || !range.holds(*number)) return refuse_value(word, meant_real(word.text, range));
        entry.value = *number;
        return;
      }
      case option_kind::divisions: {
        const auto number = read_whole(word.text);
        if (!number || !std::has_single_bit(*number)) return refuse_value(word, meant_power_of_two(number));
        divisions_array all;
        all.fill(static_cast<std::size_t>(*number));
        entry.value = all;
        return;
      }
      case option_kind::backend:
        if (word.text != "native" && word.text != "cudaMallocAsync")
          return refuse_value(word, meant_backend(word.text));
        entry.value = word.text;
        return;
      case option_kind::reserve:
        if (const auto reserve = read_reserve(word.text)) entry.value = *reserve;
        else refuse_value(word, meant_reserve(word.text));
        return;
      case option_kind::reserve_list:
        return;
      case option_kind::growth: {
        const auto* found = std::ranges::find(growth_words, word.text, &growth_word::word);
        if (found == std::end(growth_words)) return refuse_value(word, meant_growth(word.text));
        entry.value = found->policy;
        return;
      }
    }
  }

  // Calls `take(left, right)` for each pair of a list; the cursor stands on the opening bracket, and then after the
  // closing one.
  template <typename Take>
  void read_list(Take take) {
    const std::size_t opening = here().begin;
    ++at_;
    while (!error_ && !at_end() && !here().is(']')) {
      const token& left = here();
      if (left.is_separator()) return refuse_here(fmt::format("\"{}\" stands where a word was expected", left.text));
      ++at_;
      if (at_end() || !here().is(':')) return refuse_here(fmt::format("a colon must follow \"{}\"", left.text));
      ++at_;
      if (at_end() || here().is_separator()) return refuse_here(fmt::format("\"{}\" has no value", left.text));
      const token& right = here();
      for (const token* word : {&left, &right})
        if (word->was_broken()) return refuse(word->begin, "white space inside a word", with(*word, word->text));
      ++at_;
      take(left, right);
      if (error_ || at_end() || here().is(']')) continue;
      if (!here().is(',')) return refuse_here(fmt::format("\"{}\" stands where a comma was expected", here().text));
      if (at_ + 1 < tokens_.size() && tokens_[at_ + 1].is(']'))
        return refuse_here("nothing follows the comma", cut(here().begin, here().end));
      ++at_;
    }
    if (error_) return;
    if (at_end()) return refuse(opening, "this list has no closing bracket", fmt::format("{}]", text_));
    ++at_;
  }

  void read_divisions(setting& entry) {
    divisions_array divisions{};
    std::size_t filled = 0;  // buckets [0, filled) are set or passed over
    bool first = true;
    read_list([&](const token& size, const token& count) {
      const auto number = read_whole(count.text);
      if (!number || (*number != 0 && !std::has_single_bit(*number)))
        return refuse(count.begin, fmt::format("divisions are a power of two, or 0 for none; got \"{}\"", count.text));
      if (size.text == ">") {
        // PyTorch would leave the sizes below 2 MiB out.
        if (first) {
          return refuse(size.begin, "> stands for the sizes above those named before it; name one first",
                        with(size.begin, size.begin, "1:0,"));
        }
        std::fill(divisions.begin() + static_cast<std::ptrdiff_t>(filled), divisions.end(), std::size_t(*number));
        filled = divisions.size();
        return;
      }
      const auto mebibytes = read_whole(size.text);
      constexpr std::uint64_t largest = std::uint64_t{1} << (config::roundup_bucket_count - 1);
      if (!mebibytes || !std::has_single_bit(*mebibytes) || *mebibytes > largest)
        return refuse(size.begin,
                      fmt::format("sizes are a power of two of MiB, at most {}, or >; got \"{}\"", largest, size.text));
      const auto bucket = static_cast<std::size_t>(std::bit_width(*mebibytes)) - 1;
      if (bucket < filled)
        return refuse(size.begin, fmt::format("sizes must ascend, with > last; got \"{}\"", size.text));
      if (first) std::fill_n(divisions.begin(), bucket, std::size_t(*number));
      first = false;
      divisions[bucket] = static_cast<std::size_t>(*number);
      filled = bucket + 1;
    });
    entry.value = divisions;
  }

  void read_reserves(setting& entry) {
    std::vector<std::pair<std::string_view, std::string_view>> entries;
    std::set<std::string_view> names;
    read_list([&](const token& name, const token& amount) {
      if (refuse_strays(name)) return;
      if (name.text == "large_segment_size_mb")
        return refuse(name.begin, "PyTorch would take this name of a class for the key large_segment_size_mb");
      if (!read_reserve(amount.text))
        refuse(amount.begin,
               fmt::format("a reserve is a fraction like 0.5, or GiB like 40G, above 0; got \"{}\"", amount.text));
      if (!names.insert(name.text).second)
        refuse(name.begin, fmt::format("the class {} is given a reserve twice", name.text));
      entries.emplace_back(name.text, amount.text);
    });
    if (!error_) entry.value = join_reserves(entries);
  }

  // Two sizes must not be below large_segment_size_mb, wherever each of them was set.
  void check_together(const config& merged) {
    for (const option& what : all_options()) {
      if (!what.range.from_large_segment) continue;
      const auto* plain = std::get_if<std::size_t config::*>(&what.field);
      const auto* maybe = std::get_if<std::optional<std::size_t> config::*>(&what.field);
      const std::size_t bytes = plain != nullptr ? merged.**plain : (merged.**maybe).value_or(config::unlimited);
      const double low = lowest_value(what, merged);
      if (static_cast<double>(bytes / mib) >= low) continue;
      key_ = what.key;
      const std::string message = fmt::format("{} takes {}, the size of a large segment; got \"{}\"", key_,
                                              allowed_values(what, low), bytes / mib);
      auto cause = std::ranges::find(found_, &what, &setting::what);
      const bool own = cause != found_.end();
      if (!own) cause = std::ranges::find(found_, find_option("large_segment_size_mb"), &setting::what);
      if (cause == found_.end()) return refuse(0, message);
      const auto key = std::ranges::find(tokens_, cause->column - 1, &token::begin);
      const token& value = key[2];  // after the key and its colon
      return refuse(value.begin, message, own ? with(value, fmt::format("{}", low)) : std::string());
    }
  }

  std::string_view text_;
  std::vector<token> tokens_;
  config& settings_;
  reading& result_;
  std::size_t at_ = 0;
  std::string key_;
  const option* what_ = nullptr;
  std::vector<setting> found_;
  std::optional<config_error> error_;
};

}  // namespace

std::optional<config_error> read_strictly(std::string_view text, config& settings, reading& result) {
  return strict_reader(text, settings, result).run();
}

}  // namespace terrazzo::detail
