// A C++11 face of the C ABI, in this header alone: for compilers and standard libraries other than those that built
// terrazzo. Objects own their handle and move; failures are exceptions made here, in the caller's own ABI.
#pragma once

#include <new>
#include <stdexcept>
#include <string>
#include <utility>

#include "terrazzo/terrazzo.h"

namespace terrazzo {
namespace abi {

/// Any failure but lack of device or host memory.
class error : public std::runtime_error {
 public:
  error(terrazzo_status_t code, const std::string& message) : std::runtime_error(message), code_(code) {}
  terrazzo_status_t code() const noexcept { return code_; }

 private:
  terrazzo_status_t code_;
};

/// Lack of device or host memory.
class out_of_memory : public std::bad_alloc {
 public:
  explicit out_of_memory(const std::string& message) : message_(message) {}
  const char* what() const noexcept override { return message_.what(); }

 private:
  std::runtime_error message_;  // its copy does not throw
};

/// Does nothing for terrazzo_status_ok, else throws with the thread's last message.
inline void throw_on_failure(terrazzo_status_t code) {
  if (code == terrazzo_status_ok) return;
  const char* message = terrazzo_last_error_message();
  if (*message == '\0') message = terrazzo_status_sentence(code);
  if (code == terrazzo_status_out_of_memory || code == terrazzo_status_out_of_host_memory) throw out_of_memory(message);
  throw error(code, message);
}

/// The memory of one device. The functions are those of terrazzo.h.
class allocator {
 public:
  /// Opens a device with settings from the environment.
  explicit allocator(int device = 0) { open(device, nullptr, nullptr); }

  /// Opens a device with the settings of a config string; `driver_path` may be empty.
  allocator(int device, const std::string& config, const std::string& driver_path = std::string()) {
    open(device, config.c_str(), driver_path.empty() ? nullptr : driver_path.c_str());
  }

  ~allocator() { terrazzo_allocator_destroy(handle_); }
  allocator(allocator&& other) noexcept : handle_(other.handle_) { other.handle_ = nullptr; }
  allocator& operator=(allocator&& other) noexcept {
    std::swap(handle_, other.handle_);
    return *this;
  }
  allocator(const allocator&) = delete;
  allocator& operator=(const allocator&) = delete;

  void* allocate(std::size_t bytes, void* stream = nullptr, std::size_t alignment = 0) {
    void* block = nullptr;
    throw_on_failure(terrazzo_allocator_allocate(handle_, bytes, alignment, stream, &block));
    return block;
  }
  void deallocate(void* block) { throw_on_failure(terrazzo_allocator_deallocate(handle_, block)); }

  /// False, and nothing has changed, if the block cannot grow where it is.
  bool try_extend(void* block, std::size_t bytes) noexcept {
    return terrazzo_allocator_extend(handle_, block, bytes) == terrazzo_status_ok;
  }

  std::size_t trim(std::size_t keep_bytes = 0) {
    std::size_t given_back = 0;
    throw_on_failure(terrazzo_allocator_trim(handle_, keep_bytes, &given_back));
    return given_back;
  }
  /// Null: from the environment variables.
  void set_config(const char* config) { throw_on_failure(terrazzo_allocator_set_config(handle_, config)); }
  std::string config() const {
    std::size_t length = 0;
    throw_on_failure(terrazzo_allocator_config(handle_, nullptr, 0, &length));
    std::string text(length + 1, '\0');
    throw_on_failure(terrazzo_allocator_config(handle_, &text[0], text.size(), &length));
    text.resize(length < text.size() ? length : text.size() - 1);
    return text;
  }
  void set_limit(std::size_t bytes) { throw_on_failure(terrazzo_allocator_set_limit(handle_, bytes)); }
  void set_headroom(std::size_t bytes) { throw_on_failure(terrazzo_allocator_set_headroom(handle_, bytes)); }
  void shutdown() { throw_on_failure(terrazzo_allocator_shutdown(handle_)); }

  std::size_t requested_bytes(const void* block) const {
    std::size_t bytes = 0;
    throw_on_failure(terrazzo_allocator_requested_bytes(handle_, block, &bytes));
    return bytes;
  }
  terrazzo_stats_t stats() const {
    terrazzo_stats_t stats = terrazzo_stats_t();
    stats.struct_size = sizeof(stats);
    throw_on_failure(terrazzo_allocator_stats(handle_, &stats));
    return stats;
  }
  void reset_peaks() { throw_on_failure(terrazzo_allocator_reset_peaks(handle_)); }
  void validate() const { throw_on_failure(terrazzo_allocator_validate(handle_)); }

  /// The handle, still owned by this object, for functions of terrazzo.h.
  terrazzo_allocator_t* handle() const noexcept { return handle_; }

 private:
  void open(int device, const char* config, const char* driver_path) {
    terrazzo_allocator_options_t options = TERRAZZO_ALLOCATOR_OPTIONS_INIT;
    options.device = device;
    options.config = config;
    options.driver_path = driver_path;
    throw_on_failure(terrazzo_allocator_create(&options, &handle_));
  }

  terrazzo_allocator_t* handle_ = nullptr;
};

/// The workspaces of an allocator's device, which must outlive the pool. The functions are those of terrazzo.h.
class workspace_pool {
 public:
  explicit workspace_pool(const allocator& memory, terrazzo_workspace_options_t options =
                                                       terrazzo_workspace_options_t TERRAZZO_WORKSPACE_OPTIONS_INIT) {
    throw_on_failure(terrazzo_workspace_pool_create(memory.handle(), &options, &handle_));
  }

  ~workspace_pool() { terrazzo_workspace_pool_destroy(handle_); }
  workspace_pool(workspace_pool&& other) noexcept : handle_(other.handle_) { other.handle_ = nullptr; }
  workspace_pool& operator=(workspace_pool&& other) noexcept {
    std::swap(handle_, other.handle_);
    return *this;
  }
  workspace_pool(const workspace_pool&) = delete;
  workspace_pool& operator=(const workspace_pool&) = delete;

  void bind(void* cublas, void* stream) { throw_on_failure(terrazzo_workspace_pool_bind(handle_, cublas, stream)); }
  void unbind(void* cublas) { throw_on_failure(terrazzo_workspace_pool_unbind(handle_, cublas)); }
  void* workspace(void* stream) {
    void* workspace = nullptr;
    throw_on_failure(terrazzo_workspace_pool_workspace(handle_, stream, &workspace, nullptr));
    return workspace;
  }
  void release(void* stream) { throw_on_failure(terrazzo_workspace_pool_release(handle_, stream)); }
  std::size_t clear() {
    std::size_t given_back = 0;
    throw_on_failure(terrazzo_workspace_pool_clear(handle_, &given_back));
    return given_back;
  }

  void* create_handle() {
    void* cublas = nullptr;
    throw_on_failure(terrazzo_workspace_pool_create_handle(handle_, &cublas));
    return cublas;
  }
  void destroy_handle(void* cublas) { throw_on_failure(terrazzo_workspace_pool_destroy_handle(handle_, cublas)); }

  std::size_t bytes() const {
    std::size_t bytes = 0;
    throw_on_failure(terrazzo_workspace_pool_bytes(handle_, &bytes));
    return bytes;
  }
  std::string size_origin() const {
    const char* origin = nullptr;
    throw_on_failure(terrazzo_workspace_pool_size_origin(handle_, &origin));
    return origin;
  }
  terrazzo_workspace_stats_t stats() const {
    terrazzo_workspace_stats_t stats = terrazzo_workspace_stats_t();
    stats.struct_size = sizeof(stats);
    throw_on_failure(terrazzo_workspace_pool_stats(handle_, &stats));
    return stats;
  }
  void* symbol(const char* name) const {
    void* symbol = nullptr;
    throw_on_failure(terrazzo_workspace_pool_symbol(handle_, name, &symbol));
    return symbol;
  }

  /// The handle, still owned by this object, for functions of terrazzo.h.
  terrazzo_workspace_pool_t* handle() const noexcept { return handle_; }

 private:
  terrazzo_workspace_pool_t* handle_ = nullptr;
};

}  // namespace abi
}  // namespace terrazzo
