#include "memory/reservation.hpp"

#include <algorithm>

#include "base/bits.hpp"
#include "base/failure.hpp"

namespace terrazzo::detail {

status reservation::open(std::size_t bytes, std::size_t least_bytes) {
  const std::size_t unit = memory_.chunk_bytes();
  status result = status::ok;
  std::uintptr_t made = 0;
  for (std::size_t wanted = bytes;; wanted = std::max(round_down(wanted / 2, unit), least_bytes)) {
    result = memory_.reserve(wanted, made);
    if (result == status::ok) {
      bytes = wanted;
      break;
    }
    if (wanted <= least_bytes) return result;
  }
  try {
    chunks_.resize(bytes / unit);
    mapped_.resize(bytes / unit);
    alias_.resize(bytes / unit);
  } catch (const std::bad_alloc&) {
    memory_.unreserve(made, bytes);
    return fail(status::out_of_host_memory, "no host memory for the books of a reservation of {} bytes", bytes);
  }
  address_ = made;
  bytes_ = bytes;
  return status::ok;
}

reservation::~reservation() {
  if (bytes_ == 0) return;
  for (std::size_t place = 0; place < mapped_.size(); ++place) {
    if (!mapped_[place]) continue;
    if (memory_.unmap(address_ + place * memory_.chunk_bytes(), memory_.chunk_bytes()) == status::ok && !alias_[place])
      memory_.release_chunk(chunks_[place]);
  }
  memory_.unreserve(address_, bytes_);
}

std::size_t reservation::place_of(std::uintptr_t address) const noexcept {
  return (address - address_) / memory_.chunk_bytes();
}

status reservation::map(std::size_t first_place, const chunk_handle* chunks, std::size_t count) noexcept {
  const status result = memory_.map(address_ + first_place * memory_.chunk_bytes(), chunks, count);
  if (result != status::ok) return result;
  for (std::size_t i = 0; i < count; ++i) {
    chunks_[first_place + i] = chunks[i];
    mapped_[first_place + i] = true;
  }
  mapped_count_ += count;
  return status::ok;
}

status reservation::unmap(std::size_t first_place, std::size_t count, std::vector<chunk_handle>& chunks) noexcept {
  const std::size_t unit = memory_.chunk_bytes();
  const status result = memory_.unmap(address_ + first_place * unit, count * unit);
  if (result != status::ok) return result;
  for (std::size_t i = 0; i < count; ++i) {
    if (!alias_[first_place + i]) chunks.push_back(chunks_[first_place + i]);
    mapped_[first_place + i] = alias_[first_place + i] = false;
  }
  mapped_count_ -= count;
  return status::ok;
}

}  // namespace terrazzo::detail
