// Spec strings: what they set, and what is said about bad ones.
#include <doctest/doctest.h>

#include <string>

#include "softgpu/spec.hpp"

using softgpu::gpu_spec;
using softgpu::parse_spec;

TEST_CASE("softgpu spec: every key sets what it names") {
  gpu_spec spec;
  std::string reason;
  REQUIRE_MESSAGE(
      parse_spec(
          "1.memory=4GiB;devices=2,memory=8GiB;capability=12.1;granularity=64KiB;backed=0;vmm=0;completion=manual;"
          "driver=12.4;other=1MiB;context=300000;name=big one;cublas_pool=64MiB;addresses=1TiB;",
          13000, spec, reason),
      reason);
  REQUIRE(spec.devices.size() == 2);
  CHECK(spec.devices[0].memory_bytes == std::uint64_t{8} << 30);
  CHECK(spec.devices[1].memory_bytes == std::uint64_t{4} << 30);  // its own wins, wherever it stands
  CHECK(spec.manual_completion);
  CHECK(spec.driver_version == 12040);
  CHECK(spec.address_bytes == std::uint64_t{1} << 40);
  for (const softgpu::device_spec& one : spec.devices) {
    CHECK(one.capability_major == 12);
    CHECK(one.capability_minor == 1);
    CHECK(one.granularity_bytes == 65536);
    CHECK_FALSE(one.backed);
    CHECK_FALSE(one.virtual_memory);
    CHECK(one.other_bytes == 1 << 20);
    CHECK(one.context_bytes == 300000);
    CHECK(one.name == "big one");
    CHECK(one.cublas_pool_given);
    CHECK(one.cublas_pool_bytes == std::uint64_t{64} << 20);
  }
}

TEST_CASE("softgpu spec: an empty one is one device of the defaults") {
  gpu_spec spec;
  std::string reason;
  REQUIRE(parse_spec("", 12000, spec, reason));
  REQUIRE(spec.devices.size() == 1);
  CHECK(spec.devices[0].memory_bytes == std::uint64_t{8} << 30);
  CHECK(spec.devices[0].granularity_bytes == std::uint64_t{2} << 20);
  CHECK(spec.driver_version == 12000);
  CHECK_FALSE(spec.manual_completion);
}

TEST_CASE("softgpu spec: a bad one is refused with key value and range") {
  static constexpr struct {
    const char* text;
    const char* said;
  } cases[] = {
      {"memory", "'memory' is not key=value"},
      {"memry=8GiB", "there is no key 'memry' (did you mean memory?); keys are devices"},
      {"capabilty=8.6", "there is no key 'capabilty' (did you mean capability?); keys are"},
      {"0.bakced=0", "there is no key 'bakced' (did you mean backed?); keys are"},
      {"flavour=mint", "there is no key 'flavour'; keys are devices"},
      {"memory=8GB", "memory=8GB is not understood: memory is a size from 1MiB to 64TiB"},
      {"memory=", "memory= is not understood"},
      {"memory=-1", "memory=-1 is not understood"},
      {"memory=65TiB", "memory=65TiB is not understood"},
      {"memory=99999999999TiB", "is not understood"},
      {"memory=1KiB", "memory=1KiB is not understood"},
      {"devices=65", "devices=65 is not understood: devices is a number from 0 to 64"},
      {"devices=two", "devices=two is not understood"},
      {"devices=0;capability=9", "capability=9 is not understood: capability is major.minor"},
      {"granularity=3MiB", "granularity=3MiB is not understood: granularity is a power of two"},
      {"granularity=4KiB", "granularity=4KiB is not understood"},
      {"backed=yes", "backed=yes is not understood: backed is 0 or 1"},
      {"completion=later", "completion=later is not understood: completion is immediate or manual"},
      {"driver=13", "driver=13 is not understood"},
      {"1.memory=4GiB", "there is no device 1 among 1"},
      {"x.memory=4GiB", "'x.memory' names no device"},
      {"0.completion=manual", "completion cannot be set for one device"},
      {"name=", "name= is not understood: name is 1 to 255 characters"},
  };
  for (const auto& one : cases) {
    CAPTURE(one.text);
    gpu_spec spec;
    spec.driver_version = 7;
    std::string reason;
    CHECK_FALSE(parse_spec(one.text, 13000, spec, reason));
    CAPTURE(reason);
    CHECK(reason.find(one.said) != std::string::npos);
    CHECK(spec.driver_version == 7);
  }
}
