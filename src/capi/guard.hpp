// Room capi/: the C++ API behind C's calling convention. Every function checks its pointers, runs the C++ call under
// `guarded`, and hands a status back; it keeps no state of its own.
#pragma once

#include <cstddef>
#include <cstring>
#include <new>
#include <type_traits>

#include "base/failure.hpp"
#include "terrazzo/allocator.hpp"
#include "terrazzo/terrazzo.h"

struct terrazzo_allocator {
  terrazzo::allocator implementation;
};

namespace terrazzo::detail {

[[nodiscard]] constexpr terrazzo_status_t to_c(status code) noexcept { return static_cast<terrazzo_status_t>(code); }

/// Runs `body`, which returns nothing or a status, and turns what it throws into a status with a message.
template <typename Body>
terrazzo_status_t guarded(Body&& body) noexcept {
  try {
    if constexpr (std::is_void_v<decltype(body())>) {
      body();
      return to_c(status::ok);
    } else {
      return to_c(body());
    }
  } catch (const error& caught) {
    return to_c(caught.code());  // whoever threw it has kept the message for this thread
  } catch (const out_of_memory&) {
    return to_c(status::out_of_memory);
  } catch (const std::bad_alloc&) {
    return to_c(fail(status::out_of_host_memory, "the host has no memory for terrazzo's books"));
  } catch (const std::exception& caught) {
    return to_c(fail(status::corrupted, "an unexpected exception: {}", caught.what()));
  } catch (...) {
    return to_c(fail(status::corrupted, "an unexpected exception"));
  }
}

/// Refuses a null pointer by its parameter's name.
[[nodiscard]] inline status require(const void* pointer, const char* function, const char* parameter) noexcept {
  if (pointer != nullptr) return status::ok;
  return fail(status::invalid_argument, "{}: {} is null", function, parameter);
}

/// Runs `body` on the C++ object behind a handle, which is named by `parameter` should it be null.
template <typename Handle, typename Body>
terrazzo_status_t with(Handle* handle, const char* function, const char* parameter, Body&& body) noexcept {
  if (const status code = require(handle, function, parameter); code != status::ok) return to_c(code);
  return guarded([&] { return body(handle->implementation); });
}

/// Copies a struct from a caller who may have been compiled against another version of the header: what the caller does
/// not know keeps `known`'s values, what this library does not know must be zero. The first release's struct ends
/// after `least_bytes`.
template <typename Struct>
[[nodiscard]] status copy_from_caller(const Struct& given, Struct& known, std::size_t least_bytes,
                                      const char* function) noexcept {
  const std::size_t size = given.struct_size;
  if (size < least_bytes || size > 65536) {
    return fail(status::invalid_argument, "{}: struct_size is {}; it must be the struct's sizeof, {} here", function,
                size, sizeof(Struct));
  }
  const auto* bytes = reinterpret_cast<const unsigned char*>(&given);
  for (std::size_t i = sizeof(Struct); i < size; ++i)
    if (bytes[i] != 0)
      return fail(status::not_supported, "{}: the options use a member that this library, {}, does not know", function,
                  TERRAZZO_VERSION_STRING);
  std::memcpy(&known, &given, size < sizeof(Struct) ? size : sizeof(Struct));
  return status::ok;
}

/// Copies a struct to such a caller: no more than fits there, and zeros for what this library does not know.
/// `struct_size` stays the caller's.
template <typename Struct>
[[nodiscard]] status copy_to_caller(const Struct& known, Struct& given, std::size_t least_bytes,
                                    const char* function) noexcept {
  const std::size_t size = given.struct_size;
  if (size < least_bytes || size > 65536) {
    return fail(status::invalid_argument, "{}: struct_size is {}; it must be the struct's sizeof, {} here", function,
                size, sizeof(Struct));
  }
  auto* bytes = reinterpret_cast<unsigned char*>(&given);
  std::memcpy(bytes, &known, size < sizeof(Struct) ? size : sizeof(Struct));
  for (std::size_t i = sizeof(Struct); i < size; ++i) bytes[i] = 0;
  given.struct_size = size;
  return status::ok;
}

}  // namespace terrazzo::detail
