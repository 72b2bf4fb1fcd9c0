// The names that the software GPU's driver libraries show: the checked-in lists, the table of functions, the header and
// what the linker made agree.
#include <doctest/doctest.h>

#include <array>
#include <cstdio>
#include <fstream>
#include <set>
#include <sstream>
#include <string>

#include "softgpu/functions.hpp"

namespace {

using names = std::set<std::string>;

names listed(const std::string& path) {
  std::ifstream file(path);
  REQUIRE(file.good());
  names result;
  for (std::string line; std::getline(file, line);) {
    if (!line.empty() && line[0] != '#') result.insert(line);
  }
  return result;
}

// What functions.hpp has since a version, and the functions declared in softgpu.h.
names modelled(int version) {
  names result;
  for (const softgpu::function_entry& one : softgpu::all_functions()) {
    if (one.since <= version) result.insert(one.name);
  }
  std::ifstream header(TERRAZZO_SOFTGPU_HEADER);
  REQUIRE(header.good());
  for (std::string line; std::getline(header, line);) {
    const std::size_t begin = line.find("terrazzo_softgpu_");
    const std::size_t end = line.find('(', begin == std::string::npos ? 0 : begin);
    const bool declaration = line[0] != ' ' && line[0] != '/' && begin != std::string::npos && end != std::string::npos;
    if (declaration) result.insert(line.substr(begin, end - begin));
  }
  return result;
}

names shown(const std::string& library) {
  const std::string command = std::string(TERRAZZO_NM) + " -D --defined-only '" + library + "'";
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

TEST_CASE("softgpu exports: lists table header and libraries agree") {
  static constexpr struct {
    const char* library;
    const char* list;
    int version;
  } libraries[] = {{TERRAZZO_SOFTGPU_LIBRARY, "exports.txt", 13000},
                   {TERRAZZO_SOFTGPU_LIBRARY_12_0, "exports-12.0.txt", 12000},
                   {TERRAZZO_SOFTGPU_LIBRARY_10_1, "exports-10.1.txt", 10010}};
  for (const auto& one : libraries) {
    CAPTURE(one.list);
    const names list = listed(std::string(TERRAZZO_SOFTGPU_SOURCE) + "/" + one.list);
    CHECK(list == modelled(one.version));
    CHECK(list == shown(one.library));
    CHECK(list.size() > 70);
  }
}
