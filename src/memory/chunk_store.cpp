#include "memory/chunk_store.hpp"

#include <algorithm>

#include "base/failure.hpp"

namespace terrazzo::detail {

status chunk_store::take(std::size_t count, std::vector<chunk_handle>& chunks) {
  try {
    chunks.reserve(chunks.size() + count);
  } catch (const std::bad_alloc&) {
    return fail(status::out_of_host_memory, "no host memory to list {} chunks", count);
  }
  const std::size_t from_spares = std::min(count, spares_.size());
  if (from_spares < count) {
    const status result = memory_.create_chunks(count - from_spares, chunks);
    if (result != status::ok) return result;
  }
  chunks.insert(chunks.end(), spares_.end() - static_cast<std::ptrdiff_t>(from_spares), spares_.end());
  spares_.resize(spares_.size() - from_spares);
  return status::ok;
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
