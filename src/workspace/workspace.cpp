// The C++ rim of this room: where statuses become exceptions.
#include "terrazzo/workspace.hpp"

#include <cstdlib>

#include "base/failure.hpp"
#include "workspace/pool.hpp"

namespace terrazzo {
namespace {

std::shared_ptr<const detail::cublas> load(const std::string& path, const std::string& driver_path) {
  std::shared_ptr<const detail::cublas> result;
  throw_on_failure(detail::cublas::load(path, driver_path, result));
  return result;
}

std::string driver_path_or_variable(const std::string& driver_path) {
  if (!driver_path.empty()) return driver_path;
  const char* variable = std::getenv("TERRAZZO_CUDA_DRIVER");
  return variable != nullptr ? variable : "";
}

std::string path_of_chosen_driver(const allocator& memory) {
  const detail::driver& api = memory.implementation().context().api();
  return api.chosen_by_path() ? api.origin() : "";
}

}  // namespace

cublas_library::cublas_library(const std::string& path, const std::string& driver_path)
    : library_(load(path, driver_path_or_variable(driver_path))) {}

cublas_library::cublas_library(std::shared_ptr<const detail::cublas> library) noexcept : library_(std::move(library)) {}

const std::string& cublas_library::path() const noexcept { return library_->origin(); }
int cublas_library::version() const noexcept { return library_->version(); }

void* cublas_library::symbol(const char* name) const {
  void* const found = name != nullptr ? library_->symbol(name) : nullptr;
  if (found == nullptr) {
    throw_on_failure(detail::fail(status::library_not_found, "the cuBLAS library '{}' has no function {}",
                                  library_->origin(), name != nullptr ? name : "without a name"));
  }
  return found;
}

workspace_pool::workspace_pool(allocator& memory, const workspace_options& options)
    : library_(load(options.cublas_path, path_of_chosen_driver(memory))) {
  throw_on_failure(detail::workspace_store::open(memory.implementation(), library_.library_, options, store_));
}

workspace_pool::~workspace_pool() = default;
workspace_pool::workspace_pool(workspace_pool&&) noexcept = default;
workspace_pool& workspace_pool::operator=(workspace_pool&&) noexcept = default;

void workspace_pool::bind(cublas_handle handle, stream_handle stream) {
  throw_on_failure(store_->bind(handle, stream));
}

status workspace_pool::try_bind(cublas_handle handle, stream_handle stream) noexcept {
  return store_->bind(handle, stream);
}

void workspace_pool::unbind(cublas_handle handle) { throw_on_failure(store_->unbind(handle)); }

workspace_view workspace_pool::workspace(stream_handle stream) {
  workspace_view view;
  throw_on_failure(store_->find_workspace(stream, view));
  return view;
}

void workspace_pool::release(stream_handle stream) { throw_on_failure(store_->release(stream)); }

std::size_t workspace_pool::clear() {
  std::size_t given_back = 0;
  throw_on_failure(store_->clear(given_back));
  return given_back;
}

cublas_handle workspace_pool::create_handle() {
  cublas_handle handle = nullptr;
  throw_on_failure(store_->create_handle(handle));
  return handle;
}

void workspace_pool::destroy_handle(cublas_handle handle) { throw_on_failure(store_->destroy_handle(handle)); }

std::size_t workspace_pool::bytes() const noexcept { return store_->size().bytes; }
const std::string& workspace_pool::size_origin() const noexcept { return store_->size().origin; }
workspace_statistics workspace_pool::stats() const { return store_->stats(); }
const cublas_library& workspace_pool::library() const noexcept { return library_; }

}  // namespace terrazzo
