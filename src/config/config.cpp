// The room's public face: strings and environment variables to settings.
#include "terrazzo/config.hpp"

#include <cstdlib>

#include "base/failure.hpp"
#include "config/mend.hpp"
#include "config/parser.hpp"

namespace terrazzo {

namespace detail {

void apply(const setting& entry, config& settings) {
  std::visit(
      [&](auto field) {
        if constexpr (!std::is_same_v<decltype(field), std::monostate>) {
          using stored = std::remove_cvref_t<decltype(settings.*field)>;
          if constexpr (std::is_same_v<stored, std::optional<bool>>) settings.*field = std::get<bool>(entry.value);
          else if constexpr (std::is_same_v<stored, std::optional<std::size_t>>)
            settings.*field = std::get<std::size_t>(entry.value);
          else if constexpr (std::is_same_v<stored, std::optional<address_reserve>>) {
            if (const auto* reserve = std::get_if<address_reserve>(&entry.value)) settings.*field = *reserve;
          } else settings.*field = std::get<stored>(entry.value);
        }
      },
      entry.what->field);
}

std::string to_sentence(const config_error& error, std::string_view source, std::string_view text) {
  // Long enough for any string that a person writes, short enough for the thread's message buffer.
  constexpr std::size_t longest = 800;
  std::string sentence = fmt::format("{}, column {}: {}.", source, error.column, error.message);
  if (!error.corrected.empty() && error.corrected.size() <= longest)
    sentence += fmt::format(" Try \"{}\".", error.corrected);
  else sentence += fmt::format(" The string is \"{}{}\".", text.substr(0, longest), text.size() > longest ? "..." : "");
  return sentence;
}

std::span<const char* const> variables_of(key_owner parser) noexcept {
  static constexpr const char* names[] = {"PYTORCH_CUDA_ALLOC_CONF", "PYTORCH_HIP_ALLOC_CONF", "PYTORCH_ALLOC_CONF"};
  static constexpr const char* cuda_names[] = {names[0], names[2]};
  if (parser == key_owner::pytorch_cuda) return cuda_names;
  return names;
}

namespace {

void throw_if(const std::optional<config_error>& error, std::string_view source, std::string_view text) {
  if (error) throw_on_failure(fail(status::invalid_config, "{}", to_sentence(*error, source, text)));
}

// Likewise, with the string to write instead: all mistakes mended, not only the first.
void throw_if_not_strict(std::optional<config_error> error, std::string_view source, std::string_view text,
                         const config& base) {
  if (!error) return;
  if (!error->corrected.empty()) error->corrected = mend(own_variable, text, base).text;
  throw_if(error, source, text);
}

void tell(const reading& read, std::string_view source, std::vector<std::string>* warnings) {
  if (warnings == nullptr) return;
  for (const config_warning& each : read.warnings) {
    warnings->push_back(fmt::format("{}, column {}: {}{}", source, each.column, each.message,
                                    each.meant.empty() ? "" : fmt::format("; write {}", each.meant)));
  }
}

}  // namespace
}  // namespace detail

config parse_config(std::string_view text, const config& base) {
  config settings = base;
  detail::reading ignored;
  detail::throw_if_not_strict(detail::read_strictly(text, settings, ignored), "config string", text, base);
  return settings;
}

config parse_pytorch_config(std::string_view text, const config& base, std::vector<std::string>* warnings) {
  config settings = base;
  detail::reading read;
  for (const detail::key_owner parser : {detail::key_owner::pytorch_common, detail::key_owner::pytorch_cuda})
    detail::throw_if(detail::read_as_pytorch(text, parser, settings, read), "config string", text);
  detail::tell(read, "config string", warnings);
  return settings;
}

config config_from_environment(std::vector<std::string>* warnings) {
  config settings;
  for (const detail::key_owner parser : {detail::key_owner::pytorch_common, detail::key_owner::pytorch_cuda}) {
    for (const char* name : detail::variables_of(parser)) {
      const char* text = std::getenv(name);
      if (text == nullptr) continue;
      detail::reading read;
      detail::throw_if(detail::read_as_pytorch(text, parser, settings, read), name, text);
      detail::tell(read, name, warnings);
      break;
    }
  }
  detail::reading read;
  if (const char* own = std::getenv(detail::own_variable))
    detail::throw_if_not_strict(detail::read_strictly(own, settings, read), detail::own_variable, own, settings);
  return settings;
}

}  // namespace terrazzo
