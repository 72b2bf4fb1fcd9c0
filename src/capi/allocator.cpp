// The C ABI of status codes and of the allocator.
#include "capi/guard.hpp"

using terrazzo::status;
using terrazzo::detail::guarded;
using terrazzo::detail::require;
using terrazzo::detail::to_c;

namespace {

// The ends of the structs as first released; never change them.
constexpr std::size_t first_options_bytes =
    offsetof(terrazzo_allocator_options_t, driver_path) + sizeof(terrazzo_allocator_options_t::driver_path);
constexpr std::size_t first_stats_bytes =
    offsetof(terrazzo_stats_t, segment_count) + sizeof(terrazzo_stats_t::segment_count);

terrazzo_counter_t as_c(const terrazzo::counter& from) noexcept { return {from.current, from.peak}; }

terrazzo_stats_t as_c(const terrazzo::statistics& from) noexcept {
  terrazzo_stats_t to{};
  to.requested_bytes = as_c(from.requested_bytes);
  to.allocated_bytes = as_c(from.allocated_bytes);
  to.active_bytes = as_c(from.active_bytes);
  to.reserved_bytes = as_c(from.reserved_bytes);
  to.allocations = as_c(from.allocations);
  to.allocation_count = from.allocation_count;
  to.deallocation_count = from.deallocation_count;
  to.driver_calls = from.driver_calls;
  to.out_of_memory_count = from.out_of_memory_count;
  to.retry_count = from.retry_count;
  to.invalid_free_count = from.invalid_free_count;
  to.limit_bytes = from.limit_bytes;
  to.largest_free_bytes = from.largest_free_bytes;
  to.segment_count = from.segment_count;
  return to;
}

// Runs `body` on the allocator behind the handle.
template <typename Body>
terrazzo_status_t with(terrazzo_allocator_t* handle, const char* function, Body&& body) noexcept {
  return terrazzo::detail::with(handle, function, "allocator", body);
}

}  // namespace

extern "C" {

const char* terrazzo_status_name(terrazzo_status_t code) noexcept {
  return terrazzo::to_string(static_cast<status>(code));
}

const char* terrazzo_status_sentence(terrazzo_status_t code) noexcept {
  return terrazzo::describe(static_cast<status>(code));
}

const char* terrazzo_last_error_message(void) noexcept { return terrazzo::last_error_message(); }

const char* terrazzo_version(void) noexcept { return TERRAZZO_VERSION_STRING; }

terrazzo_status_t terrazzo_allocator_create(const terrazzo_allocator_options_t* options,
                                            terrazzo_allocator_t** allocator) noexcept {
  if (const status code = require(allocator, __func__, "allocator"); code != status::ok) return to_c(code);
  *allocator = nullptr;
  terrazzo_allocator_options_t known = TERRAZZO_ALLOCATOR_OPTIONS_INIT;
  if (options != nullptr) {
    const status code = terrazzo::detail::copy_from_caller(*options, known, first_options_bytes, __func__);
    if (code != status::ok) return to_c(code);
  }
  return guarded([&] {
    const terrazzo::allocator_options chosen{
        known.device,
        known.config != nullptr ? terrazzo::parse_config(known.config) : terrazzo::config_from_environment(),
        known.driver_path != nullptr ? known.driver_path : ""};
    *allocator = new terrazzo_allocator{terrazzo::allocator(chosen)};
  });
}

void terrazzo_allocator_destroy(terrazzo_allocator_t* allocator) noexcept { delete allocator; }

terrazzo_status_t terrazzo_allocator_shutdown(terrazzo_allocator_t* allocator) noexcept {
  return with(allocator, __func__, [](terrazzo::allocator& self) { self.shutdown(); });
}

terrazzo_status_t terrazzo_allocator_allocate(terrazzo_allocator_t* allocator, size_t bytes, size_t alignment,
                                              void* stream, void** block) noexcept {
  if (const status code = require(block, __func__, "block"); code != status::ok) return to_c(code);
  *block = nullptr;
  return with(allocator, __func__, [&](terrazzo::allocator& self) {
    return self.try_allocate(bytes, static_cast<terrazzo::stream_handle>(stream),
                             alignment == 0 ? terrazzo::allocator::default_alignment : alignment, *block);
  });
}

terrazzo_status_t terrazzo_allocator_deallocate(terrazzo_allocator_t* allocator, void* block) noexcept {
  return with(allocator, __func__, [&](terrazzo::allocator& self) { return self.try_deallocate(block); });
}

terrazzo_status_t terrazzo_allocator_extend(terrazzo_allocator_t* allocator, void* block, size_t bytes) noexcept {
  return with(allocator, __func__, [&](terrazzo::allocator& self) { return self.try_extend(block, bytes); });
}

terrazzo_status_t terrazzo_allocator_trim(terrazzo_allocator_t* allocator, size_t keep_bytes,
                                          size_t* given_back) noexcept {
  return with(allocator, __func__, [&](terrazzo::allocator& self) {
    const std::size_t bytes = self.trim(keep_bytes);
    if (given_back != nullptr) *given_back = bytes;
  });
}

terrazzo_status_t terrazzo_allocator_set_config(terrazzo_allocator_t* allocator, const char* config) noexcept {
  return with(allocator, __func__, [&](terrazzo::allocator& self) {
    self.set_settings(config != nullptr ? terrazzo::parse_config(config, self.settings())
                                        : terrazzo::config_from_environment());
  });
}

terrazzo_status_t terrazzo_allocator_config(terrazzo_allocator_t* allocator, char* text, size_t capacity,
                                            size_t* length) noexcept {
  if (capacity > 0) {
    if (const status code = require(text, __func__, "text"); code != status::ok) return to_c(code);
    text[0] = '\0';
  }
  return with(allocator, __func__, [&](terrazzo::allocator& self) {
    const std::string whole = to_string(self.settings());
    if (length != nullptr) *length = whole.size();
    if (capacity > 0) text[whole.copy(text, capacity - 1)] = '\0';
  });
}

terrazzo_status_t terrazzo_allocator_set_limit(terrazzo_allocator_t* allocator, size_t bytes) noexcept {
  return with(allocator, __func__, [&](terrazzo::allocator& self) { self.set_limit(bytes); });
}

terrazzo_status_t terrazzo_allocator_set_headroom(terrazzo_allocator_t* allocator, size_t bytes) noexcept {
  return with(allocator, __func__, [&](terrazzo::allocator& self) { self.set_headroom(bytes); });
}

terrazzo_status_t terrazzo_allocator_requested_bytes(terrazzo_allocator_t* allocator, const void* block,
                                                     size_t* bytes) noexcept {
  if (const status code = require(bytes, __func__, "bytes"); code != status::ok) return to_c(code);
  return with(allocator, __func__, [&](terrazzo::allocator& self) { *bytes = self.requested_bytes(block); });
}

terrazzo_status_t terrazzo_allocator_stats(terrazzo_allocator_t* allocator, terrazzo_stats_t* stats) noexcept {
  if (const status code = require(stats, __func__, "stats"); code != status::ok) return to_c(code);
  return with(allocator, __func__, [&](terrazzo::allocator& self) {
    return terrazzo::detail::copy_to_caller(as_c(self.stats()), *stats, first_stats_bytes, "terrazzo_allocator_stats");
  });
}

terrazzo_status_t terrazzo_allocator_reset_peaks(terrazzo_allocator_t* allocator) noexcept {
  return with(allocator, __func__, [](terrazzo::allocator& self) { self.reset_peaks(); });
}

terrazzo_status_t terrazzo_allocator_validate(terrazzo_allocator_t* allocator) noexcept {
  return with(allocator, __func__, [](terrazzo::allocator& self) { self.validate(); });
}

}  // extern "C"
