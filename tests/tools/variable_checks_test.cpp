// The checks of the environment's variables.
#include <doctest/doctest.h>

#include <string>

#include "tools/checks.hpp"

using namespace terrazzo::tools;
using enum terrazzo::detail::severity_level;

namespace {

using variables = std::vector<std::pair<std::string, std::string>>;

evidence with(variables set) {
  evidence seen;
  seen.variables = std::move(set);
  return seen;
}

}  // namespace

TEST_CASE("doctor: names that are near to one that is read") {
  const struct {
    const char* name;
    const char* meant;  // null: not told of
  } rows[] = {
      {"PYTORCH_CUDA_ALLOC_CONFIG", "PYTORCH_CUDA_ALLOC_CONF"},
      {"PYTORCH_CUDA_ALOC_CONF", "PYTORCH_CUDA_ALLOC_CONF"},
      {"pytorch_cuda_alloc_conf", "PYTORCH_CUDA_ALLOC_CONF"},
      {"PYTORCH_ALLOC_CONFIG", "PYTORCH_ALLOC_CONF"},
      {"TORCH_CUDA_ALLOC_CONF", "PYTORCH_CUDA_ALLOC_CONF"},
      {"TERAZZO_ALLOC_CONF", "TERRAZZO_ALLOC_CONF"},
      {"TERRAZZO_DRIVER", nullptr},
      {"CUBLAS_WORKSPACE_CONF", "CUBLAS_WORKSPACE_CONFIG"},
      {"PYTORCH_CUDA_ALLOC_CONF", nullptr},
      {"PYTORCH_HIP_ALLOC_CONF", nullptr},
      {"PYTORCH_NO_HIP_MEMORY_CACHING", nullptr},
      {"ROCBLAS_WORKSPACE_CONFIG", nullptr},
      {"NVIDIA_VISIBLE_DEVICES", nullptr},
      {"XLA_PYTHON_CLIENT_ALLOCATOR", nullptr},
      {"TERRAZZO_SOFTGPU", nullptr},
      {"PATH", nullptr},
  };
  for (const auto& row : rows) {
    CAPTURE(std::string(row.name));
    const std::vector<finding> found = check_misspelt_variables(with({{row.name, "value"}}));
    if (row.meant == nullptr) {
      for (const finding& one : found) CHECK(one.command == std::string("unset ") + row.name);
      CHECK(found.size() == (std::string(row.name) == "TERRAZZO_DRIVER" ? 1 : 0));
      continue;
    }
    REQUIRE(found.size() == 1);
    CHECK(found[0].severity == warning);
    CHECK(found[0].command == std::string("export ") + row.meant + "=\"$" + row.name + "\"; unset " + row.name);
  }
  // Where the right name is set too, that one counts.
  const auto both = check_misspelt_variables(with({{"PYTORCH_ALLOC_CONF", "a:1"}, {"PYTORCH_ALLOC_CONFIG", "b:2"}}));
  REQUIRE(both.size() == 1);
  CHECK(both[0].command == "unset PYTORCH_ALLOC_CONFIG");
  evidence windows = with({{"pytorch_cuda_alloc_conf", "x"}});  // where names have no case
  windows.is_windows = true;
  CHECK(check_misspelt_variables(windows).empty());
}

TEST_CASE("doctor: two variables for one thing are told if they differ") {
  CHECK(check_config_variables(with({{"PYTORCH_CUDA_ALLOC_CONF", "a"}})).empty());
  CHECK(check_config_variables(with({{"PYTORCH_CUDA_ALLOC_CONF", "a"}, {"PYTORCH_ALLOC_CONF", "a"}})).empty());
  const auto found = check_config_variables(with({{"PYTORCH_CUDA_ALLOC_CONF", "a"}, {"PYTORCH_ALLOC_CONF", "b"}}));
  REQUIRE(found.size() == 1);
  CHECK(found[0].command == "unset PYTORCH_ALLOC_CONF");
}

TEST_CASE("doctor: caching turned off and eager modules are warnings") {
  CHECK(check_other_variables(with({})).empty());
  auto found = check_other_variables(with({{"PYTORCH_NO_CUDA_MEMORY_CACHING", "1"}}));
  REQUIRE(found.size() == 1);
  CHECK(found[0].severity == warning);
  found = check_other_variables(with({{"PYTORCH_NO_CUDA_MEMORY_CACHING", "0"}}));
  CHECK(found.at(0).what.find("even to 0") != std::string::npos);
  for (const char* good : {"LAZY", "DEFAULT"})
    CHECK(check_other_variables(with({{"CUDA_MODULE_LOADING", good}})).empty());
  CHECK(check_other_variables(with({{"CUDA_MODULE_LOADING", "EAGER"}})).size() == 1);
  found = check_other_variables(with({{"CUDA_MODULE_LOADING", "lazy"}}));
  CHECK(found.at(0).what.find("none of DEFAULT, LAZY and EAGER") != std::string::npos);
}

TEST_CASE("doctor: cuBLAS variables are judged by the workspace room") {
  CHECK(check_other_variables(with({{"CUBLAS_WORKSPACE_CONFIG", ":4096:2:16:8"}})).empty());
  const auto found = check_other_variables(with(
      {{"CUBLAS_WORKSPACE_CONFIG", "junk"}, {"CUBLASLT_WORKSPACE_SIZE", "32M"}, {"CUBLASLT_HEURISTIC_MODE", "2"}}));
  REQUIRE(found.size() == 3);
  CHECK(found[0].severity == error);
  CHECK(found[0].command == "unset CUBLAS_WORKSPACE_CONFIG");
  CHECK(found[1].command == "export CUBLASLT_WORKSPACE_SIZE=32768");
  CHECK(found[2].what ==
        "CUBLASLT_HEURISTIC_MODE='2' does nothing: there is no such variable, although guides name it");
}

TEST_CASE("doctor: config strings are judged by what they come to, with the string to use") {
  using terrazzo::tools::check_config_strings;
  CHECK(check_config_strings(with({})).empty());
  CHECK(check_config_strings(with({{"PYTORCH_CUDA_ALLOC_CONF", "expandable_segments:True"}})).empty());
  auto found =
      check_config_strings(with({{"PYTORCH_CUDA_ALLOC_CONF", "max_split_size_mb=128,expandable_segments:True"}}));
  REQUIRE(found.size() == 1);
  CHECK(found[0].severity == error);
  CHECK(found[0].what.find("refused") != std::string::npos);
  CHECK(found[0].why.find("Column 18") != std::string::npos);
  CHECK(found[0].command == "export PYTORCH_CUDA_ALLOC_CONF=expandable_segments:True");
  found = check_config_strings(with({{"PYTORCH_ALLOC_CONF", "garbage_collection_threshold:0.8"}}));
  REQUIRE(found.size() == 1);
  CHECK(found[0].severity == warning);
  CHECK(found[0].what.find("do nothing or harm: garbage_collection_threshold:0.8") != std::string::npos);
  CHECK(found[0].command == "unset PYTORCH_ALLOC_CONF");
  found = check_config_strings(with({{"PYTORCH_CUDA_ALLOC_CONF", "max_split_size_mb:128MB"},
                                     {"PYTORCH_ALLOC_CONF", "not looked at"},
                                     {"TERRAZZO_ALLOC_CONF", "limit:3"}}));
  REQUIRE(found.size() == 2);
  CHECK(found[0].what.find("taken otherwise") != std::string::npos);
  CHECK(found[0].command == "export PYTORCH_CUDA_ALLOC_CONF=max_split_size_mb:128");
  CHECK(found[1].what.find("TERRAZZO_ALLOC_CONF") == 0);
  found = check_config_strings(with({{"TERRAZZO_ALLOC_CONF", "on_miss:fail,limit_mb:64"}}));
  REQUIRE(found.size() == 1);
  CHECK(found[0].severity == warning);
  CHECK(found[0].what.find("do nothing or harm: on_miss:fail") != std::string::npos);
  CHECK(found[0].why.find("on_miss: Chunks are never moved") == 0);
  CHECK(found[0].command == "export TERRAZZO_ALLOC_CONF=limit_mb:64");
  found = check_config_strings(with({{"PYTORCH_ALLOC_CONF", "expandable_segments_reserve:8G"}}));
  REQUIRE(found.size() == 1);
  CHECK(found[0].why.find("Nothing: it is for expandable segments, which are off") != std::string::npos);
  CHECK(found[0].command.empty());
}

TEST_CASE("doctor: commands are quoted for the shell that runs them") {
  evidence seen;
  CHECK(command_to_set(seen, "A", "b,c:d") == "export A=b,c:d");
  CHECK(command_to_set(seen, "A", "it's $x") == "export A='it'\\''s $x'");
  CHECK(command_to_set(seen, "A", "") == "export A=''");
  CHECK(command_to_unset(seen, "A") == "unset A");
  seen.is_windows = true;
  CHECK(command_to_set(seen, "A", "b c") == "set \"A=b c\"");
  CHECK(command_to_unset(seen, "A") == "set \"A=\"");
}
