// Chunks and reservations with owners, for probes: what is still mapped when an item ends, or throws, is unmapped.
// Failures throw; a destructor ignores them, since the item's finding has told already.
#pragma once

#include <algorithm>
#include <map>
#include <vector>

#include "probe.hpp"

namespace terrazzo::probe {

[[nodiscard]] inline CUmemAllocationProp device_memory(const gpu& device) {
  CUmemAllocationProp properties{};
  properties.type = CU_MEM_ALLOCATION_TYPE_PINNED;
  properties.location = {CU_MEM_LOCATION_TYPE_DEVICE, {device.device}};
  return properties;
}

[[nodiscard]] inline CUmemAccessDesc read_and_write(const gpu& device) {
  return {{CU_MEM_LOCATION_TYPE_DEVICE, {device.device}}, CU_MEM_ACCESS_FLAGS_PROT_READWRITE};
}

/// Physical memory, released at the end.
class chunk {
 public:
  chunk(const gpu& device, std::size_t bytes) : device_(&device), bytes_(bytes) {
    const CUmemAllocationProp properties = device_memory(device);
    device.cuda.cuMemCreate.must(&handle_, bytes, &properties, 0ull);
  }
  chunk(chunk&& other) noexcept : device_(other.device_), bytes_(other.bytes_), handle_(other.handle_) {
    other.device_ = nullptr;
  }
  chunk& operator=(chunk&&) = delete;
  ~chunk() {
    if (device_ != nullptr) device_->cuda.cuMemRelease(handle_);
  }
  [[nodiscard]] CUmemGenericAllocationHandle handle() const noexcept { return handle_; }
  [[nodiscard]] std::size_t bytes() const noexcept { return bytes_; }

  /// Gives the handle to the caller, who releases it.
  CUmemGenericAllocationHandle take() noexcept {
    device_ = nullptr;
    return handle_;
  }

 private:
  const gpu* device_;
  std::size_t bytes_;
  CUmemGenericAllocationHandle handle_ = 0;
};

[[nodiscard]] inline std::vector<chunk> make_chunks(const gpu& device, std::size_t count, std::size_t bytes) {
  std::vector<chunk> made;
  made.reserve(count);
  for (std::size_t i = 0; i < count; ++i) made.emplace_back(device, bytes);
  return made;
}

/// A reservation of addresses, with a note of what is mapped in it.
class reservation {
 public:
  reservation(const gpu& device, std::size_t bytes) : device_(device), bytes_(bytes) {
    device.cuda.cuMemAddressReserve.must(&base_, bytes, std::size_t{0}, CUdeviceptr{0}, 0ull);
  }
  reservation(const reservation&) = delete;
  reservation& operator=(const reservation&) = delete;
  ~reservation() {
    for (const auto& [offset, bytes] : mapped_) device_.cuda.cuMemUnmap(base_ + offset, bytes);
    device_.cuda.cuMemAddressFree(base_, bytes_);
  }
  [[nodiscard]] CUdeviceptr at(std::size_t offset) const noexcept { return base_ + offset; }

  void map(std::size_t offset, const chunk& memory) {
    device_.cuda.cuMemMap.must(base_ + offset, memory.bytes(), std::size_t{0}, memory.handle(), 0ull);
    mapped_[offset] = memory.bytes();
  }
  void allow(std::size_t offset, std::size_t bytes) {
    const CUmemAccessDesc access = read_and_write(device_);
    device_.cuda.cuMemSetAccess.must(base_ + offset, bytes, &access, std::size_t{1});
  }
  /// Unmaps whole mappings in one call.
  void unmap(std::size_t offset, std::size_t bytes) {
    device_.cuda.cuMemUnmap.must(base_ + offset, bytes);
    mapped_.erase(mapped_.lower_bound(offset), mapped_.lower_bound(offset + bytes));
  }
  /// Maps chunks one behind another from `offset` on, without access.
  void map_all(std::size_t offset, const std::vector<chunk>& chunks, std::size_t count) {
    for (std::size_t i = 0; i < count; ++i, offset += chunks[i - 1].bytes()) map(offset, chunks[i]);
  }

 private:
  const gpu& device_;
  std::size_t bytes_;
  CUdeviceptr base_ = 0;
  std::map<std::size_t, std::size_t> mapped_;  // offset -> bytes
};

/// A stream of its own, destroyed at the end.
class stream {
 public:
  explicit stream(const gpu& device) : device_(device) {
    device.cuda.cuStreamCreate.must(&handle_, static_cast<unsigned>(CU_STREAM_NON_BLOCKING));
  }
  stream(const stream&) = delete;
  stream& operator=(const stream&) = delete;
  ~stream() { device_.cuda.cuStreamDestroy_v2(handle_); }
  operator CUstream() const noexcept { return handle_; }
  void synchronize() const { device_.cuda.cuStreamSynchronize.must(handle_); }

 private:
  const gpu& device_;
  CUstream handle_ = nullptr;
};

class event {
 public:
  explicit event(const gpu& device, unsigned flags = CU_EVENT_DISABLE_TIMING) : device_(device) {
    device.cuda.cuEventCreate.must(&handle_, flags);
  }
  event(const event&) = delete;
  event& operator=(const event&) = delete;
  ~event() { device_.cuda.cuEventDestroy_v2(handle_); }
  operator CUevent() const noexcept { return handle_; }
  void record(CUstream on) const { device_.cuda.cuEventRecord.must(handle_, on); }

 private:
  const gpu& device_;
  CUevent handle_ = nullptr;
};

/// Device memory from plain cuMemAlloc, freed at the end.
class plain_memory {
 public:
  plain_memory(const gpu& device, std::size_t bytes) : device_(device) {
    device.cuda.cuMemAlloc_v2.must(&address_, bytes);
  }
  plain_memory(const plain_memory&) = delete;
  plain_memory& operator=(const plain_memory&) = delete;
  ~plain_memory() { device_.cuda.cuMemFree_v2(address_); }
  [[nodiscard]] CUdeviceptr address() const noexcept { return address_; }

 private:
  const gpu& device_;
  CUdeviceptr address_ = 0;
};

/// Takes device memory in ever smaller pieces until not even the granularity can be had, but leaves `leave_bytes` free.
class full_card {
 public:
  explicit full_card(const gpu& device, std::size_t leave_bytes) : device_(device) {
    for (std::size_t piece = gib; piece >= 2 * mib;) {
      const std::size_t free = device.free_bytes();
      CUdeviceptr address = 0;
      if (free < leave_bytes + piece || device.cuda.cuMemAlloc_v2(&address, piece) != CUDA_SUCCESS) {
        piece /= 2;
        continue;
      }
      pieces_.push_back(address);
    }
  }
  full_card(const full_card&) = delete;
  full_card& operator=(const full_card&) = delete;
  ~full_card() {
    for (const CUdeviceptr address : pieces_) device_.cuda.cuMemFree_v2(address);
  }

 private:
  const gpu& device_;
  std::vector<CUdeviceptr> pieces_;
};

}  // namespace terrazzo::probe
