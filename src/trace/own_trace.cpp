#include <fmt/format.h>

#include <limits>
#include <ostream>

#include "trace/builder.hpp"
#include "trace/lines.hpp"
#include "trace/text.hpp"

namespace terrazzo::trace {

namespace {

constexpr std::string_view settings_word = "settings ";
constexpr std::string_view device_word = "device ";
constexpr std::string_view grammar =
    "a line is \"a BLOCK STREAM BYTES\", \"f BLOCK\", \"f BLOCK STREAM\", or a comment after #";

void read_operation(line_reader& lines, program_builder& builder) {
  const std::vector<std::string_view>& parts = lines.parts(' ');
  if (parts[0] == "a" && parts.size() == 4) {
    const std::uint64_t block = lines.decimal(parts[1], "the block");
    const std::uint64_t stream = lines.decimal(parts[2], "the stream");
    const std::uint64_t bytes = lines.decimal(parts[3], "the size");
    if (builder.is_live(block)) lines.fail(fmt::format("block {} is allocated, and has not been freed", block));
    builder.allocate(block, bytes, stream);
  } else if (parts[0] == "f" && (parts.size() == 2 || parts.size() == 3)) {
    const std::uint64_t block = lines.decimal(parts[1], "the block");
    if (!builder.is_live(block)) lines.fail(fmt::format("block {} is freed, and is not allocated", block));
    if (parts.size() == 2) builder.free_live(block);
    else builder.free(block, 0, lines.decimal(parts[2], "the stream"));
  } else {
    lines.fail(std::string("the line is no operation: ") + std::string(grammar));
  }
}

}  // namespace

program read_own_trace(input& from) {
  line_reader lines(from);
  if (!lines.next() || lines.text() != own_trace_header)
    lines.fail(fmt::format("a terrazzo trace begins with the line \"{}\"; this may be one of a later version",
                           own_trace_header));
  program_builder builder;
  std::uint64_t device = 0;
  std::string settings;
  while (lines.next()) {
    const std::string_view text = lines.text();
    if (text.empty() || text[0] == '#') continue;
    const bool is_settings = text.starts_with(settings_word);
    const bool is_device = text.starts_with(device_word);
    if ((is_settings || is_device) && !builder.is_empty())
      lines.fail("settings and device stand before the operations");
    if (is_settings) {
      settings = text.substr(settings_word.size());
    } else if (is_device) {
      device = lines.decimal(text.substr(device_word.size()), "the device");
      if (device > static_cast<std::uint64_t>(std::numeric_limits<int>::max())) lines.fail("the device is too large");
    } else {
      read_operation(lines, builder);
    }
  }
  if (builder.is_empty()) from.fail("", "the trace has no allocations");
  program made = builder.finish();
  made.format = "terrazzo trace";
  made.device = static_cast<int>(device);
  made.source_settings = std::move(settings);
  return made;
}

void write_program(const program& of, std::ostream& to) {
  fmt::memory_buffer text;
  const auto flush = [&] {
    to.write(text.data(), static_cast<std::streamsize>(text.size()));
    text.clear();
  };
  fmt::format_to(fmt::appender(text), "{}\ndevice {}\n", own_trace_header, of.device);
  if (!of.source_settings.empty()) {
    std::string settings = of.source_settings;
    for (char& letter : settings)
      if (letter == '\n' || letter == '\r') letter = ' ';
    fmt::format_to(fmt::appender(text), "{}{}\n", settings_word, settings);
  }
  std::vector<std::uint32_t> stream_of(of.block_count);
  for (const operation& each : of.operations) {
    if (each.kind == operation_kind::allocate) {
      stream_of[each.block] = each.stream;
      fmt::format_to(fmt::appender(text), "a {} {} {}\n", each.block, each.stream, each.bytes);
    } else if (stream_of[each.block] == each.stream) {
      fmt::format_to(fmt::appender(text), "f {}\n", each.block);
    } else {
      fmt::format_to(fmt::appender(text), "f {} {}\n", each.block, each.stream);
    }
    if (text.size() > std::size_t{1} << 16) flush();
  }
  flush();
}

}  // namespace terrazzo::trace
