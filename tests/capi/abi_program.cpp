// The C++11 wrapper over the C ABI, compiled as C++11 without terrazzo's own flags: objects move, failures throw.
#include <cstdio>
#include <cstring>
#include <exception>

#include "terrazzo/abi.hpp"

namespace {

bool moves_and_frees() {
  terrazzo::abi::allocator first(0, "limit_mb:64");
  void* block = first.allocate(5000);
  terrazzo::abi::allocator second(std::move(first));
  if (first.handle() != nullptr || second.requested_bytes(block) != 5000) return false;
  if (!second.try_extend(block, 5001) || second.requested_bytes(block) != 5001) return false;
  first = std::move(second);
  first.deallocate(block);
  first.validate();
  return first.stats().allocations.current == 0 && first.trim() > 0;
}

bool changes_its_settings() {
  terrazzo::abi::allocator allocator(0, "limit_mb:64");
  allocator.set_config("expandable_segments:False");
  return allocator.config() == "expandable_segments:False,limit_mb:64";
}

bool throws_out_of_memory() {
  terrazzo::abi::allocator allocator(0, "limit_mb:64");
  try {
    allocator.allocate(std::size_t(1) << 30);
  } catch (const std::bad_alloc& caught) {
    return std::strlen(caught.what()) > 20;
  }
  return false;
}

bool throws_error_with_its_code() {
  try {
    terrazzo::abi::allocator allocator(0, "limt_mb:64");
  } catch (const terrazzo::abi::error& caught) {
    return caught.code() == terrazzo_status_invalid_config && std::strstr(caught.what(), "limit_mb") != nullptr;
  }
  return false;
}

}  // namespace

int main() try {
  if (!moves_and_frees()) return std::fputs("moves_and_frees\n", stderr), 1;
  if (!changes_its_settings()) return std::fputs("changes_its_settings\n", stderr), 1;
  if (!throws_out_of_memory()) return std::fputs("throws_out_of_memory\n", stderr), 1;
  if (!throws_error_with_its_code()) return std::fputs("throws_error_with_its_code\n", stderr), 1;
  return 0;
} catch (const std::exception& caught) {
  std::fprintf(stderr, "%s\n", caught.what());
  return 1;
}
