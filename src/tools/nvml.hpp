// Who holds memory on a device, as NVIDIA's management library (NVML) tells: libnvidia-ml.so.1 or nvml.dll, opened at
// run time where there is one. Its functions are declared here, since nvml.h does not come with every toolkit.
//
// Source: NVML API reference, release 590, and nvml.h of the same. The layout of a process entry has changed without a
// new function name: 24 bytes in releases 510 to 530 and from 535.98 on, 32 in 535.43 to 535.86, 16 in the function
// without a version (told in XuehaiPan/nvitop #79, #89). So it is measured, not believed: see nvml.cpp.
#pragma once

#include <cstddef>
#include <cstdint>
#include <optional>
#include <string>
#include <vector>

// NVML's own names, with the types that its functions have. Declared for their types alone, never defined or linked.
extern "C" {
struct nvmlDevice_st;
unsigned int nvmlInit_v2();
unsigned int nvmlShutdown();
const char* nvmlErrorString(unsigned int result);
unsigned int nvmlSystemGetProcessName(unsigned int pid, char* name, unsigned int length);
unsigned int nvmlDeviceGetHandleByUUID(const char* uuid, nvmlDevice_st** device);
unsigned int nvmlDeviceGetComputeRunningProcesses(nvmlDevice_st* device, unsigned int* count, void* entries);
unsigned int nvmlDeviceGetComputeRunningProcesses_v2(nvmlDevice_st* device, unsigned int* count, void* entries);
unsigned int nvmlDeviceGetComputeRunningProcesses_v3(nvmlDevice_st* device, unsigned int* count, void* entries);
unsigned int nvmlDeviceGetGraphicsRunningProcesses(nvmlDevice_st* device, unsigned int* count, void* entries);
unsigned int nvmlDeviceGetGraphicsRunningProcesses_v2(nvmlDevice_st* device, unsigned int* count, void* entries);
unsigned int nvmlDeviceGetGraphicsRunningProcesses_v3(nvmlDevice_st* device, unsigned int* count, void* entries);
}

// clang-format off
#define TERRAZZO_NVML_FUNCTIONS(X)                    \
  X(nvmlInit_v2, needed)                              \
  X(nvmlShutdown, needed)                             \
  X(nvmlErrorString, optional)                        \
  X(nvmlSystemGetProcessName, optional)               \
  X(nvmlDeviceGetHandleByUUID, needed)                \
  X(nvmlDeviceGetComputeRunningProcesses_v3, optional)\
  X(nvmlDeviceGetComputeRunningProcesses_v2, optional)\
  X(nvmlDeviceGetComputeRunningProcesses, optional)   \
  X(nvmlDeviceGetGraphicsRunningProcesses_v3, optional)\
  X(nvmlDeviceGetGraphicsRunningProcesses_v2, optional)\
  X(nvmlDeviceGetGraphicsRunningProcesses, optional)
// clang-format on

namespace terrazzo::tools {

/// A process that holds memory of a device.
struct memory_holder {
  std::uint32_t pid = 0;
  std::string name;                  ///< empty if the system does not tell
  std::optional<std::size_t> bytes;  ///< none where the driver does not know, as under Windows' WDDM
  bool is_this_command = false;
};

/// NVML, for the length of its life. Threads: one.
class management_library {
 public:
  /// Opens and starts it: beside `driver_path`, the CUDA driver's file if that was chosen by path ("" if not), then by
  /// name. Without one, all functions below find nothing.
  explicit management_library(const std::string& driver_path);
  ~management_library();
  management_library(const management_library&) = delete;
  management_library& operator=(const management_library&) = delete;

  /// The file it came from.
  [[nodiscard]] const std::string& path() const noexcept { return path_; }
  /// Why it cannot be asked; empty if it can.
  [[nodiscard]] const std::string& problem() const noexcept { return problem_; }

  /// Lists who holds memory on the device with this UUID, as in "GPU-8932f937-...", most first. None if it does not
  /// tell.
  [[nodiscard]] std::optional<std::vector<memory_holder>> holders(const std::string& uuid) const;

 private:
  struct functions {
#define TERRAZZO_NVML_MEMBER(name, use) decltype(&::name) name = nullptr;
    TERRAZZO_NVML_FUNCTIONS(TERRAZZO_NVML_MEMBER)
#undef TERRAZZO_NVML_MEMBER
  };
  using list_function = decltype(&::nvmlDeviceGetComputeRunningProcesses);
  bool add_processes(list_function list, nvmlDevice_st* device, std::vector<memory_holder>& result) const;

  functions functions_;
  bool open_ = false;
  std::string path_;
  std::string problem_;
};

}  // namespace terrazzo::tools
