// The stack of the pickle machine: values, marks, open dictionaries, the memo.
#include <fmt/format.h>

#include <algorithm>

#include "trace/pickle.hpp"

namespace terrazzo::trace {

namespace {

constexpr std::uint8_t first_word_code = 16;  // in the memo; what is less is a kind

void set_field(pickle_fields& fields, const pickle_value& key, const pickle_value& value) {
  if (key.kind != pickle_kind::text || key.bits >= most_fields) return;
  fields.values[key.bits] = value;
  fields.present |= 1u << key.bits;
}

}  // namespace

void pickle_reader::push(pickle_kind kind, std::uint64_t bits) {
  if (stack_.size() == most_values)
    fail(fmt::format("more than {} values wait to be put somewhere: no snapshot is written so", most_values));
  stack_.push_back({kind, false, false, 1, bits});
}

void pickle_reader::push_container(pickle_kind kind) {
  settle_top();
  push(kind);
}

void pickle_reader::push_reference() {
  if (stack_.size() > region_start() && stack_.back().kind == pickle_kind::reference) ++stack_.back().count;
  else push(pickle_kind::reference);
}

void pickle_reader::pop() {
  need_values(1);
  if (stack_.back().count > 1) --stack_.back().count;
  else drop_from(stack_.size() - 1);
}

void pickle_reader::drop_from(std::size_t place) {
  stack_.resize(place);
  while (!open_.empty() && open_.back().place >= place) open_.pop_back();
}

void pickle_reader::need_values(std::size_t count) const {
  if (stack_.size() < region_start() + count) fail("an opcode takes values that are not there");
}

std::size_t pickle_reader::take_mark() {
  if (marks_.empty()) fail("an opcode takes a mark that is not there");
  const std::size_t place = marks_.back();
  marks_.pop_back();
  return place;
}

// Takes a mark right above a value of that kind.
std::size_t pickle_reader::take_mark_above(pickle_kind kind) {
  const std::size_t place = take_mark();
  if (place == region_start() || stack_[place - 1].kind != kind || stack_[place - 1].count != 1) {
    fail(fmt::format("items are put into {}, where {} should be",
                     place == region_start() ? "nothing" : describe(stack_[place - 1].kind), describe(kind)));
  }
  return place;
}

// A container begins beside or within the topmost value. If that is a dictionary, it is complete, since a dictionary or
// list can be no key of it; and it may join the run below.
void pickle_reader::settle_top() {
  if (stack_.size() == region_start()) return;
  const std::size_t place = stack_.size() - 1;
  if (stack_[place].kind != pickle_kind::dictionary) return;
  if (stack_[place].is_open) close(place, list_around(place));
  if (place == region_start()) return;
  pickle_value& below = stack_[place - 1];
  const pickle_value& top = stack_[place];
  if (below.kind != pickle_kind::dictionary || below.is_open || below.is_closed != top.is_closed ||
      below.bits != top.bits)
    return;
  below.count += top.count;
  stack_.pop_back();
}

void pickle_reader::close(std::size_t place, std::uint64_t* list_label) {
  const auto found = std::find_if(open_.rbegin(), open_.rend(), [&](const auto& each) { return each.place == place; });
  const std::uint64_t label = client_.close_dictionary(found->fields, list_label);
  pickle_value& closed = stack_[place];
  closed.is_open = false;
  closed.is_closed = true;
  closed.bits = label;
  open_.erase(std::next(found).base());
}

void pickle_reader::close_values_from(std::size_t place) {
  while (!open_.empty() && open_.back().place >= place) close(open_.back().place, nullptr);
}

// The label of the list that a value is or will be put into, as far as that can be told: the one right below it, to
// which one item at a time is appended, or the one below the mark.
std::uint64_t* pickle_reader::list_around(std::size_t place) noexcept {
  const std::size_t region = region_start();
  if (place > region && stack_[place - 1].kind == pickle_kind::list) return &stack_[place - 1].bits;
  const std::size_t region_below = marks_.size() > 1 ? marks_[marks_.size() - 2] : 0;
  if (region > region_below && stack_[region - 1].kind == pickle_kind::list) return &stack_[region - 1].bits;
  return nullptr;
}

// Finds or makes the fields of a dictionary that gets some. Nothing above it is open any more.
pickle_fields& pickle_reader::open(std::size_t place) {
  if (stack_[place].is_open) return open_.back().fields;
  if (stack_[place].is_closed || stack_[place].count != 1) fail("a dictionary gets more items after its end");
  if (open_.size() == most_open) close_neighbours(place);
  if (open_.size() == most_open) fail(fmt::format("dictionaries are nested more than {} deep", most_open));
  open_.emplace_back().place = place;
  open_.back().fields.offset = opcode_offset_;
  stack_[place].is_open = true;
  return open_.back().fields;
}

// Dictionaries that have something else than a container to their right stay open until the list gets them. When there
// are too many of those, they are closed; all but one that the value at `place` may be put into.
void pickle_reader::close_neighbours(std::size_t place) {
  const auto is_here = [&](const open_dictionary& each) { return each.place >= region_start(); };
  const auto first = std::find_if(open_.begin(), open_.end(), is_here) - open_.begin();
  while (static_cast<std::size_t>(first) < open_.size()) {
    const std::size_t neighbour = open_[static_cast<std::size_t>(first)].place;
    if (neighbour + 2 >= place) return;
    close(neighbour, list_around(neighbour));
  }
}

void pickle_reader::set_items() {
  const std::size_t first = take_mark_above(pickle_kind::dictionary);
  if (first == stack_.size()) return;
  close_values_from(first);
  pickle_fields& fields = open(first - 1);
  // Of a run, which holds containers alone, only the first can be the value for a key that means something.
  const pickle_value* key = nullptr;
  for (std::size_t i = first; i < stack_.size(); ++i) {
    std::uint32_t rest = stack_[i].count;
    if (key != nullptr) {
      set_field(fields, *key, stack_[i]);
      --rest;
    }
    key = rest % 2 == 1 ? &stack_[i] : nullptr;
  }
  if (key != nullptr) fail("SETITEMS finds a key without a value");
  drop_from(first);
}

void pickle_reader::set_item() {
  need_values(3);
  const std::size_t target = stack_.size() - 3;
  if (stack_[target].kind != pickle_kind::dictionary)
    fail(fmt::format("SETITEM puts an item into {}", describe(stack_[target].kind)));
  close_values_from(target + 1);
  set_field(open(target), stack_[target + 1], stack_[target + 2]);
  drop_from(target + 1);
}

void pickle_reader::append_items() {
  const std::size_t first = take_mark_above(pickle_kind::list);
  std::uint64_t& label = stack_[first - 1].bits;
  for (std::size_t i = first; i < stack_.size(); ++i) {
    if (stack_[i].is_open) close(i, &label);
    label = client_.append(label, stack_[i], opcode_offset_);
  }
  drop_from(first);
}

void pickle_reader::append_item() {
  need_values(2);
  const std::size_t item = stack_.size() - 1;
  if (stack_[item].count != 1 || stack_[item - 1].kind != pickle_kind::list)
    fail(fmt::format("APPEND puts an item into {}", describe(stack_[item - 1].kind)));
  std::uint64_t& label = stack_[item - 1].bits;
  if (stack_[item].is_open) close(item, &label);
  label = client_.append(label, stack_[item], opcode_offset_);
  drop_from(item);
}

void pickle_reader::make_tuple(std::size_t count) {
  for (std::size_t i = 0; i < count; ++i) pop();
  push(pickle_kind::tuple);
}

void pickle_reader::memoize(std::uint64_t index) {
  need_values(1);
  const pickle_value& top = stack_.back();
  const auto code = static_cast<std::uint8_t>(top.kind == pickle_kind::text ? first_word_code + top.bits
                                                                            : static_cast<std::uint64_t>(top.kind));
  if (index < memo_.size()) memo_[static_cast<std::size_t>(index)] = code;
  else if (index == memo_.size()) memo_.push_back(code);
  else fail(fmt::format("a value is put into the memo as number {}, when {} is the next", index, memo_.size()));
}

void pickle_reader::fetch(std::uint64_t index) {
  if (index >= memo_.size()) fail(fmt::format("value {} of the memo is fetched, which has {}", index, memo_.size()));
  const std::uint8_t code = memo_[static_cast<std::size_t>(index)];
  if (code >= first_word_code) push(pickle_kind::text, code - first_word_code);
  else push_reference();
}

}  // namespace terrazzo::trace
