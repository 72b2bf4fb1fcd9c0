// The room's public face: strings and environment variables to settings.
#include "terrazzo/config.hpp"

#include <cstdlib>

#include "base/failure.hpp"
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
          else settings.*field = std::get<stored>(entry.value);
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

namespace {

void throw_if(const std::optional<config_error>& error, std::string_view source, std::string_view text) {
  if (error) throw_on_failure(fail(status::invalid_config, "{}", to_sentence(*error, source, text)));
}

struct variable {
  const char* name;
  const char* text;  // null if it is not set
};

// The first variable that is set wins whole, even with an empty string.
template <std::size_t Count>
variable first_set(const char* const (&names)[Count]) {
  for (const char* name : names)
    if (const char* text = std::getenv(name)) return {name, text};
  return {"", nullptr};
}

}  // namespace
}  // namespace detail

config parse_config(std::string_view text, const config& base) {
  config settings = base;
  detail::reading ignored;
  detail::throw_if(detail::read_strictly(text, settings, ignored), "config string", text);
  return settings;
}

config config_from_environment() {
  using enum detail::key_owner;
  config settings;
  detail::reading ignored;
  // PyTorch's CUDA builds let the HIP variable set the common keys, but not the CUDA ones.
  const auto common = detail::first_set({"PYTORCH_CUDA_ALLOC_CONF", "PYTORCH_HIP_ALLOC_CONF", "PYTORCH_ALLOC_CONF"});
  if (common.text != nullptr)
    detail::throw_if(detail::read_as_pytorch(common.text, pytorch_common, settings, ignored), common.name, common.text);
  const auto cuda = detail::first_set({"PYTORCH_CUDA_ALLOC_CONF", "PYTORCH_ALLOC_CONF"});
  if (cuda.text != nullptr)
    detail::throw_if(detail::read_as_pytorch(cuda.text, pytorch_cuda, settings, ignored), cuda.name, cuda.text);
  if (const char* own = std::getenv("TERRAZZO_ALLOC_CONF"))
    detail::throw_if(detail::read_strictly(own, settings, ignored), "TERRAZZO_ALLOC_CONF", own);
  return settings;
}

}  // namespace terrazzo
