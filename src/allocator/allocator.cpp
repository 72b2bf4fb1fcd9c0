// The C++ rim of the allocator: where statuses become exceptions.
#include "terrazzo/allocator.hpp"

#include "allocator/device_allocator.hpp"
#include "base/failure.hpp"

namespace terrazzo {

allocator::allocator(const allocator_options& options) {
  std::shared_ptr<const detail::driver> api;
  throw_on_failure(detail::driver::load(options.driver_path, api));
  throw_on_failure(detail::device_allocator::open(std::move(api), options.device, options.settings, implementation_));
}

allocator::~allocator() = default;
allocator::allocator(allocator&&) noexcept = default;
allocator& allocator::operator=(allocator&&) noexcept = default;

void* allocator::allocate(std::size_t bytes, stream_handle stream, std::size_t alignment) {
  void* block = nullptr;
  const status result = implementation_->allocate(bytes, stream, alignment, block);
  if (result != status::ok) [[unlikely]]
    throw_on_failure(result);
  return block;
}

status allocator::try_allocate(std::size_t bytes, stream_handle stream, std::size_t alignment, void*& block) noexcept {
  return implementation_->allocate(bytes, stream, alignment, block);
}

void allocator::deallocate(void* block) {
  const status result = implementation_->deallocate(block);
  if (result != status::ok) [[unlikely]]
    throw_on_failure(result);
}

status allocator::try_deallocate(void* block) noexcept { return implementation_->deallocate(block); }

std::size_t allocator::trim(std::size_t keep_bytes) {
  std::size_t given_back = 0;
  throw_on_failure(implementation_->trim(keep_bytes, given_back));
  return given_back;
}

status allocator::try_extend(void* block, std::size_t bytes) noexcept { return implementation_->extend(block, bytes); }

void allocator::set_settings(const config& settings) { throw_on_failure(implementation_->set_settings(settings)); }
void allocator::set_limit(std::size_t bytes) { implementation_->set_limit(bytes); }
void allocator::set_headroom(std::size_t bytes) { implementation_->set_headroom(bytes); }

std::size_t allocator::requested_bytes(const void* block) const {
  std::size_t bytes = 0;
  throw_on_failure(implementation_->find_requested_bytes(block, bytes));
  return bytes;
}

statistics allocator::stats() const { return implementation_->stats(); }
void allocator::reset_peaks() { implementation_->reset_peaks(); }
int allocator::device() const noexcept { return implementation_->context().device(); }
segment_kind allocator::kind() const noexcept { return implementation_->kind(); }
const config& allocator::settings() const noexcept { return implementation_->settings(); }
void allocator::validate() const { throw_on_failure(implementation_->validate()); }
void allocator::shutdown() noexcept { implementation_->shutdown(); }

}  // namespace terrazzo
