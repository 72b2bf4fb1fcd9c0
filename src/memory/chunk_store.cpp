#include "memory/chunk_store.hpp"

#include "base/failure.hpp"

namespace terrazzo::detail {

bool chunk_store::reserve(std::size_t count) noexcept {
  try {
    spares_.reserve(spares_.size() + count);
  } catch (const std::bad_alloc&) {
    return false;
  }
  return true;
}

status chunk_store::make(std::size_t count) noexcept {
  if (!reserve(count)) return fail(status::out_of_host_memory, "no host memory to list {} chunks", count);
  return memory_.create_chunks(count, spares_);
}

void chunk_store::take(std::size_t count, std::vector<chunk_handle>& chunks) noexcept {
  chunks.insert(chunks.end(), spares_.end() - static_cast<std::ptrdiff_t>(count), spares_.end());
  spares_.resize(spares_.size() - count);
}

void chunk_store::put(const std::vector<chunk_handle>& chunks) noexcept {
  try {
    spares_.insert(spares_.end(), chunks.begin(), chunks.end());
  } catch (const std::bad_alloc&) {
    for (chunk_handle chunk : chunks) memory_.release_chunk(chunk);
  }
}

void chunk_store::trim(std::size_t keep_count) noexcept {
  for (; spares_.size() > keep_count; spares_.pop_back()) memory_.release_chunk(spares_.back());
}

}  // namespace terrazzo::detail
