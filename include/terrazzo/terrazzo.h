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
 * Errors: driver_not_found, driver_too_old, invalid_device, invalid_config, out_of_host_memory, driver_error;
 * not_supported if the options use members that this library does not know.
 * Cost: loads the driver, retains the device's primary context. */
TERRAZZO_API terrazzo_status_t terrazzo_allocator_create(const terrazzo_allocator_options_t* options,
                                                         terrazzo_allocator_t** allocator) TERRAZZO_NOEXCEPT;

/* Gives all device memory back and ends the allocator. No stream may still use a block. */
TERRAZZO_API void terrazzo_allocator_destroy(terrazzo_allocator_t* allocator) TERRAZZO_NOEXCEPT;

/* Gives all device memory back; live blocks become invalid, and later calls that allocate, free or trim fail with
 * shut_down. */
TERRAZZO_API terrazzo_status_t terrazzo_allocator_shutdown(terrazzo_allocator_t* allocator) TERRAZZO_NOEXCEPT;

/* Allocates `bytes` for use on `stream`. `alignment`: a power of two up to 2 MiB; 0 and whatever is below 512 mean 512.
 * 0 bytes give null and ok. Errors: out_of_memory, out_of_host_memory, invalid_argument, shut_down, driver_error. */
TERRAZZO_API terrazzo_status_t terrazzo_allocator_allocate(terrazzo_allocator_t* allocator, size_t bytes,
                                                           size_t alignment, void* stream,
                                                           void** block) TERRAZZO_NOEXCEPT;

/* Frees a block, from any thread; null does nothing. Memory is used again in the order of the stream that it was
 * allocated for. Errors: foreign_pointer, wrong_device, double_free, shut_down; then nothing has changed. */
TERRAZZO_API terrazzo_status_t terrazzo_allocator_deallocate(terrazzo_allocator_t* allocator,
                                                             void* block) TERRAZZO_NOEXCEPT;

/* Makes a live block at least `bytes` large where it is: its address and contents stay. Errors: out_of_memory, also if
 * another block lies behind it; invalid_argument for 0 bytes; foreign_pointer, wrong_device, double_free, shut_down,
 * device_lost, driver_error; then nothing has changed. The block must not be freed meanwhile. */
TERRAZZO_API terrazzo_status_t terrazzo_allocator_extend(terrazzo_allocator_t* allocator, void* block,
                                                         size_t bytes) TERRAZZO_NOEXCEPT;

/* Gives cached device memory back to the driver until at most `keep_bytes` are reserved, or nothing cached is left.
 * `given_back` receives the bytes given back; it may be null. Cost: waits for the device's work; driver calls. */
TERRAZZO_API terrazzo_status_t terrazzo_allocator_trim(terrazzo_allocator_t* allocator, size_t keep_bytes,
                                                       size_t* given_back) TERRAZZO_NOEXCEPT;

/* Changes the settings for what is allocated from now on. `config`: read strictly, over those in force; null: from the
 * environment variables, over the defaults. Limit and headroom are set anew, so that terrazzo_allocator_set_limit and
 * _set_headroom before count no more. Of two threads that change settings at once, one's change may be lost. Errors: invalid_config, out_of_host_memory, shut_down; then nothing has changed.
 * Cost: no driver call; waits for misses under way. */
TERRAZZO_API terrazzo_status_t terrazzo_allocator_set_config(terrazzo_allocator_t* allocator,
                                                             const char* config) TERRAZZO_NOEXCEPT;

/* Prints the settings that differ from the defaults as a string that terrazzo_allocator_create takes, cut after
 * `capacity` bytes with its closing null. `length` receives the whole string's length without the null; it and, if
 * `capacity` is 0, `text` may be null. */
TERRAZZO_API terrazzo_status_t terrazzo_allocator_config(terrazzo_allocator_t* allocator, char* text, size_t capacity,
                                                         size_t* length) TERRAZZO_NOEXCEPT;

/* Changes what terrazzo may hold on this device; never more than `per_process_memory_fraction` of it. Less than it holds
 * now is allowed: then nothing new is taken. */
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
  terrazzo_counter_t active_bytes;    /* with freed blocks that a stream still uses; not told apart yet: allocated */
  terrazzo_counter_t reserved_bytes;  /* device memory taken from the driver */
  terrazzo_counter_t allocations;     /* live blocks */
  uint64_t allocation_count;          /* successful allocations ever */
  uint64_t deallocation_count;        /* blocks freed ever */
  uint64_t driver_calls;              /* calls into the CUDA driver ever */
  uint64_t out_of_memory_count;       /* requests that failed for lack of memory */
  uint64_t retry_count;               /* requests that came to wait for the device, served or not */
  uint64_t invalid_free_count;        /* frees refused: foreign pointers, double frees, others' blocks */
  size_t limit_bytes;                 /* what terrazzo may hold on this device */
  size_t largest_free_bytes;          /* the largest free block of any source; fronts and slabs may hold more */
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

/* ---- Workspace pool: the scratch memory that cuBLAS works in --------------------------------------------------- */

/* The workspaces of an allocator's device: one a stream, which never moves and never changes its size. cuBLAS handles
 * (cublasHandle_t) are passed as `void*`. Calls on one cuBLAS handle, `bind` among them, must not be made at once. */
typedef struct terrazzo_workspace_pool terrazzo_workspace_pool_t;

typedef struct terrazzo_workspace_options {
  size_t struct_size;
  size_t bytes;             /* of each; 0: CUBLAS_WORKSPACE_CONFIG, else NVIDIA's recommendation; least 16 KiB */
  size_t alignment;         /* of each, a power of two from 256 to 2 MiB; 0 means 256 */
  size_t preallocate_count; /* workspaces made at once, for the first so many streams */
  size_t max_count;         /* most workspaces that the pool may hold; 0: no cap */
  const char* cublas_path;  /* cuBLAS' file; null: found, beginning with TERRAZZO_CUBLAS */
} terrazzo_workspace_options_t;

#define TERRAZZO_WORKSPACE_OPTIONS_INIT \
  { sizeof(terrazzo_workspace_options_t), 0, 0, 0, 0, NULL }

/* Finds cuBLAS and makes a pool on the allocator's device. The allocator must outlive it. `options` may be null.
 * Errors: library_not_found, invalid_argument, invalid_config (CUBLAS_WORKSPACE_CONFIG), out_of_memory, driver_error;
 * not_supported if the options use members that this library does not know. */
TERRAZZO_API terrazzo_status_t terrazzo_workspace_pool_create(terrazzo_allocator_t* allocator,
                                                              const terrazzo_workspace_options_t* options,
                                                              terrazzo_workspace_pool_t** pool) TERRAZZO_NOEXCEPT;

/* Waits for the device's work, gives all workspaces back and ends the pool. Handles that are still bound must not be
 * used before their next cublasSetStream. */
TERRAZZO_API void terrazzo_workspace_pool_destroy(terrazzo_workspace_pool_t* pool) TERRAZZO_NOEXCEPT;

/* Lets a cuBLAS handle work on `stream` in that stream's workspace; use it wherever cublasSetStream would stand, which
 * alone would undo it. Errors: library_error (a bad handle), out_of_memory, invalid_argument, driver_error.
 * Cost: no driver call and no allocation but for a stream's first time. */
TERRAZZO_API terrazzo_status_t terrazzo_workspace_pool_bind(terrazzo_workspace_pool_t* pool, void* cublas,
                                                            void* stream) TERRAZZO_NOEXCEPT;

/* Puts a bound handle back to cuBLAS' own pool, on the stream it is on. Errors: invalid_argument, library_error. */
TERRAZZO_API terrazzo_status_t terrazzo_workspace_pool_unbind(terrazzo_workspace_pool_t* pool,
                                                              void* cublas) TERRAZZO_NOEXCEPT;

/* Tells a stream's workspace, made now if it has none; `bytes` may be null. Errors: as `_bind`. */
TERRAZZO_API terrazzo_status_t terrazzo_workspace_pool_workspace(terrazzo_workspace_pool_t* pool, void* stream,
                                                                 void** workspace, size_t* bytes) TERRAZZO_NOEXCEPT;

/* Takes a stream's workspace away, after waiting for the stream: call it before a stream is destroyed.
 * Errors: busy, if a handle is bound to the stream; driver_error. */
TERRAZZO_API terrazzo_status_t terrazzo_workspace_pool_release(terrazzo_workspace_pool_t* pool,
                                                               void* stream) TERRAZZO_NOEXCEPT;

/* Waits for the device's work and gives back every workspace that no handle is bound to. `given_back` receives their
 * bytes; it may be null. Errors: driver_error. */
TERRAZZO_API terrazzo_status_t terrazzo_workspace_pool_clear(terrazzo_workspace_pool_t* pool,
                                                             size_t* given_back) TERRAZZO_NOEXCEPT;

/* Makes a cuBLAS handle on the pool's device; where it finds no memory, terrazzo's cached memory is given back and
 * cuBLAS asked once more. Errors: out_of_memory, library_error. */
TERRAZZO_API terrazzo_status_t terrazzo_workspace_pool_create_handle(terrazzo_workspace_pool_t* pool,
                                                                     void** cublas) TERRAZZO_NOEXCEPT;

/* Destroys a cuBLAS handle; null does nothing. Errors: library_error. Cost: waits for the device's work. */
TERRAZZO_API terrazzo_status_t terrazzo_workspace_pool_destroy_handle(terrazzo_workspace_pool_t* pool,
                                                                      void* cublas) TERRAZZO_NOEXCEPT;

/* Tells the size of every workspace, the same for the pool's whole life. */
TERRAZZO_API terrazzo_status_t terrazzo_workspace_pool_bytes(terrazzo_workspace_pool_t* pool,
                                                             size_t* bytes) TERRAZZO_NOEXCEPT;

/* Tells where that size comes from, as in "recommended for compute capability 9.0". The pool owns the string. */
TERRAZZO_API terrazzo_status_t terrazzo_workspace_pool_size_origin(terrazzo_workspace_pool_t* pool,
                                                                   const char** origin) TERRAZZO_NOEXCEPT;

typedef struct terrazzo_workspace_stats {
  size_t struct_size;
  size_t count;              /* workspaces that exist */
  size_t spare_count;        /* of these, not yet of any stream */
  size_t bound_handle_count; /* handles bound now */
  size_t total_bytes;        /* device memory of all workspaces */
  size_t aligned_to;         /* the largest power of two that divides every address; 0 if there is none */
} terrazzo_workspace_stats_t;

/* Fills `stats` as `terrazzo_allocator_stats` does. */
TERRAZZO_API terrazzo_status_t terrazzo_workspace_pool_stats(terrazzo_workspace_pool_t* pool,
                                                             terrazzo_workspace_stats_t* stats) TERRAZZO_NOEXCEPT;

/* Looks up a function of the pool's cuBLAS by its exported name, as in "cublasSgemm_v2", for programs that link none.
 * Errors: library_not_found. */
TERRAZZO_API terrazzo_status_t terrazzo_workspace_pool_symbol(terrazzo_workspace_pool_t* pool, const char* name,
                                                              void** symbol) TERRAZZO_NOEXCEPT;

#ifdef __cplusplus
}
#endif

#endif
