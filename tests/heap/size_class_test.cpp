#include "heap/size_class.hpp"

#include <doctest/doctest.h>

using namespace terrazzo::detail;

TEST_CASE("size_class: every small request gets the smallest class that holds it") {
  for (std::size_t bytes = 1; bytes <= small_limit_bytes; ++bytes) {
    const std::size_t found = size_class_of(bytes);
    if (found >= size_class_count || size_classes[found].block_bytes < bytes ||
        (found > 0 && size_classes[found - 1].block_bytes >= bytes)) {
      CAPTURE(bytes);
      CAPTURE(found);
      FAIL("wrong class");
    }
  }
}

TEST_CASE("size_class: no rounding beyond 512 bytes up to 8 KiB and at most an eighth above") {
  for (std::size_t bytes = 512; bytes <= small_limit_bytes; bytes += 512) {
    CAPTURE(bytes);
    const std::size_t block = size_classes[size_class_of(bytes)].block_bytes;
    if (bytes <= 8 * kib) CHECK(block == bytes);
    else CHECK(static_cast<double>(block) <= 1.125 * static_cast<double>(bytes));
  }
}

TEST_CASE("size_class: slabs hold eight blocks or more and fit their bounds") {
  for (const size_class_info& each : size_classes) {
    CAPTURE(each.block_bytes);
    CHECK(each.block_bytes % block_alignment == 0);
    CHECK(each.slab_bytes % slab_unit_bytes == 0);
    CHECK(each.slab_bytes <= slab_max_bytes);
    CHECK(each.block_count >= 8);
    CHECK(each.block_count <= slab_max_blocks);
    CHECK(each.block_count * each.block_bytes <= each.slab_bytes);
  }
}
