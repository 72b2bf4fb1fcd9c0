// The one header with compiler- and processor-specific code: everything else is plain C++20.
#pragma once

#if defined(__GNUC__) || defined(__clang__)
#define TERRAZZO_ALWAYS_INLINE inline __attribute__((always_inline))
#define TERRAZZO_COLD __attribute__((cold, noinline))
#define TERRAZZO_NOINLINE __attribute__((noinline))
#else
#define TERRAZZO_ALWAYS_INLINE __forceinline
#define TERRAZZO_COLD __declspec(noinline)
#define TERRAZZO_NOINLINE __declspec(noinline)
#endif

// A thread-local variable read on every allocation: with the initial-exec model the read is one instruction instead of
// a call into the dynamic loader. glibc and musl keep static TLS to spare for libraries that are loaded later.
#if (defined(__GNUC__) || defined(__clang__)) && defined(__ELF__)
#define TERRAZZO_FAST_THREAD_LOCAL thread_local __attribute__((tls_model("initial-exec")))
#else
#define TERRAZZO_FAST_THREAD_LOCAL thread_local
#endif

// Set where the compiler emulates thread-local variables on the heap: there their memory goes at the end of the thread
// before their destructors run, so none may have a destructor.
#if defined(__MINGW32__)
#define TERRAZZO_EMULATED_THREAD_LOCAL 1
#endif

#if defined(__x86_64__) || defined(__i386__) || defined(_M_X64)
#include <immintrin.h>
#endif

namespace terrazzo::detail {

/// Tells the processor that this is a spin loop.
inline void cpu_relax() noexcept {
#if defined(__x86_64__) || defined(__i386__) || defined(_M_X64)
  _mm_pause();
#elif defined(__aarch64__)
  __asm__ __volatile__("yield");
#endif
}

}  // namespace terrazzo::detail
