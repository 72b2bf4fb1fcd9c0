// Which machine this is: device, driver, memory, host processor. Printed as facts for machine.json.

#include <fstream>

#include "probe.hpp"

namespace {

using terrazzo::probe::probe;

std::string host_processor() {
  std::ifstream info("/proc/cpuinfo");
  for (std::string line; std::getline(info, line);) {
    const std::size_t colon = line.find(": ");
    if (line.starts_with("model name") && colon != std::string::npos) return line.substr(colon + 2);
  }
  return "unknown";
}

void describe_machine(probe& p) {
  p.fact("host_processor", host_processor());
  const auto& device = p.device();
  const auto& cuda = device.cuda;
  const auto attribute = [&](CUdevice_attribute which) {
    int value = 0;
    cuda.cuDeviceGetAttribute.must(&value, which, device.device);
    return value;
  };
  char name[256] = {};
  cuda.cuDeviceGetName.must(static_cast<char*>(name), static_cast<int>(sizeof(name)), device.device);
  std::size_t total_bytes = 0;
  cuda.cuDeviceTotalMem_v2.must(&total_bytes, device.device);
  p.fact("device", name);
  p.fact("driver_library", device.driver->origin());
  p.fact("driver_cuda_version",
         fmt::format("{}.{}", device.driver->version() / 1000, device.driver->version() % 1000 / 10));
  p.fact("compute_capability", fmt::format("{}.{}", attribute(CU_DEVICE_ATTRIBUTE_COMPUTE_CAPABILITY_MAJOR),
                                           attribute(CU_DEVICE_ATTRIBUTE_COMPUTE_CAPABILITY_MINOR)));
  p.fact("memory_bytes", std::to_string(total_bytes));
  p.fact("free_bytes_at_start", std::to_string(device.free_bytes()));
  p.fact("granularity_bytes", std::to_string(device.granularity));
  p.fact("software_gpu", device.software ? "true" : "false");
  p.pass("{}: {}, {} of {} bytes free", name, device.driver->origin(), device.free_bytes(), total_bytes);
}

}  // namespace

int main(int argc, char** argv) { return terrazzo::probe::run_probe(argc, argv, {{"machine", describe_machine}}); }
