// Windows shows a file only where nothing is reserved, so a range is addresses in these books alone: what is not
// exposed is free for the system, and faults when touched. The ranges lie in a zone of addresses that neither Windows
// nor Wine uses unasked (both take low addresses first, and keep the highest for libraries), cut into one window for
// each copy of this code in the process. Should somebody else sit there, `expose` fails. Each part of a memory file is
// a section of its own: a section gives back no single pages, but it can go as a whole. Not taken: placeholders
// (VirtualAlloc2), which would keep the addresses. Windows has them since 10 version 1803, Wine 8 does not.
#include <windows.h>

#include <cstdint>
#include <iterator>
#include <map>
#include <new>
#include <set>

#include "base/bits.hpp"
#include "softgpu/host_memory.hpp"

namespace softgpu {
namespace {

using terrazzo::detail::is_aligned;
using terrazzo::detail::round_up;

constexpr std::uintptr_t tebibyte = std::uintptr_t{1} << 40;
constexpr std::uintptr_t zone_begin = 8 * tebibyte;
constexpr std::uintptr_t zone_end = 80 * tebibyte;
constexpr std::uintptr_t window_bytes = 12 * tebibyte;

std::uintptr_t number(const void* address) noexcept { return reinterpret_cast<std::uintptr_t>(address); }
void* pointer(std::uintptr_t number) noexcept { return reinterpret_cast<void*>(number); }
std::size_t whole_pages(std::size_t bytes) noexcept { return round_up(bytes, host_page_bytes()); }

class address_window {
 public:
  /// Takes a range, at `hint` if that is free; null if there is no room.
  void* take(std::size_t bytes, std::size_t alignment, std::uintptr_t hint) {
    if (begin_ == 0 && !claim()) return nullptr;
    if (bytes > window_bytes || alignment > window_bytes) return nullptr;
    if (is_free(hint, bytes)) return keep(hint, bytes);
    std::uintptr_t at = round_up(begin_, alignment);
    for (const auto& [begin, end] : ranges_) {
      if (at + bytes <= begin) break;
      if (at < end) at = round_up(end, alignment);
    }
    return is_free(at, bytes) ? keep(at, bytes) : nullptr;
  }

  void give_back(std::uintptr_t range, std::size_t bytes) noexcept {
    for (auto view = views_.lower_bound(range); view != views_.end() && *view < range + bytes;
         view = views_.erase(view))
      UnmapViewOfFile(pointer(*view));
    ranges_.erase(range);
  }

  /// Shows a section at an address, in place of what was shown there.
  bool show(HANDLE section, std::uintptr_t at, std::size_t bytes, DWORD access) {
    hide(at);
    const auto view = views_.insert(at).first;
    if (MapViewOfFileEx(section, access, 0, 0, bytes, pointer(at)) != nullptr) return true;
    views_.erase(view);
    return false;
  }

  void hide(std::uintptr_t at) noexcept {
    if (views_.erase(at) != 0) UnmapViewOfFile(pointer(at));
  }

 private:
  // Takes the first window without an owner. Its first page is reserved for good, which tells other copies of this
  // code.
  bool claim() {
    for (std::uintptr_t begin = zone_begin; begin < zone_end; begin += window_bytes) {
      if (VirtualAlloc(pointer(begin), host_page_bytes(), MEM_RESERVE, PAGE_NOACCESS) == nullptr) continue;
      begin_ = begin;
      keep(begin, host_page_bytes());
      return true;
    }
    return false;
  }

  bool is_free(std::uintptr_t at, std::size_t bytes) const {
    if (at < begin_ || at - begin_ > window_bytes - bytes || !is_aligned(at, host_page_bytes())) return false;
    const auto next = ranges_.lower_bound(at);
    if (next != ranges_.end() && next->first < at + bytes) return false;
    return next == ranges_.begin() || std::prev(next)->second <= at;
  }

  void* keep(std::uintptr_t at, std::size_t bytes) {
    ranges_.emplace(at, at + bytes);
    return pointer(at);
  }

  std::uintptr_t begin_ = 0;                         // 0 until the first range is asked for
  std::map<std::uintptr_t, std::uintptr_t> ranges_;  // begin -> end, of what is taken
  std::set<std::uintptr_t> views_;                   // where something is shown
};

// Never destroyed: the books of a GPU may be taken down when the process ends.
address_window& window() {
  static address_window& only = *new address_window;
  return only;
}

}  // namespace

std::size_t host_page_bytes() noexcept {
  static const std::size_t bytes = [] {
    SYSTEM_INFO system;
    GetSystemInfo(&system);
    return std::size_t{system.dwAllocationGranularity};  // a view begins at a multiple of it, not of a page
  }();
  return bytes;
}

void* reserve_addresses(std::size_t bytes, std::size_t alignment, void* hint) noexcept {
  try {
    return window().take(bytes, alignment, number(hint));
  } catch (const std::bad_alloc&) {
    return nullptr;
  }
}

void release_addresses(void* address, std::size_t bytes) noexcept { window().give_back(number(address), bytes); }

void hide(void* address, std::size_t) noexcept { window().hide(number(address)); }

struct memory_file::state {
  std::map<std::uint64_t, HANDLE> sections;  // by the offset of their part; made when first shown
};

memory_file::memory_file() : state_(std::make_unique<state>()) {}

memory_file::~memory_file() {
  for (const auto& [offset, section] : state_->sections) CloseHandle(section);
}

bool memory_file::open() noexcept { return true; }

std::uint64_t memory_file::take(std::size_t bytes) noexcept {
  const std::uint64_t offset = next_;
  next_ += whole_pages(bytes);
  return offset;
}

void memory_file::discard(std::uint64_t offset, std::size_t) noexcept {
  const auto found = state_->sections.find(offset);
  if (found == state_->sections.end()) return;
  CloseHandle(found->second);  // the bytes stay as long as a view shows them
  state_->sections.erase(found);
}

bool memory_file::expose(void* address, std::size_t bytes, std::uint64_t offset, bool writable) noexcept {
  const std::uint64_t part_bytes = whole_pages(bytes);
  try {
    HANDLE& section = state_->sections[offset];
    if (section == nullptr) {
      section = CreateFileMappingA(INVALID_HANDLE_VALUE, nullptr, PAGE_READWRITE, static_cast<DWORD>(part_bytes >> 32),
                                   static_cast<DWORD>(part_bytes), nullptr);
    }
    if (section != nullptr) {
      return window().show(section, number(address), part_bytes, writable ? FILE_MAP_WRITE : FILE_MAP_READ);
    }
    state_->sections.erase(offset);
    return false;
  } catch (const std::bad_alloc&) {
    return false;
  }
}

}  // namespace softgpu
