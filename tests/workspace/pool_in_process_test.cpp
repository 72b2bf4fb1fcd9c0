// The pool's contract over the software GPU in process.
#define TERRAZZO_CONTRACT "in process"
#include "workspace/fixture.hpp"

namespace {
const terrazzo::test::software& contract_software() { return terrazzo::test::software_in_process(); }
}  // namespace

#include "workspace/pool_contract.hpp"
