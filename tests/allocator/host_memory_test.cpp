// Host memory that runs out: the k-th operator new of every scenario fails, k = 1, 2, ..., alone or with all after it.
// A status, no exception, no leak, books that hold, and the next call works. Driver calls are left in peace: what the
// software GPU does without host memory is its own affair.
#include <atomic>
#include <cstdlib>
#include <new>

#include "fixture.hpp"

using namespace terrazzo;
using namespace terrazzo::test;

namespace {

thread_local int paused = 0;
thread_local std::uint64_t fails_at = 0;  // counts down; 0: never
thread_local bool goes_on_failing = false;
thread_local bool failed = false;

bool must_fail() noexcept {
  if (paused != 0 || fails_at == 0) return false;
  if (fails_at > 1) {
    --fails_at;
    return false;
  }
  if (!goes_on_failing) fails_at = 0;
  return failed = true;
}

/// Makes operator new fail for this thread, from the k-th call on, for the length of a scope.
struct failing_new {
  failing_new(std::uint64_t k, bool goes_on) {
    failed = false;
    fails_at = k;
    goes_on_failing = goes_on;
  }
  ~failing_new() { fails_at = 0; }
  failing_new(const failing_new&) = delete;
  failing_new& operator=(const failing_new&) = delete;
};

struct pause {
  pause() { ++paused; }
  ~pause() { --paused; }
};

/// A driver function that is called with operator new as it was.
template <auto Function>
struct in_peace;
template <typename Result, typename... Args, Result (*Function)(Args...)>
struct in_peace<Function> {
  static Result call(Args... args) {
    const pause quiet;
    return Function(args...);
  }
};

void* look_up(const char* name) {
  const std::string wanted = name;
#define TERRAZZO_TEST_FUNCTION(function, since, use) \
  if (wanted == #function) return reinterpret_cast<void*>(&in_peace<&::function>::call);
  TERRAZZO_DRIVER_FUNCTIONS(TERRAZZO_TEST_FUNCTION)
#undef TERRAZZO_TEST_FUNCTION
  return nullptr;
}

void* allocate_or_null(std::size_t bytes) noexcept {
  return must_fail() ? nullptr : std::malloc(bytes == 0 ? 1 : bytes);
}
// The pointer that malloc gave lies before what is handed out: no other aligned allocation is everywhere.
void* allocate_or_null(std::size_t bytes, std::align_val_t alignment) noexcept {
  if (must_fail()) return nullptr;
  const auto unit = static_cast<std::size_t>(alignment);
  void* const base = std::malloc(bytes + unit + sizeof(void*));
  if (base == nullptr) return nullptr;
  const std::uintptr_t at = detail::round_up(reinterpret_cast<std::uintptr_t>(base) + sizeof(void*), unit);
  reinterpret_cast<void**>(at)[-1] = base;
  return reinterpret_cast<void*>(at);
}
void free_aligned(void* gone) noexcept {
  if (gone != nullptr) std::free(static_cast<void**>(gone)[-1]);
}
void* or_throw(void* made) {
  if (made == nullptr) throw std::bad_alloc();
  return made;
}

}  // namespace

void* operator new(std::size_t bytes) { return or_throw(allocate_or_null(bytes)); }
void* operator new[](std::size_t bytes) { return or_throw(allocate_or_null(bytes)); }
void* operator new(std::size_t bytes, std::align_val_t unit) { return or_throw(allocate_or_null(bytes, unit)); }
void* operator new[](std::size_t bytes, std::align_val_t unit) { return or_throw(allocate_or_null(bytes, unit)); }
void* operator new(std::size_t bytes, const std::nothrow_t&) noexcept { return allocate_or_null(bytes); }
void* operator new[](std::size_t bytes, const std::nothrow_t&) noexcept { return allocate_or_null(bytes); }
void operator delete(void* gone) noexcept { std::free(gone); }
void operator delete[](void* gone) noexcept { std::free(gone); }
void operator delete(void* gone, std::size_t) noexcept { std::free(gone); }
void operator delete[](void* gone, std::size_t) noexcept { std::free(gone); }
void operator delete(void* gone, std::align_val_t) noexcept { free_aligned(gone); }
void operator delete[](void* gone, std::align_val_t) noexcept { free_aligned(gone); }
void operator delete(void* gone, std::size_t, std::align_val_t) noexcept { free_aligned(gone); }
void operator delete[](void* gone, std::size_t, std::align_val_t) noexcept { free_aligned(gone); }

namespace {

/// Small and large blocks on two streams, a device that fills up, a driver call that fails, a trim. Room for the list
/// of blocks is made before; the worst status is remembered.
struct program {
  detail::device_allocator& on;
  std::vector<void*> blocks;
  status worst = status::ok;

  explicit program(detail::device_allocator& allocator) : on(allocator) { blocks.reserve(64); }

  void note(status code) {
    if (worst == status::ok) worst = code;
  }
  void take(std::size_t bytes, std::size_t stream) {
    void* block = nullptr;
    const status taken = on.allocate(bytes, stream == 0 ? nullptr : CU_STREAM_PER_THREAD, 512, block);
    note(taken);
    if (taken == status::ok) blocks.push_back(block);
  }
  void give_all() {
    for (void* block : blocks)
      if (on.deallocate(block) != status::ok) worst = status::corrupted;
    blocks.clear();
  }
  void run() {
    for (const std::size_t bytes : {std::size_t{100}, std::size_t{70000}, 3 * mib, 9 * mib}) take(bytes, 1);
    for (int i = 0; i < 3; ++i) take(12 * mib, 2);
    give_all();
    take(44 * mib, 3);
    give_all();
    std::size_t given_back = 0;
    note(on.trim(0, given_back));
  }
};

}  // namespace

TEST_CASE("host_memory: any allocation of any step may fail") {
  for (const kind_case& kind : kinds) {
    for (const bool goes_on : {false, true}) {
      CAPTURE(std::string(kind.name));
      CAPTURE(goes_on);
      std::uint64_t k = 1;
      for (;; ++k) {
        CAPTURE(k);
        REQUIRE(k < 500);
        softgpu_session gpu("memory=64MiB;backed=0");
        std::shared_ptr<const detail::driver> api;
        REQUIRE(detail::driver::load_from(look_up, "the software GPU in peace", true, api) == status::ok);
        std::unique_ptr<detail::device_allocator> one;
        REQUIRE(detail::device_allocator::open(api, 0, parse_config(kind.conf), one) == status::ok);
        program steps(*one);
        {
          const failing_new failing(k, goes_on);
          steps.run();
        }
        CHECK((steps.worst == status::ok || steps.worst == status::out_of_host_memory ||
               steps.worst == status::out_of_memory));
        REQUIRE(one->validate() == status::ok);
        CHECK(one->stats().allocations.current == 0);
        const bool reached = failed;
        program again(*one);
        again.run();
        CHECK(again.worst == status::ok);
        REQUIRE(one->validate() == status::ok);
        CHECK(one->stats().reserved_bytes.current == 0);
        if (!reached) break;
      }
      CHECK(k > 5);  // the scenario does allocate
    }
  }
}

TEST_CASE("host_memory: a failing driver call is told without host memory") {
  for (const char* function : {"cuMemAddressReserve", "cuMemCreate", "cuMemMap", "cuMemSetAccess", "cuMemAlloc"}) {
    CAPTURE(std::string(function));
    const bool plain = std::string(function) == "cuMemAlloc";
    softgpu_session gpu("memory=64MiB;backed=0");
    std::shared_ptr<const detail::driver> api;
    REQUIRE(detail::driver::load_from(look_up, "the software GPU in peace", true, api) == status::ok);
    std::unique_ptr<detail::device_allocator> one;
    REQUIRE(detail::device_allocator::open(api, 0, parse_config(kinds[plain ? 1 : 0].conf), one) == status::ok);
    std::uint64_t told = 0;
    for (std::uint64_t k = 1; k < 40; ++k) {
      REQUIRE(terrazzo_softgpu_fail(function, 1, CUDA_ERROR_UNKNOWN, UINT64_MAX) == 0);
      void* block = nullptr;
      status taken = status::ok;
      {
        const failing_new failing(k, true);
        taken = one->allocate(3 * mib, CU_STREAM_PER_THREAD, 512, block);
      }
      CHECK((taken == status::driver_error || taken == status::out_of_host_memory));
      if (taken == status::driver_error) ++told;
      REQUIRE(one->validate() == status::ok);
    }
    CHECK(told > 0);
    terrazzo_softgpu_fail(function, 0, 0, 0);
  }
}

TEST_CASE("host_memory: an allocator that cannot be opened for want of it leaves nothing behind") {
  for (const kind_case& kind : kinds) {
    CAPTURE(std::string(kind.name));
    for (std::uint64_t k = 1;; ++k) {
      CAPTURE(k);
      REQUIRE(k < 200);
      softgpu_session gpu("memory=64MiB;backed=0");
      std::shared_ptr<const detail::driver> api;
      REQUIRE(detail::driver::load_from(look_up, "the software GPU in peace", true, api) == status::ok);
      const config settings = parse_config(kind.conf);
      std::unique_ptr<detail::device_allocator> one;
      status opened = status::ok;
      try {
        const failing_new failing(k, true);
        opened = detail::device_allocator::open(api, 0, settings, one);
      } catch (const std::bad_alloc&) {
        opened = status::out_of_host_memory;
      }
      CHECK((opened == status::ok) == (one != nullptr));
      if (!failed) break;
    }
  }
}
