#include "allocator/marks.hpp"

#include <algorithm>

namespace terrazzo::detail {

bool stream_marks::set(std::uint64_t stamp) noexcept {
  const std::unique_lock guard(mutex_, std::try_to_lock);
  if (!guard.owns_lock() || closed_) return false;
  const driver_functions& cuda = context_.api().functions();
  CUstreamCaptureStatus capturing = CU_STREAM_CAPTURE_STATUS_ACTIVE;
  if (call(cuda.cuStreamIsCapturing, stream_, &capturing) != CUDA_SUCCESS || capturing != CU_STREAM_CAPTURE_STATUS_NONE)
    return false;
  mark& last = marks_[std::min(count_, capacity - 1)];
  if (last.event == nullptr &&
      call(cuda.cuEventCreate, &last.event, static_cast<unsigned>(CU_EVENT_DISABLE_TIMING)) != CUDA_SUCCESS) {
    last.event = nullptr;
    return false;
  }
  if (call(cuda.cuEventRecord, last.event, stream_) != CUDA_SUCCESS) return false;
  // Of two threads that set marks at once the later event may have the earlier stamp; it covers the other's too.
  for (std::size_t i = 0; i < count_; ++i) stamp = std::max(stamp, marks_[i].stamp);
  last.stamp = stamp;
  count_ = std::min(count_ + 1, capacity);
  return true;
}

std::uint64_t stream_marks::ask() noexcept {
  const std::unique_lock guard(mutex_, std::try_to_lock);
  if (!guard.owns_lock()) return 0;
  std::size_t reached = 0;
  while (reached < count_ && call(context_.api().functions().cuEventQuery, marks_[reached].event) == CUDA_SUCCESS)
    ++reached;
  if (reached == 0) return 0;
  const std::uint64_t stamp = marks_[reached - 1].stamp;
  std::rotate(marks_.begin(), marks_.begin() + static_cast<std::ptrdiff_t>(reached),
              marks_.begin() + static_cast<std::ptrdiff_t>(count_));
  count_ -= reached;
  return stamp;
}

void stream_marks::close() noexcept {
  const std::lock_guard guard(mutex_);
  closed_ = true;
  for (mark& each : marks_) {
    if (each.event != nullptr && !context_.is_lost())
      context_.api().call_twice(context_.api().functions().cuEventDestroy_v2, each.event);
    each = {};
  }
  count_ = 0;
}

}  // namespace terrazzo::detail
