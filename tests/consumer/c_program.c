/* What a program in C, or in a language that calls C, does: allocate, free, be told what went wrong. */
#include <stdio.h>
#include <string.h>
#include <terrazzo/terrazzo.h>

static int failed(const char* what) {
  fprintf(stderr, "%s: %s\n", what, terrazzo_last_error_message());
  return 1;
}

int main(void) {
  terrazzo_allocator_t* allocator = NULL;
  void* block = NULL;
  terrazzo_stats_t stats;

  if (strcmp(terrazzo_version(), TERRAZZO_VERSION_STRING) != 0) return failed("header and library differ");
  if (terrazzo_allocator_create(NULL, &allocator) != terrazzo_status_ok) return failed("create");
  if (terrazzo_allocator_allocate(allocator, 100u << 20, 0, NULL, &block) != terrazzo_status_ok)
    return failed("allocate");
  if (terrazzo_allocator_deallocate(allocator, block) != terrazzo_status_ok) return failed("deallocate");
  if (terrazzo_allocator_deallocate(allocator, block) != terrazzo_status_double_free) return failed("second free");
  stats.struct_size = sizeof stats;
  if (terrazzo_allocator_stats(allocator, &stats) != terrazzo_status_ok) return failed("stats");
  terrazzo_allocator_destroy(allocator);

  printf("%llu allocation, %llu refused free\n", (unsigned long long)stats.allocation_count,
         (unsigned long long)stats.invalid_free_count);
  return stats.allocation_count == 1 && stats.invalid_free_count == 1 ? 0 : 1;
}
