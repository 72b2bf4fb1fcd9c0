#include <doctest/doctest.h>

#include <string>

#include "support/environment.hpp"
#include "terrazzo/config.hpp"
#include "terrazzo/status.hpp"

using terrazzo::config;
using terrazzo::test::variable_scope;

namespace {

constexpr std::size_t mib = std::size_t{1} << 20;

struct environment {
  const char* cuda;
  const char* hip;
  const char* common;
  const char* own;
};

// Sets the four variables for its lifetime.
struct with_environment {
  explicit with_environment(const environment& values)
      : cuda("PYTORCH_CUDA_ALLOC_CONF", values.cuda),
        hip("PYTORCH_HIP_ALLOC_CONF", values.hip),
        common("PYTORCH_ALLOC_CONF", values.common),
        own("TERRAZZO_ALLOC_CONF", values.own) {}
  variable_scope cuda;
  variable_scope hip;
  variable_scope common;
  variable_scope own;
};

}  // namespace

TEST_CASE("config: the variables are read in PyTorch's order and terrazzo's wins key by key") {
  const char* const a = "max_split_size_mb:30,per_process_memory_fraction:0.3";
  const char* const b = "max_split_size_mb:40,per_process_memory_fraction:0.4";
  const char* const c = "max_split_size_mb:50,per_process_memory_fraction:0.5";
  struct {
    environment variables;
    std::size_t max_split_mb;  // 0: unlimited
    double fraction;
  } const rows[] = {
      {{nullptr, nullptr, nullptr, nullptr}, 0, 1.0},
      {{a, b, c, nullptr}, 30, 0.3},
      {{nullptr, nullptr, c, nullptr}, 50, 0.5},
      {{nullptr, b, nullptr, nullptr}, 40, 1.0},  // the HIP variable sets common keys alone on a CUDA build
      {{nullptr, b, c, nullptr}, 40, 0.5},
      {{a, nullptr, nullptr, "max_split_size_mb:60"}, 60, 0.3},
      {{a, nullptr, nullptr, "per_process_memory_fraction:0.6"}, 30, 0.6},
      {{nullptr, nullptr, nullptr, "max_split_size_mb:60"}, 60, 1.0},
#ifndef _WIN32  // where an empty variable is no variable
      {{"", b, c, nullptr}, 0, 1.0},
      {{a, nullptr, nullptr, ""}, 30, 0.3},
#endif
  };
  for (const auto& row : rows) {
    CAPTURE(&row - rows);
    const with_environment scope(row.variables);
    const config settings = terrazzo::config_from_environment();
    CHECK(settings.max_split_size_bytes == (row.max_split_mb == 0 ? config::unlimited : row.max_split_mb * mib));
    CHECK(settings.per_process_memory_fraction == row.fraction);
  }
}

TEST_CASE("config: PyTorch's variables are read as PyTorch reads them and terrazzo's strictly") {
  const char* const sloppy = "max_split_size_mb:40MB,";
  {
    const with_environment scope({sloppy, nullptr, nullptr, nullptr});
    CHECK(terrazzo::config_from_environment().max_split_size_bytes == 40 * mib);
  }
  const with_environment scope({nullptr, nullptr, nullptr, sloppy});
  CHECK_THROWS_AS((void)terrazzo::config_from_environment(), terrazzo::error);
}

TEST_CASE("config: an error from a variable names it and repeats its string") {
  const char* const malformed[] = {"max_split_size_mb", "max_split_size_mb:", "roundup_power2_divisions:[64:8",
                                   "garbage_collection_threshold:"};
  for (const char* text : malformed) {
    CAPTURE(text);
    struct {
      environment variables;
      const char* name;
    } const rows[] = {
        {{text, nullptr, nullptr, nullptr}, "PYTORCH_CUDA_ALLOC_CONF, column "},
        {{nullptr, text, nullptr, nullptr}, "PYTORCH_HIP_ALLOC_CONF, column "},
        {{nullptr, nullptr, text, nullptr}, "PYTORCH_ALLOC_CONF, column "},
        {{nullptr, nullptr, nullptr, text}, "TERRAZZO_ALLOC_CONF, column "},
    };
    for (const auto& row : rows) {
      CAPTURE(std::string(row.name));
      const with_environment scope(row.variables);
      try {
        (void)terrazzo::config_from_environment();
        FAIL("nothing was thrown");
      } catch (const terrazzo::error& caught) {
        const std::string what = caught.what();
        CAPTURE(what);
        CHECK(caught.code() == terrazzo::status::invalid_config);
        CHECK(what.find(row.name) != std::string::npos);
        CHECK(what.find(text) != std::string::npos);
      }
    }
  }
}

TEST_CASE("config: what was surely not meant is told, with its variable and place") {
  std::vector<std::string> warnings;
  {
    const with_environment scope({"max_split_size_mb:40MB", nullptr, nullptr, "limit_mb:64"});
    CHECK(terrazzo::config_from_environment(&warnings).max_split_size_bytes == 40 * mib);
  }
  REQUIRE(warnings.size() == 1);
  CHECK(warnings[0].find("PYTORCH_CUDA_ALLOC_CONF, column 19: ") == 0);
  CHECK(warnings[0].find("40MB") != std::string::npos);
  warnings.clear();
  const config read = terrazzo::parse_pytorch_config("garbage_collection_threshold:0.8x", {}, &warnings);
  CHECK(read.garbage_collection_threshold == 0.8);
  REQUIRE(warnings.size() == 1);
  CHECK(warnings[0].find("config string, column 30: ") == 0);
}

TEST_CASE("config: a second string for PyTorch resets what does not stick") {
  const config first = terrazzo::parse_pytorch_config("max_split_size_mb:64,expandable_segments:True");
  const config second = terrazzo::parse_pytorch_config("per_process_memory_fraction:0.5", first);
  CHECK(second.max_split_size_bytes == config::unlimited);
  CHECK(second.expandable_segments == true);
  CHECK(second.per_process_memory_fraction == 0.5);
  CHECK_THROWS_AS((void)terrazzo::parse_pytorch_config("limit_mb:1"), terrazzo::error);
}
