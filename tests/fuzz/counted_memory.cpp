#include "counted_memory.hpp"

#include <malloc.h>

#include <algorithm>
#include <cstdlib>
#include <new>

namespace {

bool counting = false;
std::int64_t live_bytes = 0;
std::int64_t peak_bytes = 0;

void count(void* block, std::int64_t sign) {
  if (!counting || block == nullptr) return;
  live_bytes += sign * static_cast<std::int64_t>(malloc_usable_size(block));
  peak_bytes = std::max(peak_bytes, live_bytes);
}

}  // namespace

void fuzz::start_counting() {
  live_bytes = peak_bytes = 0;
  counting = true;
}

std::int64_t fuzz::stop_counting() {
  counting = false;
  return peak_bytes;
}

// All of a kind, lest the address sanitizer's own frees what came from here.
void* operator new(std::size_t size, const std::nothrow_t&) noexcept {
  void* block = std::malloc(size);
  count(block, 1);
  return block;
}
void* operator new(std::size_t size) {
  if (void* block = operator new(size, std::nothrow)) return block;
  throw std::bad_alloc();
}
void* operator new[](std::size_t size, const std::nothrow_t&) noexcept { return operator new(size, std::nothrow); }
void* operator new[](std::size_t size) { return operator new(size); }
void operator delete(void* block) noexcept {
  count(block, -1);
  std::free(block);
}
void operator delete(void* block, std::size_t) noexcept { operator delete(block); }
void operator delete(void* block, const std::nothrow_t&) noexcept { operator delete(block); }
void operator delete[](void* block) noexcept { operator delete(block); }
void operator delete[](void* block, std::size_t) noexcept { operator delete(block); }
void operator delete[](void* block, const std::nothrow_t&) noexcept { operator delete(block); }
