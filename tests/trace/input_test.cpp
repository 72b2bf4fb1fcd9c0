#include "trace/input.hpp"

#include "trace/fixture.hpp"

#if TERRAZZO_TRACE_UNPACKS
#include <lzma.h>
#include <zlib.h>
#endif

using namespace terrazzo::trace;
using namespace trace_test;

namespace {

std::string numbers(int count) {
  std::string text;
  for (int i = 0; i < count; ++i) text += std::to_string(i) + "\n";
  return text;
}

std::string read_all(std::string_view bytes, std::size_t piece_bytes = 512) {
  input from = input::from_memory("run.pickle", as_bytes(bytes), piece_bytes);
  std::string all;
  for (int next = from.get(); next >= 0; next = from.get()) all += static_cast<char>(next);
  CHECK(from.offset() == all.size());
  return all;
}

}  // namespace

TEST_CASE("input: bytes come in order however they are asked for") {
  const std::string text = numbers(3000);
  for (const std::size_t piece : {512, 1000, 1 << 20}) {
    CAPTURE(piece);
    CHECK(read_all(text, piece) == text);
    input from = input::from_memory("x", as_bytes(text), piece);
    std::string all;
    unsigned char some[100];
    for (int i = 0; i < 20; ++i) {
      const std::string_view shown = from.peek(300);
      CHECK(shown == text.substr(all.size(), 300));
      CHECK(from.offset() == all.size());
      CHECK(from.read(some, 100));
      all.append(reinterpret_cast<const char*>(some), 100);
      CHECK(from.skip(450));
      all += text.substr(all.size(), 450);
      all += static_cast<char>(from.get());
    }
    CHECK(all == text.substr(0, all.size()));
    CHECK(!from.skip(text.size()));
    CHECK(from.get() == -1);
    CHECK(from.peek(5).empty());
    CHECK(!from.read(some, 1));
  }
}

TEST_CASE("input: lines end with either ending or the file and long ones are cut") {
  const std::string text = "one\ntwo\r\n\n" + std::string(2000, 'x') + "\nlast";
  input from = input::from_memory("x", as_bytes(text), 512);
  std::string_view line;
  std::vector<std::string> all;
  while (from.read_line(line, 1000)) all.emplace_back(line);
  CHECK(all == std::vector<std::string>{"one", "two", "", std::string(1001, 'x'), "last"});
}

#if TERRAZZO_TRACE_UNPACKS

namespace {

std::string xz(const std::string& text) {
  std::string packed(lzma_stream_buffer_bound(text.size()), '\0');
  std::size_t length = 0;
  CHECK(lzma_easy_buffer_encode(1, LZMA_CHECK_CRC64, nullptr, as_bytes(text).data(), text.size(),
                                reinterpret_cast<std::uint8_t*>(packed.data()), &length, packed.size()) == LZMA_OK);
  packed.resize(length);
  return packed;
}

std::string gzip(const std::string& text) {
  z_stream stream{};
  CHECK(deflateInit2(&stream, 6, Z_DEFLATED, 15 + 16, 8, Z_DEFAULT_STRATEGY) == Z_OK);
  std::string packed(deflateBound(&stream, text.size()), '\0');
  stream.next_in = const_cast<Bytef*>(as_bytes(text).data());
  stream.avail_in = static_cast<unsigned>(text.size());
  stream.next_out = reinterpret_cast<Bytef*>(packed.data());
  stream.avail_out = static_cast<unsigned>(packed.size());
  CHECK(deflate(&stream, Z_FINISH) == Z_STREAM_END);
  packed.resize(packed.size() - stream.avail_out);
  deflateEnd(&stream);
  return packed;
}

}  // namespace

TEST_CASE("input: xz and gzip are unpacked also in several parts") {
  const std::string text = numbers(20000);
  for (const auto pack : {&xz, &gzip}) {
    CHECK(read_all(pack(text)) == text);
    CHECK(read_all(pack(text), 1 << 20) == text);
    CHECK(read_all(pack(text) + pack("more")) == text + "more");
    CHECK(read_all(pack(text) + std::string(1024, '\0')) == text);
    CHECK(read_all(pack("") + pack("more")) == "more");
  }
}

TEST_CASE("input: packed data that is cut off or damaged is an error with its place") {
  const std::string text = pickled(snapshot({list({event("alloc", 1, 8)})}));
  for (const auto pack : {&xz, &gzip}) {
    const std::string packed = pack(text);
    CHECK(printed(read(packed).at(0)) == "a0/0:8");
    for (std::size_t length = 6; length < packed.size(); ++length) {
      CAPTURE(length);
      const std::string error = error_of(packed.substr(0, length));
      CHECK(contains(error, "of the packed file: the "));
      CHECK(contains(error, "ends too early: the file is cut off"));
    }
    int refused = 0;
    for (std::size_t i = 6; i < packed.size(); ++i) {
      std::string damaged = packed;
      damaged[i] = static_cast<char>(damaged[i] ^ 0x55);
      if (error_of(damaged) != "") ++refused;
    }
    CHECK(refused > static_cast<int>(packed.size()) - 16);  // gzip's header has a few bytes that mean nothing
    CHECK(contains(error_of(packed + "rubbish"), "of the packed file"));
  }
  CHECK(contains(error_of(xz(text).substr(0, 40) + std::string(100, 'x')), "the xz data is damaged"));
  CHECK(contains(error_of(gzip(text).substr(0, 40) + std::string(100, '\xff')), "the gzip data is damaged"));
  CHECK(contains(error_of(gzip("")), "is empty, once unpacked"));
}

TEST_CASE("input: places in a packed file are those of what was unpacked") {
  CHECK(contains(error_of(xz(std::string("\x80\x04Ncos\nsystem\n"))), "byte 3 after unpacking: the opcode GLOBAL"));
  CHECK(contains(error_of(gzip("terrazzo trace 1\nx\n")), "run.pickle: line 2: the line is no operation"));
  CHECK(contains(error_of(gzip(xz("terrazzo trace 1\n"))), "is packed twice: unpack it once first (xz -d)"));
}

#else

TEST_CASE("input: packed files are refused with what to do where they cannot be unpacked") {
  CHECK(contains(error_of(std::string("\xfd"
                                      "7zXZ\0....",
                                      10)),
                 "is packed with xz, which this build of terrazzo cannot unpack"));
  CHECK(contains(error_of("\x1f\x8b......"), "unpack it first (gzip -d)"));
}

#endif
