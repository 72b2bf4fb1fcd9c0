#include "base/shared_library.hpp"

#include <doctest/doctest.h>

#include <filesystem>
#include <string>

#ifndef _WIN32
#include <sys/stat.h>
#include <unistd.h>
#endif

using terrazzo::detail::shared_library;

TEST_CASE("shared library: what cannot be opened is told, and why") {
  std::string reason;
  CHECK_FALSE(shared_library::open("/nowhere/libnothing.so", reason));
  CHECK_FALSE(reason.empty());
  reason.clear();
  CHECK_FALSE(shared_library::open("libnothing-of-this-name.so", reason));
  CHECK_FALSE(reason.empty());
}

#ifndef _WIN32
TEST_CASE("shared library: a pipe or a folder is refused at once") {
  const std::filesystem::path pipe =
      std::filesystem::temp_directory_path() / ("terrazzo-pipe-" + std::to_string(getpid()));
  REQUIRE(mkfifo(pipe.c_str(), 0600) == 0);
  for (const std::string& path : {pipe.string(), std::string("/dev/null"), std::string("/tmp/")}) {
    CAPTURE(path);
    std::string reason;
    CHECK_FALSE(shared_library::open(path, reason));
    CHECK(reason == "it is no regular file");
  }
  std::filesystem::remove(pipe);
}
#endif
