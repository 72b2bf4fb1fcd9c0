// The lenient reader: what PyTorch 2.15's two parsers do, token by token. What looks careless is on purpose: separators
// are skipped without a look, the text after a number is ignored, a list that writes some entries keeps the others.
// Each parser warns about its own keys, so that the two together tell everything once.
// Source: c10/core/AllocatorConfig.{h,cpp}, c10/cuda/CUDAAllocatorConfig.cpp; its tests are ported in tests/config.
#include <fmt/format.h>

#include <algorithm>
#include <array>
#include <bit>
#include <set>
#include <span>

#include "base/bits.hpp"
#include "config/misnomers.hpp"
#include "config/numbers.hpp"
#include "config/parser.hpp"
#include "config/tokenizer.hpp"

namespace terrazzo::detail {

namespace {

class lenient_reader {
 public:
  lenient_reader(std::string_view text, key_owner parser, const config& settings)
      : text_(text), tokens_(tokenize(text)), parser_(parser), settings_(settings) {}

  bool run() {
    if (parser_ == key_owner::pytorch_common) {
      set_back();
      if (!read_large_segment_size()) return false;
    } else if (!find_loaded_backend()) {
      return false;
    }
    for (std::size_t i = 0; i < tokens_.size(); ++i) {
      const token& key = tokens_[i];
      const option* what = find_option(key.text);
      if (what == nullptr) return refuse(i, key.text, explain_unknown(key.text).message);
      if (what->owner == key_owner::terrazzo)
        return refuse(i, key.text,
                      fmt::format("PyTorch does not know {}: it belongs in TERRAZZO_ALLOC_CONF", key.text));
      const bool own = what->owner == parser_;
      if (own) warn_about_key(*what, i);
      if (!(own && what->key != large_segment_key ? read_value(*what, i) : skip(what->key, i))) return false;
      if (own) warn_about_end(*what, i);
      else unread_.insert(what);
      if (i + 1 < tokens_.size()) ++i;  // whatever separator stands there
    }
    warn_together();
    std::ranges::stable_sort(result.warnings, {}, &config_warning::column);
    return true;
  }

  config settings_out() const { return settings_; }
  reading result;
  config_error error;

 private:
  static constexpr std::string_view large_segment_key = "large_segment_size_mb";

  bool refuse(std::size_t index, std::string_view key, std::string message) {
    const std::size_t offset = index < tokens_.size() ? tokens_[index].begin : text_.size();
    error = {offset + 1, std::string(key), std::move(message), {}};
    return false;
  }
  bool refuse_end(std::string_view key) {
    return refuse(tokens_.size(), key, fmt::format("the string ends where {} needs more", key));
  }
  bool refuse_value(const option& what, std::size_t index) {
    return refuse(index, what.key,
                  fmt::format("{} takes {}; got \"{}\"", what.key, allowed_values(what, lowest_value(what, settings_)),
                              tokens_[index].text));
  }

  // The keys that do not stick from one string to the next.
  void set_back() {
    static const config defaults;
    for (const option& what : all_options()) {
      if (!what.resets) continue;
      std::visit(
          [&](auto field) {
            if constexpr (!std::is_same_v<decltype(field), std::monostate>) settings_.*field = defaults.*field;
          },
          what.field);
    }
  }

  // Its place in the string does not matter, since others are compared with it.
  bool read_large_segment_size() {
    const option& what = *find_option(large_segment_key);
    for (std::size_t i = 0; i < tokens_.size(); ++i) {
      if (tokens_[i].text != large_segment_key) continue;
      large_segment_keys_.push_back(i);
      if (!read_value(what, i)) return false;
    }
    return true;
  }

  // PyTorch chooses the backend while its library is loaded, by a walk of its own that stops at the first one. An error
  // in it ends the program.
  bool find_loaded_backend() {
    for (std::size_t i = 0; i < tokens_.size(); i += 2) {
      const std::string& key = tokens_[i].text;
      if (!skip(key, i)) return false;
      if (key != "backend") continue;
      if (tokens_[i].text == "cudaMallocAsync") loaded_backend_ = tokens_[i].text;
      break;
    }
    return true;
  }

  // Moves `i` from a key to the last token of its value.
  bool skip(std::string_view key, std::size_t& i) {
    i += 2;
    if (i >= tokens_.size()) return refuse_end(key);
    if (!tokens_[i].is('[')) return true;
    while (i < tokens_.size() && !tokens_[i].is(']')) ++i;
    return i < tokens_.size() || refuse_end(key);
  }

  bool read_value(const option& what, std::size_t& i) {
    const std::size_t column = tokens_[i].begin + 1;
    i += 2;
    if (i >= tokens_.size()) return refuse_end(what.key);
    option_value value;
    if (!read_value(what, i, value)) return false;
    result.settings.push_back({&what, std::move(value), column});
    apply(result.settings.back(), settings_);
    return true;
  }

  bool read_value(const option& what, std::size_t& i, option_value& value) {
    const std::string& word = tokens_[i].text;
    switch (what.kind) {
      case option_kind::boolean:
        value = word == "True";
        if (word != "True" && word != "False") return refuse_value(what, i);
        warn_if_broken(what, i);
        return true;
      case option_kind::mebibytes:
      case option_kind::exact_mebibytes: {
        constexpr std::uint64_t largest = config::unlimited / mib;
        const auto number = read_whole_number(what, i, largest);
        if (!number) return refuse_value(what, i);
        const auto bounded = static_cast<double>(std::min(*number, largest));
        if (!what.range.holds(bounded) || bounded < lowest_value(what, settings_)) return refuse_value(what, i);
        value = static_cast<std::size_t>(bounded) * mib;
        return true;
      }
      case option_kind::power_of_two: {
        const auto number = read_whole_number(what, i);
        if (!number || !std::has_single_bit(*number) || !what.range.holds(static_cast<double>(*number)))
          return refuse_value(what, i);
        value = static_cast<std::size_t>(*number);
        return true;
      }
      case option_kind::real: {
        std::size_t used = 0;
        const auto number = read_like_stod(word, &used);
        if (!number || !what.range.holds(*number)) return refuse_value(what, i);
        const std::string_view rest = std::string_view(word).substr(used);
        const bool evident = rest.find_first_of("0123456789%") == std::string_view::npos;
        warn_unless_plain(what, i, used, fmt::format("{}", *number + 0.0), false,
                          evident ? word.substr(0, used) : std::string());
        value = *number;
        return true;
      }
      case option_kind::divisions:
        return read_divisions(what, i, value);
      case option_kind::backend:
        value = word;
        if (word != "native" && word != "cudaMallocAsync") return refuse_value(what, i);
        warn_if_broken(what, i);
        return word == loaded_backend_ ||
               refuse(i, what.key,
                      fmt::format("PyTorch takes one backend, and here {} stands before {}", loaded_backend_, word));
      case option_kind::reserve:
        warn_about_reserve(what, i);
        if (const auto reserve = read_reserve(word)) value = *reserve;
        else value = word;
        return true;
      case option_kind::reserve_list:
        return read_reserves(what, i, value);
      case option_kind::growth:
        break;  // a key that PyTorch does not know
    }
    return false;
  }

  // Warns where the number is not what is written. `largest` is what a larger one is cut to.
  std::optional<std::uint64_t> read_whole_number(const option& what, std::size_t index,
                                                 std::uint64_t largest = std::uint64_t(-1)) {
    const std::string& word = tokens_[index].text;
    std::size_t used = 0;
    const auto number = read_like_stoull(word, &used);
    if (!number) return number;
    warn_unless_plain(what, index, used, fmt::format("{}", std::min(*number, largest)), *number > largest,
                      what_number_was_meant(word, what.kind == option_kind::mebibytes));
    return number;
  }

  bool read_divisions(const option& what, std::size_t& i, option_value& value) {
    divisions_array divisions = settings_.roundup_power2_divisions;
    if (!tokens_[i].is('[')) {
      const auto number = read_whole_number(what, i);
      if (!number || !std::has_single_bit(*number)) return refuse_value(what, i);
      if (*number == 1) warn(i, what.key, "1 division rounds nothing: no rounding is the default");
      divisions.fill(static_cast<std::size_t>(*number));
      value = divisions;
      return true;
    }
    const std::size_t opening = i;
    std::array<std::size_t, config::roundup_bucket_count> set_at{};
    bool first = true;
    bool after_rest = false;
    std::size_t last = 0;
    while (++i < tokens_.size() && !tokens_[i].is(']')) {
      const std::size_t size_at = i;
      i += 2;
      if (i + 1 >= tokens_.size()) return refuse_end(what.key);
      const auto number = read_whole_number(what, i);
      if (!number || (*number != 0 && !std::has_single_bit(*number))) return refuse_value(what, i);
      const auto count = static_cast<std::size_t>(*number);
      const bool rest = tokens_[size_at].text == ">";
      if (after_rest) warn(size_at, what.key, "an entry after > changes what > has set");
      if (rest) {
        if (first) warn(size_at, what.key, "> without a size before it leaves the sizes below 2 MiB out");
        else if (last + 1 == divisions.size()) warn(size_at, what.key, "no sizes are left for >");
        const auto above = static_cast<std::ptrdiff_t>(last) + 1;
        std::fill(divisions.begin() + above, divisions.end(), count);
        std::fill(set_at.begin() + above, set_at.end(), size_at);
        after_rest = true;
      } else {
        constexpr std::uint64_t largest = std::uint64_t{1} << (config::roundup_bucket_count - 1);
        const auto mebibytes = read_whole_number(what, size_at, largest);
        if (!mebibytes || !std::has_single_bit(*mebibytes)) return refuse_value(what, size_at);
        const std::size_t previous = last;
        last = std::min(static_cast<std::size_t>(std::bit_width(*mebibytes)) - 1, divisions.size() - 1);
        if (!first && !after_rest && last <= previous)
          warn(size_at, what.key, "a size that is not above the one before it changes its own entry alone");
        if (first) std::fill_n(divisions.begin(), last, count);
        if (first) std::fill_n(set_at.begin(), last, size_at);
        first = false;
        divisions[last] = count;
        set_at[last] = size_at;
      }
      warn_unless(what, size_at + 1, ':');
      if (!tokens_[i + 1].is(']')) warn_about_comma(what, ++i);
    }
    if (i >= tokens_.size()) return refuse_end(what.key);
    if (opening + 1 == i) warn(opening, what.key, "an empty list changes nothing");
    warn_about_gaps(what, set_at, divisions);
    value = divisions;
    return true;
  }

  bool read_reserves(const option& what, std::size_t& i, option_value& value) {
    const std::size_t begin = i;
    std::set<std::string_view> classes;
    std::vector<std::pair<std::string_view, std::string_view>> taken;  // each class once, with a reserve that is one
    warn_unless(what, i, '[');
    for (;;) {
      if (i + 1 >= tokens_.size()) return refuse_end(what.key);
      if (tokens_[i + 1].is(']')) break;
      const std::size_t name = i + 1;
      i += 3;
      if (i >= tokens_.size()) return refuse_end(what.key);
      if (tokens_[name].is_separator())
        warn(name, what.key, fmt::format("\"{}\" is read as the name of a class", tokens_[name].text));
      warn_if_broken(what, name);
      const bool again = !classes.insert(tokens_[name].text).second;
      if (again)
        warn(name, what.key, fmt::format("the class {} is given again: this reserve counts", tokens_[name].text));
      warn_unless(what, name + 1, ':');
      warn_about_reserve(what, i);
      const std::string& class_name = tokens_[name].text;
      const bool odd = std::ranges::any_of(class_name, [](char c) {
        return static_cast<unsigned char>(c) < 0x20 || c == 0x7f || c == '"' || c == '\'' || c == '`' || c == ';';
      });
      if (read_reserve(tokens_[i].text) && !tokens_[name].is_separator() && !odd && class_name != large_segment_key) {
        if (again) std::erase_if(taken, [&](const auto& earlier) { return earlier.first == class_name; });
        taken.emplace_back(class_name, tokens_[i].text);
      }
      if (i + 1 < tokens_.size() && tokens_[i + 1].is(',')) warn_about_comma(what, ++i);
      else if (i + 1 < tokens_.size() && !tokens_[i + 1].is(']'))
        warn(i + 1, what.key, fmt::format("\"{}\" follows without a comma", written(i + 1)));
    }
    if (i == begin) warn(i, what.key, "an empty list changes nothing");
    ++i;
    value = join_reserves(taken);
    return true;
  }

  // ---- what is taken, but surely not meant

  void warn(std::size_t index, std::string_view key, std::string message, std::string meant = {}) {
    result.warnings.push_back({tokens_[index].begin + 1, std::string(key), std::move(message), std::move(meant)});
  }

  // A word as it stands in the string, with the white space inside it.
  [[nodiscard]] std::string_view written(std::size_t index) const {
    return text_.substr(tokens_[index].begin, tokens_[index].end - tokens_[index].begin);
  }

  void warn_if_broken(const option& what, std::size_t index) {
    const token& word = tokens_[index];
    if (word.was_broken())
      warn(index, what.key, fmt::format("white space inside a word is dropped: it is read as {}", word.text),
           word.text);
  }

  void warn_unless(const option& what, std::size_t index, char expected) {
    if (index < tokens_.size() && !tokens_[index].is(expected))
      warn(index, what.key, fmt::format("\"{}\" is passed over as if it were \"{}\"", written(index), expected),
           std::string(1, expected));
  }

  // In a list.
  void warn_about_comma(const option& what, std::size_t index) {
    warn_unless(what, index, ',');
    if (index + 1 < tokens_.size() && tokens_[index].is(',') && tokens_[index + 1].is(']'))
      warn(index, what.key, "the comma before the bracket is ignored");
  }

  void warn_about_key(const option& what, std::size_t index) {
    warn_if_broken(what, index);
    warn_unless(what, index + 1, ':');
    std::erase(large_segment_keys_, index);
    // One that is ignored has its own warning, and the one before counts.
    const bool ignored =
        what.kind == option_kind::reserve && index + 2 < tokens_.size() && !read_reserve(tokens_[index + 2].text);
    if (!seen_.insert(&what).second && !ignored) {
      const bool adds = what.kind == option_kind::divisions;
      warn(index, what.key,
           fmt::format("{} is given again: {}", what.key,
                       adds ? "what it does not name stays as it was" : "this value counts"));
    }
  }

  // `index` is the last token of the value.
  void warn_about_end(const option& what, std::size_t index) {
    warn_unless(what, index + 1, ',');
    if (index + 2 == tokens_.size() && tokens_[index + 1].is(','))
      warn(index + 1, what.key, "the comma at the end is ignored");
  }

  void warn_unless_plain(const option& what, std::size_t index, std::size_t used, std::string_view value, bool cut,
                         std::string meant) {
    const std::string& word = tokens_[index].text;
    std::string why;
    const auto add = [&](std::string_view reason) { why += fmt::format("{}{}", why.empty() ? "" : ", ", reason); };
    if (tokens_[index].was_broken()) add("white space is dropped");
    if (word.starts_with('+')) add("the plus is dropped");
    if (word.starts_with('-'))
      add(what.kind == option_kind::real ? "the minus has no effect" : "the minus wraps around");
    if (used < word.size()) add(fmt::format("\"{}\" is ignored", std::string_view(word).substr(used)));
    if (cut) add("more has no place");
    if (why.empty()) return;
    if (cut || word.starts_with('-')) meant.clear();
    if (meant.starts_with('+')) meant.erase(0, 1);
    warn(index, what.key, fmt::format("\"{}\" is read as {}: {}", written(index), value, why), std::move(meant));
  }

  void warn_about_reserve(const option& what, std::size_t index) {
    const std::string& word = tokens_[index].text;
    if (!read_reserve(word))
      return warn(index, what.key,
                  fmt::format("\"{}\" is no reserve (a fraction like 0.5, or GiB like 40G): it is ignored", word));
    warn_if_broken(what, index);
    if (word.starts_with('+')) warn(index, what.key, "the plus is dropped", word.substr(1));
    constexpr double all = 9.0 / 8;
    if (const auto fraction = read_real(word); fraction && *fraction > all)
      warn(index, what.key, fmt::format("\"{}\" is a share of the device's memory, cut to {}", word, all), word + "G");
  }

  // Buckets between others that a list has set, which it has not. `set_at` holds the token that set each; 0: none.
  void warn_about_gaps(const option& what, std::span<const std::size_t> set_at, const divisions_array& divisions) {
    std::size_t end = 0;  // after the last one that is set
    for (std::size_t bucket = 0; bucket < set_at.size(); ++bucket) {
      if (set_at[bucket] == 0) continue;
      if (bucket > end && end > 0)
        warn(set_at[bucket], what.key,
             fmt::format("the list passes over the sizes from {} to below {} MiB: their divisions stay {}",
                         std::size_t{1} << end, std::size_t{1} << bucket, divisions[end]));
      end = bucket + 1;
    }
  }

  // The last one of a key, which counts; null if there is none.
  [[nodiscard]] const setting* last_setting(std::string_view key) const {
    const setting* last = nullptr;
    for (const setting& entry : result.settings)
      if (entry.what->key == key) last = &entry;
    return last;
  }

  void warn_about_names(std::string_view left, std::string_view right) {
    const setting* one = last_setting(left);
    const setting* other = last_setting(right);
    if (one == nullptr || other == nullptr || one->value == other->value) return;
    if (one->column > other->column) std::swap(one, other);
    warn_at(*other, fmt::format("{} and {} are the same: this value counts", one->what->key, other->what->key));
  }
  void warn_at(const setting& entry, std::string message) {
    result.warnings.push_back({entry.column, std::string(entry.what->key), std::move(message), {}});
  }

  void warn_together() {
    warn_about_names("release_lock_on_cudamalloc", "release_lock_on_hipmalloc");
    warn_about_names("pinned_use_cuda_host_register", "pinned_use_hip_host_register");
    const setting* round = last_setting("pinned_max_round_threshold_mb");
    const setting* cached = last_setting("pinned_max_cached_size_mb");
    if (round != nullptr && cached != nullptr &&
        std::get<std::size_t>(round->value) > std::get<std::size_t>(cached->value))
      warn_at(*round, "pinned_max_round_threshold_mb is above pinned_max_cached_size_mb, which comes first");
    const setting* backend = last_setting("backend");
    // PyTorch says so of its CUDA keys alone, but the common ones that are not for host memory are ignored too.
    const bool others =
        std::ranges::any_of(result.settings, [](auto& entry) { return entry.what->key != "backend"; }) ||
        std::ranges::any_of(unread_, [](auto* what) { return !what->key.starts_with("pinned_"); });
    if (backend != nullptr && std::get<std::string>(backend->value) == "cudaMallocAsync" && others)
      warn_at(*backend, "backend:cudaMallocAsync ignores the native allocator's settings");
    for (const std::size_t index : large_segment_keys_)
      warn(index, large_segment_key,
           "this counts as the key large_segment_size_mb, though it stands in another's value");
  }

  std::string_view text_;
  std::vector<token> tokens_;
  key_owner parser_;
  config settings_;
  std::string loaded_backend_ = "native";
  std::vector<std::size_t> large_segment_keys_;  // the tokens that the pre-pass has read, less those found as keys
  std::set<const option*> seen_;                 // own keys so far
  std::set<const option*> unread_;               // the other parser's
};

}  // namespace

std::optional<config_error> read_as_pytorch(std::string_view text, key_owner parser, config& settings,
                                            reading& result) {
  lenient_reader reader(text, parser, settings);
  if (!reader.run()) return std::move(reader.error);
  settings = reader.settings_out();
  std::ranges::move(reader.result.settings, std::back_inserter(result.settings));
  std::ranges::move(reader.result.warnings, std::back_inserter(result.warnings));
  return std::nullopt;
}

}  // namespace terrazzo::detail
