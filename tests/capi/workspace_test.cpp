#include <doctest/doctest.h>

#include <cstdint>
#include <string>

#include "terrazzo/terrazzo.h"

namespace {

// An allocator and a pool on the software GPU that the environment names.
struct session {
  session() {
    terrazzo_allocator_options_t options = TERRAZZO_ALLOCATOR_OPTIONS_INIT;
    options.config = "";
    REQUIRE(terrazzo_allocator_create(&options, &allocator) == terrazzo_status_ok);
    const terrazzo_status_t code = terrazzo_workspace_pool_create(allocator, nullptr, &pool);
    REQUIRE_MESSAGE(code == terrazzo_status_ok, std::string(terrazzo_last_error_message()));
  }
  ~session() {
    terrazzo_workspace_pool_destroy(pool);
    terrazzo_allocator_destroy(allocator);
  }
  terrazzo_allocator_t* allocator = nullptr;
  terrazzo_workspace_pool_t* pool = nullptr;
};

std::string message() { return terrazzo_last_error_message(); }

}  // namespace

TEST_CASE("capi workspace: a null argument is refused by its name") {
  const session open;
  terrazzo_workspace_pool_t* none = nullptr;
  int place = 0;
  void* some = &place;
  const char* text = nullptr;
  std::size_t bytes = 0;
  terrazzo_workspace_stats_t stats{};
  stats.struct_size = sizeof(stats);
  struct {
    terrazzo_status_t code;
    std::string said;
    const char* expected;
  } const rows[] = {
      {terrazzo_workspace_pool_create(open.allocator, nullptr, nullptr), message(), "create: pool is null"},
      {terrazzo_workspace_pool_create(nullptr, nullptr, &none), message(), "create: allocator is null"},
      {terrazzo_workspace_pool_bind(none, some, nullptr), message(), "bind: pool is null"},
      {terrazzo_workspace_pool_unbind(none, some), message(), "unbind: pool is null"},
      {terrazzo_workspace_pool_workspace(none, nullptr, &some, &bytes), message(), "workspace: pool is null"},
      {terrazzo_workspace_pool_workspace(open.pool, nullptr, nullptr, &bytes), message(),
       "workspace: workspace is null"},
      {terrazzo_workspace_pool_release(none, nullptr), message(), "release: pool is null"},
      {terrazzo_workspace_pool_clear(none, nullptr), message(), "clear: pool is null"},
      {terrazzo_workspace_pool_create_handle(none, &some), message(), "create_handle: pool is null"},
      {terrazzo_workspace_pool_create_handle(open.pool, nullptr), message(), "create_handle: cublas is null"},
      {terrazzo_workspace_pool_destroy_handle(none, nullptr), message(), "destroy_handle: pool is null"},
      {terrazzo_workspace_pool_bytes(none, &bytes), message(), "bytes: pool is null"},
      {terrazzo_workspace_pool_bytes(open.pool, nullptr), message(), "bytes: bytes is null"},
      {terrazzo_workspace_pool_size_origin(none, &text), message(), "size_origin: pool is null"},
      {terrazzo_workspace_pool_size_origin(open.pool, nullptr), message(), "size_origin: origin is null"},
      {terrazzo_workspace_pool_stats(none, &stats), message(), "stats: pool is null"},
      {terrazzo_workspace_pool_stats(open.pool, nullptr), message(), "stats: stats is null"},
      {terrazzo_workspace_pool_symbol(none, "cublasCreate_v2", &some), message(), "symbol: pool is null"},
      {terrazzo_workspace_pool_symbol(open.pool, nullptr, &some), message(), "symbol: name is null"},
      {terrazzo_workspace_pool_symbol(open.pool, "cublasCreate_v2", nullptr), message(), "symbol: symbol is null"},
  };
  for (const auto& row : rows) {
    CHECK(row.code == terrazzo_status_invalid_argument);
    CHECK(row.said == std::string("terrazzo_workspace_pool_") + row.expected);
  }
}

TEST_CASE("capi workspace: options that cannot be met give no pool") {
  const session open;
  struct {
    const char* name;
    terrazzo_workspace_options_t options;
    terrazzo_status_t code;
  } const rows[] = {
      {"struct_size", {1, 0, 0, 0, 0, nullptr}, terrazzo_status_invalid_argument},
      {"bytes", {sizeof(terrazzo_workspace_options_t), 1000, 0, 0, 0, nullptr}, terrazzo_status_invalid_argument},
      {"alignment", {sizeof(terrazzo_workspace_options_t), 0, 300, 0, 0, nullptr}, terrazzo_status_invalid_argument},
      {"counts", {sizeof(terrazzo_workspace_options_t), 0, 0, 2, 1, nullptr}, terrazzo_status_invalid_argument},
      {"memory", {sizeof(terrazzo_workspace_options_t), SIZE_MAX, 0, 1, 0, nullptr}, terrazzo_status_out_of_memory},
      {"cublas_path",
       {sizeof(terrazzo_workspace_options_t), 0, 0, 0, 0, "/nowhere/libcublas.so.13"},
       terrazzo_status_library_not_found},
  };
  for (const auto& row : rows) {
    CAPTURE(std::string(row.name));
    auto* pool = open.pool;
    CHECK(terrazzo_workspace_pool_create(open.allocator, &row.options, &pool) == row.code);
    CHECK(pool == nullptr);
    CHECK_FALSE(message().empty());
  }
}

TEST_CASE("capi workspace: failures give a status and a null result") {
  const session open;
  int place = 0;
  void* some = &place;
  CHECK(terrazzo_workspace_pool_bind(open.pool, &place, nullptr) == terrazzo_status_library_error);
  CHECK(message().find("CUBLAS_STATUS_NOT_INITIALIZED") != std::string::npos);
  CHECK(terrazzo_workspace_pool_destroy_handle(open.pool, &place) == terrazzo_status_library_error);
  CHECK(terrazzo_workspace_pool_destroy_handle(open.pool, nullptr) == terrazzo_status_ok);
  CHECK(terrazzo_workspace_pool_symbol(open.pool, "cublasNothing", &some) == terrazzo_status_library_not_found);
  CHECK(some == nullptr);
  REQUIRE(terrazzo_allocator_set_limit(open.allocator, 0) == terrazzo_status_ok);
  REQUIRE(terrazzo_workspace_pool_clear(open.pool, nullptr) == terrazzo_status_ok);
  REQUIRE(terrazzo_allocator_trim(open.allocator, 0, nullptr) == terrazzo_status_ok);
  some = &place;
  std::size_t bytes = 7;
  CHECK(terrazzo_workspace_pool_workspace(open.pool, nullptr, &some, &bytes) == terrazzo_status_out_of_memory);
  CHECK(some == nullptr);
  CHECK(bytes == 7);
}
