#include "support/choose_device.hpp"

#include <cstdlib>
#include <memory>
#include <stdexcept>

#include "base/shared_library.hpp"
#include "driver/driver.hpp"
#include "support/cuda.hpp"
#include "terrazzo/softgpu.h"
#include "terrazzo/status.hpp"

namespace example {
namespace {

std::string variable(const char* name) {
  const char* value = std::getenv(name);
  return value != nullptr ? value : "";
}

void set_variable(const char* name, const std::string& value) {
#ifdef _WIN32
  _putenv_s(name, value.c_str());
#else
  setenv(name, value.c_str(), 1);
#endif
}

/// Loads what TERRAZZO_CUDA_DRIVER names as terrazzo will, for its message if that fails. Where the software GPU is
/// wanted, a card's driver must only be there.
void check_named_driver(const std::string& named, const std::string& wanted) {
  std::string ignored;
  if (wanted == "soft" && terrazzo::detail::shared_library::open(named, ignored)) return;
  std::shared_ptr<const terrazzo::detail::driver> loaded;
  terrazzo::throw_on_failure(terrazzo::detail::driver::load("", loaded));
}

/// Of several settings of one kind the last counts, and a device's own counts most.
std::string software_spec(std::optional<std::uint64_t> memory_bytes, std::uint64_t default_bytes) {
  const std::string known = variable("TERRAZZO_SOFTGPU");
  if (!memory_bytes) return "memory=" + std::to_string(default_bytes) + ";" + known;
  const std::string wanted = "memory=" + std::to_string(*memory_bytes);
  return known + ";" + wanted + (known.find("0.memory=") != std::string::npos ? ";0." + wanted : "");
}

/// Throws std::runtime_error if nothing can be computed on the software GPU, and says why.
void check_software(const std::string& driver_path) {
  const cuda gpu(driver_path);
  std::string ignored;
  const auto library = terrazzo::detail::shared_library::open(driver_path, ignored);
  const auto reach = reinterpret_cast<decltype(&terrazzo_softgpu_reach)>(library.symbol("terrazzo_softgpu_reach"));
  CUdeviceptr address = 0;
  // A device without any memory is for the example to find out.
  if (reach == nullptr || gpu.call().cuMemAlloc_v2(&address, 1) != CUDA_SUCCESS) return;
  constexpr int but_books_only = 2;
  const bool books_only = reach(address, 1, 0) == but_books_only;
  gpu.call().cuMemFree_v2(address);
  if (books_only)
    throw std::runtime_error(
        "this software GPU has books only (backed=0 in TERRAZZO_SOFTGPU): there is no memory behind its addresses, and "
        "nothing can be computed on it");
}

}  // namespace

chosen_device choose_device(const std::string& wanted, std::optional<std::uint64_t> memory_bytes,
                            std::uint64_t default_bytes) {
  const std::string named = variable("TERRAZZO_CUDA_DRIVER");
  const bool names_software = !named.empty() && cuda::is_software(named);
  if (!named.empty() && !names_software) check_named_driver(named, wanted);
  if (names_software && wanted == "cuda")
    throw std::runtime_error("TERRAZZO_CUDA_DRIVER names the software GPU: unset it, or use --device soft");
  if (wanted == "cuda" || (wanted == "auto" && !names_software)) {
    if (cuda::is_there(named)) return {false, named};
    if (wanted == "cuda" || !named.empty())
      throw std::runtime_error("no CUDA device: use --device soft, or install NVIDIA's driver");
  }
  set_variable("TERRAZZO_SOFTGPU", software_spec(memory_bytes, default_bytes));
  const chosen_device chosen{true, names_software ? named : software_driver()};
  check_software(chosen.driver_path);
  return chosen;
}

}  // namespace example
