// `terrazzo --version`: an option of the program itself, with --json what it was made with.
#include <cuda.h>

#include <nlohmann/json.hpp>

#include "terrazzo/version.h"

#include "tools/commands.hpp"

namespace terrazzo::tools {
namespace {

std::string compiler() {
#if defined(__clang__)
  return fmt::format("clang {}.{}.{}", __clang_major__, __clang_minor__, __clang_patchlevel__);
#elif defined(__GNUC__)
  return fmt::format("g++ {}.{}.{}", __GNUC__, __GNUC_MINOR__, __GNUC_PATCHLEVEL__);
#else
  return "unknown";
#endif
}

int print_version(const invocation& with) {
  if (!with.json) {
    with.out.print("terrazzo {}\n", TERRAZZO_VERSION_STRING);
    return exit_fine;
  }
  nlohmann::ordered_json out;
  out["version"] = TERRAZZO_VERSION_STRING;
  out["compiler"] = compiler();
  out["cuda_headers"] = fmt::format("{}.{}", CUDA_VERSION / 1000, CUDA_VERSION % 1000 / 10);
  with.print_json(out);
  return exit_fine;
}

}  // namespace

void add_version_command(CLI::App& app, invocation& with) {
  add_output_options(app, with);
  app.add_flag_callback(
      "--version", [&with] { with.run = [&with] { return print_version(with); }; },
      "print the version; with --json also compiler and CUDA headers");
}

}  // namespace terrazzo::tools
