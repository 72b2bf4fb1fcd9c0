#include "tools/machine.hpp"

#include <fmt/format.h>

#include <algorithm>
#include <cstdlib>
#include <filesystem>

#include "base/bits.hpp"
#include "driver/driver.hpp"
#include "memory/device_memory.hpp"
#include "tools/platform.hpp"
#include "workspace/cublas.hpp"

namespace terrazzo::tools {
namespace {

using detail::driver;

std::string uuid_of(const driver& api, CUdevice device) {
  CUuuid uuid{};
  if (api.functions().cuDeviceGetUuid_v2 == nullptr ||
      api.call(api.functions().cuDeviceGetUuid_v2, &uuid, device) != CUDA_SUCCESS)
    return {};
  std::string text = "GPU-";
  for (int i = 0; i < 16; ++i) {
    if (i == 4 || i == 6 || i == 8 || i == 10) text += '-';
    text += fmt::format("{:02x}", static_cast<unsigned char>(uuid.bytes[i]));
  }
  return text;
}

/// What can be asked without a context. False, with `problem` set, if the driver does not answer.
bool ask_driver(const driver& api, device_facts& facts) {
  const detail::driver_functions& cuda = api.functions();
  CUdevice device = 0;
  const auto fails = [&](const char* function, CUresult code) {
    if (code == CUDA_SUCCESS) return false;
    api.fail_call(function, code, fmt::format("asking about device {}", facts.ordinal));
    facts.problem = last_error_message();
    return true;
  };
  if (fails("cuDeviceGet", api.call(cuda.cuDeviceGet, &device, facts.ordinal))) return false;
  char name[256] = "";
  if (fails("cuDeviceGetName", api.call(cuda.cuDeviceGetName, name, static_cast<int>(sizeof name), device)))
    return false;
  facts.name = name;
  facts.uuid = uuid_of(api, device);
  const auto attribute = [&](CUdevice_attribute which, int& value) {
    return api.call(cuda.cuDeviceGetAttribute, &value, which, device);
  };
  return !fails("cuDeviceGetAttribute",
                attribute(CU_DEVICE_ATTRIBUTE_COMPUTE_CAPABILITY_MAJOR, facts.capability_major)) &&
         !fails("cuDeviceGetAttribute",
                attribute(CU_DEVICE_ATTRIBUTE_COMPUTE_CAPABILITY_MINOR, facts.capability_minor)) &&
         !fails("cuDeviceTotalMem", api.call(cuda.cuDeviceTotalMem_v2, &facts.total_bytes, device));
}

/// Opens the device as an allocator would, and gives it back.
void try_device(const std::shared_ptr<const driver>& api, const config& settings, device_facts& facts) {
  detail::primary_context context;
  detail::device_memory memory;
  status opened = detail::primary_context::retain(api, facts.ordinal, context);
  if (opened == status::ok) opened = memory.open(context);
  if (opened == status::ok) {
    const detail::context_scope scope(context);
    opened = scope.result();
    if (opened == status::ok) opened = memory.query_free_bytes(facts.free_bytes);
  }
  if (opened != status::ok) {
    facts.problem = last_error_message();
    return;
  }
  facts.has_virtual_memory = memory.has_virtual_memory();
  facts.virtual_memory_reason = memory.virtual_memory_reason();
  facts.granularity_bytes = memory.granularity_bytes();
  facts.chunk_bytes = memory.chunk_bytes();
  facts.is_expandable = settings.expandable_segments.value_or(true) && facts.has_virtual_memory;
  if (detail::choose_workspace_size(0, std::getenv("CUBLAS_WORKSPACE_CONFIG"), facts.capability_major,
                                    facts.capability_minor, facts.workspace) != status::ok)
    facts.workspace_problem = last_error_message();
}

}  // namespace

std::size_t device_facts::others_bytes() const noexcept {
  std::size_t used = total_bytes - std::min(total_bytes, free_bytes);
  if (holders) {
    for (const memory_holder& one : *holders)
      if (one.is_this_command) used -= std::min(used, one.bytes.value_or(0));
  }
  return used;
}

machine_facts look_at_machine(const std::string& driver_path) {
  machine_facts machine;
  config settings;
  try {
    settings = config_from_environment();
  } catch (const error&) {
    machine.settings_problem = last_error_message();
  }
  std::shared_ptr<const driver> api;
  machine.driver_status = driver::load(driver_path, api);
  std::string chosen_path;  // whose neighbours are its libraries
  if (machine.driver_status != status::ok) {
    machine.driver.problem = last_error_message();
  } else {
    machine.driver.path = api->origin();
    machine.driver.version = api->version();
    if (api->chosen_by_path()) chosen_path = api->origin();
  }

  std::shared_ptr<const detail::cublas> library;
  if (detail::cublas::load({}, chosen_path, library) == status::ok) {
    machine.cublas.path = library->origin();
    machine.cublas.version = library->version();
  } else {
    machine.cublas.problem = last_error_message();
  }

  const management_library management(chosen_path);
  machine.management.path = management.path();
  machine.management.problem = management.problem();
  if (api == nullptr) return machine;

  int count = 0;
  const CUresult counted = api->call(api->functions().cuDeviceGetCount, &count);
  if (counted != CUDA_SUCCESS) {
    machine.driver_status = api->fail_call("cuDeviceGetCount", counted, "counting CUDA devices");
    machine.driver.problem = last_error_message();
    return machine;
  }
  for (int ordinal = 0; ordinal < count; ++ordinal) {
    device_facts facts;
    facts.ordinal = ordinal;
    if (ask_driver(*api, facts)) {
      try_device(api, settings, facts);
      facts.holders = management.holders(facts.uuid);
    }
    machine.devices.push_back(std::move(facts));
  }
  return machine;
}

std::string software_driver_path() {
  namespace fs = std::filesystem;
  const std::string program = platform::executable_path();
  if (program.empty()) return {};
  const fs::path root = fs::path(program).parent_path().parent_path();
  std::error_code ignored;
  for (const char* folder : {"lib/softgpu", "lib/terrazzo/softgpu", TERRAZZO_INSTALLED_SOFTGPU}) {
    const fs::path file = root / folder / detail::driver::file_name;
    if (fs::exists(file, ignored)) return file.string();
  }
  return {};
}

std::string cublas_version_text(int version) {
  return fmt::format("{}.{}.{}", version / 10000, version / 100 % 100, version % 100);
}

}  // namespace terrazzo::tools
