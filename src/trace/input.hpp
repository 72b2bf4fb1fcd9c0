// A file's bytes, in order, unpacked, in pieces: never the whole file in memory.
//
// Plain, xz and gzip files are told apart by their first bytes. A build without liblzma and zlib (Windows) refuses packed
// files, and says so. "-" is stdin.
#pragma once

#include <cstddef>
#include <cstdint>
#include <functional>
#include <memory>
#include <span>
#include <string>
#include <string_view>
#include <vector>

#include "trace/error.hpp"

namespace terrazzo::trace {

/// Called now and then while a file is read: its bytes read so far (as they lie on the disk), and all; 0 if unknown.
using progress_callback = std::function<void(std::uint64_t read_bytes, std::uint64_t total_bytes)>;

/// Where bytes come from.
class byte_source {
 public:
  virtual ~byte_source() = default;

  /// Reads up to `capacity` bytes, at least one; 0 at the end. Errors: `trace_error`.
  [[nodiscard]] virtual std::size_t read(unsigned char* to, std::size_t capacity) = 0;
};

/// Unpacks what another source gives, which starts with `first`. Errors: `trace_error`, also from the source's `read`,
/// where the packed bytes are damaged or end too early.
[[nodiscard]] std::unique_ptr<byte_source> unpack_xz(const std::string& name, std::unique_ptr<byte_source> packed,
                                                     std::vector<unsigned char> first);
[[nodiscard]] std::unique_ptr<byte_source> unpack_gzip(const std::string& name, std::unique_ptr<byte_source> packed,
                                                       std::vector<unsigned char> first);

class input {
 public:
  static constexpr std::size_t default_piece_bytes = std::size_t{1} << 18;
  static constexpr std::size_t least_piece_bytes = 512;  // what `peek` may be asked for

  /// Opens a file, or stdin if the path is "-". Errors: `trace_error`.
  [[nodiscard]] static input from_file(const std::string& path, progress_callback progress = {});

  /// Reads bytes that the caller holds, and keeps, instead of a file's.
  [[nodiscard]] static input from_memory(std::string name, std::span<const unsigned char> bytes,
                                         std::size_t piece_bytes = default_piece_bytes);

  [[nodiscard]] const std::string& name() const noexcept { return name_; }
  [[nodiscard]] bool is_packed() const noexcept { return is_packed_; }

  /// Tells how many bytes, unpacked, have been handed out: the place of the next one.
  [[nodiscard]] std::uint64_t offset() const noexcept { return piece_offset_ + position_; }

  /// Hands out one byte; -1 at the end.
  [[nodiscard]] int get() {
    if (position_ == filled_ && !fill()) return -1;
    return piece_[position_++];
  }

  /// Fills `to`; false if the file ends before that.
  [[nodiscard]] bool read(unsigned char* to, std::size_t bytes);
  [[nodiscard]] bool skip(std::uint64_t bytes);

  /// Shows up to `bytes` of what comes next, fewer at the end, without handing it out. REQUIRES: bytes <=
  /// least_piece_bytes. Valid until the next call.
  [[nodiscard]] std::string_view peek(std::size_t bytes);

  /// Hands out a line without its "\n" or "\r\n"; false at the end. Of a line of more than `most_bytes`, the first
  /// `most_bytes` + 1 are handed out, and the rest is passed over. The line is valid until the next call.
  [[nodiscard]] bool read_line(std::string_view& line, std::size_t most_bytes);

  [[noreturn]] void fail(const std::string& place, const std::string& reason) const;
  [[noreturn]] void fail_at_byte(std::uint64_t offset, const std::string& reason) const;

 private:
  input(std::string name, std::unique_ptr<byte_source> source, std::size_t piece_bytes);

  [[nodiscard]] bool fill();

  std::string name_;
  std::unique_ptr<byte_source> source_;
  std::vector<unsigned char> piece_;
  std::size_t position_ = 0;  // in piece_, of the next byte
  std::size_t filled_ = 0;    // bytes of piece_ that hold something
  std::uint64_t piece_offset_ = 0;
  bool is_packed_ = false;
  std::string line_;
};

}  // namespace terrazzo::trace
