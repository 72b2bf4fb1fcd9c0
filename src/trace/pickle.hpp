// Reads a pickle without building what it describes. It is read by a stack machine, as Python does, whose values are
// handles of 16 bytes:
//
//   value        none, a number, a text, or a container, of which only a label is kept
//   word         a text that means something to the client; all other texts are one word, `unknown_word`
//   field        what a dictionary has under a word
//   label        64 bits that the client gives to a dictionary or a list, to know it again where it is put; 0: nothing
//   region       the values above a mark, or between two marks
//   open         said of a dictionary that has fields and may get more. It is closed when the next one begins beside
//                it, or when it is put somewhere, and only its label is left
//   run          neighbours in a region that have the same label: one value with a count
//
// So a list of millions of dictionaries is never held, however it was written: Python puts a thousand items at a time
// into a list, PyTorch's C++ writer all of them at once.
//
// Read: protocols 2 to 5, plain data (dictionaries, lists, tuples, sets, numbers, texts, bytes, None). Refused, by name:
// what names a class or function, since reading that means running it; persistent ids; buffers out of band; the text
// opcodes of protocols 0 and 1. A dictionary or list that is fetched from the memo is only known as such: its content is
// not kept, and clients refuse it where content matters.
//
// Memory: `fixed_bytes` at most, and a byte for each value that the pickle puts into its memo; a text is kept only where
// the client asks, up to `most_kept_text_bytes`. No length in the file makes anything larger.
//
// Source: Lib/pickletools.py of Python 3.13; torch/csrc/jit/serialization/pickler.cpp of PyTorch.
#pragma once

#include <array>
#include <cstdint>
#include <span>
#include <string>
#include <string_view>
#include <vector>

#include "trace/input.hpp"

namespace terrazzo::trace {

inline constexpr std::uint8_t unknown_word = 200;
inline constexpr std::size_t most_fields = 16;

enum class pickle_kind : std::uint8_t {
  none,
  boolean,
  integer,       ///< that fits 64 bits with sign, in `bits`
  wide_integer,  ///< any other
  real,
  text,  ///< `bits` is the word
  bytes,
  tuple,
  set,
  dictionary,  ///< `bits` is the label
  list,        ///< likewise
  reference,   ///< fetched from the memo: anything but a text
};

/// Names a kind with its article: "a list".
[[nodiscard]] std::string_view describe(pickle_kind kind) noexcept;

struct pickle_value {
  pickle_kind kind = pickle_kind::none;
  bool is_open = false;     ///< a dictionary with fields that has not been closed
  bool is_closed = false;   ///< a dictionary with fields that has been
  std::uint32_t count = 1;  ///< more than 1: a run
  std::uint64_t bits = 0;

  [[nodiscard]] std::int64_t integer() const noexcept { return static_cast<std::int64_t>(bits); }
};

/// The fields of a dictionary whose names are the first `most_fields` words. Of a field that was set twice, the last
/// value counts.
struct pickle_fields {
  std::uint64_t offset = 0;  ///< of the dictionary in the file
  std::uint32_t present = 0;
  std::array<pickle_value, most_fields> values;

  [[nodiscard]] bool has(std::uint8_t word) const noexcept { return (present >> word & 1) != 0; }
  [[nodiscard]] const pickle_value& at(std::uint8_t word) const noexcept { return values[word]; }
};

/// Whoever wants something of a pickle.
class pickle_client {
 public:
  virtual ~pickle_client() = default;

  /// The words, at most `unknown_word`; those of fields first.
  [[nodiscard]] virtual std::span<const std::string_view> words() const = 0;

  /// A dictionary has been closed; the client returns its label. `list_label`: of the list that it is, or will be, put
  /// into, which may be changed; null: it is not put into a list.
  virtual std::uint64_t close_dictionary(const pickle_fields& fields, std::uint64_t* list_label) = 0;

  /// An item, or a run of `item.count`, is put into a list; the client returns the list's new label.
  virtual std::uint64_t append(std::uint64_t list_label, const pickle_value& item, std::uint64_t offset) = 0;

  /// The word whose value, if it is a text, is wanted as it stands: the text that follows it, unless it was fetched from
  /// the memo.
  [[nodiscard]] virtual std::uint8_t kept_text() const = 0;
  virtual void keep_text(std::string text) = 0;
};

class pickle_reader {
 public:
  static constexpr std::size_t most_values = std::size_t{1} << 16;
  static constexpr std::size_t most_marks = 500;
  static constexpr std::size_t most_open = 100;
  static constexpr std::size_t most_kept_text_bytes = std::size_t{64} << 10;
  static constexpr std::size_t fixed_bytes = std::size_t{4} << 20;

  pickle_reader(input& from, pickle_client& to);

  /// Reads the pickle and returns its value; the input stands behind it then.
  /// Errors: `trace_error`, with the byte at which the opcode at fault begins.
  [[nodiscard]] pickle_value read();

 private:
  struct open_dictionary {
    std::size_t place = 0;  // in stack_
    pickle_fields fields;
  };

  // Do what an opcode says; false if it is not of their kind.
  [[nodiscard]] bool read_scalar(int opcode);
  [[nodiscard]] bool read_memo(int opcode);
  [[nodiscard]] bool read_structure(int opcode);
  void read_protocol();
  [[nodiscard]] pickle_value stop();
  [[noreturn]] void refuse(int opcode);
  [[nodiscard]] std::uint64_t little_endian(std::size_t bytes);
  void read_long(std::uint64_t bytes);
  void read_text(std::uint64_t bytes);
  void skip(std::uint64_t bytes, const char* what);
  [[noreturn]] void fail(const std::string& reason) const;
  [[noreturn]] void fail_cut_off() const;

  void push(pickle_kind kind, std::uint64_t bits = 0);
  void push_container(pickle_kind kind);
  void push_reference();
  void pop();
  void drop_from(std::size_t place);
  [[nodiscard]] std::size_t region_start() const noexcept { return marks_.empty() ? 0 : marks_.back(); }
  void need_values(std::size_t count) const;
  [[nodiscard]] std::size_t take_mark();
  [[nodiscard]] std::size_t take_mark_above(pickle_kind kind);

  void settle_top();
  void close(std::size_t place, std::uint64_t* list_label);
  void close_values_from(std::size_t place);
  [[nodiscard]] std::uint64_t* list_around(std::size_t place) noexcept;
  [[nodiscard]] pickle_fields& open(std::size_t place);
  void close_neighbours(std::size_t place);

  void set_items();
  void set_item();
  void append_items();
  void append_item();
  void make_tuple(std::size_t count);
  void memoize(std::uint64_t index);
  void fetch(std::uint64_t index);

  input& input_;
  pickle_client& client_;
  std::span<const std::string_view> words_;
  std::uint8_t kept_word_;
  std::uint64_t opcode_offset_ = 0;
  std::vector<pickle_value> stack_;
  std::vector<std::size_t> marks_;     // places in stack_ above which a region begins
  std::vector<open_dictionary> open_;  // by place
  std::vector<std::uint8_t> memo_;     // a kind, or first_word + word
  std::string scratch_;
};

}  // namespace terrazzo::trace
