// The C++11 wrapper over the workspace pool's C ABI, compiled as C++11 without terrazzo's own flags.
#include <cstdio>
#include <exception>

#include "terrazzo/abi.hpp"

namespace {

bool binds_in_a_workspace() {
  terrazzo::abi::allocator allocator(0, "");
  terrazzo::abi::workspace_pool first(allocator);
  void* cublas = first.create_handle();
  terrazzo::abi::workspace_pool pool(std::move(first));
  pool.bind(cublas, nullptr);
  const bool bound = first.handle() == nullptr && pool.stats().bound_handle_count == 1 &&
                     pool.workspace(nullptr) != nullptr && pool.stats().total_bytes == pool.bytes() &&
                     pool.size_origin().find("recommended") == 0 && pool.symbol("cublasGemmEx") != nullptr;
  pool.unbind(cublas);
  pool.release(nullptr);
  pool.destroy_handle(cublas);
  try {
    pool.unbind(cublas);
  } catch (const terrazzo::abi::error& caught) {
    return bound && pool.clear() == 0 && caught.code() == terrazzo_status_invalid_argument;
  }
  return false;
}

}  // namespace

int main() try {
  if (!binds_in_a_workspace()) return std::fputs("binds_in_a_workspace\n", stderr), 1;
  return 0;
} catch (const std::exception& caught) {
  std::fprintf(stderr, "%s\n", caught.what());
  return 1;
}
