// The C++ rim of the workspace room: where statuses become exceptions.
#include "terrazzo/workspace.hpp"

#include "base/failure.hpp"
#include "workspace/books.hpp"

namespace terrazzo {
namespace {

std::shared_ptr<const detail::cublas> load(const allocator& memory, const std::string& path) {
  const detail::driver& api = memory.implementation().context().api();
  std::shared_ptr<const detail::cublas> library;
  throw_on_failure(detail::cublas::load(path, api.chosen_by_path() ? api.origin() : "", library));
  return library;
}

}  // namespace

cublas_library::cublas_library(const allocator& memory, const std::string& path) : library_(load(memory, path)) {}
cublas_library::~cublas_library() = default;

void* cublas_library::symbol(const char* name) const {
  void* found = library_->symbol(name);
  if (found == nullptr)
    throw_on_failure(
        detail::fail(status::library_not_found, "the cuBLAS library '{}' has no function {}", path(), name));
  return found;
}

const std::string& cublas_library::path() const noexcept { return library_->origin(); }
int cublas_library::version() const noexcept { return library_->version(); }

workspace_pool::workspace_pool(allocator& memory, const workspace_options& options) {
  throw_on_failure(
      detail::workspace_books::open(memory.implementation(), options, load(memory, options.cublas_path), books_));
}

workspace_pool::~workspace_pool() = default;

void workspace_pool::bind(cublas_handle handle, stream_handle stream) {
  throw_on_failure(books_->bind(handle, stream));
}

status workspace_pool::try_bind(cublas_handle handle, stream_handle stream) noexcept {
  return books_->bind(handle, stream);
}

workspace_view workspace_pool::workspace(stream_handle stream) {
  void* pointer = nullptr;
  throw_on_failure(books_->find(stream, pointer));
  return {pointer, bytes()};
}

cublas_handle workspace_pool::create_handle() {
  cublas_handle handle = nullptr;
  throw_on_failure(books_->create_handle(handle));
  return handle;
}

void workspace_pool::destroy_handle(cublas_handle handle) { throw_on_failure(books_->destroy_handle(handle)); }

std::size_t workspace_pool::clear() {
  std::size_t given_back = 0;
  throw_on_failure(books_->clear(given_back));
  return given_back;
}

std::size_t workspace_pool::bytes() const noexcept { return books_->size().bytes; }
const std::string& workspace_pool::size_origin() const noexcept { return books_->size().origin; }
std::size_t workspace_pool::count() const noexcept { return books_->count(); }

}  // namespace terrazzo
