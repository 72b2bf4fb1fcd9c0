#include "tools/machine.hpp"

#include <doctest/doctest.h>

#include <string>

#include "driver/driver.hpp"

using namespace terrazzo::tools;

TEST_CASE("machine: versions are printed as their owners count") {
  CHECK(terrazzo::detail::cuda_version_text(13000) == "13.0");
  CHECK(terrazzo::detail::cuda_version_text(12040) == "12.4");
  CHECK(cublas_version_text(130100) == "13.1.0");
  CHECK(cublas_version_text(120902) == "12.9.2");
}

TEST_CASE("machine: what others hold leaves this command's own context out") {
  device_facts device;
  device.total_bytes = 1000;
  device.free_bytes = 400;
  CHECK(device.others_bytes() == 600);
  device.holders.emplace();
  CHECK(device.others_bytes() == 600);
  device.holders->push_back({1, "other", 500, false});
  device.holders->push_back({2, "self", 100, true});
  CHECK(device.others_bytes() == 500);
  device.holders->back().bytes = 5000;
  CHECK(device.others_bytes() == 0);
}
