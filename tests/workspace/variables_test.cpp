// What the variables around cuBLAS are said to do.
#include "workspace/variables.hpp"

#include <doctest/doctest.h>

#include <map>
#include <string>

using namespace terrazzo::detail;
using enum severity_level;

namespace {

std::vector<variable_note> explain(const std::map<std::string, std::string>& set) {
  return explain_variables(terrazzo::detail::cublas_variables(), [&](const char* name) {
    const auto found = set.find(name);
    return found == set.end() ? nullptr : found->second.c_str();
  });
}

}  // namespace

TEST_CASE("cuBLAS variables: nothing set means nothing to tell") { CHECK(explain({}).empty()); }

TEST_CASE("cuBLAS variables: a value is judged by what it does") {
  const struct {
    const char* name;
    const char* value;
    severity_level severity;
    const char* part;  // of the effect
  } rows[] = {
      {"CUBLAS_WORKSPACE_CONFIG", "", fine, "empty"},
      {"CUBLAS_WORKSPACE_CONFIG", ":4096:2:16:8", fine, "8.12 MiB"},
      {"CUBLAS_WORKSPACE_CONFIG", ":4096:8", fine, "bit for bit"},
      {"CUBLAS_WORKSPACE_CONFIG", ":16:8", note, "fewer algorithms"},
      {"CUBLAS_WORKSPACE_CONFIG", ":15:1", warning, "ALLOC_FAILED"},
      {"CUBLAS_WORKSPACE_CONFIG", ":0:0", warning, "gives cuBLAS no workspace"},
      {"CUBLAS_WORKSPACE_CONFIG", ":32768:1", fine, "32 MiB"},
      {"CUBLAS_WORKSPACE_CONFIG", ":131072:1", fine, "128 MiB"},
      {"CUBLAS_WORKSPACE_CONFIG", ":131072:2", warning, "recommended"},
      {"CUBLAS_WORKSPACE_CONFIG", "4096", error, "cannot be read"},
      {"CUBLAS_WORKSPACE_CONFIG", ":18446744073709551616:1", error, "cannot be read"},
      {"CUBLAS_WORKSPACE_CONFIG", ":4096:2;x", note, "skipped"},
      {"CUBLASLT_WORKSPACE_SIZE", "32768", fine, "at most what a cuBLAS workspace has"},
      {"CUBLASLT_WORKSPACE_SIZE", " +1024", fine, "1 MiB"},
      {"CUBLASLT_WORKSPACE_SIZE", "0", note, "without a workspace"},
      {"CUBLASLT_WORKSPACE_SIZE", "32M", warning, "a unit too"},
      {"CUBLASLT_WORKSPACE_SIZE", "33554432", warning, "KiB, not bytes"},
      {"CUBLASLT_WORKSPACE_SIZE", "many", warning, "no number"},
      {"CUBLASLT_WORKSPACE_SIZE", "-1", warning, "no number"},
      {"CUBLASLT_WORKSPACE_SIZE", "99999999999999999999", warning, "no number"},
      {"TORCH_CUBLASLT_UNIFIED_WORKSPACE", "1", fine, "default"},
      {"TORCH_CUBLASLT_UNIFIED_WORKSPACE", "0", note, "of its own"},
      {"TORCH_CUBLASLT_UNIFIED_WORKSPACE", "yes", warning, "neither 0 nor 1"},
      {"TORCH_CUBLAS_WORKSPACE_CACHE", "1", fine, "for good"},
      {"CUBLASLT_HEURISTICS_CACHE_CAPACITY", "8192", fine, "8192"},
      {"CUBLASLT_HEURISTICS_CACHE_CAPACITY", "0", note, "off"},
      {"CUBLASLT_HEURISTICS_CACHE_CAPACITY", "8k", warning, "no number"},
      {"CUBLASLT_LOG_LEVEL", "0", fine, "nothing"},
      {"CUBLASLT_LOG_LEVEL", "5", note, "slows"},
      {"CUBLASLT_HEURISTIC_MODE", "1", warning, "no such variable"},
      {"CUBLAS_WORKSPACE_SIZE", "1", warning, "no such variable"},
  };
  for (const auto& row : rows) {
    CAPTURE(std::string(row.name));
    CAPTURE(std::string(row.value));
    const std::vector<variable_note> notes = explain({{row.name, row.value}});
    REQUIRE(notes.size() == 1);
    CHECK(notes[0].name == row.name);
    CHECK(notes[0].value == row.value);
    CHECK(notes[0].severity == row.severity);
    CHECK_MESSAGE(notes[0].effect.find(row.part) != std::string::npos, notes[0].effect);
    // Who is warned is told what to do.
    if (row.severity == warning || row.severity == error) CHECK_FALSE(notes[0].advice.empty());
  }
}

TEST_CASE("cuBLAS variables: one is judged with the others in view and all come in the table's order") {
  const auto notes = explain({{"TORCH_CUBLASLT_UNIFIED_WORKSPACE", "0"}, {"CUBLASLT_WORKSPACE_SIZE", "4096"}});
  REQUIRE(notes.size() == 2);
  CHECK(notes[0].name == "CUBLASLT_WORKSPACE_SIZE");
  CHECK(notes[0].effect.find("at most") == std::string::npos);
}
