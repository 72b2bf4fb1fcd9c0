// The door for PyTorch, opened as a plug-in at run time: what ctypes.CDLL does, with exceptions caught as PyTorch,
// which is C++ too, catches them.
#include <doctest/doctest.h>

#include <cstdint>
#include <cstring>
#include <new>
#include <set>
#include <string>
#include <thread>
#include <vector>

#include "base/shared_library.hpp"
#include "support/environment.hpp"
#include "terrazzo/status.hpp"

namespace {

// The types in torch/csrc/cuda/CUDAPluggableAllocator.h.
using malloc_function = void* (*)(std::size_t size, int device, void* stream);
using free_function = void (*)(void* pointer, std::size_t size, int device, void* stream);

struct door {
  door() {
    std::string reason;
    const auto library = terrazzo::detail::shared_library::open(TERRAZZO_TORCH_LIBRARY, reason);
    REQUIRE_MESSAGE(library, reason);
    allocate = reinterpret_cast<malloc_function>(library.symbol("terrazzo_malloc"));
    free = reinterpret_cast<free_function>(library.symbol("terrazzo_free"));
    REQUIRE((allocate != nullptr && free != nullptr));
  }
  terrazzo::test::variable_scope device{"TERRAZZO_SOFTGPU", "devices=2,memory=1GiB"};  // read by the first allocation
  malloc_function allocate = nullptr;
  free_function free = nullptr;
};

constexpr std::size_t mib = std::size_t{1} << 20;

}  // namespace

TEST_CASE("torch: blocks are usable apart and aligned to 512") {
  const door torch;
  std::set<void*> seen;
  std::vector<std::pair<void*, std::size_t>> blocks;
  for (const std::size_t size : {std::size_t{1}, std::size_t{512}, std::size_t{4097}, mib, 3 * mib, 20 * mib}) {
    for (const int device : {0, 1}) {
      CAPTURE(size);
      CAPTURE(device);
      void* block = torch.allocate(size, device, nullptr);
      REQUIRE(block != nullptr);
      CHECK(reinterpret_cast<std::uintptr_t>(block) % 512 == 0);
      CHECK(seen.insert(block).second);
      blocks.emplace_back(block, size);
    }
  }
  int device = 0;
  for (const auto& [block, size] : blocks) {
    torch.free(block, size, device, nullptr);
    device = 1 - device;
  }
}

TEST_CASE("torch: nothing is asked for by size 0 and null is freed in silence") {
  const door torch;
  CHECK(torch.allocate(0, 0, nullptr) == nullptr);
  torch.free(nullptr, 0, 0, nullptr);
  torch.free(nullptr, 0, -1, nullptr);
}

TEST_CASE("torch: lack of memory arrives as bad_alloc with the whole text") {
  const door torch;
  for (const std::size_t size : {std::size_t{1} << 40, std::size_t{1} << 62, SIZE_MAX}) {
    CAPTURE(size);
    try {
      (void)torch.allocate(size, 0, nullptr);
      FAIL("nothing was thrown");
    } catch (const std::bad_alloc& caught) {
      const std::string text = caught.what();
      CAPTURE(text);
      CHECK(dynamic_cast<const terrazzo::out_of_memory*>(&caught) != nullptr);
      CHECK(text.rfind("CUDA out of memory. terrazzo: ", 0) == 0);
      CHECK(text.size() > 60);
    }
  }
  void* block = torch.allocate(mib, 0, nullptr);
  CHECK(block != nullptr);
  torch.free(block, mib, 0, nullptr);
}

TEST_CASE("torch: a device that does not exist is an error that names it") {
  const door torch;
  for (const int device : {-1, 2, 63, 64, 1 << 30}) {
    CAPTURE(device);
    try {
      (void)torch.allocate(mib, device, nullptr);
      FAIL("nothing was thrown");
    } catch (const terrazzo::error& caught) {
      CHECK(caught.code() == terrazzo::status::invalid_device);
      CHECK(std::string(caught.what()).find(std::to_string(device)) != std::string::npos);
    }
  }
}

TEST_CASE("torch: a bad free neither throws nor harms and its reason is remembered") {
  const door torch;
  void* block = torch.allocate(mib, 0, nullptr);
  int local = 0;
  torch.free(&local, sizeof(local), 0, nullptr);
  const std::string foreign = terrazzo::last_error_message();
  CHECK_FALSE(foreign.empty());
  torch.free(block, mib, 5, nullptr);  // a device that was never used: nothing is freed
  torch.free(block, mib, -1, nullptr);
  torch.free(block, mib, 0, nullptr);
  torch.free(block, mib, 0, nullptr);
  CHECK(std::string(terrazzo::last_error_message()) != foreign);
  void* again = torch.allocate(mib, 0, nullptr);
  void* other = torch.allocate(mib, 0, nullptr);
  CHECK(again != other);
  torch.free(again, mib, 0, nullptr);
  torch.free(other, mib, 0, nullptr);
}

TEST_CASE("torch: threads and streams share the door") {
  const door torch;
  std::vector<std::thread> threads;
  std::vector<int> faults(4, 0);
  for (std::size_t number = 0; number < faults.size(); ++number) {
    threads.emplace_back([&, number] {
      const int device = static_cast<int>(number % 2);
      void* stream = reinterpret_cast<void*>((number + 1) * 4096);
      for (std::size_t round = 0; round < 200; ++round) {
        const std::size_t size = 1 + (round * 7919) % (64 << 10);
        void* first = torch.allocate(size, device, stream);
        void* second = torch.allocate(size, device, stream);
        std::memset(first, static_cast<int>(number), size);
        std::memset(second, 0xff, size);
        if (first == second || static_cast<unsigned char*>(first)[size - 1] != number) ++faults[number];
        torch.free(second, size, device, stream);
        torch.free(first, size, device, stream);
      }
    });
  }
  for (std::thread& thread : threads) thread.join();
  for (const int count : faults) CHECK(count == 0);
}
