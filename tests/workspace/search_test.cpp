// Which cuBLAS is taken, among files that really lie there: small ones that tell a version and no more, the software
// cuBLAS, and NVIDIA's where it is installed.
#include <doctest/doctest.h>

#include <filesystem>
#include <fstream>
#include <set>
#include <string>
#include <vector>

#include "base/shared_library.hpp"
#include "support/environment.hpp"
#include "terrazzo/softgpu.h"
#include "workspace/cublas.hpp"
#include "workspace/search.hpp"

using namespace terrazzo;
using namespace terrazzo::detail;
using terrazzo::test::variable_scope;
namespace fs = std::filesystem;

namespace {

const std::string fakes = TERRAZZO_FAKE_CUBLAS_FOLDER;
const std::string fake_13 = fakes + "/13/libcublas.so.13";       // says 13.9.1
const std::string fake_12 = fakes + "/12/libcublas.so.12";       // says 12.9.2
const std::string too_old = fakes + "/old/libcublas.so.12";      // says 10.2.0
const std::string by_name = fakes + "/by-name/libcublas.so.13";  // says 13.9.3, found by the name alone

std::string message() { return last_error_message(); }
bool says(const std::string& part) { return message().find(part) != std::string::npos; }

// The software cuBLAS in process, without some of its functions.
symbol_lookup without(std::set<std::string> hidden) {
  return [hidden = std::move(hidden)](const char* name) {
    return hidden.count(name) != 0 ? nullptr : terrazzo_softcublas_symbol(name);
  };
}

// A folder for the length of a test, with empty files in it.
struct temporary_folder {
  temporary_folder(const char* name, const std::vector<std::string>& files) : path(fs::path(fakes) / name) {
    fs::remove_all(path);
    for (const std::string& file : files) {
      fs::create_directories((path / file).parent_path());
      std::ofstream(path / file).put('\n');
    }
  }
  ~temporary_folder() { fs::remove_all(path); }
  temporary_folder(const temporary_folder&) = delete;
  temporary_folder& operator=(const temporary_folder&) = delete;
  const fs::path path;
};

}  // namespace

TEST_CASE("cublas search: a path comes before the variable and that before the driver's folder") {
  const std::string driver_of_12 = fakes + "/12/libcuda.so.1";  // need not exist: its folder counts
  const struct {
    const char* name;
    std::string path;
    const char* variable;
    std::string driver_path;
    int version;
  } rows[] = {
      {"path alone", fake_13, nullptr, "", 130901},
      {"path over variable and driver", fake_13, fake_12.c_str(), driver_of_12, 130901},
      {"variable alone", "", fake_12.c_str(), "", 120902},
      {"variable over driver", "", fake_13.c_str(), driver_of_12, 130901},
      {"driver", "", nullptr, driver_of_12, 120902},
      {"driver with an empty variable", "", "", driver_of_12, 120902},
  };
  for (const auto& row : rows) {
    CAPTURE(std::string(row.name));
    const variable_scope variable("TERRAZZO_CUBLAS", row.variable);
    std::shared_ptr<const cublas> library;
    const status loaded = cublas::load(row.path, row.driver_path, library);
    REQUIRE_MESSAGE(loaded == status::ok, message());
    CHECK(library->version() == row.version);
    CHECK(fs::equivalent(library->origin(), row.version == 130901 ? fake_13 : fake_12));
  }
}

TEST_CASE("cublas search: what was asked for by path fails by its name and nothing else is taken") {
  const std::string driver_of_13 = fakes + "/13/libcuda.so.1";
  std::shared_ptr<const cublas> library;
  CHECK(cublas::load("/nowhere/libcublas.so.13", driver_of_13, library) == status::library_not_found);
  CHECK_MESSAGE(says("the cuBLAS library '/nowhere/libcublas.so.13' cannot be loaded: "), message());
  CHECK_FALSE(says("TERRAZZO_CUBLAS"));
  const variable_scope variable("TERRAZZO_CUBLAS", "/elsewhere/libcublas.so.13");
  CHECK(cublas::load("", driver_of_13, library) == status::library_not_found);
  CHECK_MESSAGE(says("'/elsewhere/libcublas.so.13' (from TERRAZZO_CUBLAS) cannot be loaded: "), message());
  CHECK(library == nullptr);
}

TEST_CASE("cublas search: beside the driver the newest file that can be opened is taken") {
  const variable_scope no_variable("TERRAZZO_CUBLAS", nullptr);
  temporary_folder folder("beside", {"libcublas.so.13"});  // an empty file cannot be opened as a library
  fs::copy_file(fake_12, folder.path / "libcublas.so.12");
  std::shared_ptr<const cublas> library;
  REQUIRE(cublas::load("", (folder.path / "libcuda.so.1").string(), library) == status::ok);
  CHECK(library->version() == 120902);
  fs::remove(folder.path / "libcublas.so.13");
  fs::copy_file(fake_13, folder.path / "libcublas.so.13");
  REQUIRE(cublas::load("", (folder.path / "libcuda.so.1").string(), library) == status::ok);
  CHECK(library->version() == 130901);
}

TEST_CASE("cublas search: the software driver's cuBLAS is taken although the program has loaded NVIDIA's") {
  const variable_scope no_variable("TERRAZZO_CUBLAS", nullptr);
  std::string reason;
  const auto nvidia = shared_library::open("/usr/local/cuda/lib64/libcublas.so.13", reason);
  if (!nvidia) MESSAGE("checked without NVIDIA's cuBLAS, which is not installed here: ", reason);
  const auto other = shared_library::open(fake_13, reason);
  REQUIRE_MESSAGE(other, reason);

  std::shared_ptr<const cublas> library;
  const status loaded = cublas::load("", TERRAZZO_SOFTGPU_LIBRARY, library);
  REQUIRE_MESSAGE(loaded == status::ok, message());
  CHECK(fs::equivalent(library->origin(), TERRAZZO_SOFTCUBLAS_LIBRARY));
  CHECK(library->symbol("cublasCreate_v2") != other.symbol("cublasCreate_v2"));
  if (nvidia) CHECK(library->symbol("cublasCreate_v2") != nvidia.symbol("cublasCreate_v2"));
}

TEST_CASE("cublas search: what the program has loaded comes before what lies on the search path") {
  const variable_scope no_variable("TERRAZZO_CUBLAS", nullptr);
  std::string reason;
  REQUIRE_MESSAGE(shared_library::open(fake_13, reason), reason);
  const auto loaded_first = shared_library::already_loaded("libcublas.so.13");  // by an earlier test, if not this one
  REQUIRE(loaded_first);
  std::shared_ptr<const cublas> library;
  // A driver that was chosen by path, with no cuBLAS beside it, changes nothing.
  for (const std::string& driver_path : {std::string(), fakes + "/libcuda.so.1"}) {
    CAPTURE(driver_path);
    const status loaded = cublas::load("", driver_path, library);
    REQUIRE_MESSAGE(loaded == status::ok, message());
    CHECK(library->origin() == loaded_first.path());
  }
}

TEST_CASE("cublas search: the system's search path serves a program that has loaded none") {
  const variable_scope no_variable("TERRAZZO_CUBLAS", nullptr);
  const variable_scope toolkit("CUDA_HOME", (fakes + "/toolkit").c_str());
  const char* path = std::getenv("LD_LIBRARY_PATH");
  const bool searched = path != nullptr && std::string(path).find(fakes + "/by-name") != std::string::npos;
  if (!searched || shared_library::already_loaded("libcublas.so.13")) {
    MESSAGE("not checked: the program was not started by ctest, for this test alone");
    return;
  }
  std::shared_ptr<const cublas> library;
  const status loaded = cublas::load("", "", library);
  REQUIRE_MESSAGE(loaded == status::ok, message());
  CHECK(library->version() == 130903);
  CHECK(fs::equivalent(library->origin(), by_name));
}

TEST_CASE("cublas search: toolkits and Python environments are looked through in order") {
  const temporary_folder root(
      "roots", {"home/.local/lib/python3.12/site-packages/torch/lib/libcublas.so.12",
                "venv/lib/python3.11/site-packages/nvidia/cu13/lib/libcublas.so.13",
                "venv/lib/python3.11/site-packages/nvidia/cublas/lib/libcublas.so.12",
                "conda/lib/python3.13/site-packages/nvidia/cublas/lib/libcublas.so.12",
                "conda/lib/python3.9/dist-packages/torch/lib/libcublas.so.13", "toolkit/lib64/libcublas.so.12",
                "toolkit/lib64/libcublas.so.13", "toolkit/lib64/libcublas.so.11", "toolkit/lib64/libcublasLt.so.13"});
  const auto in = [&](const char* inside) { return (root.path / inside).string(); };
  const std::string toolkit_root = in("toolkit");
  const std::string venv = in("venv");
  const std::string conda = in("conda");
  const std::string home = in("home");
  const variable_scope a("CUDA_HOME", toolkit_root.c_str());
  const variable_scope b("CUDA_PATH", nullptr);
  const variable_scope c("VIRTUAL_ENV", venv.c_str());
  const variable_scope d("CONDA_PREFIX", conda.c_str());
  const variable_scope e("HOME", home.c_str());

  std::vector<std::string> found;
  for (const cublas_place& place : usual_cublas_places()) {
    for (const std::string& folder : place.folders)
      for (const std::string& file : cublas_files_in(folder))
        if (file.starts_with(root.path.string())) found.push_back(file);
  }
  const std::vector<std::string> expected = {
      in("toolkit/lib64/libcublas.so.13"),
      in("toolkit/lib64/libcublas.so.12"),
      in("venv/lib/python3.11/site-packages/nvidia/cu13/lib/libcublas.so.13"),
      in("venv/lib/python3.11/site-packages/nvidia/cublas/lib/libcublas.so.12"),
      in("conda/lib/python3.13/site-packages/nvidia/cublas/lib/libcublas.so.12"),
      in("conda/lib/python3.9/dist-packages/torch/lib/libcublas.so.13"),
      in("home/.local/lib/python3.12/site-packages/torch/lib/libcublas.so.12"),
  };
  CHECK(found == expected);
}

TEST_CASE("cublas search: no place is looked through twice whatever it is called") {
  const temporary_folder root("twice", {"toolkit/lib64/libcublas.so.13",
                                        "toolkit/lib/python3.11/site-packages/nvidia/cublas/lib/libcublas.so.12"});
  fs::create_directory_symlink(root.path / "toolkit", root.path / "link");
  const std::string toolkit = (root.path / "toolkit").string();
  const std::string link = (root.path / "link").string();
  const variable_scope a("CUDA_HOME", toolkit.c_str());
  const variable_scope b("CUDA_PATH", link.c_str());
  const variable_scope c("VIRTUAL_ENV", link.c_str());
  const variable_scope d("CONDA_PREFIX", toolkit.c_str());
  std::vector<std::string> found;
  for (const cublas_place& place : usual_cublas_places())
    if (place.root == toolkit || place.root == link) found.push_back(std::string(place.what) + " in " + place.root);
  const std::vector<std::string> expected = {"a toolkit in " + toolkit, "Python packages in " + link};
  CHECK(found == expected);
}

TEST_CASE("cublas: a missing needed function is named with both versions") {
  const struct {
    const char* name;
    const char* since;
  } rows[] = {{"cublasGetProperty", "8.0"},
              {"cublasCreate_v2", "4.0"},
              {"cublasDestroy_v2", "4.0"},
              {"cublasSetStream_v2", "4.0"},
              {"cublasSetWorkspace_v2", "11.0"}};
  for (const auto& row : rows) {
    CAPTURE(std::string(row.name));
    std::shared_ptr<const cublas> library;
    CHECK(cublas::load_from(without({row.name}), "a library", library) == status::library_not_found);
    CHECK(library == nullptr);
    CHECK_MESSAGE(says(std::string("has no function ") + row.name + ", which versions from " + row.since + " on have"),
                  message());
  }
  std::shared_ptr<const cublas> library;
  CHECK(cublas::load(too_old, "", library) == status::library_not_found);
  CHECK_MESSAGE(says("(version 10.2) has no function cublasSetWorkspace_v2, which versions from 11.0 on have"),
                message());
  CHECK(cublas::load_from([](const char*) -> void* { return nullptr; }, "libm", library) == status::library_not_found);
  CHECK(says("'libm' (version unknown) has no function cublasGetProperty"));
}

TEST_CASE("cublas: a status is told in its library's words or by its number") {
  std::shared_ptr<const cublas> library;
  REQUIRE(cublas::load_from(terrazzo_softcublas_symbol, "the software cuBLAS", library) == status::ok);
  CHECK(library->name(CUBLAS_STATUS_ALLOC_FAILED) == "CUBLAS_STATUS_ALLOC_FAILED (3)");
  CHECK(library->fail_call("cublasCreate", CUBLAS_STATUS_ALLOC_FAILED, "testing") == status::library_error);
  CHECK(message() ==
        "cublasCreate failed while testing: CUBLAS_STATUS_ALLOC_FAILED (3), the resource allocation failed");

  const auto bare = without({"cublasGetStatusName", "cublasGetStatusString"});
  REQUIRE(cublas::load_from(bare, "an old cuBLAS", library) == status::ok);
  CHECK(library->name(CUBLAS_STATUS_ALLOC_FAILED) == "cuBLAS status (3)");
  CHECK(library->fail_call("cublasCreate", CUBLAS_STATUS_ALLOC_FAILED, "testing") == status::library_error);
  CHECK(message() == "cublasCreate failed while testing: cuBLAS status (3)");
}
