// The list of exports, the table of functions, the entry points by name and what the shared library shows must agree.
#include <doctest/doctest.h>

#include <array>
#include <cstdio>
#include <fstream>
#include <set>
#include <sstream>
#include <string>

#include "softgpu/cublas/functions.hpp"
#include "terrazzo/softgpu.h"

namespace {

using names = std::set<std::string>;

names listed() {
  std::ifstream file(TERRAZZO_SOFTCUBLAS_EXPORTS);
  REQUIRE(file.good());
  names result;
  for (std::string line; std::getline(file, line);) {
    if (!line.empty() && line[0] != '#') result.insert(line);
  }
  return result;
}

names shown() {
  const std::string command = std::string(TERRAZZO_NM) + " -D --defined-only '" + TERRAZZO_SOFTCUBLAS_LIBRARY + "'";
  FILE* const pipe = popen(command.c_str(), "r");
  REQUIRE(pipe != nullptr);
  std::string text;
  std::array<char, 4096> buffer;
  for (std::size_t read = 0; (read = fread(buffer.data(), 1, buffer.size(), pipe)) != 0;)
    text.append(buffer.data(), read);
  REQUIRE(pclose(pipe) == 0);
  names result;
  std::istringstream lines(text);
  for (std::string address, kind, name; lines >> address >> kind >> name;) result.insert(name);
  return result;
}

}  // namespace

TEST_CASE("softcublas exports: list table entry points and library agree") {
#define TERRAZZO_NAME(name, type) #name,
  const names modelled = {TERRAZZO_SOFTGPU_CUBLAS_FUNCTIONS(TERRAZZO_NAME)};
#undef TERRAZZO_NAME
  CHECK(modelled.size() >= 17);
  CHECK(listed() == modelled);
  CHECK(shown() == modelled);
  for (const std::string& name : modelled) {
    CAPTURE(name);
    CHECK(terrazzo_softcublas_symbol(name.c_str()) != nullptr);
  }
  for (const char* name : {"cublasCreate", "cublasDgemm_v2", "cuInit", ""}) {
    CAPTURE(name);
    CHECK(terrazzo_softcublas_symbol(name) == nullptr);
  }
  CHECK(terrazzo_softcublas_symbol(nullptr) == nullptr);
}
