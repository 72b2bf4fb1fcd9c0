/* terrazzo's C ABI: for C, for other languages, and for C++ compilers other than the one that built the library (they
 * may prefer terrazzo/abi.hpp, a C++11 wrapper over this header alone).
 *
 * Conventions:
 *  1. Functions that can fail return a `terrazzo_status_t`; 0 is success. Numbers are fixed for ever.
 *  2. Results come through pointers, which must not be null unless said otherwise. On failure a handle or an address is
 *     set to null, and other results are left alone.
 *  3. `terrazzo_last_error_message` tells the particulars of the calling thread's last failure: what, which value, what
 *     is allowed, what to do.
 *  4. No exception leaves a function, nothing is printed, the process is never aborted. Null for an object that is
 *     needed gives invalid_argument; `_destroy` takes null and does nothing.
 *  5. Structs open with `struct_size`, which the caller sets to the struct's sizeof. New members are added at the end:
 *     a program compiled against an older header works with a newer library, and the other way round as long as members
 *     unknown to the library are zero.
 *  6. Objects are made by `_create` and given up by `_destroy`; the caller owns them. Any other function may be called
 *     from any thread at any time, but while an object is being destroyed no other thread may use it.
 *  7. Sizes are bytes. Strings are UTF-8, end with a null, and are copied if they are kept.
 *  8. A stream is a CUstream or cudaStream_t, passed as `void*`; null is the legacy default stream.
 */
#ifndef TERRAZZO_TERRAZZO_H
#define TERRAZZO_TERRAZZO_H

#include <stddef.h>
#include <stdint.h>

#include "terrazzo/export.h"
#include "terrazzo/status_codes.h"
#include "terrazzo/version.h"

#ifdef __cplusplus
#define TERRAZZO_NOEXCEPT noexcept
extern "C" {
#else
#define TERRAZZO_NOEXCEPT
#endif

typedef int terrazzo_status_t;

/* terrazzo_status_ok, terrazzo_status_invalid_argument, ...: the table in status_codes.h. */
enum terrazzo_status_number {
#define TERRAZZO_STATUS_NUMBER(name, number, sentence) terrazzo_status_##name = number,
  TERRAZZO_STATUS_CODES(TERRAZZO_STATUS_NUMBER)
#undef TERRAZZO_STATUS_NUMBER
      terrazzo_status_force_int = 0x7fffffff /* no status: keeps the enumeration as wide as an int */
};

/* Names a status, as in "out_of_memory"; "unknown" for a number that is none. Never null. */
TERRAZZO_API const char* terrazzo_status_name(terrazzo_status_t status) TERRAZZO_NOEXCEPT;

/* Says in one general sentence what a status means. Never null. */
TERRAZZO_API const char* terrazzo_status_sentence(terrazzo_status_t status) TERRAZZO_NOEXCEPT;

/* Tells the particulars of the calling thread's last failure; empty if there was none. Never null. Valid until the
 * thread's next failure. */
TERRAZZO_API const char* terrazzo_last_error_message(void) TERRAZZO_NOEXCEPT;

/* Tells the version of the library, as in "0.1.0"; TERRAZZO_VERSION_STRING is that of the header. */
TERRAZZO_API const char* terrazzo_version(void) TERRAZZO_NOEXCEPT;

/* ---- Allocator: the memory of one device, handed out in stream order ------------------------------------------- */

typedef struct terrazzo_allocator terrazzo_allocator_t;

typedef struct terrazzo_allocator_options {
  size_t struct_size;
  int device;              /* CUDA ordinal */
  const char* config;      /* settings, read strictly, over the defaults; null: from the environment variables */
  const char* driver_path; /* driver library; null: the path in TERRAZZO_CUDA_DRIVER, else the system's */
} terrazzo_allocator_options_t;

#define TERRAZZO_ALLOCATOR_OPTIONS_INIT \
  { sizeof(terrazzo_allocator_options_t), 0, NULL, NULL }

/* Opens a device. `options` may be null: device 0, settings from the environment.
 * Errors: driver_not_found, driver_too_old, invalid_device, invalid_config, driver_error; not_supported if the options
 * use members that this library does not know. Cost: loads the driver, retains the device's primary context. */
TERRAZZO_API terrazzo_status_t terrazzo_allocator_create(const terrazzo_allocator_options_t* options,
                                                         terrazzo_allocator_t** allocator) TERRAZZO_NOEXCEPT;

/* Gives all device memory back and ends the allocator. No stream may still use a block. */
TERRAZZO_API void terrazzo_allocator_destroy(terrazzo_allocator_t* allocator) TERRAZZO_NOEXCEPT;

/* Gives all device memory back; live blocks become invalid, and later calls fail with shut_down. */
TERRAZZO_API terrazzo_status_t terrazzo_allocator_shutdown(terrazzo_allocator_t* allocator) TERRAZZO_NOEXCEPT;

/* Allocates `bytes` for use on `stream`. `alignment`: a power of two up to 2 MiB; 0 and whatever is below 512 mean 512.
 * 0 bytes give null and ok. Errors: out_of_memory, invalid_argument, shut_down, driver_error. */
TERRAZZO_API terrazzo_status_t terrazzo_allocator_allocate(terrazzo_allocator_t* allocator, size_t bytes,
                                                           size_t alignment, void* stream,
                                                           void** block) TERRAZZO_NOEXCEPT;

/* Frees a block, from any thread; null does nothing. Memory is used again in the order of the stream that it was
 * allocated for. Errors: foreign_pointer, wrong_device, double_free, shut_down; then nothing has changed. */
TERRAZZO_API terrazzo_status_t terrazzo_allocator_deallocate(terrazzo_allocator_t* allocator,
                                                             void* block) TERRAZZO_NOEXCEPT;

/* Gives cached device memory back to the driver until at most `keep_bytes` are reserved, or nothing cached is left.
 * `given_back` receives the bytes given back; it may be null. Cost: waits for the device's work; driver calls. */
TERRAZZO_API terrazzo_status_t terrazzo_allocator_trim(terrazzo_allocator_t* allocator, size_t keep_bytes,
                                                       size_t* given_back) TERRAZZO_NOEXCEPT;

/* Changes what terrazzo may hold on this device. Less than it holds now is allowed: then nothing new is taken. */
TERRAZZO_API terrazzo_status_t terrazzo_allocator_set_limit(terrazzo_allocator_t* allocator,
                                                            size_t bytes) TERRAZZO_NOEXCEPT;

/* Changes the bytes of device memory that are left free for what allocates outside terrazzo. */
TERRAZZO_API terrazzo_status_t terrazzo_allocator_set_headroom(terrazzo_allocator_t* allocator,
                                                               size_t bytes) TERRAZZO_NOEXCEPT;

/* Tells the size of a live block as it was asked for. Errors: as `terrazzo_allocator_deallocate`. */
TERRAZZO_API terrazzo_status_t terrazzo_allocator_requested_bytes(terrazzo_allocator_t* allocator, const void* block,
                                                                  size_t* bytes) TERRAZZO_NOEXCEPT;

/* Bytes or a count, now and at its highest since the start or the last reset. */
typedef struct terrazzo_counter {
  size_t current;
  size_t peak;
} terrazzo_counter_t;

/* requested <= allocated <= active <= reserved */
typedef struct terrazzo_stats {
  size_t struct_size;
  terrazzo_counter_t requested_bytes; /* as the program asked */
  terrazzo_counter_t allocated_bytes; /* after rounding to blocks */
  terrazzo_counter_t active_bytes;    /* allocated, and freed blocks that a stream still uses */
  terrazzo_counter_t reserved_bytes;  /* device memory taken from the driver */
  terrazzo_counter_t allocations;     /* live blocks */
  uint64_t allocation_count;          /* successful allocations ever */
  uint64_t deallocation_count;        /* blocks freed ever */
  uint64_t driver_calls;              /* calls into the CUDA driver ever */
  uint64_t out_of_memory_count;       /* requests that failed for lack of memory */
  uint64_t retry_count;               /* requests that were served only after cached memory was given up */
  uint64_t invalid_free_count;        /* frees refused: foreign pointers and double frees */
  size_t limit_bytes;                 /* what terrazzo may hold on this device */
  size_t largest_free_bytes;          /* the largest request that would need no driver call, over all streams */
  size_t segment_count;               /* plain segments, or reservations of the range */
} terrazzo_stats_t;

/* Fills `stats`, whose `struct_size` the caller has set: members beyond it are not written, and members that the
 * library does not know become zero. */
TERRAZZO_API terrazzo_status_t terrazzo_allocator_stats(terrazzo_allocator_t* allocator,
                                                        terrazzo_stats_t* stats) TERRAZZO_NOEXCEPT;

/* Sets every peak to the current value. */
TERRAZZO_API terrazzo_status_t terrazzo_allocator_reset_peaks(terrazzo_allocator_t* allocator) TERRAZZO_NOEXCEPT;

/* Walks all books. Errors: corrupted, with the first invariant that does not hold. Cost: proportional to the number of
 * blocks; other threads wait. */
TERRAZZO_API terrazzo_status_t terrazzo_allocator_validate(terrazzo_allocator_t* allocator) TERRAZZO_NOEXCEPT;

#ifdef __cplusplus
}
#endif

#endif
