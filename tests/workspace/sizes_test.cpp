// How large a workspace is: what NVIDIA recommends, what CUBLAS_WORKSPACE_CONFIG says, what the program asks for.
#include "workspace/sizes.hpp"

#include <doctest/doctest.h>

#include <cstdint>
#include <string>

using namespace terrazzo;
using namespace terrazzo::detail;

namespace {

constexpr std::size_t kib = 1024;
constexpr std::size_t mib = 1024 * kib;

std::string message() { return last_error_message(); }
bool says(const std::string& part) { return message().find(part) != std::string::npos; }

}  // namespace

TEST_CASE("workspace size: the recommendation follows the compute capability") {
  const struct {
    int major;
    std::size_t expected;
  } rows[] = {{5, 4 * mib},   {7, 4 * mib},  {8, 4 * mib},   {9, 32 * mib},
              {10, 32 * mib}, {11, 4 * mib}, {12, 32 * mib}, {13, 4 * mib}};
  for (const auto& row : rows) {
    CAPTURE(row.major);
    CHECK(recommended_workspace_bytes(row.major) == row.expected);
  }
}

TEST_CASE("workspace size: a config string is read as PyTorch reads it") {
  // Each match of :([0-9]+):([0-9]+), searched from the left, counts; the rest is passed over.
  const struct {
    const char* text;
    std::size_t kibibytes;
  } rows[] = {
      {":4096:2:16:8", 8320},
      {":16:8", 128},
      {":4096:8", 32768},
      {":128:8:64:16:32:32", 3072},
      {":0:0", 0},
      {":0016:08", 128},
      {":1:2:3", 2},
      {":1:2:3:4", 14},
      {"1:2:3", 6},
      {"::5:6", 30},
      {":5x:6:7", 42},
      {":16:8,:4096:2", 8320},
      {" :16:8 ", 128},
      {":16:8junk:1:1", 129},
      {":99999999999999999999x:16:8", 128},  // a number that is in no pair may be of any size
      {":99999999999999999999::16:8", 128},
      {":16:8:99999999999999999999", 128},
      {":18014398509481983:1", SIZE_MAX / kib},
  };
  for (const auto& row : rows) {
    CAPTURE(std::string(row.text));
    std::size_t bytes = 1;
    const status parsed = parse_workspace_config(row.text, bytes);
    CHECK_MESSAGE(parsed == status::ok, message());
    CHECK(bytes == row.kibibytes * kib);
  }
}

TEST_CASE("workspace size: a config string without a pair or with too large a sum is refused") {
  const struct {
    const char* text;
    const char* part;
  } rows[] = {
      {"-1", "has no size in it"},
      {"4096", "has no size in it"},
      {":4096", "has no size in it"},
      {"4096:2", "has no size in it"},
      {":-1:8", "has no size in it"},
      {":+1:8", "has no size in it"},
      {":16 :8", "has no size in it"},
      {": 16:8", "has no size in it"},
      {":16:", "has no size in it"},
      {":16;8", "has no size in it"},
      {"default", "has no size in it"},
      {" ", "has no size in it"},
      {":99999999999999999999:1", "more bytes than an address can hold"},
      {":1:99999999999999999999", "more bytes than an address can hold"},
      {":4294967296:4294967296", "more bytes than an address can hold"},
      {":18014398509481984:1", "more bytes than an address can hold"},
      {":18014398509481983:1:1:1", "more bytes than an address can hold"},
  };
  for (const auto& row : rows) {
    CAPTURE(std::string(row.text));
    std::size_t bytes = 1;
    CHECK(parse_workspace_config(row.text, bytes) == status::invalid_config);
    CHECK(bytes == 1);
    CHECK_MESSAGE(says(row.part), message());
    CHECK(says(std::string("CUBLAS_WORKSPACE_CONFIG='") + row.text + "'"));
    CHECK(says(":4096:2:16:8"));
  }
}

TEST_CASE("workspace size: the program comes before the variable and that before the recommendation") {
  const struct {
    std::size_t asked;
    const char* variable;
    int major;
    std::size_t expected;
    const char* origin;
  } rows[] = {
      {0, nullptr, 9, 32 * mib, "recommended for compute capability 9.3"},
      {0, "", 8, 4 * mib, "recommended for compute capability 8.3"},
      {0, ":4096:2:16:8", 9, 8320 * kib, "CUBLAS_WORKSPACE_CONFIG=:4096:2:16:8"},
      {0, ":16:1", 9, 16 * kib, "CUBLAS_WORKSPACE_CONFIG=:16:1"},
      {0, ":15:1", 9, 16 * kib, "CUBLAS_WORKSPACE_CONFIG=:15:1, raised to 16 KiB, below which cuBLAS may fail"},
      {0, ":0:0", 9, 16 * kib, "CUBLAS_WORKSPACE_CONFIG=:0:0, raised to 16 KiB, below which cuBLAS may fail"},
      {64 * mib, ":16:8", 9, 64 * mib, "set by the program"},
      {64 * mib, "not even a size", 9, 64 * mib, "set by the program"},
      {16 * kib, nullptr, 9, 16 * kib, "set by the program"},
      {SIZE_MAX, nullptr, 9, SIZE_MAX, "set by the program"},
  };
  for (const auto& row : rows) {
    CAPTURE(std::string(row.origin));
    workspace_size chosen;
    REQUIRE(choose_workspace_size(row.asked, row.variable, row.major, 3, chosen) == status::ok);
    CHECK(chosen.bytes == row.expected);
    CHECK(chosen.origin == row.origin);
  }
}

TEST_CASE("workspace size: less than 16 KiB is refused to a program") {
  for (const std::size_t asked : {std::size_t{1}, 16 * kib - 1}) {
    CAPTURE(asked);
    workspace_size chosen;
    CHECK(choose_workspace_size(asked, ":4096:8", 9, 0, chosen) == status::invalid_argument);
    CHECK(says("cuBLAS needs at least 16 KiB"));
    CHECK(chosen.bytes == 0);
  }
  workspace_size chosen;
  CHECK(choose_workspace_size(0, "junk", 9, 0, chosen) == status::invalid_config);
  CHECK(chosen.bytes == 0);
}
