#include "support/choose_device.hpp"

#include <cstdlib>
#include <stdexcept>

#include "support/cuda.hpp"

namespace example {
namespace {

void set_variable(const char* name, const std::string& value) {
#ifdef _WIN32
  _putenv_s(name, value.c_str());
#else
  setenv(name, value.c_str(), 1);
#endif
}

}  // namespace

chosen_device choose_device(const std::string& wanted, std::size_t memory_bytes) {
  // A driver named by the variable is used as it is, whatever it may be.
  const char* named = std::getenv("TERRAZZO_CUDA_DRIVER");
  const std::string system = named != nullptr ? named : "";
  const bool names_software = system.find("softgpu") != std::string::npos;
  if (wanted == "cuda" || (wanted == "auto" && !names_software && cuda::is_there(system))) {
    if (!cuda::is_there(system))
      throw std::runtime_error("no CUDA device: use --device soft, or install NVIDIA's driver");
    return {false, system};
  }
  const char* known = std::getenv("TERRAZZO_SOFTGPU");
  std::string spec = "memory=" + std::to_string(memory_bytes);
  if (known != nullptr) spec += std::string(";") + known;
  set_variable("TERRAZZO_SOFTGPU", spec);
  return {true, names_software ? system : software_driver()};
}

}  // namespace example
