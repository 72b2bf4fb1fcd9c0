// Entry points by name, in the static library alone: the shared one is asked with dlsym.
#include <string_view>

#include "softgpu/cublas/functions.hpp"
#include "terrazzo/softgpu.h"

namespace {

struct function_entry {
  std::string_view name;
  void* address;
};

// clang-format off
#define TERRAZZO_SOFTGPU_CUBLAS_LIST(name, type) {#name, reinterpret_cast<void*>(static_cast<type*>(&::name))},
const function_entry functions[] = {TERRAZZO_SOFTGPU_CUBLAS_FUNCTIONS(TERRAZZO_SOFTGPU_CUBLAS_LIST)};
#undef TERRAZZO_SOFTGPU_CUBLAS_LIST
// clang-format on

}  // namespace

extern "C" void* terrazzo_softcublas_symbol(const char* name) {
  for (const function_entry& one : functions) {
    if (name != nullptr && one.name == name) return one.address;
  }
  return nullptr;
}
