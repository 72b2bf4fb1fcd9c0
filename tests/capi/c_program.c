/* The C ABI from C99: every function once, on the software GPU. Exits with the line of the first expectation that does
 * not hold. */
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

static int use_allocator(terrazzo_allocator_t* allocator) {
  void* block = NULL;
  size_t bytes = 0;
  char text[64];
  terrazzo_stats_t stats;
  EXPECT(terrazzo_allocator_allocate(allocator, 1000, 0, NULL, &block) == terrazzo_status_ok);
  EXPECT(block != NULL);
  EXPECT(terrazzo_allocator_requested_bytes(allocator, block, &bytes) == terrazzo_status_ok);
  EXPECT(bytes == 1000);
  memset(&stats, 0, sizeof stats);
  stats.struct_size = sizeof stats;
  EXPECT(terrazzo_allocator_stats(allocator, &stats) == terrazzo_status_ok);
  EXPECT(stats.struct_size == sizeof stats);
  EXPECT(stats.requested_bytes.current == 1000);
  EXPECT(stats.allocated_bytes.current >= 1000);
  EXPECT(stats.allocations.current == 1);
  EXPECT(terrazzo_allocator_validate(allocator) == terrazzo_status_ok);
  EXPECT(terrazzo_allocator_deallocate(allocator, block) == terrazzo_status_ok);
  EXPECT(terrazzo_allocator_deallocate(allocator, block) == terrazzo_status_double_free);
  EXPECT(strlen(terrazzo_last_error_message()) > 0);
  EXPECT(terrazzo_allocator_set_config(allocator, "headroom_mb:1") == terrazzo_status_ok);
  EXPECT(terrazzo_allocator_config(allocator, text, sizeof text, &bytes) == terrazzo_status_ok);
  EXPECT(strcmp(text, "max_split_size_mb:64,headroom_mb:1") == 0);
  EXPECT(bytes == strlen(text));
  EXPECT(terrazzo_allocator_config(allocator, text, 4, &bytes) == terrazzo_status_ok);
  EXPECT(strcmp(text, "max") == 0);
  EXPECT(bytes == strlen("max_split_size_mb:64,headroom_mb:1"));
  EXPECT(terrazzo_allocator_config(allocator, NULL, 0, NULL) == terrazzo_status_ok);
  EXPECT(terrazzo_allocator_set_config(allocator, "headrom_mb:1") == terrazzo_status_invalid_config);
  EXPECT(strstr(terrazzo_last_error_message(), "headroom_mb") != NULL);
  EXPECT(terrazzo_allocator_set_config(allocator, NULL) == terrazzo_status_ok);
  EXPECT(terrazzo_allocator_config(allocator, text, sizeof text, NULL) == terrazzo_status_ok);
  EXPECT(strcmp(text, "") == 0);
  EXPECT(terrazzo_allocator_set_limit(allocator, (size_t)1 << 30) == terrazzo_status_ok);
  EXPECT(terrazzo_allocator_set_headroom(allocator, 0) == terrazzo_status_ok);
  EXPECT(terrazzo_allocator_reset_peaks(allocator) == terrazzo_status_ok);
  EXPECT(terrazzo_allocator_trim(allocator, 0, &bytes) == terrazzo_status_ok);
  EXPECT(bytes > 0);
  EXPECT(terrazzo_allocator_trim(allocator, 0, NULL) == terrazzo_status_ok);
  EXPECT(terrazzo_allocator_shutdown(allocator) == terrazzo_status_ok);
  EXPECT(terrazzo_allocator_allocate(allocator, 1000, 0, NULL, &block) == terrazzo_status_shut_down);
  EXPECT(block == NULL);
  return 0;
}

int main(void) {
  terrazzo_allocator_options_t options = TERRAZZO_ALLOCATOR_OPTIONS_INIT;
  terrazzo_allocator_t* allocator = NULL;
  int failed;
  EXPECT(strcmp(terrazzo_version(), TERRAZZO_VERSION_STRING) == 0);
  EXPECT(strcmp(terrazzo_status_name(terrazzo_status_out_of_memory), "out_of_memory") == 0);
  EXPECT(strlen(terrazzo_status_sentence(terrazzo_status_out_of_memory)) > 0);
  options.config = "max_split_size_mb:64";
  EXPECT(terrazzo_allocator_create(&options, &allocator) == terrazzo_status_ok);
  failed = use_allocator(allocator);
  terrazzo_allocator_destroy(allocator);
  terrazzo_allocator_destroy(NULL);
  return failed;
}
