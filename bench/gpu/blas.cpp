#include "blas.hpp"

#include <algorithm>
#include <cstdlib>

#include "base/shared_library.hpp"

namespace terrazzo::probe {

using detail::shared_library;

namespace {

/// Opens the first that can be opened; `reason` is why the first of all could not.
shared_library open_first(const std::vector<std::string>& candidates, std::string& reason) {
  for (const std::string& candidate : candidates) {
    std::string why;
    shared_library library = shared_library::open(candidate, why);
    if (library) return library;
    if (reason.empty()) reason = why;
  }
  return {};
}

// Newest first, though never newer than the driver can serve.
std::vector<std::string> by_version(const gpu& device, const std::string& folder, const std::string& stem) {
  std::vector<std::string> names;
  for (int major = std::min(device.driver->version() / 1000, 13); major >= 11; --major) {
    const std::string name = fmt::format("{}.so.{}", stem, major);
    names.push_back(folder.empty() ? name : folder + "/" + name);
  }
  return names;
}

}  // namespace

blas_calls load_blas(const gpu& device) {
  std::vector<std::string> candidates;
  const char* chosen = std::getenv("TERRAZZO_CUBLAS");
  if (chosen != nullptr && *chosen != '\0') candidates = {chosen};
  else if (device.driver->chosen_by_path())
    candidates = by_version(device, detail::folder_of(device.driver->origin()), "libcublas");
  else candidates = by_version(device, "", "libcublas");
  std::string reason;
  const shared_library blas = open_first(candidates, reason);
  if (!blas) throw unsupported("no cuBLAS: " + reason);

  blas_calls calls;
  calls.path = blas.path();
  const std::string folder = detail::folder_of(blas.path());
  std::vector<std::string> lt_candidates = by_version(device, folder, "libcublasLt");
  if (!device.driver->chosen_by_path())  // with the software GPU, NVIDIA's library would find no driver it knows
    for (std::string& name : by_version(device, "", "libcublasLt")) lt_candidates.push_back(std::move(name));
  const shared_library lt = open_first(lt_candidates, reason);
  if (lt) calls.lt_path = lt.path();
#define TERRAZZO_PROBE_TAKE(name) \
  calls.name.function = reinterpret_cast<decltype(calls.name.function)>(blas.symbol(#name));
  TERRAZZO_PROBE_CUBLAS_FUNCTIONS(TERRAZZO_PROBE_TAKE)
#undef TERRAZZO_PROBE_TAKE
#define TERRAZZO_PROBE_TAKE(name) \
  if (lt) calls.name.function = reinterpret_cast<decltype(calls.name.function)>(lt.symbol(#name));
  TERRAZZO_PROBE_CUBLASLT_FUNCTIONS(TERRAZZO_PROBE_TAKE)
#undef TERRAZZO_PROBE_TAKE
  return calls;
}

std::string name_of(cublasStatus_t status) {
  switch (status) {
#define TERRAZZO_PROBE_STATUS(name) \
  case name:                        \
    return #name;
    TERRAZZO_PROBE_STATUS(CUBLAS_STATUS_SUCCESS)
    TERRAZZO_PROBE_STATUS(CUBLAS_STATUS_NOT_INITIALIZED)
    TERRAZZO_PROBE_STATUS(CUBLAS_STATUS_ALLOC_FAILED)
    TERRAZZO_PROBE_STATUS(CUBLAS_STATUS_INVALID_VALUE)
    TERRAZZO_PROBE_STATUS(CUBLAS_STATUS_ARCH_MISMATCH)
    TERRAZZO_PROBE_STATUS(CUBLAS_STATUS_MAPPING_ERROR)
    TERRAZZO_PROBE_STATUS(CUBLAS_STATUS_EXECUTION_FAILED)
    TERRAZZO_PROBE_STATUS(CUBLAS_STATUS_INTERNAL_ERROR)
    TERRAZZO_PROBE_STATUS(CUBLAS_STATUS_NOT_SUPPORTED)
    TERRAZZO_PROBE_STATUS(CUBLAS_STATUS_LICENSE_ERROR)
#undef TERRAZZO_PROBE_STATUS
  }
  return std::to_string(static_cast<int>(status));
}

void need(cublasStatus_t status, const char* function) {
  if (status == CUBLAS_STATUS_SUCCESS) return;
  const std::string sentence = fmt::format("{} answered {}", function, name_of(status));
  if (status == CUBLAS_STATUS_NOT_SUPPORTED) throw unsupported(sentence);
  throw std::runtime_error(sentence);
}

}  // namespace terrazzo::probe
