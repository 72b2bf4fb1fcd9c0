// NVIDIA's management library, as far as the command asks it. It knows the software GPU's device 0, on which it lists
// the caller, a trainer that computes and draws, a process without a name and with unknown memory, and a desktop. How
// large an entry is changed from release to release: FAKE_NVML_ENTRY_BYTES.
#include <unistd.h>

#include <cstdint>
#include <cstdlib>
#include <cstring>

#define FAKE_NVML_API extern "C" __attribute__((visibility("default")))

namespace {

constexpr unsigned int success = 0;
constexpr unsigned int not_found = 6;
constexpr unsigned int insufficient_size = 7;

struct process {
  std::uint32_t pid;
  std::uint64_t bytes;
};

unsigned int list(const process* first, unsigned int there, unsigned int* count, void* entries) {
  const unsigned int room = *count;
  *count = there;
  if (room < there) return insufficient_size;
  for (unsigned int i = 0; i < there; ++i) {
    unsigned char* entry = static_cast<unsigned char*>(entries) + i * FAKE_NVML_ENTRY_BYTES;
    std::memset(entry, 0xff, FAKE_NVML_ENTRY_BYTES);  // instances that there are not
    std::memcpy(entry, &first[i].pid, sizeof first[i].pid);
    std::memcpy(entry + 8, &first[i].bytes, sizeof first[i].bytes);
  }
  return success;
}

unsigned int compute(unsigned int* count, void* entries) {
  const process all[] = {{static_cast<std::uint32_t>(getpid()), std::uint64_t{64} << 20},
                         {4000000001u, std::uint64_t{3} << 30},
                         {4000000002u, ~std::uint64_t{0}}};
  return list(all, 3, count, entries);
}

unsigned int graphics(unsigned int* count, void* entries) {
  const process all[] = {{4000000001u, std::uint64_t{3} << 30}, {4000000003u, std::uint64_t{200} << 20}};
  return list(all, 2, count, entries);
}

}  // namespace

FAKE_NVML_API unsigned int nvmlInit_v2() { return std::getenv("FAKE_NVML_FAILS") != nullptr ? 9 : success; }
FAKE_NVML_API unsigned int nvmlShutdown() { return success; }
FAKE_NVML_API const char* nvmlErrorString(unsigned int) { return "Driver Not Loaded"; }

FAKE_NVML_API unsigned int nvmlSystemGetProcessName(unsigned int pid, char* name, unsigned int length) {
  if (pid == 4000000002u) return not_found;
  std::strncpy(name, pid == 4000000001u ? "/opt/trainer" : "desktop", length);
  return success;
}

FAKE_NVML_API unsigned int nvmlDeviceGetHandleByUUID(const char* uuid, void** device) {
  if (std::strcmp(uuid, "GPU-74657272-617a-7a6f-2073-6f6674677000") != 0) return not_found;
  static int the_one;
  *device = &the_one;
  return success;
}

#if FAKE_NVML_ENTRY_BYTES == 16
#define FAKE_NVML_COMPUTE nvmlDeviceGetComputeRunningProcesses
#define FAKE_NVML_GRAPHICS nvmlDeviceGetGraphicsRunningProcesses
#else
#define FAKE_NVML_COMPUTE nvmlDeviceGetComputeRunningProcesses_v3
#define FAKE_NVML_GRAPHICS nvmlDeviceGetGraphicsRunningProcesses_v3
#endif
FAKE_NVML_API unsigned int FAKE_NVML_COMPUTE(void*, unsigned int* count, void* entries) {
  return compute(count, entries);
}
FAKE_NVML_API unsigned int FAKE_NVML_GRAPHICS(void*, unsigned int* count, void* entries) {
  return graphics(count, entries);
}
