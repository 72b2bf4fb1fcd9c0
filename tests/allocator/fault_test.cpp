// Every driver call of every scenario is made to fail once, in turn: a status, no crash, no leak, and the next call
// works.
#include <functional>

#include "fixture.hpp"

using namespace terrazzo;
using namespace terrazzo::test;

namespace {

/// A program that stops at its first failure and frees what it has. Returns whether it got through.
using program = std::function<bool(session&)>;

struct scenario {
  const char* name;
  program run;
};

bool take_all(session& on, std::initializer_list<std::size_t> sizes, std::vector<void*>& blocks, std::size_t stream) {
  for (const std::size_t bytes : sizes) {
    void* block = on.allocate(bytes, stream);
    if (block == nullptr) return false;
    blocks.push_back(block);
  }
  return true;
}

bool give_all(session& on, std::vector<void*>& blocks) {
  bool good = true;
  for (void* block : blocks) good = on.deallocate(block) == status::ok && good;
  blocks.clear();
  return good;
}

const scenario scenarios[] = {
    {"small and large blocks",
     [](session& on) {
       std::vector<void*> blocks;
       const bool got = take_all(on, {100, 5000, 3 * mib, 17 * mib, 70000}, blocks, 0);
       return give_all(on, blocks) && got;
     }},
    {"growth beside a hole",
     [](session& on) {
       std::vector<void*> blocks;
       std::vector<void*> kept;
       bool got = take_all(on, {9 * mib}, blocks, 0) && take_all(on, {3 * mib}, kept, 0);
       got = give_all(on, blocks) && got;
       got = got && take_all(on, {21 * mib}, blocks, 0);
       return give_all(on, blocks) && give_all(on, kept) && got;
     }},
    {"memory of another stream on a full device",
     [](session& on) {
       std::vector<void*> blocks;
       bool got = take_all(on, {12 * mib, 12 * mib, 12 * mib, 12 * mib}, blocks, 1);
       got = give_all(on, blocks) && got;
       got = got && take_all(on, {40 * mib}, blocks, 2);
       return give_all(on, blocks) && got;
     }},
    {"moved chunks and shared edges",
     [](session& on) {
       if (on.allocator->kind() == segment_kind::expandable) on.allocator->set_limit(8 * mib);
       std::vector<void*> all;
       std::vector<void*> kept;
       bool got = true;
       for (const std::size_t size : {1536, 512, 512, 1024, 512, 512, 1536, 2048}) {
         std::vector<void*>& list = size == 1024 || size == 1536 ? kept : all;
         got = got && take_all(on, {size * 1024}, list, 0);
       }
       got = give_all(on, all) && got;
       got = got && take_all(on, {3 * mib}, all, 0);
       got = give_all(on, all) && got;
       got = got && take_all(on, {2 * mib, 512 * 1024}, all, 0);
       got = give_all(on, all) && give_all(on, kept) && got;
       got = got && take_all(on, {8 * mib}, all, 0);
       on.allocator->set_limit(SIZE_MAX);
       return give_all(on, all) && got;
     }},
    {"blocks that grow",
     [](session& on) {
       std::vector<void*> blocks;
       bool got = take_all(on, {3 * mib}, blocks, 0);
       const bool plain = on.allocator->kind() == segment_kind::plain;
       for (std::size_t size = 5; got && !plain && size < 30; size += 9)
         got = (on.last = on.allocator->extend(blocks[0], size * mib)) == status::ok;
       return give_all(on, blocks) && got;
     }},
    {"streams that mark what they have freed",
     [](session& on) {
       std::vector<void*> blocks;
       bool got = true;
       for (std::size_t turn = 0; got && turn < 6; ++turn) {
         got = take_all(on, {9 * mib, 70000, (10 + turn) * mib}, blocks, turn % 3);
         got = give_all(on, blocks) && got;
       }
       return give_all(on, blocks) && got;
     }},
    {"trim",
     [](session& on) {
       std::vector<void*> blocks;
       bool got = take_all(on, {5 * mib, 30 * mib, 2000}, blocks, 0);
       got = give_all(on, blocks) && got;
       std::size_t given_back = 0;
       return (on.last = on.allocator->trim(0, given_back)) == status::ok && got;
     }},
    {"headroom",
     [](session& on) {
       on.allocator->set_headroom(4 * mib);
       std::vector<void*> blocks;
       const bool got = take_all(on, {6 * mib, 6 * mib}, blocks, 0);
       const bool freed = give_all(on, blocks);
       on.allocator->set_headroom(0);
       return freed && got;
     }},
};

}  // namespace

TEST_CASE("fault: any driver call of any scenario may fail once") {
  for (const kind_case& kind : kinds) {
    CAPTURE(std::string(kind.name));
    for (const scenario& each : scenarios) {
      CAPTURE(std::string(each.name));
      std::uint64_t failed_runs = 0;
      for (std::uint64_t k = 1;; ++k) {
        CAPTURE(k);
        REQUIRE(k < 1000);
        session on("memory=64MiB;granularity=2MiB", kind.conf);
        on.gpu.fail(nullptr, k, CUDA_ERROR_UNKNOWN);
        const bool through = each.run(on);
        const bool reached = terrazzo_softgpu_failures() != 0;
        terrazzo_softgpu_fail(nullptr, 0, 0, 0);
        if (!through) {
          ++failed_runs;
          CHECK((on.last == status::driver_error || on.last == status::out_of_memory || on.last == status::ok));
        }
        REQUIRE(on.is_valid());
        CHECK(on.allocator->stats().allocations.current == 0);
        REQUIRE(each.run(on));
        REQUIRE(on.is_valid());
        CUcontext current = nullptr;
        CHECK(on.gpu.cuda().cuCtxGetCurrent(&current) == CUDA_SUCCESS);
        on.allocator.reset();
        if (!reached) break;
      }
      CHECK(failed_runs > 0);
    }
  }
}

TEST_CASE("fault: an allocator that cannot be opened leaves nothing behind") {
  for (const kind_case& kind : kinds) {
    CAPTURE(std::string(kind.name));
    for (std::uint64_t k = 1;; ++k) {
      CAPTURE(k);
      REQUIRE(k < 100);
      softgpu_session gpu("memory=64MiB");
      gpu.fail(nullptr, k, CUDA_ERROR_UNKNOWN);
      std::unique_ptr<detail::device_allocator> one;
      const status opened = detail::device_allocator::open(gpu.api, 0, parse_config(kind.conf), one);
      const bool reached = terrazzo_softgpu_failures() != 0;
      terrazzo_softgpu_fail(nullptr, 0, 0, 0);
      CHECK((opened == status::ok) == (one != nullptr));
      if (opened == status::ok) {
        void* block = nullptr;
        CHECK(one->allocate(1 << 20, nullptr, 512, block) == status::ok);
        CHECK(one->deallocate(block) == status::ok);
      }
      one.reset();
      if (!reached) break;
    }
  }
}

TEST_CASE("fault: closing gives everything back although calls fail") {
  for (const kind_case& kind : kinds) {
    CAPTURE(std::string(kind.name));
    for (std::uint64_t k = 1; k < 60; ++k) {
      CAPTURE(k);
      session on("memory=64MiB", kind.conf);
      std::vector<void*> blocks;
      REQUIRE(take_all(on, {100, 3 * mib, 17 * mib}, blocks, 0));
      on.gpu.fail(nullptr, k, CUDA_ERROR_UNKNOWN);
      on.allocator.reset();
    }
  }
}

TEST_CASE("fault: the thread's stream-capture mode is what it was whichever call fails") {
  session on("memory=64MiB");
  const auto exchange = on.gpu.cuda().cuThreadExchangeStreamCaptureMode;
  for (std::uint64_t k = 1;; ++k) {
    CAPTURE(k);
    on.gpu.fail(nullptr, k, CUDA_ERROR_UNKNOWN);
    const std::uint64_t failures_before = terrazzo_softgpu_failures();
    std::size_t given_back = 0;
    static_cast<void>(on.allocator->trim(0, given_back));
    const bool reached = terrazzo_softgpu_failures() != failures_before;
    terrazzo_softgpu_fail(nullptr, 0, 0, 0);
    CUstreamCaptureMode mode = CU_STREAM_CAPTURE_MODE_GLOBAL;
    REQUIRE(exchange(&mode) == CUDA_SUCCESS);
    CHECK(mode == CU_STREAM_CAPTURE_MODE_GLOBAL);
    if (!reached) break;
  }
}

TEST_CASE("fault: an error that stays is told once and no further call is made") {
  for (const kind_case& kind : kinds) {
    CAPTURE(std::string(kind.name));
    // No session: what is lost with the device cannot be given back.
    REQUIRE(terrazzo_softgpu_configure("memory=64MiB") == 0);
    std::shared_ptr<const detail::driver> api;
    REQUIRE(detail::driver::load_from(terrazzo_softgpu_symbol, "the software GPU", true, api) == status::ok);
    std::unique_ptr<detail::device_allocator> one;
    REQUIRE(detail::device_allocator::open(api, 0, parse_config(kind.conf), one) == status::ok);
    void* block = nullptr;
    REQUIRE(one->allocate(3 * mib, nullptr, 512, block) == status::ok);
    REQUIRE(terrazzo_softgpu_fail("cuMemCreate", 1, CUDA_ERROR_ILLEGAL_ADDRESS, UINT64_MAX) == 0);
    REQUIRE(terrazzo_softgpu_fail("cuMemAlloc", 1, CUDA_ERROR_ILLEGAL_ADDRESS, UINT64_MAX) == 0);
    void* other = nullptr;
    CHECK(one->allocate(40 * mib, nullptr, 512, other) == status::driver_error);
    CHECK(std::string(last_error_message()).find("ILLEGAL_ADDRESS") != std::string::npos);
    const std::uint64_t calls = api->call_count();
    CHECK(one->allocate(40 * mib, nullptr, 512, other) == status::device_lost);
    CHECK(std::string(last_error_message()).find("ILLEGAL_ADDRESS") != std::string::npos);
    CHECK(one->deallocate(block) == status::ok);  // the books still work
    CHECK(one->allocate(3 * mib, nullptr, 512, other) == status::ok);
    std::size_t given_back = 0;
    CHECK(one->trim(0, given_back) == status::device_lost);
    CHECK(one->validate() == status::ok);
    one.reset();
    CHECK(api->call_count() <= calls + 1);  // the context is released
    terrazzo_softgpu_fail(nullptr, 0, 0, 0);
  }
}

TEST_CASE("fault: an error that stays is noticed where a mark is set") {
  REQUIRE(terrazzo_softgpu_configure("memory=64MiB") == 0);
  std::shared_ptr<const detail::driver> api;
  REQUIRE(detail::driver::load_from(terrazzo_softgpu_symbol, "the software GPU", true, api) == status::ok);
  std::unique_ptr<detail::device_allocator> one;
  REQUIRE(detail::device_allocator::open(api, 0, config(), one) == status::ok);
  void* block = nullptr;
  REQUIRE(terrazzo_softgpu_fail("cuEventRecord", 1, CUDA_ERROR_ILLEGAL_ADDRESS, 1) == 0);
  (void)one->allocate(3 * mib, nullptr, 512, block);
  CHECK(one->allocate(40 * mib, nullptr, 512, block) == status::device_lost);
  one.reset();
  terrazzo_softgpu_fail(nullptr, 0, 0, 0);
}
