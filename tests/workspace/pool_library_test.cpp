// The pool's contract over the shared libraries: a driver opened by path, and the cuBLAS found beside it.
#define TERRAZZO_CONTRACT "library"
#include "workspace/fixture.hpp"

namespace {
const terrazzo::test::software& contract_software() { return terrazzo::test::software_libraries(); }
}  // namespace

#include "workspace/pool_contract.hpp"
