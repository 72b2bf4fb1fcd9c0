// The C ABI of the workspace pool.
#include "terrazzo/workspace.hpp"

#include "capi/guard.hpp"

using terrazzo::cublas_handle;
using terrazzo::status;
using terrazzo::stream_handle;
using terrazzo::workspace_pool;
using terrazzo::detail::guarded;
using terrazzo::detail::require;
using terrazzo::detail::to_c;

struct terrazzo_workspace_pool {
  workspace_pool implementation;
};

namespace {

// The ends of the structs as first released; never change them.
constexpr std::size_t first_options_bytes =
    offsetof(terrazzo_workspace_options_t, cublas_path) + sizeof(terrazzo_workspace_options_t::cublas_path);
constexpr std::size_t first_stats_bytes =
    offsetof(terrazzo_workspace_stats_t, aligned_to) + sizeof(terrazzo_workspace_stats_t::aligned_to);

terrazzo::workspace_options as_cpp(const terrazzo_workspace_options_t& from) {
  terrazzo::workspace_options to;
  to.bytes = from.bytes;
  if (from.alignment != 0) to.alignment = from.alignment;
  to.preallocate_count = from.preallocate_count;
  to.max_count = from.max_count;
  if (from.cublas_path != nullptr) to.cublas_path = from.cublas_path;
  return to;
}

terrazzo_workspace_stats_t as_c(const terrazzo::workspace_statistics& from) noexcept {
  terrazzo_workspace_stats_t to{};
  to.count = from.count;
  to.spare_count = from.spare_count;
  to.bound_handle_count = from.bound_handle_count;
  to.total_bytes = from.total_bytes;
  to.aligned_to = from.aligned_to;
  return to;
}

// Runs `body` on the pool behind the handle.
template <typename Body>
terrazzo_status_t with(terrazzo_workspace_pool_t* handle, const char* function, Body&& body) noexcept {
  return terrazzo::detail::with(handle, function, "pool", body);
}

}  // namespace

extern "C" {

terrazzo_status_t terrazzo_workspace_pool_create(terrazzo_allocator_t* allocator,
                                                 const terrazzo_workspace_options_t* options,
                                                 terrazzo_workspace_pool_t** pool) noexcept {
  if (const status code = require(pool, __func__, "pool"); code != status::ok) return to_c(code);
  *pool = nullptr;
  terrazzo_workspace_options_t known = TERRAZZO_WORKSPACE_OPTIONS_INIT;
  if (options != nullptr) {
    const status code = terrazzo::detail::copy_from_caller(*options, known, first_options_bytes, __func__);
    if (code != status::ok) return to_c(code);
  }
  return terrazzo::detail::with(allocator, __func__, "allocator", [&](terrazzo::allocator& memory) {
    *pool = new terrazzo_workspace_pool{workspace_pool(memory, as_cpp(known))};
  });
}

void terrazzo_workspace_pool_destroy(terrazzo_workspace_pool_t* pool) noexcept { delete pool; }

terrazzo_status_t terrazzo_workspace_pool_bind(terrazzo_workspace_pool_t* pool, void* cublas, void* stream) noexcept {
  return with(pool, __func__, [&](workspace_pool& self) {
    return self.try_bind(static_cast<cublas_handle>(cublas), static_cast<stream_handle>(stream));
  });
}

terrazzo_status_t terrazzo_workspace_pool_unbind(terrazzo_workspace_pool_t* pool, void* cublas) noexcept {
  return with(pool, __func__, [&](workspace_pool& self) { self.unbind(static_cast<cublas_handle>(cublas)); });
}

terrazzo_status_t terrazzo_workspace_pool_workspace(terrazzo_workspace_pool_t* pool, void* stream, void** workspace,
                                                    size_t* bytes) noexcept {
  if (const status code = require(workspace, __func__, "workspace"); code != status::ok) return to_c(code);
  *workspace = nullptr;
  return with(pool, __func__, [&](workspace_pool& self) {
    const terrazzo::workspace_view view = self.workspace(static_cast<stream_handle>(stream));
    *workspace = view.pointer;
    if (bytes != nullptr) *bytes = view.bytes;
  });
}

terrazzo_status_t terrazzo_workspace_pool_release(terrazzo_workspace_pool_t* pool, void* stream) noexcept {
  return with(pool, __func__, [&](workspace_pool& self) { self.release(static_cast<stream_handle>(stream)); });
}

terrazzo_status_t terrazzo_workspace_pool_clear(terrazzo_workspace_pool_t* pool, size_t* given_back) noexcept {
  return with(pool, __func__, [&](workspace_pool& self) {
    const std::size_t bytes = self.clear();
    if (given_back != nullptr) *given_back = bytes;
  });
}

terrazzo_status_t terrazzo_workspace_pool_create_handle(terrazzo_workspace_pool_t* pool, void** cublas) noexcept {
  if (const status code = require(cublas, __func__, "cublas"); code != status::ok) return to_c(code);
  *cublas = nullptr;
  return with(pool, __func__, [&](workspace_pool& self) { *cublas = self.create_handle(); });
}

terrazzo_status_t terrazzo_workspace_pool_destroy_handle(terrazzo_workspace_pool_t* pool, void* cublas) noexcept {
  return with(pool, __func__, [&](workspace_pool& self) { self.destroy_handle(static_cast<cublas_handle>(cublas)); });
}

terrazzo_status_t terrazzo_workspace_pool_bytes(terrazzo_workspace_pool_t* pool, size_t* bytes) noexcept {
  if (const status code = require(bytes, __func__, "bytes"); code != status::ok) return to_c(code);
  return with(pool, __func__, [&](workspace_pool& self) { *bytes = self.bytes(); });
}

terrazzo_status_t terrazzo_workspace_pool_size_origin(terrazzo_workspace_pool_t* pool, const char** origin) noexcept {
  if (const status code = require(origin, __func__, "origin"); code != status::ok) return to_c(code);
  return with(pool, __func__, [&](workspace_pool& self) { *origin = self.size_origin().c_str(); });
}

terrazzo_status_t terrazzo_workspace_pool_stats(terrazzo_workspace_pool_t* pool,
                                                terrazzo_workspace_stats_t* stats) noexcept {
  if (const status code = require(stats, __func__, "stats"); code != status::ok) return to_c(code);
  return with(pool, __func__, [&](workspace_pool& self) {
    return terrazzo::detail::copy_to_caller(as_c(self.stats()), *stats, first_stats_bytes,
                                            "terrazzo_workspace_pool_stats");
  });
}

terrazzo_status_t terrazzo_workspace_pool_symbol(terrazzo_workspace_pool_t* pool, const char* name,
                                                 void** symbol) noexcept {
  if (const status code = require(symbol, __func__, "symbol"); code != status::ok) return to_c(code);
  *symbol = nullptr;
  if (const status code = require(name, __func__, "name"); code != status::ok) return to_c(code);
  return with(pool, __func__, [&](workspace_pool& self) { *symbol = self.library().symbol(name); });
}

}  // extern "C"
