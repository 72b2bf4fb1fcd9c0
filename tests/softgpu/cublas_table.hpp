// The functions of one cuBLAS and of the driver under it, taken from anything that has them.
#pragma once

#include "softgpu/cublas/functions.hpp"
#include "softgpu/driver_table.hpp"

namespace terrazzo::test {

struct cublas_table {
#define TERRAZZO_TABLE_MEMBER(name, type) type* name = nullptr;
  TERRAZZO_SOFTGPU_CUBLAS_FUNCTIONS(TERRAZZO_TABLE_MEMBER)
#undef TERRAZZO_TABLE_MEMBER

  /// Takes every function that `lookup(name)` has.
  template <typename Lookup>
  static cublas_table from(Lookup lookup) {
    cublas_table table;
#define TERRAZZO_TABLE_TAKE(name, type) table.name = reinterpret_cast<type*>(lookup(#name));
    TERRAZZO_SOFTGPU_CUBLAS_FUNCTIONS(TERRAZZO_TABLE_TAKE)
#undef TERRAZZO_TABLE_TAKE
    return table;
  }
};

struct cublas_under_test {
  driver_table cuda;
  cublas_table blas;
};

}  // namespace terrazzo::test
