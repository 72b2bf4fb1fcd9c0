#include "heap/slab.hpp"

#include <doctest/doctest.h>

#include <memory>
#include <set>

using namespace terrazzo::detail;

TEST_CASE("slab: every class hands out all its blocks once and takes them back") {
  for (std::size_t size_class = 0; size_class < size_class_count; ++size_class) {
    CAPTURE(size_class);
    auto one = std::make_unique<slab>();
    block under;
    under.address = 0x7f0000000000;
    under.bytes = size_classes[size_class].slab_bytes;
    one->open(under, size_class, nullptr);
    CHECK(one->capacity == size_classes[size_class].block_count);

    std::set<std::uintptr_t> addresses;
    for (std::size_t i = 0; i < one->capacity; ++i) {
      const std::uint32_t index = one->take(100 + i);
      const std::uintptr_t at = one->address_of(index);
      CHECK(addresses.insert(at).second);
      CHECK(one->index_of(at) == index);
      CHECK(slab::requested_of(one->record(index)) == 100 + i);
      CHECK(at >= under.begin());
      CHECK(at + one->block_bytes <= under.end());
    }
    CHECK(one->used == one->capacity);
    CHECK(one->first_free == slab::end_of_list);
    for (std::uint32_t i = 0; i < one->capacity; ++i) one->put(i);
    CHECK(one->used == 0);
    CHECK_FALSE(slab::is_allocated(one->record(0)));
    CHECK(one->take(512) == one->capacity - 1u);
  }
}

TEST_CASE("slab: an address that is no block's beginning has no index") {
  for (std::size_t size_class = 0; size_class < size_class_count; ++size_class) {
    CAPTURE(size_class);
    auto one = std::make_unique<slab>();
    block under;
    under.address = 0x7f0000000000;
    under.bytes = size_classes[size_class].slab_bytes;
    one->open(under, size_class, nullptr);
    const std::size_t block_bytes = one->block_bytes;
    std::size_t beginnings = 0;
    for (std::size_t offset = 0; offset < under.bytes; offset += 256) {
      const bool begins = offset % block_bytes == 0 && offset / block_bytes < one->capacity;
      beginnings += begins ? 1 : 0;
      const std::uint32_t index = one->index_of(under.begin() + offset);
      if ((index != slab::no_index) != begins) {
        CAPTURE(offset);
        FAIL("wrong index");
      }
    }
    CHECK(beginnings == one->capacity);
    CHECK(one->index_of(under.begin() - 512) == slab::no_index);
    CHECK(one->index_of(under.end()) == slab::no_index);
  }
}
