#include "config/explain.hpp"

#include <fmt/format.h>

#include <algorithm>

#include "config/printer.hpp"

namespace terrazzo::detail {

severity_level explanation::worst() const noexcept {
  severity_level most = severity_level::fine;
  for (const problem& each : problems) most = std::max(most, each.severity);
  for (const explained_setting& each : settings) most = std::max(most, each.severity);
  return most;
}

namespace {

// Each key once, in the order of their last mention: the value that counts.
std::vector<setting> last_of_each(const std::vector<setting>& all, const config& meaning) {
  std::vector<setting> unique;
  for (const setting& each : all) {
    // A reserve that cannot be read leaves the one before it in force.
    const bool unread = each.what->kind == option_kind::reserve && std::holds_alternative<std::string>(each.value);
    if (unread && std::ranges::find(unique, each.what, &setting::what) != unique.end()) continue;
    std::erase_if(unique, [&](const setting& earlier) { return earlier.what == each.what; });
    unique.push_back(each);
    // Lists that come one after the other add up.
    if (each.what->kind == option_kind::divisions) unique.back().value = meaning.roundup_power2_divisions;
  }
  std::ranges::sort(unique, {}, &setting::column);  // the two parsers' settings, in the string's order
  return unique;
}

config applied(const std::vector<setting>& settings, config over) {
  for (const setting& each : settings) apply(each, over);
  return over;
}

// What else is in force: before the string, and after it, which wins over it.
struct neighbours {
  config base;
  std::vector<setting> winners;
};

// Describes the settings. What is not worth keeping may leave another one without effect, so this repeats until none
// goes; each is described by what stood beside it when it went.
std::vector<explained_setting> describe_all(const std::vector<setting>& settings, const neighbours& beside,
                                            const surroundings& where, bool own) {
  const config base = applied(beside.winners, beside.base);
  std::vector<explained_setting> all;
  std::vector<setting> kept = settings;
  for (bool settled = false; !settled;) {
    const config meaning = applied(beside.winners, applied(kept, beside.base));
    const situation among{kept, meaning, base, where, own};
    std::vector<setting> still_kept;
    std::vector<explained_setting> now;
    for (const setting& each : kept) {
      explained_setting made = describe(each, among);
      if (made.keep) still_kept.push_back(each);
      made.value = print_setting_value(each);
      now.push_back(std::move(made));
    }
    settled = still_kept.size() == kept.size();
    std::erase_if(all, [](const explained_setting& each) { return each.keep; });
    all.insert(all.end(), std::make_move_iterator(now.begin()), std::make_move_iterator(now.end()));
    kept = std::move(still_kept);
  }
  std::ranges::stable_sort(all, {}, &explained_setting::column);
  return all;
}

void advise_on_variable(explanation& out) {
  if (out.text.find_first_not_of(" \t\r\n") == std::string::npos && out.variable != own_variable) {
    out.advice.push_back(
        fmt::format("An empty {} sets nothing, but on Linux it counts as set: the variables that come after it are not "
                    "looked at. Unset it.",
                    out.variable));
  }
  if (out.variable != "PYTORCH_HIP_ALLOC_CONF") return;
  if (!out.settings.empty()) {
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

explanation explain_among(std::string_view variable, std::string_view text, const surroundings& where,
                          const neighbours& beside) {
  mended_string mended = mend(variable, text, beside.base);
  explanation out;
  out.variable = variable;
  out.text = text;
  out.accepted = mended.accepted;
  out.problems = std::move(mended.problems);
  out.mended = std::move(mended.text);
  out.settings =
      describe_all(last_of_each(mended.result.settings, mended.meaning), beside, where, !is_pytorch_variable(variable));
  for (const explained_setting& each : out.settings)
    if (each.keep) out.fixed += fmt::format("{}{}:{}", out.fixed.empty() ? "" : ",", each.what->key, each.value);
  advise_on_variable(out);
  return out;
}

}  // namespace

explanation explain(std::string_view variable, std::string_view text, const surroundings& where) {
  return explain_among(variable, text, where, {});
}

std::vector<explanation> explain_environment(const environment_lookup& lookup, const surroundings& where) {
  // What terrazzo's own variable sets wins over the others, so it is read first.
  neighbours beside;
  const char* const own = lookup(own_variable);
  if (own != nullptr) beside.winners = mend(own_variable, own).result.settings;

  std::vector<explanation> all;
  config meaning;
  const char* first = nullptr;
  for (const char* name : variables_of(key_owner::pytorch_common)) {
    const char* text = lookup(name);
    if (text == nullptr) continue;
    all.push_back(explain_among(name, text, where, beside));
    if (first == nullptr) {
      first = name;
      meaning = mend(name, text).meaning;
      continue;
    }
    explanation& made = all.back();
    if (std::string_view(first) == "PYTORCH_HIP_ALLOC_CONF") {
      made.advice.push_back(
          "PYTORCH_HIP_ALLOC_CONF is set and comes first: of this variable only the keys for CUDA alone are taken.");
    } else {
      made.in_force = false;
      made.advice.push_back(fmt::format(
          "It is not looked at, since {} is set: they are not merged, and the first that is set counts whole.", first));
    }
  }
  if (own != nullptr) all.push_back(explain_among(own_variable, own, where, {meaning, {}}));
  return all;
}

}  // namespace terrazzo::detail
