// The lenient reader: what PyTorch 2.15's two parsers do, token by token. What looks careless is on purpose: separators
// are skipped without a look, the text after a number is ignored, a list that writes some entries keeps the others.
// Source: c10/core/AllocatorConfig.{h,cpp}, c10/cuda/CUDAAllocatorConfig.cpp; its tests are ported in tests/config.
#include <fmt/format.h>

#include <algorithm>
#include <bit>

#include "base/bits.hpp"
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
      if (what == nullptr) return refuse(i, key.text, fmt::format("there is no key \"{}\"", key.text));
      if (what->owner == key_owner::terrazzo)
        return refuse(i, key.text,
                      fmt::format("PyTorch does not know {}: it belongs in TERRAZZO_ALLOC_CONF", key.text));
      const bool own = what->owner == parser_ && what->key != large_segment_key;
      if (!(own ? read_value(*what, i) : skip(what->key, i))) return false;
      if (i + 1 < tokens_.size()) ++i;  // whatever separator stands there
    }
    warn_together();
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
    for (std::size_t i = 0; i < tokens_.size(); ++i)
      if (tokens_[i].text == large_segment_key && !read_value(what, i)) return false;
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
        return word == "True" || word == "False" || refuse_value(what, i);
      case option_kind::mebibytes:
      case option_kind::exact_mebibytes: {
        const auto number = read_like_stoull(word);
        if (!number) return refuse_value(what, i);
        const auto bounded = static_cast<double>(std::min<std::uint64_t>(*number, config::unlimited / mib));
        if (!what.range.holds(bounded) || bounded < lowest_value(what, settings_)) return refuse_value(what, i);
        value = static_cast<std::size_t>(bounded) * mib;
        return true;
      }
      case option_kind::power_of_two: {
        const auto number = read_like_stoull(word);
        if (!number || !std::has_single_bit(*number) || !what.range.holds(static_cast<double>(*number)))
          return refuse_value(what, i);
        value = static_cast<std::size_t>(*number);
        return true;
      }
      case option_kind::real: {
        const auto number = read_like_stod(word);
        if (!number || !what.range.holds(*number)) return refuse_value(what, i);
        value = *number;
        return true;
      }
      case option_kind::divisions:
        return read_divisions(what, i, value);
      case option_kind::backend:
        value = word;
        if (word != "native" && word != "cudaMallocAsync") return refuse_value(what, i);
        return word == loaded_backend_ ||
               refuse(i, what.key,
                      fmt::format("PyTorch takes one backend, and here {} stands before {}", loaded_backend_, word));
      case option_kind::reserve:
        warn_unless_reserve(what, i);
        value = word;
        return true;
      case option_kind::reserve_list:
        return read_reserves(what, i, value);
    }
    return false;
  }

  bool read_divisions(const option& what, std::size_t& i, option_value& value) {
    divisions_array divisions = settings_.roundup_power2_divisions;
    if (!tokens_[i].is('[')) {
      const auto number = read_like_stoull(tokens_[i].text);
      if (!number || !std::has_single_bit(*number)) return refuse_value(what, i);
      divisions.fill(static_cast<std::size_t>(*number));
      value = divisions;
      return true;
    }
    bool first = true;
    std::size_t last = 0;
    while (++i < tokens_.size() && !tokens_[i].is(']')) {
      const std::size_t size_at = i;
      i += 2;
      if (i + 1 >= tokens_.size()) return refuse_end(what.key);
      const auto number = read_like_stoull(tokens_[i].text);
      if (!number || (*number != 0 && !std::has_single_bit(*number))) return refuse_value(what, i);
      const auto count = static_cast<std::size_t>(*number);
      if (tokens_[size_at].text == ">") {
        std::fill(divisions.begin() + static_cast<std::ptrdiff_t>(last) + 1, divisions.end(), count);
      } else {
        const auto mebibytes = read_like_stoull(tokens_[size_at].text);
        if (!mebibytes || !std::has_single_bit(*mebibytes)) return refuse_value(what, size_at);
        last = std::min(static_cast<std::size_t>(std::bit_width(*mebibytes)) - 1, divisions.size() - 1);
        if (first) std::fill_n(divisions.begin(), last, count);
        first = false;
        divisions[last] = count;
      }
      if (!tokens_[i + 1].is(']')) ++i;
    }
    if (i >= tokens_.size()) return refuse_end(what.key);
    value = divisions;
    return true;
  }

  bool read_reserves(const option& what, std::size_t& i, option_value& value) {
    const std::size_t begin = i;
    for (;;) {
      if (i + 1 >= tokens_.size()) return refuse_end(what.key);
      if (tokens_[i + 1].is(']')) break;
      i += 3;
      if (i >= tokens_.size()) return refuse_end(what.key);
      warn_unless_reserve(what, i);
      if (i + 1 < tokens_.size() && tokens_[i + 1].is(',')) ++i;
    }
    ++i;
    value = std::string(text_.substr(tokens_[begin].begin, tokens_[i].end - tokens_[begin].begin));
    return true;
  }

  void warn(std::size_t index, std::string_view key, std::string message, std::string meant = {}) {
    result.warnings.push_back({tokens_[index].begin + 1, std::string(key), std::move(message), std::move(meant)});
  }

  void warn_unless_reserve(const option& what, std::size_t index) {
    const std::string& word = tokens_[index].text;
    if (is_reserve(word)) return;
    warn(index, what.key, fmt::format("\"{}\" is no reserve (a fraction like 0.5, or GiB like 40G): ignored", word));
  }

  // The last value of a key, as duplicates have it.
  template <typename Value>
  [[nodiscard]] const Value* last_value(std::string_view key) const {
    const Value* value = nullptr;
    for (const setting& entry : result.settings)
      if (entry.what->key == key) value = std::get_if<Value>(&entry.value);
    return value;
  }

  void warn_together() {
    const auto* round = last_value<std::size_t>("pinned_max_round_threshold_mb");
    const auto* cached = last_value<std::size_t>("pinned_max_cached_size_mb");
    if (round != nullptr && cached != nullptr && *round > *cached)
      warn(0, "pinned_max_round_threshold_mb",
           "pinned_max_round_threshold_mb is above pinned_max_cached_size_mb, which comes first");
    const auto* backend = last_value<std::string>("backend");
    const bool others = std::ranges::any_of(result.settings, [](auto& entry) { return entry.what->key != "backend"; });
    if (backend != nullptr && *backend == "cudaMallocAsync" && others)
      warn(0, "backend", "backend:cudaMallocAsync ignores the native allocator's settings");
  }

  std::string_view text_;
  std::vector<token> tokens_;
  key_owner parser_;
  config settings_;
  std::string loaded_backend_ = "native";
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
