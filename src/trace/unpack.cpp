// Unpacks xz and gzip with the system's libraries.
#include <lzma.h>
#include <zlib.h>

#include <algorithm>
#include <limits>
#include <utility>

#include "trace/input.hpp"

namespace terrazzo::trace {

namespace {

// What `xz -9` needs is 65 MiB; a file may ask for up to 4 GiB.
constexpr std::uint64_t most_xz_memory_bytes = std::uint64_t{256} << 20;

// The packed bytes, piece by piece.
class packed_bytes {
 public:
  packed_bytes(const std::string& name, std::unique_ptr<byte_source> source, std::vector<unsigned char> first)
      : name_(name), source_(std::move(source)), piece_(std::move(first)), filled_(piece_.size()) {}

  // Reads the next piece, when this one has been used up; false at the end.
  bool next() {
    before_ += filled_;
    if (piece_.size() < input::default_piece_bytes) piece_.resize(input::default_piece_bytes);
    filled_ = source_->read(piece_.data(), piece_.size());
    return filled_ != 0;
  }
  [[nodiscard]] unsigned char* data() noexcept { return piece_.data(); }
  [[nodiscard]] std::size_t size() const noexcept { return filled_; }

  [[noreturn]] void fail(std::size_t unused, const std::string& reason) const {
    throw trace_error(name_, byte_place(before_ + filled_ - unused) + " of the packed file", reason);
  }

 private:
  std::string name_;
  std::unique_ptr<byte_source> source_;
  std::vector<unsigned char> piece_;
  std::size_t filled_;
  std::uint64_t before_ = 0;
};

class xz_source final : public byte_source {
 public:
  xz_source(const std::string& name, std::unique_ptr<byte_source> packed, std::vector<unsigned char> first)
      : packed_(name, std::move(packed), std::move(first)) {
    if (lzma_stream_decoder(&stream_, most_xz_memory_bytes, LZMA_CONCATENATED) != LZMA_OK)
      throw trace_error(name, "", "liblzma does not start");
    stream_.next_in = packed_.data();
    stream_.avail_in = packed_.size();
  }
  ~xz_source() override { lzma_end(&stream_); }
  xz_source(const xz_source&) = delete;
  xz_source& operator=(const xz_source&) = delete;

  std::size_t read(unsigned char* to, std::size_t capacity) override {
    stream_.next_out = to;
    stream_.avail_out = capacity;
    while (stream_.avail_out == capacity && !ended_) {
      if (stream_.avail_in == 0 && action_ == LZMA_RUN) {
        if (!packed_.next()) action_ = LZMA_FINISH;
        stream_.next_in = packed_.data();
        stream_.avail_in = packed_.size();
      }
      const lzma_ret result = lzma_code(&stream_, action_);
      if (result == LZMA_STREAM_END) ended_ = true;
      else if (result != LZMA_OK) packed_.fail(stream_.avail_in, reason(result));
    }
    return capacity - stream_.avail_out;
  }

 private:
  static std::string reason(lzma_ret result) {
    switch (result) {
      case LZMA_BUF_ERROR:
        return "the xz data ends too early: the file is cut off";
      case LZMA_DATA_ERROR:
      case LZMA_FORMAT_ERROR:
        return "the xz data is damaged";
      case LZMA_MEMLIMIT_ERROR:
        return "the xz data needs more than 256 MiB to unpack: unpack it first (xz -d)";
      case LZMA_OPTIONS_ERROR:
        return "the xz data is of a kind that liblzma does not know: unpack it first (xz -d)";
      default:
        return "liblzma reports error " + std::to_string(static_cast<int>(result));
    }
  }

  packed_bytes packed_;
  lzma_stream stream_ = LZMA_STREAM_INIT;
  lzma_action action_ = LZMA_RUN;
  bool ended_ = false;
};

class gzip_source final : public byte_source {
 public:
  gzip_source(const std::string& name, std::unique_ptr<byte_source> packed, std::vector<unsigned char> first)
      : packed_(name, std::move(packed), std::move(first)) {
    constexpr int largest_window_and_gzip_header = 15 + 16;
    if (inflateInit2(&stream_, largest_window_and_gzip_header) != Z_OK)
      throw trace_error(name, "", "zlib does not start");
    stream_.next_in = packed_.data();
    stream_.avail_in = static_cast<unsigned>(packed_.size());
  }
  ~gzip_source() override { inflateEnd(&stream_); }
  gzip_source(const gzip_source&) = delete;
  gzip_source& operator=(const gzip_source&) = delete;

  std::size_t read(unsigned char* to, std::size_t capacity) override {
    const auto room = static_cast<unsigned>(std::min<std::size_t>(capacity, std::numeric_limits<unsigned>::max()));
    stream_.next_out = to;
    stream_.avail_out = room;
    while (stream_.avail_out == room) {
      if (stream_.avail_in == 0 && !refill()) {
        if (between_members_) break;
        packed_.fail(0, "the gzip data ends too early: the file is cut off");
      }
      if (between_members_ && !begin_member()) continue;
      const int result = inflate(&stream_, Z_NO_FLUSH);
      if (result == Z_STREAM_END) between_members_ = true;
      else if (result == Z_MEM_ERROR) packed_.fail(stream_.avail_in, "zlib has no memory");
      else if (result != Z_OK && result != Z_BUF_ERROR) packed_.fail(stream_.avail_in, "the gzip data is damaged");
    }
    return room - stream_.avail_out;
  }

 private:
  bool refill() {
    const bool any = packed_.next();
    stream_.next_in = packed_.data();
    stream_.avail_in = static_cast<unsigned>(packed_.size());
    return any;
  }

  // A gzip file may have several members, and zeros behind them (tapes). Anything else is passed to zlib, which complains.
  bool begin_member() {
    while (stream_.avail_in != 0 && *stream_.next_in == 0) {
      ++stream_.next_in;
      --stream_.avail_in;
    }
    if (stream_.avail_in == 0) return false;
    inflateReset(&stream_);
    between_members_ = false;
    return true;
  }

  packed_bytes packed_;
  z_stream stream_{};
  bool between_members_ = false;
};

}  // namespace

std::unique_ptr<byte_source> unpack_xz(const std::string& name, std::unique_ptr<byte_source> packed,
                                       std::vector<unsigned char> first) {
  return std::make_unique<xz_source>(name, std::move(packed), std::move(first));
}

std::unique_ptr<byte_source> unpack_gzip(const std::string& name, std::unique_ptr<byte_source> packed,
                                         std::vector<unsigned char> first) {
  return std::make_unique<gzip_source>(name, std::move(packed), std::move(first));
}

}  // namespace terrazzo::trace
