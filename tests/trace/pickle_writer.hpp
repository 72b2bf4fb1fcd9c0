// Writes pickles as the two writers of snapshots do: Python's pickler, which memoizes a container before its content and
// puts a thousand items at a time, and PyTorch's C++ writer, which memoizes behind the content and puts all at once.
#pragma once

#include <cstdint>
#include <initializer_list>
#include <map>
#include <string>
#include <utility>
#include <vector>

namespace trace_test {

struct value {
  enum class kind { none, boolean, integer, text, list, dictionary, tuple };

  value() = default;
  value(bool boolean) : is(kind::boolean), number(boolean) {}
  value(int integer) : is(kind::integer), number(integer) {}
  value(std::int64_t integer) : is(kind::integer), number(integer) {}
  value(const char* letters) : is(kind::text), text(letters) {}
  value(std::string letters) : is(kind::text), text(std::move(letters)) {}

  kind is = kind::none;
  std::int64_t number = 0;
  std::string text;
  std::vector<value> items;  // of a dictionary: key, value, key, value
};

inline value list(std::vector<value> items) {
  value made;
  made.is = value::kind::list;
  made.items = std::move(items);
  return made;
}

inline value tuple(std::vector<value> items) {
  value made = list(std::move(items));
  made.is = value::kind::tuple;
  return made;
}

inline value dictionary(std::initializer_list<std::pair<const char*, value>> items) {
  value made;
  made.is = value::kind::dictionary;
  for (const auto& [name, content] : items) {
    made.items.emplace_back(name);
    made.items.push_back(content);
  }
  return made;
}

inline std::string little_endian(std::uint64_t number, int bytes) {
  std::string made;
  for (int i = 0; i < bytes; ++i) made += static_cast<char>(number >> (8 * i) & 0xff);
  return made;
}

enum class pickler { python_2, python_4, python_5, torch };
inline constexpr pickler all_picklers[] = {pickler::python_2, pickler::python_4, pickler::python_5, pickler::torch};

class pickle_writer {
 public:
  explicit pickle_writer(pickler as) : as_(as) {}

  std::string write(const value& root) {
    bytes_ = std::string("\x80") + (is_old() ? '\2' : as_ == pickler::python_4 ? '\4' : '\5');
    if (!is_old()) bytes_ += '\x95' + little_endian(0, 8);
    put(root);
    return bytes_ + '.';
  }

 private:
  bool is_old() const { return as_ == pickler::python_2 || as_ == pickler::torch; }
  std::size_t batch() const { return as_ == pickler::torch ? static_cast<std::size_t>(-1) : 1000; }

  void memoize() {
    const std::uint64_t index = memo_++;
    if (!is_old()) bytes_ += '\x94';
    else bytes_ += index < 256 ? 'q' + little_endian(index, 1) : 'r' + little_endian(index, 4);
  }

  void put(const value& each) {
    switch (each.is) {
      case value::kind::none:
        bytes_ += 'N';
        return;
      case value::kind::boolean:
        bytes_ += each.number != 0 ? '\x88' : '\x89';
        return;
      case value::kind::integer:
        put_number(each.number);
        return;
      case value::kind::text:
        put_text(each.text);
        return;
      case value::kind::list:
      case value::kind::dictionary:
        put_container(each);
        return;
      case value::kind::tuple:
        if (each.items.empty() || each.items.size() > 3) bytes_ += '(';
        for (const value& item : each.items) put(item);
        bytes_ += each.items.empty() || each.items.size() > 3 ? 't' : static_cast<char>(0x84 + each.items.size());
        if (as_ != pickler::torch) memoize();
        return;
    }
  }

  void put_number(std::int64_t number) {
    if (number >= 0 && number < 256) bytes_ += 'K' + little_endian(static_cast<std::uint64_t>(number), 1);
    else if (number >= 0 && number < 65536) bytes_ += 'M' + little_endian(static_cast<std::uint64_t>(number), 2);
    else if (number == static_cast<std::int32_t>(number))
      bytes_ += 'J' + little_endian(static_cast<std::uint64_t>(number), 4);
    else bytes_ += "\x8a\x08" + little_endian(static_cast<std::uint64_t>(number), 8);
  }

  void put_text(const std::string& text) {
    if (const auto known = texts_.find(text); known != texts_.end()) {
      bytes_ += known->second < 256 ? 'h' + little_endian(known->second, 1) : 'j' + little_endian(known->second, 4);
      return;
    }
    texts_[text] = memo_;
    if (is_old() || text.size() > 255) bytes_ += 'X' + little_endian(text.size(), 4);
    else bytes_ += '\x8c' + little_endian(text.size(), 1);
    bytes_ += text;
    memoize();
  }

  void put_container(const value& each) {
    const bool is_list = each.is == value::kind::list;
    const std::size_t width = is_list ? 1 : 2;
    const std::size_t count = each.items.size() / width;
    bytes_ += is_list ? ']' : '}';
    if (as_ != pickler::torch) memoize();
    for (std::size_t first = 0; first < count || (as_ == pickler::torch && first == 0);) {
      const std::size_t some = count - first < batch() ? count - first : batch();
      const bool is_single = some == 1 && as_ != pickler::torch;
      if (!is_single) bytes_ += '(';
      for (std::size_t i = first * width; i < (first + some) * width; ++i) put(each.items[i]);
      bytes_ += is_list ? (is_single ? 'a' : 'e') : (is_single ? 's' : 'u');
      first += some == 0 ? 1 : some;
    }
    if (as_ == pickler::torch) memoize();
  }

  pickler as_;
  std::string bytes_;
  std::uint64_t memo_ = 0;
  std::map<std::string, std::uint64_t> texts_;
};

inline std::string pickled(const value& root, pickler as = pickler::python_4) { return pickle_writer(as).write(root); }

}  // namespace trace_test
