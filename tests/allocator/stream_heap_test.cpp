// What a stray free does to descriptors that were reused meanwhile. The steps of two threads are taken by hand, in the
// order that a scheduler rarely finds.
#include "allocator/stream_heap.hpp"

#include "fixture.hpp"

using namespace terrazzo;
using namespace terrazzo::test;
using detail::address_map;
using detail::block;
using detail::block_state;
using detail::slab;
using detail::stream_heap;

namespace {

slab& slab_of(const void* block) {
  const address_map::entry entry = address_map::find(reinterpret_cast<std::uintptr_t>(block));
  REQUIRE(entry.what() == address_map::kind::slab);
  REQUIRE(entry.as_slab() != nullptr);
  return *entry.as_slab();
}

block& block_of(const void* pointer) {
  const address_map::entry entry = address_map::find(reinterpret_cast<std::uintptr_t>(pointer));
  REQUIRE(entry.what() == address_map::kind::block);
  return *entry.as_block();
}

std::uintptr_t address_of(const void* pointer) { return reinterpret_cast<std::uintptr_t>(pointer); }

}  // namespace

TEST_CASE("stream_heap: a slab stays open while a thread is on its way to the remote list") {
  session on("memory=64MiB");
  void* const first = on.allocate(60000);
  void* const second = on.allocate(60000);
  slab& one = slab_of(first);
  REQUIRE(&slab_of(second) == &one);
  stream_heap& heap = *one.heap.load();
  REQUIRE(heap.give_small_remotely(one, address_of(first)));
  // A thread that frees the second block has set its bit, and would put the slab on the list next, if it were not there
  // already. Now the list is drained, and the slab is empty.
  one.visitors.fetch_add(1);
  const std::uint32_t index = one.index_of(address_of(second));
  one.remote[index / 64].fetch_or(std::uint64_t{1} << (index % 64));
  {
    const std::lock_guard guard(heap.lock);
    heap.flush();
  }
  CHECK(one.used == 0);
  CHECK(one.heap.load() == &heap);
  CHECK(on.is_valid());
  one.visitors.fetch_sub(1);
  {
    const std::lock_guard guard(heap.lock);
    heap.flush();
  }
  CHECK(one.heap.load() == nullptr);
  CHECK(on.is_valid());
}

TEST_CASE("stream_heap: a slab on the remote list stays open until the list is drained") {
  session on("memory=64MiB");
  void* const block = on.allocate(60000);
  slab& one = slab_of(block);
  stream_heap& heap = *one.heap.load();
  one.queued = true;
  {
    const std::lock_guard guard(heap.lock);
    heap.give_small(one, one.index_of(address_of(block)));
    heap.flush();
  }
  CHECK(one.heap.load() == &heap);
  one.queued = false;
  {
    const std::lock_guard guard(heap.lock);
    heap.flush();
  }
  CHECK(one.heap.load() == nullptr);
  CHECK(on.is_valid());
}

TEST_CASE("stream_heap: a slab that serves another heap by now takes no free from the old one") {
  session on("memory=64MiB");
  void* const first = on.allocate(60000, 1);
  slab& one = slab_of(first);
  stream_heap& old_heap = *one.heap.load();
  REQUIRE(on.deallocate(first) == status::ok);
  std::size_t given_back = 0;
  REQUIRE(on.allocator->trim(0, given_back) == status::ok);
  void* const second = on.allocate(60000, 2);
  REQUIRE(&slab_of(second) == &one);
  REQUIRE(second == first);
  CHECK_FALSE(old_heap.give_small_remotely(one, address_of(first)));
  stream_heap& heap = *one.heap.load();
  CHECK_FALSE(heap.give_small_remotely(one, address_of(second) + 512));
  CHECK(heap.give_small_remotely(one, address_of(second)));
  CHECK_FALSE(heap.give_small_remotely(one, address_of(second)));
  CHECK(on.deallocate(second) == status::double_free);
  CHECK(on.allocator->stats().allocations.current == 0);  // drained
  CHECK_FALSE(heap.give_small_remotely(one, address_of(second)));
  CHECK(on.is_valid());
}

TEST_CASE("stream_heap: a descriptor that stands for another block by now is not freed") {
  session on("memory=64MiB");
  void* const pointer = on.allocate(3 * mib, 1);
  block& one = block_of(pointer);
  stream_heap& heap = *one.last_user();
  void* const other = on.allocate(3 * mib, 2);
  CHECK_FALSE(heap.give_large_remotely(one, address_of(pointer) + 2 * mib));
  CHECK_FALSE(heap.give_large_remotely(block_of(other), address_of(other)));
  CHECK(on.is_valid());
  CHECK(on.allocator->stats().allocations.current == 2);
  CHECK(heap.give_large_remotely(one, address_of(pointer)));
  CHECK_FALSE(heap.give_large_remotely(one, address_of(pointer)));
  CHECK(on.deallocate(pointer) == status::double_free);
  CHECK(on.deallocate(other) == status::ok);
  CHECK(on.allocator->stats().allocations.current == 0);
  CHECK(on.is_valid());
}

TEST_CASE("stream_heap: a block that a slab was cut from is no block to free") {
  session on("memory=64MiB");
  void* const small = on.allocate(60000);
  slab& one = slab_of(small);
  stream_heap& heap = *one.heap.load();
  CHECK(one.backing->in_state(block_state::cut_up));
  CHECK_FALSE(heap.give_large_remotely(*one.backing, one.backing->begin()));
  CHECK(on.is_valid());
  CHECK(on.deallocate(small) == status::ok);
}

TEST_CASE("stream_heap: what a thread pushes while the allocator shuts down comes back to nobody") {
  session on("memory=64MiB");
  void* const small = on.allocate(60000);
  void* const large = on.allocate(3 * mib);
  slab& one = slab_of(small);
  block& whole = block_of(large);
  stream_heap& heap = *one.heap.load();
  on.allocator->shutdown();
  CHECK(whole.in_state(block_state::unmapped));
  CHECK_FALSE(heap.give_small_remotely(one, address_of(small)));
  CHECK_FALSE(heap.give_large_remotely(whole, address_of(large)));
  CHECK(on.allocate(3 * mib) == nullptr);
  CHECK(on.last == status::shut_down);
  CHECK(on.allocator->stats().allocations.current == 0);
}

TEST_CASE("stream_heap: books that were broken are told by validate and at a check level by the next slow step") {
  session on("memory=64MiB");
  void* const small = on.allocate(60000);
  slab& one = slab_of(small);
  ++one.used;
  CHECK(on.allocator->validate() == status::corrupted);
  CHECK(std::string(last_error_message()).find("slab.used") != std::string::npos);
  std::size_t given_back = 0;
  CHECK(on.allocator->trim(0, given_back) == (TERRAZZO_CHECK_LEVEL >= 1 ? status::corrupted : status::ok));
  const bool handed_out = on.allocate(3 * mib) != nullptr;
  CHECK(on.last == (TERRAZZO_CHECK_LEVEL >= 2 ? status::corrupted : status::ok));
  CHECK(handed_out == (on.last == status::ok));
  --one.used;
  CHECK(on.is_valid());
}
