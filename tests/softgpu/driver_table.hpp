// The driver functions that the contract suite calls, taken from anything that has them.
#pragma once

#include <cuda.h>

#include "softgpu/functions.hpp"

namespace terrazzo::test {

struct driver_table {
#define TERRAZZO_TABLE_MEMBER(name, since) decltype(&::name) name = nullptr;
  TERRAZZO_SOFTGPU_FUNCTIONS(TERRAZZO_TABLE_MEMBER)
#undef TERRAZZO_TABLE_MEMBER

  /// Takes every function that `lookup(name)` has.
  template <typename Lookup>
  static driver_table from(Lookup lookup) {
    driver_table table;
#define TERRAZZO_TABLE_TAKE(name, since) table.name = reinterpret_cast<decltype(table.name)>(lookup(#name));
    TERRAZZO_SOFTGPU_FUNCTIONS(TERRAZZO_TABLE_TAKE)
#undef TERRAZZO_TABLE_TAKE
    return table;
  }
};

}  // namespace terrazzo::test
