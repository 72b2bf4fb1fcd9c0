// Threads that bind handles of their own to streams that they share. Run under the thread sanitizer too.
#include <doctest/doctest.h>

#include <atomic>
#include <random>
#include <thread>

#include "workspace/fixture.hpp"

using namespace terrazzo;
using namespace terrazzo::test;

TEST_CASE("workspace threads: handles and streams are bound and let go at once") {
  constexpr int thread_count = 4;
  pool_session on(software_in_process(), "memory=1GiB;capability=8.0");
  on.open({.preallocate_count = 2});
  std::vector<stream_handle> streams;
  for (int i = 0; i < 6; ++i) streams.push_back(on.new_stream());
  std::atomic<int> wrong{0};
  const auto expect = [&](bool held) {
    if (!held) ++wrong;
  };
  std::vector<std::thread> threads;
  for (unsigned number = 0; number < thread_count; ++number) {
    threads.emplace_back([&, number] {
      std::mt19937 random(number);
      cublas_handle handle = nullptr;
      expect(on.pool->create_handle(handle) == status::ok);
      for (int step = 0; step < 200; ++step) {
        const stream_handle stream = streams[random() % streams.size()];
        expect(on.pool->bind(handle, stream) == status::ok);
        workspace_view first;
        workspace_view second;
        expect(on.pool->find_workspace(stream, first) == status::ok);
        std::size_t given_back = 0;
        if (random() % 16 == 0) expect(on.pool->clear(given_back) == status::ok);
        if (random() % 8 == 0) {
          const status released = on.pool->release(streams[random() % streams.size()]);
          expect(released == status::ok || released == status::busy);
        }
        // The handle is bound: whatever the others do, its workspace stays.
        expect(on.pool->find_workspace(stream, second) == status::ok);
        expect(first.pointer == second.pointer);
        if (random() % 8 == 0) expect(on.pool->unbind(handle) == status::ok);
      }
      expect(on.pool->destroy_handle(handle) == status::ok);
    });
  }
  for (std::thread& one : threads) one.join();
  CHECK(wrong == 0);
  const workspace_statistics stats = on.pool->stats();
  CHECK(stats.bound_handle_count == 0);
  CHECK(stats.count <= streams.size() + 2);
  CHECK(on.memory->stats().allocations.current == stats.count);
  CHECK(on.memory->validate() == status::ok);
}
