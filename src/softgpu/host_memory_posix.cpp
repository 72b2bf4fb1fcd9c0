#include <fcntl.h>
#include <sys/mman.h>
#include <unistd.h>

#include <cstdint>

#include "softgpu/host_memory.hpp"

namespace softgpu {
namespace {

constexpr int inaccessible = MAP_PRIVATE | MAP_ANONYMOUS | MAP_NORESERVE;
constexpr std::uint64_t file_bytes = std::uint64_t{1} << 52;  // sparse: more than any program creates in its life

std::size_t whole_pages(std::size_t bytes) noexcept {
  const std::size_t page = host_page_bytes();
  return (bytes + page - 1) & ~(page - 1);
}

}  // namespace

std::size_t host_page_bytes() noexcept {
  static const std::size_t bytes = static_cast<std::size_t>(sysconf(_SC_PAGESIZE));
  return bytes;
}

void* reserve_addresses(std::size_t bytes, std::size_t alignment, void* hint) noexcept {
  if (hint != nullptr) {
    void* at = mmap(hint, bytes, PROT_NONE, inaccessible, -1, 0);
    if (at == hint) return at;
    if (at != MAP_FAILED) munmap(at, bytes);
  }
  // Aligned by taking more and giving the ends back: mmap itself only knows pages.
  const std::size_t slack = alignment > host_page_bytes() ? alignment : 0;
  if (bytes > SIZE_MAX - slack) return nullptr;
  void* at = mmap(nullptr, bytes + slack, PROT_NONE, inaccessible, -1, 0);
  if (at == MAP_FAILED) return nullptr;
  if (slack == 0) return at;
  char* const begin = static_cast<char*>(at);
  const std::size_t before = (alignment - reinterpret_cast<std::uintptr_t>(at) % alignment) % alignment;
  if (before != 0) munmap(begin, before);
  if (slack != before) munmap(begin + before + bytes, slack - before);
  return begin + before;
}

void release_addresses(void* address, std::size_t bytes) noexcept { munmap(address, bytes); }

struct memory_file::state {
  int descriptor = -1;
};

memory_file::memory_file() : state_(std::make_unique<state>()) {}

memory_file::~memory_file() {
  if (state_->descriptor >= 0) close(state_->descriptor);
}

bool memory_file::open() noexcept {
  state_->descriptor = memfd_create("terrazzo software GPU", MFD_CLOEXEC);
  return state_->descriptor >= 0 && ftruncate(state_->descriptor, static_cast<off_t>(file_bytes)) == 0;
}

std::uint64_t memory_file::take(std::size_t bytes) noexcept {
  const std::uint64_t offset = next_;
  next_ += whole_pages(bytes);
  return offset;
}

void memory_file::discard(std::uint64_t offset, std::size_t bytes) noexcept {
  // A host that cannot punch holes keeps the pages: more host memory is used, nothing else changes.
  (void)!fallocate(state_->descriptor, FALLOC_FL_PUNCH_HOLE | FALLOC_FL_KEEP_SIZE, static_cast<off_t>(offset),
                   static_cast<off_t>(whole_pages(bytes)));
}

bool memory_file::expose(void* address, std::size_t bytes, std::uint64_t offset, bool writable) noexcept {
  const int protection = writable ? PROT_READ | PROT_WRITE : PROT_READ;
  return mmap(address, whole_pages(bytes), protection, MAP_SHARED | MAP_FIXED, state_->descriptor,
              static_cast<off_t>(offset)) != MAP_FAILED;
}

void hide(void* address, std::size_t bytes) noexcept {
  mmap(address, whole_pages(bytes), PROT_NONE, inaccessible | MAP_FIXED, -1, 0);
}

}  // namespace softgpu
