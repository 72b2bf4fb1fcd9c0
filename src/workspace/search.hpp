// Where a cuBLAS library may lie: names and folders, in the order in which they are tried.
#pragma once

#include <string>
#include <vector>

namespace terrazzo::detail {

/// File names of cuBLAS on this system, newest first.
[[nodiscard]] const std::vector<std::string>& cublas_names();

/// Lists the files of such a name that exist in `folder`, newest first.
[[nodiscard]] std::vector<std::string> cublas_files_in(const std::string& folder);

/// Where something is installed, and the folders in it that may hold cuBLAS.
struct cublas_place {
  const char* what;  // "a toolkit" or "Python packages"
  std::string root;
  std::vector<std::string> folders;
};

/// Lists the places of toolkits (CUDA_HOME, CUDA_PATH, /usr/local/cuda), with all their folders, then those of Python
/// environments (VIRTUAL_ENV, CONDA_PREFIX, ~/.local, the system), with what is there of nvidia/cu13, nvidia/cublas (the
/// wheels of CUDA 13 and 12) and torch/lib. None is there twice, by whatever names it goes.
[[nodiscard]] std::vector<cublas_place> usual_cublas_places();

}  // namespace terrazzo::detail
