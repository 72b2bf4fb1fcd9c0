// The checks of the machine, with evidence of machines that nobody here has.
#include <doctest/doctest.h>

#include <algorithm>
#include <string>

#include "tools/checks.hpp"

using namespace terrazzo::tools;
using enum terrazzo::detail::severity_level;

namespace {

constexpr std::size_t gib = std::size_t{1} << 30;

/// A sound machine with one card.
evidence sound() {
  evidence seen;
  seen.machine.driver = {"/usr/lib/libcuda.so.1", 13000, ""};
  seen.machine.cublas = {"/usr/lib/libcublas.so.13", 130100, ""};
  device_facts device;
  device.name = "card";
  device.capability_major = 9;
  device.total_bytes = 8 * gib;
  device.free_bytes = 7 * gib;
  device.has_virtual_memory = true;
  device.granularity_bytes = device.chunk_bytes = std::size_t{2} << 20;
  device.is_expandable = true;
  seen.machine.devices.push_back(device);
  seen.has_card = true;
  seen.distribution = "debian";
  seen.nodes = {{"/dev/nvidia0", true, "video"}, {"/dev/nvidiactl", true, "video"}};
  return seen;
}

evidence without_driver() {
  evidence seen = sound();
  seen.machine.driver_status = terrazzo::status::driver_not_found;
  seen.machine.driver = {"", 0, "the CUDA driver 'libcuda.so.1' cannot be loaded: no such file"};
  seen.machine.devices.clear();
  return seen;
}

evidence with_broken_driver(const char* code) {
  evidence seen = without_driver();
  seen.machine.driver_status = terrazzo::status::driver_error;
  seen.machine.driver.problem = std::string("cuInit failed while initialising the CUDA driver: ") + code;
  return seen;
}

finding only(const evidence& seen) {
  const std::vector<finding> found = run_checks(seen);
  std::string all;
  for (const finding& one : found) all += one.what + "; ";
  CAPTURE(all);
  REQUIRE(found.size() == 1);
  CHECK_FALSE(found[0].why.empty());
  return found[0];
}

bool has(const std::string& text, const char* part) {
  CAPTURE(text);
  CAPTURE(std::string(part));
  return text.find(part) != std::string::npos;
}

}  // namespace

TEST_CASE("doctor: a sound machine has no findings") { CHECK(run_checks(sound()).empty()); }

TEST_CASE("doctor: every check has a name of its own") {
  std::vector<std::string> names;
  for (const check& one : all_checks()) names.emplace_back(one.id);
  std::sort(names.begin(), names.end());
  CHECK(std::adjacent_find(names.begin(), names.end()) == names.end());
}

TEST_CASE("doctor: findings are sorted by severity and then by the table") {
  evidence seen = sound();
  seen.is_wsl = true;
  seen.variables = {{"CUDA_MODULE_LOADING", "EAGER"}, {"CUBLAS_WORKSPACE_CONFIG", "junk"}};
  seen.machine.devices[0].has_virtual_memory = false;
  const std::vector<finding> found = run_checks(seen);
  REQUIRE(found.size() == 4);
  CHECK(std::string(found[0].check) == "other-variables");
  CHECK(std::string(found[1].check) == "mapping");
  CHECK(std::string(found[2].check) == "other-variables");
  CHECK(std::string(found[3].check) == "wsl");
}

TEST_CASE("doctor: a missing driver is told with the command for this system") {
  const struct {
    const char* distribution;
    const char* command;
  } rows[] = {{"debian", "sudo apt-get install nvidia-driver"},
              {"ubuntu", "sudo ubuntu-drivers install"},
              {"fedora", "sudo dnf install akmod-nvidia xorg-x11-drv-nvidia-cuda"},
              {"arch", "sudo pacman -S nvidia nvidia-utils"},
              {"", "xdg-open https://www.nvidia.com/drivers"}};
  for (const auto& row : rows) {
    evidence seen = without_driver();
    seen.distribution = row.distribution;
    const finding found = only(seen);
    CHECK(found.severity == error);
    CHECK(has(found.what, "not installed"));
    CHECK(found.command == row.command);
  }
  evidence windows = without_driver();
  windows.is_windows = true;
  CHECK(only(windows).command == "start https://www.nvidia.com/drivers");

  evidence container = without_driver();
  container.is_container = true;
  CHECK(only(container).command == "docker run --gpus all ...");

  evidence wsl = without_driver();
  wsl.is_wsl = true;
  CHECK(has(run_checks(wsl)[0].why, "comes from Windows"));
  wsl.file_exists = [](const std::string& path) { return path == "/usr/lib/wsl/lib/libcuda.so.1"; };
  CHECK(has(run_checks(wsl)[0].command, "LD_LIBRARY_PATH=/usr/lib/wsl/lib"));

  evidence laptop = without_driver();
  laptop.has_card = false;
  laptop.software_driver = "/opt/terrazzo/lib/softgpu/libcuda.so.1";
  CHECK(only(laptop).command == "export TERRAZZO_CUDA_DRIVER=/opt/terrazzo/lib/softgpu/libcuda.so.1");
}

TEST_CASE("doctor: a driver that does not start is told by what the code means") {
  CHECK(only(with_broken_driver("CUDA_ERROR_SYSTEM_DRIVER_MISMATCH (803, x)")).command == "sudo reboot");
  CHECK(has(only(with_broken_driver("CUDA_ERROR_UNKNOWN (999, x)")).command, "nvidia_uvm"));
  CHECK(only(with_broken_driver("CUDA_ERROR_NO_DEVICE (100, x)")).command == "nvidia-smi");
  evidence no_nodes = with_broken_driver("CUDA_ERROR_NO_DEVICE (100, x)");
  no_nodes.nodes.clear();
  CHECK(only(no_nodes).command == "sudo nvidia-modprobe -u -c=0");
  CHECK(has(only(with_broken_driver("CUDA_ERROR_SYSTEM_NOT_READY (802, x)")).what, "802"));
}

TEST_CASE("doctor: an old driver is an error with both versions") {
  evidence seen = sound();
  seen.machine.driver.version = 11080;
  seen.machine.cublas.version = 110000;
  CHECK(has(only(seen).what, "for CUDA 11.8"));
  seen = without_driver();
  seen.machine.driver_status = terrazzo::status::driver_too_old;
  CHECK(has(only(seen).why, "525"));
}

TEST_CASE("doctor: files that are named and not there are told once") {
  evidence seen = without_driver();
  seen.variables = {{"TERRAZZO_CUDA_DRIVER", "/gone/libcuda.so.1"}};
  CHECK(only(seen).command == "unset TERRAZZO_CUDA_DRIVER");
  seen.driver_option = "/other/libcuda.so.1";
  CHECK(has(only(seen).what, "--driver names '/other/libcuda.so.1'"));
  CHECK(only(seen).command == "terrazzo doctor");
  seen = without_driver();
  seen.variables = {{"TERRAZZO_CUDA_DRIVER", "/old/softgpu/libcuda.so.1"}};
  seen.software_driver = "/new path/softgpu/libcuda.so.1";
  CHECK(only(seen).command == "export TERRAZZO_CUDA_DRIVER='/new path/softgpu/libcuda.so.1'");
  seen = sound();
  seen.variables = {{"TERRAZZO_CUBLAS", "/gone/libcublas.so.13"}};
  seen.machine.cublas = {"", 0, "the cuBLAS library '/gone/libcublas.so.13' cannot be loaded"};
  CHECK(only(seen).command == "unset TERRAZZO_CUBLAS");
}

TEST_CASE("doctor: device files that this user may not open") {
  evidence seen = with_broken_driver("CUDA_ERROR_NO_DEVICE (100, x)");
  seen.nodes[0].is_usable = seen.nodes[1].is_usable = false;
  CHECK(only(seen).command == "sudo usermod --append --groups video \"$USER\"");
  seen.nodes[0].group = "root";
  CHECK(only(seen).command == "sudo chmod a+rw /dev/nvidia*");
  evidence software = sound();
  software.variables = {{"TERRAZZO_CUDA_DRIVER", "/usr/lib/softgpu/libcuda.so.1"}};
  software.file_exists = [](const std::string&) { return true; };
  software.nodes[0].is_usable = false;
  CHECK(run_checks(software).empty());
}

TEST_CASE("doctor: CUDA_VISIBLE_DEVICES that hides devices") {
  const struct {
    const char* value;
    const char* part;  // of what is told; null: nothing is
  } rows[] = {{"0", nullptr},
              {"0,1", nullptr},
              {"GPU-8932f937,MIG-1234", nullptr},
              {" 1 , 0", nullptr},
              {"", "set and empty"},
              {"-1", "begins with no device"},
              {"none", "begins with no device"},
              {"0,2,-1,1", "'-1' is no device"},
              {"0,", "'' is no device"}};
  for (const auto& row : rows) {
    CAPTURE(std::string(row.value));
    evidence seen = sound();
    seen.variables = {{"CUDA_VISIBLE_DEVICES", row.value}};
    if (row.part == nullptr) {
      CHECK(run_checks(seen).empty());
      continue;
    }
    const finding found = only(seen);
    CHECK(has(found.what, row.part));
    CHECK(found.severity == warning);
    CHECK(found.command == "unset CUDA_VISIBLE_DEVICES");
  }
  evidence seen = with_broken_driver("CUDA_ERROR_NO_DEVICE (100, x)");
  seen.variables = {{"CUDA_VISIBLE_DEVICES", "-1"}};
  CHECK(only(seen).severity == error);
  seen.variables = {{"CUDA_VISIBLE_DEVICES", "7"}};
  CHECK(has(only(seen).what, "no device is left"));
}

TEST_CASE("doctor: a device that cannot be opened") {
  evidence seen = sound();
  seen.machine.devices[0].problem = "cuDevicePrimaryCtxRetain failed: CUDA_ERROR_DEVICE_UNAVAILABLE (46, busy)";
  CHECK(only(seen).command == "sudo nvidia-smi -i 0 -c DEFAULT");
  seen.machine.devices[0].problem = "cuDevicePrimaryCtxRetain failed: CUDA_ERROR_OUT_OF_MEMORY (2, out of memory)";
  CHECK(has(only(seen).why, "not even a context"));
}

TEST_CASE("doctor: a device without mapping can be told that this is meant") {
  evidence seen = sound();
  seen.machine.devices[0].has_virtual_memory = false;
  seen.machine.devices[0].virtual_memory_reason = "CUDA_ERROR_NOT_SUPPORTED (801)";
  const finding found = only(seen);
  CHECK(found.command == "export TERRAZZO_ALLOC_CONF=expandable_segments:False");
  seen.variables = {{"TERRAZZO_ALLOC_CONF", "expandable_segments:False"}};
  CHECK(run_checks(seen).empty());
  seen.machine.devices[0].virtual_memory_reason = "the driver has no virtual memory management (cuMemCreate ...)";
  CHECK(only(seen).command == "sudo apt-get install nvidia-driver");
}

TEST_CASE("doctor: a limit on addresses that is too small for reservations") {
  evidence seen = sound();
  seen.address_limit_bytes = 64 * gib;
  CHECK(run_checks(seen).empty());
  seen.address_limit_bytes = 16 * gib;
  CHECK(only(seen).command == "ulimit -v unlimited");
  CHECK(has(only(seen).what, "16 GiB"));
}

TEST_CASE("doctor: cuBLAS that is missing or too new for the driver") {
  evidence seen = sound();
  seen.machine.cublas = {"", 0, "no cuBLAS library was found: install CUDA 12 or 13, or set TERRAZZO_CUBLAS to ..."};
  CHECK(only(seen).severity == warning);
  CHECK(only(seen).what == "no cuBLAS library was found");
  CHECK(only(seen).command == "python3 -m pip install nvidia-cublas");
  seen.machine.driver.version = 12040;
  CHECK(only(seen).command == "python3 -m pip install nvidia-cublas-cu12");
  seen = sound();
  seen.machine.driver.version = 12040;
  CHECK(only(seen).severity == error);
  CHECK(has(only(seen).what, "cuBLAS 13.1.0"));
  seen.machine.cublas.version = 120902;
  CHECK(run_checks(seen).empty());
  seen.machine.driver.version = 13000;
  CHECK(run_checks(seen).empty());
}

TEST_CASE("doctor: a full device names who holds it") {
  evidence seen = sound();
  device_facts& device = seen.machine.devices[0];
  device.free_bytes = gib / 2;
  CHECK(only(seen).command == "nvidia-smi");
  CHECK(has(only(seen).why, "does not tell who"));
  device.holders.emplace();
  device.holders->push_back({7, "self", gib / 4, true});
  device.holders->push_back({42, "trainer", 7 * gib, false});
  device.holders->push_back({43, "", std::nullopt, false});
  const finding found = only(seen);
  CHECK(has(found.what, "512 MiB of 8 GiB are free, others hold 7.25 GiB"));
  CHECK(has(found.why, "trainer (process 42, 7 GiB), a process without a name (process 43)"));
  CHECK(found.command == "kill 42");
  seen.is_windows = true;
  CHECK(only(seen).command == "taskkill /PID 42");
  device.holders->front().bytes = 7 * gib;  // this command's own context is nobody's fault
  CHECK(run_checks(seen).empty());
}
