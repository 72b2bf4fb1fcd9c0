#include "tools/machine.hpp"

#include <doctest/doctest.h>

#include <string>

using namespace terrazzo::tools;

TEST_CASE("machine: bytes are printed for people") {
  const struct {
    std::size_t bytes;
    const char* expected;
  } rows[] = {
      {0, "0 bytes"},
      {1023, "1023 bytes"},
      {1024, "1 KiB"},
      {1536, "1.5 KiB"},
      {2 << 20, "2 MiB"},
      {8519680, "8.12 MiB"},
      {100 << 20, "100 MiB"},
      {(1ull << 30) - 1, "1024 MiB"},
      {6ull << 30, "6 GiB"},
      {25383141376, "23.6 GiB"},
      {80ull << 30, "80 GiB"},
      {3ull << 40, "3 TiB"},
      {5000ull << 40, "5000 TiB"},
  };
  for (const auto& row : rows) {
    CAPTURE(row.bytes);
    CHECK(human_bytes(row.bytes) == row.expected);
  }
}

TEST_CASE("machine: versions are printed as their owners count") {
  CHECK(cuda_version_text(13000) == "13.0");
  CHECK(cuda_version_text(12040) == "12.4");
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
