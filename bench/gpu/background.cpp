#include "background.hpp"

#include <algorithm>
#include <thread>

namespace terrazzo::probe {

namespace {
// How long the load is watched: long against one call, short against an item.
constexpr double window_us = 60e3;
}  // namespace

double idle_background::run(int least, int, const std::function<void()>& work) {
  for (int i = 0; i < least; ++i) work();
  return 1;
}

double kernel_background::run(int least, int most, const std::function<void()>& work) {
  spinner spinning(device_, code_, 4);
  const auto rate_over = [&](const std::function<void()>& during) {
    const std::uint64_t before = spinning.turns();
    const double us = time_us(during);
    return static_cast<double>(spinning.turns() - before) / us;
  };
  const auto nothing = [] { std::this_thread::sleep_for(std::chrono::microseconds(static_cast<int>(window_us))); };
  const double undisturbed = rate_over(nothing);
  const double disturbed = rate_over([&] {
    const clock::time_point start = clock::now();
    for (int i = 0; i < least || (i < most && microseconds_since(start) < window_us); ++i) work();
  });
  usable_ = spinning.running();
  spinning.stop();
  if (!usable_) return 0;
  return disturbed > 0 ? undisturbed / disturbed : 0;
}

copies_background::copies_background(gpu& device, std::size_t copy_bytes)
    : device_(device),
      copy_bytes_(copy_bytes),
      source_(device, copy_bytes),
      target_(device, copy_bytes),
      stream_(device),
      begin_(device, CU_EVENT_DEFAULT),
      end_(device, CU_EVENT_DEFAULT) {
  enqueue();
  stream_.synchronize();
  const double us = time_us([&] {
    enqueue();
    stream_.synchronize();
  });
  // At most 500 wait at a time: a full launch queue would hold up the host, and so the calls to be timed.
  copies_ = std::clamp(static_cast<int>(window_us / std::max(us, 1.0)), 1, 500);
}

void copies_background::enqueue() {
  begin_.record(stream_);
  for (int i = 0; i < copies_; ++i)
    device_.cuda.cuMemcpyDtoDAsync_v2.must(target_.address(), source_.address(), copy_bytes_, CUstream(stream_));
  end_.record(stream_);
}

double copies_background::elapsed_ms() const {
  float ms = 0;
  if (device_.cuda.cuEventElapsedTime(&ms, CUevent(begin_), CUevent(end_)) != CUDA_SUCCESS) return 0;
  return ms;
}

double copies_background::run(int least, int most, const std::function<void()>& work) {
  enqueue();
  stream_.synchronize();
  const double undisturbed = elapsed_ms();
  enqueue();
  for (int i = 0; i < least || (i < most && device_.cuda.cuEventQuery(CUevent(end_)) == CUDA_ERROR_NOT_READY); ++i)
    work();
  stream_.synchronize();
  const double disturbed = elapsed_ms();
  return undisturbed > 0 ? disturbed / undisturbed : 0;
}

}  // namespace terrazzo::probe
