// Where a cuBLAS library may lie: names and folders, in the order in which they are tried.
#pragma once

#include <string>
#include <vector>

namespace terrazzo::detail {

/// File names of cuBLAS on this system, newest first.
[[nodiscard]] const std::vector<std::string>& cublas_names();

/// Lists the files of such a name that exist in `folder`, newest first.
[[nodiscard]] std::vector<std::string> cublas_files_in(const std::string& folder);

/// Lists the folders that toolkits and Python environments put cuBLAS into, whether they exist or not for toolkits (so
/// that an error can tell where it was looked for), and those that exist for Python: CUDA_HOME, CUDA_PATH,
/// /usr/local/cuda; then nvidia/cu13, nvidia/cublas (the wheels of CUDA 13 and 12) and torch/lib in the site-packages
/// of VIRTUAL_ENV, CONDA_PREFIX, HOME and the system.
[[nodiscard]] std::vector<std::string> usual_cublas_folders();

}  // namespace terrazzo::detail
