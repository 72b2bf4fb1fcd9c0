// Driver functions that copy and fill. A device range must be memory when the work is enqueued, else INVALID_VALUE, and
// mapped with access when it runs, else the context dies of ILLEGAL_ADDRESS. Pageable host memory behaves as with a
// driver: it is read before the call returns, and a copy into it has ended when the call returns.
#include <cstring>
#include <memory>
#include <vector>

#include "softgpu/driver_functions.hpp"

using namespace softgpu;

namespace {

enum class side { device, host, either };
enum class wait { none, until_done };

CUdeviceptr address_of(const void* pointer) { return reinterpret_cast<std::uintptr_t>(pointer); }

CUresult check_device_range(driver_call& call, CUdeviceptr address, std::size_t bytes) {
  if (call.all.memory->reach_of(address, bytes, false) != memory_books::reach::unknown) return CUDA_SUCCESS;
  return refuse(CUDA_ERROR_INVALID_VALUE, "[{:#x}, +{}) is not device memory", address, bytes);
}

// Decides where an address lies if the function leaves that open, and checks a device range.
CUresult check_side(driver_call& call, CUdeviceptr address, std::size_t bytes, side& where) {
  if (where == side::either) where = call.all.memory->is_device_address(address) ? side::device : side::host;
  if (where == side::device) return check_device_range(call, address, bytes);
  return address != 0 ? CUDA_SUCCESS : refuse_null("a host address");
}

CUresult copy(driver_call& call, CUdeviceptr to, side to_side, CUdeviceptr from, side from_side, std::size_t bytes,
              CUstream handle, wait waiting) {
  std::shared_ptr<stream> into;
  CUresult checked = call.find(handle, into);
  if (checked != CUDA_SUCCESS || bytes == 0) return checked;
  checked = check_side(call, to, bytes, to_side);
  if (checked == CUDA_SUCCESS) checked = check_side(call, from, bytes, from_side);
  if (checked != CUDA_SUCCESS) return checked;

  const auto is_pageable = [&](CUdeviceptr address, side where) {
    return where == side::host && !call.all.memory->is_pinned_host(reinterpret_cast<const void*>(address));
  };
  if (is_pageable(to, to_side)) waiting = wait::until_done;
  work piece;
  if (is_pageable(from, from_side) && waiting == wait::none && call.all.spec.manual_completion) {
    auto staged = std::make_shared<std::vector<unsigned char>>(bytes);
    std::memcpy(staged->data(), reinterpret_cast<const void*>(from), bytes);
    piece.on_device = [=](gpu& all) { return all.memory->copy(to, address_of(staged->data()), bytes); };
  } else {
    piece.on_device = [=](gpu& all) { return all.memory->copy(to, from, bytes); };
  }
  const CUresult put = call.put(into, std::move(piece));
  if (put != CUDA_SUCCESS || waiting == wait::none) return put;
  run_all_of(call.all, call.lock, into);
  return call.all.context_of(into->device).dead;
}

CUresult fill(driver_call& call, CUdeviceptr to, std::uint32_t value, std::size_t width, std::size_t count,
              CUstream handle) {
  std::shared_ptr<stream> into;
  const CUresult found = call.find(handle, into);
  if (found != CUDA_SUCCESS || count == 0) return found;
  if (to % width != 0) return refuse(CUDA_ERROR_INVALID_VALUE, "{:#x} is not aligned to {} bytes", to, width);
  if (count > ~std::size_t{0} / width) return refuse(CUDA_ERROR_INVALID_VALUE, "{} values are too many", count);
  const CUresult checked = check_device_range(call, to, count * width);
  if (checked != CUDA_SUCCESS) return checked;
  work piece;
  piece.on_device = [=](gpu& all) { return all.memory->fill(to, value, width, count); };
  return call.put(into, std::move(piece));
}

}  // namespace

TERRAZZO_SOFTGPU_ENTRY cuMemcpy(CUdeviceptr to, CUdeviceptr from, std::size_t bytes) {
  return run_call("cuMemcpy", needs::context, [&](driver_call& call) {
    return copy(call, to, side::either, from, side::either, bytes, nullptr, wait::until_done);
  });
}

TERRAZZO_SOFTGPU_ENTRY cuMemcpyAsync(CUdeviceptr to, CUdeviceptr from, std::size_t bytes, CUstream stream) {
  return run_call("cuMemcpyAsync", needs::context, [&](driver_call& call) {
    return copy(call, to, side::either, from, side::either, bytes, stream, wait::none);
  });
}

TERRAZZO_SOFTGPU_ENTRY cuMemcpyHtoD_v2(CUdeviceptr to, const void* from, std::size_t bytes) {
  return run_call("cuMemcpyHtoD_v2", needs::context, [&](driver_call& call) {
    return copy(call, to, side::device, address_of(from), side::host, bytes, nullptr, wait::until_done);
  });
}

TERRAZZO_SOFTGPU_ENTRY cuMemcpyDtoH_v2(void* to, CUdeviceptr from, std::size_t bytes) {
  return run_call("cuMemcpyDtoH_v2", needs::context, [&](driver_call& call) {
    return copy(call, address_of(to), side::host, from, side::device, bytes, nullptr, wait::until_done);
  });
}

// Within the device, the host does not wait, here and for the fills below; the legacy stream keeps the order.
TERRAZZO_SOFTGPU_ENTRY cuMemcpyDtoD_v2(CUdeviceptr to, CUdeviceptr from, std::size_t bytes) {
  return run_call("cuMemcpyDtoD_v2", needs::context, [&](driver_call& call) {
    return copy(call, to, side::device, from, side::device, bytes, nullptr, wait::none);
  });
}

TERRAZZO_SOFTGPU_ENTRY cuMemcpyHtoDAsync_v2(CUdeviceptr to, const void* from, std::size_t bytes, CUstream stream) {
  return run_call("cuMemcpyHtoDAsync_v2", needs::context, [&](driver_call& call) {
    return copy(call, to, side::device, address_of(from), side::host, bytes, stream, wait::none);
  });
}

TERRAZZO_SOFTGPU_ENTRY cuMemcpyDtoHAsync_v2(void* to, CUdeviceptr from, std::size_t bytes, CUstream stream) {
  return run_call("cuMemcpyDtoHAsync_v2", needs::context, [&](driver_call& call) {
    return copy(call, address_of(to), side::host, from, side::device, bytes, stream, wait::none);
  });
}

TERRAZZO_SOFTGPU_ENTRY cuMemcpyDtoDAsync_v2(CUdeviceptr to, CUdeviceptr from, std::size_t bytes, CUstream stream) {
  return run_call("cuMemcpyDtoDAsync_v2", needs::context, [&](driver_call& call) {
    return copy(call, to, side::device, from, side::device, bytes, stream, wait::none);
  });
}

TERRAZZO_SOFTGPU_ENTRY cuMemsetD8_v2(CUdeviceptr to, unsigned char value, std::size_t count) {
  return run_call("cuMemsetD8_v2", needs::context,
                  [&](driver_call& call) { return fill(call, to, value, 1, count, nullptr); });
}

TERRAZZO_SOFTGPU_ENTRY cuMemsetD16_v2(CUdeviceptr to, unsigned short value, std::size_t count) {
  return run_call("cuMemsetD16_v2", needs::context,
                  [&](driver_call& call) { return fill(call, to, value, 2, count, nullptr); });
}

TERRAZZO_SOFTGPU_ENTRY cuMemsetD32_v2(CUdeviceptr to, unsigned int value, std::size_t count) {
  return run_call("cuMemsetD32_v2", needs::context,
                  [&](driver_call& call) { return fill(call, to, value, 4, count, nullptr); });
}

TERRAZZO_SOFTGPU_ENTRY cuMemsetD8Async(CUdeviceptr to, unsigned char value, std::size_t count, CUstream stream) {
  return run_call("cuMemsetD8Async", needs::context,
                  [&](driver_call& call) { return fill(call, to, value, 1, count, stream); });
}

TERRAZZO_SOFTGPU_ENTRY cuMemsetD16Async(CUdeviceptr to, unsigned short value, std::size_t count, CUstream stream) {
  return run_call("cuMemsetD16Async", needs::context,
                  [&](driver_call& call) { return fill(call, to, value, 2, count, stream); });
}

TERRAZZO_SOFTGPU_ENTRY cuMemsetD32Async(CUdeviceptr to, unsigned int value, std::size_t count, CUstream stream) {
  return run_call("cuMemsetD32Async", needs::context,
                  [&](driver_call& call) { return fill(call, to, value, 4, count, stream); });
}
