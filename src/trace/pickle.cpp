#include "trace/pickle.hpp"

#include <fmt/format.h>

#include <algorithm>

#include "trace/opcodes.hpp"

namespace terrazzo::trace {

std::string_view describe(pickle_kind kind) noexcept {
  constexpr std::string_view names[] = {"None",    "a boolean",    "an integer", "an integer of more than 64 bits",
                                        "a float", "a text",       "bytes",      "a tuple",
                                        "a set",   "a dictionary", "a list",     "a reference to an earlier value"};
  return names[static_cast<std::size_t>(kind)];
}

pickle_reader::pickle_reader(input& from, pickle_client& to)
    : input_(from), client_(to), words_(to.words()), kept_word_(to.kept_text()) {}

pickle_value pickle_reader::read() {
  for (bool is_first = true;; is_first = false) {
    opcode_offset_ = input_.offset();
    const int opcode = input_.get();
    if (opcode < 0) fail_cut_off();
    if (is_first != (opcode == opcodes::proto)) {
      fail(is_first ? "a pickle begins with its protocol, of 2 to 5; this is none, or one of protocol 0 or 1"
                    : "the protocol is named a second time");
    }
    if (opcode == opcodes::stop) return stop();
    if (!read_scalar(opcode) && !read_memo(opcode) && !read_structure(opcode)) refuse(opcode);
  }
}

pickle_value pickle_reader::stop() {
  if (!marks_.empty() || stack_.size() != 1 || stack_.back().count != 1)
    fail(fmt::format("the pickle ends with {} values and {} marks left, where one value should be", stack_.size(),
                     marks_.size()));
  if (stack_.back().is_open) close(0, nullptr);
  return stack_.back();
}

bool pickle_reader::read_scalar(int opcode) {
  switch (opcode) {
    case opcodes::none:
      push(pickle_kind::none);
      return true;
    case opcodes::newtrue:
    case opcodes::newfalse:
      push(pickle_kind::boolean, opcode == opcodes::newtrue ? 1 : 0);
      return true;
    case opcodes::binint1:
      push(pickle_kind::integer, little_endian(1));
      return true;
    case opcodes::binint2:
      push(pickle_kind::integer, little_endian(2));
      return true;
    case opcodes::binint: {
      const auto number = static_cast<std::int32_t>(static_cast<std::uint32_t>(little_endian(4)));
      push(pickle_kind::integer, static_cast<std::uint64_t>(std::int64_t{number}));
      return true;
    }
    case opcodes::long1:
      read_long(little_endian(1));
      return true;
    case opcodes::long4: {
      const std::uint64_t length = little_endian(4);
      if (length > 0x7fffffff) fail("LONG4 has a negative length");
      read_long(length);
      return true;
    }
    case opcodes::binfloat:
      skip(8, "a float");
      push(pickle_kind::real);
      return true;
    case opcodes::short_binunicode:
    case opcodes::short_binstring:
      read_text(little_endian(1));
      return true;
    case opcodes::binunicode:
      read_text(little_endian(4));
      return true;
    case opcodes::binunicode8:
      read_text(little_endian(8));
      return true;
    case opcodes::binstring: {
      const std::uint64_t length = little_endian(4);
      if (length > 0x7fffffff) fail("BINSTRING has a negative length");
      read_text(length);
      return true;
    }
    case opcodes::short_binbytes:
    case opcodes::binbytes:
    case opcodes::binbytes8:
    case opcodes::bytearray8:
      skip(little_endian(opcode == opcodes::short_binbytes ? 1 : opcode == opcodes::binbytes ? 4 : 8), "bytes");
      push(pickle_kind::bytes);
      return true;
    default:
      return false;
  }
}

bool pickle_reader::read_memo(int opcode) {
  switch (opcode) {
    case opcodes::memoize:
      memoize(memo_.size());
      return true;
    case opcodes::binput:
      memoize(little_endian(1));
      return true;
    case opcodes::long_binput:
      memoize(little_endian(4));
      return true;
    case opcodes::binget:
      fetch(little_endian(1));
      return true;
    case opcodes::long_binget:
      fetch(little_endian(4));
      return true;
    default:
      return false;
  }
}

bool pickle_reader::read_structure(int opcode) {
  switch (opcode) {
    case opcodes::frame:
      static_cast<void>(little_endian(8));  // a hint for readers that read ahead
      return true;
    case opcodes::mark:
      if (marks_.size() == most_marks) fail(fmt::format("values are nested more than {} deep", most_marks));
      marks_.push_back(stack_.size());
      return true;
    case opcodes::empty_dict:
      push_container(pickle_kind::dictionary);
      return true;
    case opcodes::empty_list:
      push_container(pickle_kind::list);
      return true;
    case opcodes::empty_set:
      push_container(pickle_kind::set);
      return true;
    case opcodes::empty_tuple:
      push(pickle_kind::tuple);
      return true;
    case opcodes::setitems:
      set_items();
      return true;
    case opcodes::setitem:
      set_item();
      return true;
    case opcodes::appends:
      append_items();
      return true;
    case opcodes::append:
      append_item();
      return true;
    case opcodes::additems:
      drop_from(take_mark_above(pickle_kind::set));
      return true;
    case opcodes::frozenset:
      drop_from(take_mark());
      push(pickle_kind::set);
      return true;
    case opcodes::tuple:
      drop_from(take_mark());
      push(pickle_kind::tuple);
      return true;
    case opcodes::tuple1:
    case opcodes::tuple2:
    case opcodes::tuple3:
      make_tuple(static_cast<std::size_t>(opcode - opcodes::tuple1) + 1);
      return true;
    case opcodes::pop:
      if (stack_.size() == region_start()) static_cast<void>(take_mark());
      else pop();
      return true;
    case opcodes::pop_mark:
      drop_from(take_mark());
      return true;
    case opcodes::dup: {
      need_values(1);
      const pickle_value top = stack_.back();
      if (top.kind >= pickle_kind::tuple) push_reference();
      else push(top.kind, top.bits);
      return true;
    }
    case opcodes::proto:
      read_protocol();
      return true;
    default:
      return false;
  }
}

void pickle_reader::read_protocol() {
  const std::uint64_t protocol = little_endian(1);
  if (protocol < 2 || protocol > 5)
    fail(fmt::format("a pickle of protocol {}: terrazzo reads protocols 2 to 5, of which PyTorch writes", protocol));
}

void pickle_reader::refuse(int opcode) {
  const opcodes::refused* known = opcodes::find_refused(opcode);
  if (known == nullptr) fail(fmt::format("no opcode of a pickle has the number 0x{:02x}", opcode));
  std::string named;
  if (known->has_name) {
    // "module\nname\n", of which an error shows the beginning.
    std::string_view line;
    for (int part = 0; part < 2 && input_.read_line(line, 80); ++part) {
      named += part == 0 ? " (" : ".";
      for (const char letter : line.substr(0, 80)) named += letter > ' ' && letter < '\x7f' ? letter : '?';
    }
    if (!named.empty()) named += ')';
  }
  fail(fmt::format("the opcode {} {}{}", known->name, known->reason, named));
}

std::uint64_t pickle_reader::little_endian(std::size_t bytes) {
  std::uint64_t number = 0;
  for (std::size_t i = 0; i < bytes; ++i) {
    const int next = input_.get();
    if (next < 0) fail_cut_off();
    number |= static_cast<std::uint64_t>(next) << (8 * i);
  }
  return number;
}

void pickle_reader::read_long(std::uint64_t bytes) {
  if (bytes == 0) return push(pickle_kind::integer, 0);
  std::uint64_t number = little_endian(static_cast<std::size_t>(std::min<std::uint64_t>(bytes, 8)));
  if (bytes < 8) {
    const auto unused = static_cast<unsigned>(64 - 8 * bytes);
    number = static_cast<std::uint64_t>(static_cast<std::int64_t>(number << unused) >> unused);
  }
  // What is more than eight bytes must only repeat the sign.
  const int sign = number >> 63 != 0 ? 0xff : 0;
  bool fits = true;
  for (std::uint64_t i = 8; i < bytes; ++i) {
    const int next = input_.get();
    if (next < 0) fail_cut_off();
    fits = fits && next == sign;
  }
  push(fits ? pickle_kind::integer : pickle_kind::wide_integer, fits ? number : 0);
}

void pickle_reader::read_text(std::uint64_t bytes) {
  constexpr std::uint64_t longest_word = 64;
  const bool is_kept = stack_.size() > region_start() && stack_.back().kind == pickle_kind::text &&
                       stack_.back().bits == kept_word_ && bytes <= most_kept_text_bytes;
  if (bytes > longest_word && !is_kept) {
    skip(bytes, "a text");
    return push(pickle_kind::text, unknown_word);
  }
  // Piece by piece: memory grows with what is there, not with what is claimed.
  scratch_.clear();
  for (std::uint64_t rest = bytes; rest != 0;) {
    const std::string_view piece = input_.peek(static_cast<std::size_t>(std::min<std::uint64_t>(rest, longest_word)));
    if (piece.empty()) fail_cut_off();
    scratch_ += piece;
    rest -= piece.size();
    static_cast<void>(input_.skip(piece.size()));
  }
  const auto found = std::find(words_.begin(), words_.end(), std::string_view(scratch_));
  push(pickle_kind::text, found == words_.end() ? unknown_word : static_cast<std::uint64_t>(found - words_.begin()));
  if (is_kept) client_.keep_text(scratch_);
}

void pickle_reader::skip(std::uint64_t bytes, const char* what) {
  if (!input_.skip(bytes)) fail(fmt::format("the file ends within {} of {} bytes: it is cut off", what, bytes));
}

void pickle_reader::fail(const std::string& reason) const { input_.fail_at_byte(opcode_offset_, reason); }

void pickle_reader::fail_cut_off() const {
  input_.fail_at_byte(input_.offset(), "the file ends within the pickle: it is cut off");
}

}  // namespace terrazzo::trace
