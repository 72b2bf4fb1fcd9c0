// Feeds lists of operations to an allocator on the software GPU: trial.hpp tells what is checked, operations.hpp how bytes
// are a list.
//
// Usage:
//   allocator_fuzz -minimize_crash=1 -runs=20000 <file>   shortens what was found, and what is printed with it
//   allocator_fuzz --print <files...>                     prints each operation as it is done: for what hangs
#include <cstring>

#include "operations.hpp"
#include "trial.hpp"

namespace {

bool echoes = false;
fuzz::trial* under_way = nullptr;

void print_what_was_done() {
  if (under_way != nullptr) under_way->print("what the sanitizer reports");
  under_way = nullptr;
}

}  // namespace

// The sanitizers call these when they find something, before they end the program.
extern "C" void __asan_on_error() { print_what_was_done(); }
extern "C" void __ubsan_on_report() { print_what_was_done(); }

// libFuzzer leaves arguments with two dashes alone.
extern "C" int LLVMFuzzerInitialize(int* count, char*** arguments) {
  for (int i = 1; i < *count; ++i) echoes = echoes || std::strcmp((*arguments)[i], "--print") == 0;
  return 0;
}

extern "C" int LLVMFuzzerTestOneInput(const std::uint8_t* data, std::size_t size) {
  const fuzz::operation_list list = fuzz::read_operations({data, size});
  fuzz::trial on(list.setup, echoes);
  under_way = &on;
  for (const fuzz::operation& each : list.operations) {
    each.kind->run(on, each.given);
    on.check();
  }
  on.finish(list.closes_early);
  under_way = nullptr;
  return 0;
}
