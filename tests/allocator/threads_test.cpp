// Threads that allocate on streams of their own and free each other's blocks. Run under the thread sanitizer too.
#include <atomic>
#include <random>
#include <thread>

#include "fixture.hpp"

using namespace terrazzo;
using namespace terrazzo::test;

namespace {

/// A place where threads leave blocks for each other.
struct exchange {
  std::vector<std::atomic<void*>> places = std::vector<std::atomic<void*>>(64);
};

void work(session& on, exchange& shared, std::size_t number, int steps, std::atomic<int>& failures) {
  std::mt19937_64 random(number);
  const stream_handle stream = on.streams[number % 3];
  for (int step = 0; step < steps; ++step) {
    const std::size_t bytes = random() % 4 == 0 ? 65 * 1024 + random() % (2 * mib) : 1 + random() % 40000;
    void* block = nullptr;
    if (on.allocator->allocate(bytes, stream, 512, block) != status::ok) {
      ++failures;
      continue;
    }
    *static_cast<volatile unsigned char*>(block) = static_cast<unsigned char>(number);
    void* other = shared.places[random() % shared.places.size()].exchange(block);
    if (other != nullptr && on.allocator->deallocate(other) != status::ok) ++failures;
  }
}

}  // namespace

TEST_CASE("threads: blocks are freed by whoever finds them") {
  for (const kind_case& kind : kinds) {
    CAPTURE(std::string(kind.name));
    session on("memory=1GiB", kind.conf);
    exchange shared;
    std::atomic<int> failures{0};
    std::vector<std::thread> threads;
    for (std::size_t i = 1; i <= 6; ++i) threads.emplace_back([&, i] { work(on, shared, i, 4000, failures); });
    // One more looks at the books meanwhile.
    for (int i = 0; i < 50; ++i) {
      CHECK(on.allocator->validate() == status::ok);
      (void)on.allocator->stats();
    }
    for (std::thread& each : threads) each.join();
    CHECK(failures == 0);
    for (auto& place : shared.places) CHECK(on.deallocate(place.exchange(nullptr)) == status::ok);
    CHECK(on.allocator->stats().allocations.current == 0);
    CHECK(on.is_valid());
  }
}

TEST_CASE("threads: a block freed by many threads at once is freed once") {
  session on("memory=256MiB");
  for (int round = 0; round < 300; ++round) {
    void* const block = on.allocate(round % 2 == 0 ? 3000 : 3 * mib);
    REQUIRE(block != nullptr);
    std::atomic<int> freed{0};
    std::atomic<bool> go{false};
    std::vector<std::thread> threads;
    for (int i = 0; i < 3; ++i)
      threads.emplace_back([&] {
        while (!go) {
        }
        if (on.allocator->deallocate(block) == status::ok) ++freed;
      });
    go = true;
    for (std::thread& each : threads) each.join();
    CHECK(freed >= 1);
    REQUIRE(on.allocator->stats().allocations.current == 0);
    REQUIRE(on.is_valid());
  }
}

TEST_CASE("threads: misses of several streams share a device that is almost full") {
  session on("memory=64MiB");
  std::atomic<int> served{0};
  std::vector<std::thread> threads;
  for (std::size_t i = 1; i <= 4; ++i)
    threads.emplace_back([&, i] {
      for (int step = 0; step < 200; ++step) {
        void* block = nullptr;
        if (on.allocator->allocate((4 + static_cast<std::size_t>(step) % 9) * mib, on.streams[i], 512, block) ==
            status::ok) {
          ++served;
          (void)on.allocator->deallocate(block);
        }
      }
    });
  for (std::thread& each : threads) each.join();
  CHECK(served > 0);
  CHECK(on.is_valid());
}

TEST_CASE("threads: a thread without a current context is served and left without one") {
  session on("memory=256MiB");
  std::thread([&] {
    void* block = nullptr;
    CHECK(on.allocator->allocate(5 * mib, nullptr, 512, block) == status::ok);
    CUcontext current = nullptr;
    CHECK(on.gpu.cuda().cuCtxGetCurrent(&current) == CUDA_SUCCESS);
    CHECK(current == nullptr);
    CHECK(on.allocator->deallocate(block) == status::ok);
  }).join();
}

TEST_CASE("threads: blocks grow while others take and free") {
  for (const kind_case& kind : kinds) {
    CAPTURE(std::string(kind.name));
    session on("memory=256MiB;backed=0", kind.conf);
    std::atomic<int> wrong{0};
    std::vector<std::thread> threads;
    void* shared = on.allocate(2 * mib);
    REQUIRE(shared != nullptr);
    for (std::size_t t = 0; t < 4; ++t) {
      threads.emplace_back([&, t] {
        std::mt19937_64 random(t);
        for (int step = 0; step < 300; ++step) {
          void* block = nullptr;
          if (on.allocator->allocate(70000 + random() % (4 * mib), on.streams[t % 3], 512, block) != status::ok)
            continue;
          const status grown = on.allocator->extend(block, 70000 + random() % (8 * mib));
          // One block for all of them: whoever comes second finds it as large as he wants, or longer by then.
          const status also = on.allocator->extend(shared, 2 * mib + random() % (8 * mib));
          for (const status each : {grown, also})
            if (each != status::ok && each != status::out_of_memory) ++wrong;
          if (on.allocator->deallocate(block) != status::ok) ++wrong;
        }
      });
    }
    for (std::thread& each : threads) each.join();
    CHECK(wrong == 0);
    CHECK(on.deallocate(shared) == status::ok);
    CHECK(on.allocator->stats().allocated_bytes.current == 0);
    CHECK(on.allocator->stats().requested_bytes.current == 0);
    CHECK(on.is_valid());
  }
}
