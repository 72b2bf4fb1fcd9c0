#include "heap/address_map.hpp"

#include <doctest/doctest.h>

#include <memory>

using namespace terrazzo::detail;

TEST_CASE("address_map: nothing is found where nothing was set") {
  CHECK(address_map::find(0).is_nothing());
  CHECK(address_map::find(0x123400000000).is_nothing());
  CHECK(address_map::find(~std::uintptr_t{0}).is_nothing());
  CHECK_FALSE(address_map::cover(~std::uintptr_t{0} - 4096, 512));
  CHECK_FALSE(address_map::cover(~std::uintptr_t{0} - 4096, 8192));
}

TEST_CASE("address_map: a block is found by its unit and a slab by all of its units") {
  const std::uintptr_t base = std::uintptr_t{3} << 40;
  REQUIRE(address_map::cover(base, std::size_t{8} << 30));
  block one;
  one.address = base + 5 * 65536 + 1024;
  one.bytes = 200 * 1024;
  address_map::set_block(one);
  const address_map::entry entry = address_map::find(one.begin());
  CHECK(entry.what() == address_map::kind::block);
  CHECK(entry.as_block() == &one);
  CHECK(address_map::find(base + 6 * 65536).is_nothing());

  auto cut = std::make_unique<slab>();
  block under;
  under.address = base + (std::size_t{4} << 30) - 65536;  // across the border of two leaves
  under.bytes = 128 * 1024;
  cut->open(under, 30, nullptr);
  address_map::set_slab(*cut, under.bytes);
  CHECK(address_map::find(under.begin()).as_slab() == cut.get());
  CHECK(address_map::find(under.begin() + 65536 + 77).as_slab() == cut.get());
  CHECK(address_map::find(under.end()).is_nothing());

  address_map::set_freed_block(one.begin());
  CHECK(address_map::find(one.begin()).was_freed(one.begin()));
  CHECK_FALSE(address_map::find(one.begin()).was_freed(one.begin() + 512));
  address_map::set_freed_slab(under.begin(), under.bytes);
  CHECK(address_map::find(under.begin() + 70000).was_freed(under.begin() + 70000));

  block at_unit;
  at_unit.address = base;
  address_map::set_freed_block(at_unit.begin());
  CHECK_FALSE(address_map::find(base).is_nothing());
  CHECK(address_map::find(base).was_freed(base));

  address_map::forget(base, std::size_t{8} << 30);
  CHECK(address_map::find(one.begin()).is_nothing());
  CHECK(address_map::find(under.begin()).is_nothing());
}
