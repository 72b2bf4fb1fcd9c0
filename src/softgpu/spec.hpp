// What a software GPU is made of, as told by a spec string such as "devices=2;memory=8GiB;1.memory=4GiB". The keys,
// their meaning and defaults are listed in include/terrazzo/softgpu.h; the table that reads them is in spec.cpp.
#pragma once

#include <cstdint>
#include <string>
#include <string_view>
#include <vector>

namespace softgpu {

struct device_spec {
  std::uint64_t memory_bytes = std::uint64_t{8} << 30;
  int capability_major = 9;
  int capability_minor = 0;
  std::uint64_t granularity_bytes = std::uint64_t{2} << 20;
  bool backed = true;
  bool virtual_memory = true;
  std::uint64_t other_bytes = 0;
  std::uint64_t context_bytes = 0;
  std::uint64_t cublas_pool_bytes = 0;
  bool cublas_pool_given = false;
  std::string name = "terrazzo software GPU";
};

struct gpu_spec {
  std::vector<device_spec> devices;
  bool manual_completion = false;
  int driver_version = 0;                                  // as cuDriverGetVersion gives it: 13000 is 13.0
  std::uint64_t address_bytes = std::uint64_t{128} << 40;  // all reservations together
};

/// Reads a spec string over the defaults. False, with `reason` naming key, value and allowed range, if it is not
/// understood; `result` is then untouched.
[[nodiscard]] bool parse_spec(std::string_view text, int default_driver_version, gpu_spec& result, std::string& reason);

}  // namespace softgpu
