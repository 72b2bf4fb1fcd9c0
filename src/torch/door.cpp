// Room torch/: the plain door for PyTorch, libterrazzo_torch.so, for torch.cuda.memory.CUDAPluggableAllocator:
//   allocator = CUDAPluggableAllocator("libterrazzo_torch.so", "terrazzo_malloc", "terrazzo_free")
//   torch.cuda.memory.change_current_allocator(allocator)
// One allocator a device, made when it is first asked for memory, with settings from the environment, and never
// destroyed: at process exit PyTorch still frees tensors, and the driver may be gone already.
// Threads: finding an allocator is one atomic load; making one takes a lock.
// Source: torch/csrc/cuda/CUDAPluggableAllocator.cpp, whose typedefs rule over the Python docstring.
#include <array>
#include <atomic>
#include <mutex>
#include <string>

#include "terrazzo/allocator.hpp"

namespace {

constexpr int max_devices = 64;

constinit std::array<std::atomic<terrazzo::allocator*>, max_devices> allocators{};

// Not constant-initialised everywhere, so made when first asked for.
std::mutex& making() {
  static std::mutex only;
  return only;
}

terrazzo::allocator* find_allocator(int device) noexcept {
  if (device < 0 || device >= max_devices) return nullptr;
  return allocators[static_cast<std::size_t>(device)].load(std::memory_order_acquire);
}

terrazzo::allocator& make_allocator(int device) {
  if (device < 0 || device >= max_devices) {
    throw terrazzo::error(terrazzo::status::invalid_device,
                          "terrazzo: there is no CUDA device " + std::to_string(device));
  }
  const std::lock_guard lock(making());
  terrazzo::allocator* made = find_allocator(device);
  if (made == nullptr) {
    terrazzo::allocator_options options;
    options.device = device;
    made = new terrazzo::allocator(options);
    allocators[static_cast<std::size_t>(device)].store(made, std::memory_order_release);
  }
  return *made;
}

}  // namespace

extern "C" {

/// Allocates for PyTorch; null for 0 bytes. Throws `terrazzo::out_of_memory`, a std::bad_alloc, and `terrazzo::error`:
/// PyTorch takes a null pointer for success, and raises RuntimeError with an exception's text.
TERRAZZO_API void* terrazzo_malloc(std::size_t size, int device, terrazzo::stream_handle stream);

/// Frees for PyTorch, which does not survive an exception here. A pointer that cannot be freed is counted in the
/// statistics, and `last_error_message` tells why.
TERRAZZO_API void terrazzo_free(void* pointer, std::size_t size, int device, terrazzo::stream_handle stream) noexcept;

void* terrazzo_malloc(std::size_t size, int device, terrazzo::stream_handle stream) {
  if (size == 0) return nullptr;
  terrazzo::allocator* allocator = find_allocator(device);
  if (allocator == nullptr) [[unlikely]]
    allocator = &make_allocator(device);
  try {
    return allocator->allocate(size, stream);
  } catch (const terrazzo::out_of_memory& lack) {
    // PyTorch's own opening words: programs that try again with a smaller batch look for them.
    throw terrazzo::out_of_memory(std::string("CUDA out of memory. terrazzo: ") + lack.what());
  }
}

void terrazzo_free(void* pointer, std::size_t, int device, terrazzo::stream_handle) noexcept {
  // Without an allocator for the device no pointer of it was handed out, and there are no books to count it in.
  if (terrazzo::allocator* allocator = find_allocator(device)) (void)allocator->try_deallocate(pointer);
}

}  // extern "C"
