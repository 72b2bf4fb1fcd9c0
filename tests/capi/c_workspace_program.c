/* The workspace pool's C ABI from C99: every function once, on the software GPU and its cuBLAS. Exits with the line of
 * the first expectation that does not hold. */
#include <stdio.h>
#include <string.h>

#include "terrazzo/terrazzo.h"

#define EXPECT(condition)                                                                        \
  do {                                                                                           \
    if (!(condition)) {                                                                          \
      fprintf(stderr, "line %d: %s: %s\n", __LINE__, #condition, terrazzo_last_error_message()); \
      return 1;                                                                                  \
    }                                                                                            \
  } while (0)

static int use_workspaces(terrazzo_allocator_t* allocator) {
  terrazzo_workspace_options_t options = TERRAZZO_WORKSPACE_OPTIONS_INIT;
  terrazzo_workspace_pool_t* pool = NULL;
  terrazzo_workspace_stats_t stats;
  const char* origin = NULL;
  void* cublas = NULL;
  void* workspace = NULL;
  void* symbol = NULL;
  size_t bytes = 0;
  options.bytes = (size_t)1 << 20;
  options.preallocate_count = 1;
  EXPECT(terrazzo_workspace_pool_create(allocator, &options, &pool) == terrazzo_status_ok);
  EXPECT(terrazzo_workspace_pool_bytes(pool, &bytes) == terrazzo_status_ok);
  EXPECT(bytes == (size_t)1 << 20);
  EXPECT(terrazzo_workspace_pool_size_origin(pool, &origin) == terrazzo_status_ok);
  EXPECT(strcmp(origin, "set by the program") == 0);
  EXPECT(terrazzo_workspace_pool_symbol(pool, "cublasSgemm_v2", &symbol) == terrazzo_status_ok);
  EXPECT(symbol != NULL);
  EXPECT(terrazzo_workspace_pool_create_handle(pool, &cublas) == terrazzo_status_ok);
  EXPECT(cublas != NULL);
  EXPECT(terrazzo_workspace_pool_bind(pool, cublas, NULL) == terrazzo_status_ok);
  bytes = 0;
  EXPECT(terrazzo_workspace_pool_workspace(pool, NULL, &workspace, &bytes) == terrazzo_status_ok);
  EXPECT(workspace != NULL && bytes == (size_t)1 << 20);
  memset(&stats, 0, sizeof stats);
  stats.struct_size = sizeof stats;
  EXPECT(terrazzo_workspace_pool_stats(pool, &stats) == terrazzo_status_ok);
  EXPECT(stats.struct_size == sizeof stats && stats.count == 1 && stats.spare_count == 0);
  EXPECT(stats.bound_handle_count == 1 && stats.total_bytes == bytes && stats.aligned_to >= 256);
  EXPECT(terrazzo_workspace_pool_release(pool, NULL) == terrazzo_status_busy);
  EXPECT(terrazzo_workspace_pool_unbind(pool, cublas) == terrazzo_status_ok);
  EXPECT(terrazzo_workspace_pool_release(pool, NULL) == terrazzo_status_ok);
  EXPECT(terrazzo_workspace_pool_clear(pool, &bytes) == terrazzo_status_ok);
  EXPECT(bytes == (size_t)1 << 20);
  EXPECT(terrazzo_workspace_pool_clear(pool, NULL) == terrazzo_status_ok);
  EXPECT(terrazzo_workspace_pool_destroy_handle(pool, cublas) == terrazzo_status_ok);
  terrazzo_workspace_pool_destroy(pool);
  terrazzo_workspace_pool_destroy(NULL);
  return 0;
}

int main(void) {
  terrazzo_allocator_options_t options = TERRAZZO_ALLOCATOR_OPTIONS_INIT;
  terrazzo_allocator_t* allocator = NULL;
  int failed;
  options.config = "";
  EXPECT(terrazzo_allocator_create(&options, &allocator) == terrazzo_status_ok);
  failed = use_workspaces(allocator);
  terrazzo_allocator_destroy(allocator);
  return failed;
}
