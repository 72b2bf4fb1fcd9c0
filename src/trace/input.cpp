#include "trace/input.hpp"

#include <algorithm>
#include <cerrno>
#include <cstdio>
#include <cstring>
#include <filesystem>
#include <system_error>
#include <utility>

#ifdef _WIN32
#include <fcntl.h>
#include <io.h>
#endif

namespace terrazzo::trace {

namespace {

class file_source final : public byte_source {
 public:
  file_source(std::string name, std::FILE* file, std::uint64_t total_bytes, progress_callback progress)
      : name_(std::move(name)), file_(file), total_bytes_(total_bytes), progress_(std::move(progress)) {}
  ~file_source() override {
    if (file_ != stdin) std::fclose(file_);
  }
  file_source(const file_source&) = delete;
  file_source& operator=(const file_source&) = delete;

  std::size_t read(unsigned char* to, std::size_t capacity) override {
    errno = 0;
    const std::size_t got = std::fread(to, 1, capacity, file_);
    if (got == 0 && std::ferror(file_) != 0)
      throw trace_error(name_, read_bytes_ == 0 ? "" : byte_place(read_bytes_),
                        std::string("cannot be read: ") + std::strerror(errno));
    read_bytes_ += got;
    if (progress_ && got != 0) progress_(read_bytes_, total_bytes_);
    return got;
  }

 private:
  std::string name_;
  std::FILE* file_;
  std::uint64_t total_bytes_;
  std::uint64_t read_bytes_ = 0;
  progress_callback progress_;
};

class memory_source final : public byte_source {
 public:
  explicit memory_source(std::span<const unsigned char> bytes) : rest_(bytes) {}

  std::size_t read(unsigned char* to, std::size_t capacity) override {
    const std::size_t got = std::min(capacity, rest_.size());
    std::copy_n(rest_.begin(), got, to);
    rest_ = rest_.subspan(got);
    return got;
  }

 private:
  std::span<const unsigned char> rest_;
};

}  // namespace

#if !TERRAZZO_TRACE_UNPACKS
std::unique_ptr<byte_source> unpack_xz(const std::string& name, std::unique_ptr<byte_source>,
                                       std::vector<unsigned char>) {
  throw trace_error(name, "", "is packed with xz, which this build of terrazzo cannot unpack: unpack it first (xz -d)");
}
std::unique_ptr<byte_source> unpack_gzip(const std::string& name, std::unique_ptr<byte_source>,
                                         std::vector<unsigned char>) {
  throw trace_error(name, "",
                    "is packed with gzip, which this build of terrazzo cannot unpack: unpack it first (gzip -d)");
}
#endif

input::input(std::string name, std::unique_ptr<byte_source> source, std::size_t piece_bytes)
    : name_(std::move(name)), source_(std::move(source)), piece_(std::max(piece_bytes, least_piece_bytes)) {
  const std::string_view magic = peek(6);
  const bool is_xz = magic == std::string_view(
                                  "\xfd"
                                  "7zXZ\0",
                                  6);
  const bool is_gzip = magic.starts_with("\x1f\x8b");
  if (!is_xz && !is_gzip) return;
  std::vector<unsigned char> first(piece_.begin(), piece_.begin() + static_cast<std::ptrdiff_t>(filled_));
  source_ = (is_xz ? unpack_xz : unpack_gzip)(name_, std::move(source_), std::move(first));
  position_ = filled_ = 0;
  is_packed_ = true;
}

input input::from_file(const std::string& path, progress_callback progress) {
  if (path == "-") {
#ifdef _WIN32
    _setmode(_fileno(stdin), _O_BINARY);
#endif
    return {"stdin", std::make_unique<file_source>("stdin", stdin, 0, std::move(progress)), default_piece_bytes};
  }
  std::FILE* file = std::fopen(path.c_str(), "rb");
  if (file == nullptr) throw trace_error(path, "", std::string("cannot be opened: ") + std::strerror(errno));
  std::error_code no_size;
  const std::uintmax_t size = std::filesystem::file_size(path, no_size);
  auto source =
      std::make_unique<file_source>(path, file, no_size ? 0 : static_cast<std::uint64_t>(size), std::move(progress));
  return {path, std::move(source), default_piece_bytes};
}

input input::from_memory(std::string name, std::span<const unsigned char> bytes, std::size_t piece_bytes) {
  return {std::move(name), std::make_unique<memory_source>(bytes), piece_bytes};
}

// Replaces a piece that has been handed out.
bool input::fill() {
  piece_offset_ += position_;
  position_ = 0;
  filled_ = source_->read(piece_.data(), piece_.size());
  return filled_ != 0;
}

bool input::read(unsigned char* to, std::size_t bytes) {
  while (bytes != 0) {
    if (position_ == filled_ && !fill()) return false;
    const std::size_t some = std::min(bytes, filled_ - position_);
    std::memcpy(to, piece_.data() + position_, some);
    position_ += some;
    to += some;
    bytes -= some;
  }
  return true;
}

bool input::skip(std::uint64_t bytes) {
  while (bytes != 0) {
    if (position_ == filled_ && !fill()) return false;
    const auto some = static_cast<std::size_t>(std::min<std::uint64_t>(bytes, filled_ - position_));
    position_ += some;
    bytes -= some;
  }
  return true;
}

std::string_view input::peek(std::size_t bytes) {
  while (filled_ - position_ < bytes) {
    if (position_ != 0) {
      std::memmove(piece_.data(), piece_.data() + position_, filled_ - position_);
      filled_ -= position_;
      piece_offset_ += position_;
      position_ = 0;
    }
    const std::size_t got = source_->read(piece_.data() + filled_, piece_.size() - filled_);
    if (got == 0) break;
    filled_ += got;
  }
  return {reinterpret_cast<const char*>(piece_.data()) + position_, std::min(bytes, filled_ - position_)};
}

bool input::read_line(std::string_view& line, std::size_t most_bytes) {
  line_.clear();
  bool ended = false;
  bool any = false;
  while (!ended && (position_ != filled_ || fill())) {
    any = true;
    const unsigned char* from = piece_.data() + position_;
    const auto* newline = static_cast<const unsigned char*>(std::memchr(from, '\n', filled_ - position_));
    ended = newline != nullptr;
    const std::size_t length = ended ? static_cast<std::size_t>(newline - from) : filled_ - position_;
    const std::size_t room = most_bytes + 1 - line_.size();
    line_.append(reinterpret_cast<const char*>(from), std::min(length, room));
    position_ += length + (ended ? 1 : 0);
  }
  line = line_;
  if (line.ends_with('\r')) line.remove_suffix(1);
  return any;
}

void input::fail(const std::string& place, const std::string& reason) const { throw trace_error(name_, place, reason); }

void input::fail_at_byte(std::uint64_t offset, const std::string& reason) const {
  fail(byte_place(offset) + (is_packed_ ? " after unpacking" : ""), reason);
}

}  // namespace terrazzo::trace
