// Strings as people have them: with the variable's name before them, as a line of a shell, a Dockerfile, a Windows batch
// file or a Python program.
#pragma once

#include <string>
#include <string_view>

namespace terrazzo::tools {

struct pasted {
  std::string variable;  ///< as named in the line; empty if the line names none
  std::string text;      ///< the value alone
};

/// Takes `export PYTORCH_CUDA_ALLOC_CONF="..."`, `set NAME=...`, `ENV NAME=...`, `$env:NAME = '...'`,
/// `os.environ["NAME"] = "..."` and the like apart. A line without the name of a config variable is a value as it
/// stands.
[[nodiscard]] pasted take_apart(std::string_view line);

}  // namespace terrazzo::tools
