// Blocks that grow where they are.
#include <algorithm>
#include <cstring>

#include "fixture.hpp"

using namespace terrazzo;
using namespace terrazzo::test;

TEST_CASE("extend: a block grows into free memory behind it without a driver call") {
  for (const kind_case& kind : kinds) {
    CAPTURE(std::string(kind.name));
    session on("memory=64MiB", kind.conf);
    void* all = on.allocate(9 * mib);
    REQUIRE(on.deallocate(all) == status::ok);
    void* block = on.allocate(3 * mib);
    std::memset(block, 'k', 3 * mib);
    const std::uint64_t calls = on.gpu.calls();
    REQUIRE(on.allocator->extend(block, 5 * mib) == status::ok);
    CHECK(on.gpu.calls() == calls);
    std::memset(block, 'l', 5 * mib);
    CHECK(on.allocator->stats().requested_bytes.current == 5 * mib);
    CHECK(on.allocator->stats().allocated_bytes.current == 5 * mib);
    CHECK(on.allocator->stats().allocations.current == 1);
    std::size_t bytes = 0;
    CHECK(on.allocator->find_requested_bytes(block, bytes) == status::ok);
    CHECK(bytes == 5 * mib);
    CHECK(on.is_valid());
    CHECK(on.deallocate(block) == status::ok);
    CHECK(on.allocate(9 * mib) == all);
  }
}

TEST_CASE("extend: a block grows by memory that is mapped behind it") {
  session on("memory=64MiB");
  void* block = on.allocate(3 * mib);
  std::memset(block, 'k', 3 * mib);
  for (std::size_t size = 4; size <= 60; size += 7) {
    REQUIRE(on.allocator->extend(block, size * mib) == status::ok);
    static_cast<char*>(block)[size * mib - 1] = 'k';
  }
  CHECK(on.reserved() == 60 * mib);
  const char* contents = static_cast<const char*>(block);
  CHECK(std::all_of(contents, contents + 3 * mib, [](char each) { return each == 'k'; }));
  CHECK(on.allocator->extend(block, 66 * mib) == status::out_of_memory);
  CHECK(on.allocator->extend(block, 64 * mib) == status::ok);
  CHECK(on.is_valid());
  CHECK(on.deallocate(block) == status::ok);
}

TEST_CASE("extend: a block grows into what its stream has just freed") {
  for (const kind_case& kind : kinds) {
    CAPTURE(std::string(kind.name));
    session on("memory=64MiB", kind.conf);
    void* block = on.allocate(3 * mib);
    void* next = on.allocate(3 * mib);
    REQUIRE(next == static_cast<char*>(block) + 3 * mib);
    REQUIRE(on.deallocate(next) == status::ok);  // into the front
    CHECK(on.allocator->extend(block, 5 * mib) == status::ok);
    CHECK(on.is_valid());
  }
}

TEST_CASE("extend: a block with another behind it stays as it is") {
  for (const kind_case& kind : kinds) {
    CAPTURE(std::string(kind.name));
    session on("memory=64MiB", kind.conf);
    void* block = on.allocate(3 * mib);
    void* next = on.allocate(3 * mib);
    CHECK(next == static_cast<char*>(block) + 3 * mib);
    CHECK(on.allocator->extend(block, 4 * mib) == status::out_of_memory);
    CHECK(on.allocator->extend(block, 2 * mib) == status::ok);
    CHECK(on.allocator->stats().requested_bytes.current == 5 * mib);
    CHECK(on.allocator->stats().allocated_bytes.current == 6 * mib);
    CHECK(on.is_valid());
  }
}

TEST_CASE("extend: a small block grows within its size class") {
  session on("memory=64MiB");
  void* block = on.allocate(9000);
  CHECK(on.allocator->extend(block, 9216) == status::ok);
  CHECK(on.allocator->stats().requested_bytes.current == 9216);
  CHECK(on.allocator->extend(block, 70000) == status::out_of_memory);
  CHECK(on.allocator->extend(block, 0) == status::invalid_argument);
  CHECK(on.allocator->stats().requested_bytes.current == 9216);
  CHECK(on.is_valid());
  REQUIRE(on.deallocate(block) == status::ok);
  CHECK(on.allocator->extend(block, 100) == status::double_free);
  CHECK(on.allocator->extend(nullptr, 100) == status::foreign_pointer);
}
