#include "trace/load.hpp"

#include <filesystem>
#include <fstream>

#include "trace/fixture.hpp"

using namespace terrazzo::trace;
using namespace trace_test;

TEST_CASE("load: a file that is something else is told what it is") {
  const struct {
    std::string bytes;
    std::string error;
  } all[] = {
      {"", "run.pickle: is empty"},
      {"PK\3\4....", "run.pickle: is a zip archive, as torch.save writes"},
      {"{\"segments\": []}",
       "is JSON, or looks like it: dump the snapshot with torch.cuda.memory._dump_snapshot instead"},
      {"[1, 2]", "is JSON"},
      {"<!DOCTYPE html>", "is a web page"},
      {"(dp0\n.", "is a pickle of protocol 0 or 1"},
      {"}q\1.", "is a pickle of protocol 0 or 1"},
      {"\x28\xb5\x2f\xfd....", "is packed with zstd: unpack it first"},
      {"BZh91AY", "is packed with bzip2: unpack it first"},
      {"hello", "is neither a PyTorch snapshot"},
      {"terrazzo trace 1x\n", "of a version that this terrazzo does not know"},
  };
  for (const auto& each : all) {
    CAPTURE(each.error);
    CHECK(contains(error_of(each.bytes), each.error));
  }
}

TEST_CASE("load: files that cannot be read are told with the system's reason") {
  const std::string missing = "/nowhere/run.pickle";
  CHECK_THROWS_WITH_AS(static_cast<void>(load_programs(missing)),
                       "/nowhere/run.pickle: cannot be opened: No such file or directory", trace_error);
#ifndef _WIN32
  CHECK_THROWS_WITH_AS(static_cast<void>(load_programs("/")), "/: cannot be read: Is a directory", trace_error);
#endif
}

TEST_CASE("load: names lose their folders and endings and progress is told") {
  const std::filesystem::path folder = std::filesystem::temp_directory_path() / "terrazzo_trace_test";
  std::filesystem::create_directories(folder);
  const std::string path = (folder / "a.run.pickle.trace").string();
  std::string text = "terrazzo trace 1\n";
  for (int i = 0; i < 100000; ++i) text += "a " + std::to_string(i) + " 0 512\n";
  std::ofstream(path, std::ios::binary) << text;
  std::vector<std::uint64_t> told;
  std::uint64_t total = 0;
  const std::vector<program> made = load_programs(path, [&](std::uint64_t read_bytes, std::uint64_t total_bytes) {
    told.push_back(read_bytes);
    total = total_bytes;
  });
  CHECK(made.at(0).name == "a.run");
  CHECK(told.size() > 2);
  CHECK(std::is_sorted(told.begin(), told.end()));
  CHECK(told.back() == text.size());
  CHECK(total == text.size());
  struct stop {};
  CHECK_THROWS_AS(static_cast<void>(load_programs(path, [](std::uint64_t, std::uint64_t) { throw stop{}; })), stop);
  std::filesystem::remove_all(folder);
}

TEST_CASE("load: an error has a file a place and a reason") {
  const trace_error whole("a.pickle", byte_place(7), "is cut off");
  CHECK(std::string(whole.what()) == "a.pickle: byte 7: is cut off");
  CHECK(whole.place() == "byte 7");
  const trace_error nowhere("a.pickle", "", "is empty");
  CHECK(std::string(nowhere.what()) == "a.pickle: is empty");
  CHECK(line_place(3) == "line 3");
}
