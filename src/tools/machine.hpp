// What there is on this machine, found by trying it: the CUDA driver, its devices, cuBLAS, who holds memory. Facts
// alone; `devices` prints them and `doctor` judges them. Nothing here fails: what cannot be had is told in a problem.
#pragma once

#include <cstddef>
#include <optional>
#include <string>
#include <vector>

#include "terrazzo/config.hpp"
#include "terrazzo/status.hpp"
#include "tools/nvml.hpp"
#include "workspace/sizes.hpp"

namespace terrazzo::tools {

struct device_facts {
  int ordinal = 0;
  std::string name;
  std::string uuid;  ///< as in "GPU-8932f937-d72c-4106-c12f-20bd9faed9f6"; empty if the driver does not tell
  int capability_major = 0;
  int capability_minor = 0;
  std::size_t total_bytes = 0;
  /// Why the device could not be opened; if not empty, what follows is unknown.
  std::string problem;
  std::size_t free_bytes = 0;  ///< while this command's own context exists
  bool has_virtual_memory = false;
  std::string virtual_memory_reason;  ///< why not
  std::size_t granularity_bytes = 0;  ///< 0: unknown
  std::size_t chunk_bytes = 0;
  bool is_expandable = false;  ///< the segments that an allocator would make here, with the environment's settings
  detail::workspace_size workspace;
  std::string workspace_problem;
  std::optional<std::vector<memory_holder>> holders;  ///< none: the system does not tell

  /// What others hold, this command's own context taken off where it is known.
  [[nodiscard]] std::size_t others_bytes() const noexcept;
};

struct library_facts {
  std::string path;
  int version = 0;      ///< as the library counts: 13000 is CUDA 13.0, 130100 is cuBLAS 13.1.0
  std::string problem;  ///< why there is none; empty if there is one
};

struct machine_facts {
  status driver_status = status::ok;
  library_facts driver;
  std::vector<device_facts> devices;
  library_facts cublas;
  library_facts management;      ///< NVML; its version is not asked
  std::string settings_problem;  ///< why the environment's config strings cannot be read; empty if they can
};

/// Looks at everything. `driver_path`: the driver's file; empty: TERRAZZO_CUDA_DRIVER, else the system's.
/// Cost: starts the driver, and makes a context on each device in turn.
[[nodiscard]] machine_facts look_at_machine(const std::string& driver_path);

/// Finds the software GPU's driver beside this program, built or installed; empty if it is not there.
[[nodiscard]] std::string software_driver_path();

/// Prints a version as cuBLAS counts it: 130100 is "13.1.0".
[[nodiscard]] std::string cublas_version_text(int version);

}  // namespace terrazzo::tools
