/* The software GPU's extra functions.
 *
 * The software GPU is a set of libraries with CUDA's own names (`libcuda.so.1`, `libcublas.so.13`), so that whatever is
 * written for the driver runs on a machine without a card. A program meets it like any driver: by path, for example
 * `TERRAZZO_CUDA_DRIVER=build/release/lib/softgpu/libcuda.so.1`. The functions below steer and question it; they are
 * exported by its driver library and looked up there with `dlsym`, or linked from the static library.
 *
 * Conventions:
 *  1. One set of books a process. All functions may be called from any thread, except `configure`, which needs that no
 *     other thread is inside the software GPU: it takes everything down and starts afresh.
 *  2. Sizes are bytes, times are nanoseconds of simulated time.
 *  3. CUDA's names are given without a version suffix or with it ("cuMemAlloc", "cuMemAlloc_v2"): both mean the same.
 *  4. Functions return 0 for success and 1 for a bad argument, if not said otherwise; `terrazzo_softgpu_message` then
 *     says what was wrong. It also tells, after a refused driver or cuBLAS call, which rule the call broke.
 */
#ifndef TERRAZZO_SOFTGPU_H
#define TERRAZZO_SOFTGPU_H

#include <stddef.h>
#include <stdint.h>

#ifdef __cplusplus
extern "C" {
#endif

/* Takes down all devices and builds new ones from `spec`, a list of `key=value` separated by `;` or `,`. A key may be
 * preceded by `<device>.` to set it for one device alone. The variable TERRAZZO_SOFTGPU holds the spec used at load.
 *   devices=1            how many devices, 0 to 64
 *   memory=8GiB          device memory of each; KiB, MiB, GiB, TiB or plain bytes
 *   capability=9.0       compute capability, major.minor
 *   granularity=2MiB     unit of virtual memory management, a power of two >= 64KiB
 *   backed=1             1: real host memory behind every byte; 0: books only, the addresses cannot be touched
 *   vmm=1                0: the device has no virtual memory management
 *   completion=immediate immediate | manual: whether streams run work as it comes or when told (see `complete`)
 *   driver=13.0          the version that cuDriverGetVersion reports
 *   addresses=128TiB     what all reservations together may take of the address space
 *   other=0              memory held by other processes
 *   context=0            memory that the primary context takes when it is first retained
 *   name=...             device name
 *   cublas_pool=...      bytes of the hidden pool that cublasCreate takes (see the software cuBLAS)
 * A spec that TERRAZZO_SOFTGPU holds and that is not understood makes cuInit fail and is told on stderr.
 */
int terrazzo_softgpu_configure(const char* spec);

/* Explains the calling thread's last refused call; never null. */
const char* terrazzo_softgpu_message(void);

/* Counts calls of one CUDA function since `configure` or `reset_counts`; NULL counts all of them. */
uint64_t terrazzo_softgpu_calls(const char* function);
void terrazzo_softgpu_reset_counts(void);

/* Makes the k-th, k+1-th, ... (`times` in all; UINT64_MAX: for ever) call from now on of `function` fail with `result`
 * and without effect, k >= 1. NULL means: the k-th call of any driver function, but never one that only asks for names or
 * versions. `result` is a CUresult for driver functions and a cublasStatus_t for cuBLAS functions. A function has one
 * rule, the newest, and NULL has one of its own; k = 0 takes it back. */
int terrazzo_softgpu_fail(const char* function, uint64_t k, int result, uint64_t times);

/* Tells how many calls were made to fail by `fail` since `configure`. */
uint64_t terrazzo_softgpu_failures(void);

/* Sets what other processes hold on a device. More than is free now is allowed: then nothing is free. */
int terrazzo_softgpu_set_other_memory(int device, uint64_t bytes);

/* Runs up to `count` pieces of work that wait in a stream (NULL: the legacy stream; SIZE_MAX: all), for
 * `completion=manual`. Returns how many were run; work that waits for an unfinished event holds its stream up. */
uint64_t terrazzo_softgpu_complete(void* stream, uint64_t count);
uint64_t terrazzo_softgpu_complete_all(void);

/* Puts host work into a stream: how the software cuBLAS runs its products in stream order. Not counted as a call. */
int terrazzo_softgpu_enqueue(void* stream, void (*work)(void*), void* argument, double cost_ns);

/* Counts what exists now on a device (-1: all devices): "chunks", "chunk_bytes", "reservations", "reserved_address_bytes",
 * "mappings", "allocations", "allocated_bytes", "host_allocations", "streams", "events", "contexts", "used_bytes",
 * "free_bytes", "cublas_handles". Reservations belong to no device. UINT64_MAX for an unknown word or device. */
uint64_t terrazzo_softgpu_count(const char* what, int device);

/* For libraries over the same set of books, as the software cuBLAS is.
 *   enter                counts a call of `function`; the result it is made to fail with, or 0
 *   explain              keeps a sentence for `terrazzo_softgpu_message`: why a call of `function` was refused
 *   generation           changes at each `configure`: what was made before it is gone
 *   cublas_pool          gives a device's cublas_pool; 1 if its spec has none
 *   add_cublas_handles   changes what `count` tells of cublas_handles
 *   reach                tells whether a device may read, or write, a range: 0 no, 1 yes, 2 yes, but the device has books
 *                        only and the bytes must not be touched */
int terrazzo_softgpu_enter(const char* function);
void terrazzo_softgpu_explain(const char* function, const char* sentence);
uint64_t terrazzo_softgpu_generation(void);
int terrazzo_softgpu_cublas_pool(int device, uint64_t* bytes);
int terrazzo_softgpu_add_cublas_handles(int device, int count);
int terrazzo_softgpu_reach(uint64_t address, uint64_t bytes, int write);

/* Prices: a call of `function` that touches n chunks of granularity size takes a + b * n ns. */
int terrazzo_softgpu_set_price(const char* function, double a_ns, double b_ns);
double terrazzo_softgpu_priced_ns(void);

/* Gives the entry point of a CUDA function by its exported name, or NULL if it is not modelled or newer than the driver
 * version of the spec: the software driver in process, for tests that link the static library. */
void* terrazzo_softgpu_symbol(const char* name);

/* Gives the entry point of a cuBLAS function by its exported name, or NULL if it is not modelled: the software cuBLAS in
 * process, for tests that link its static library. The shared libraries do not have this function. */
void* terrazzo_softcublas_symbol(const char* name);

#ifdef __cplusplus
}
#endif

#endif
