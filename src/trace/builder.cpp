#include "trace/builder.hpp"

#include <algorithm>
#include <limits>
#include <stdexcept>
#include <utility>

namespace terrazzo::trace {

namespace {

constexpr std::uint32_t no_number = std::numeric_limits<std::uint32_t>::max();
constexpr std::uint32_t stream_limit = 1u << 30;

// Gives old numbers new ones in the order in which they come by.
class renumbering {
 public:
  explicit renumbering(std::size_t count) : numbers_(count, no_number) {}

  std::uint32_t operator()(std::uint32_t old) {
    if (numbers_[old] == no_number) numbers_[old] = next_++;
    return numbers_[old];
  }

 private:
  std::vector<std::uint32_t> numbers_;
  std::uint32_t next_ = 0;
};

}  // namespace

// Fibonacci hashing, after folding: addresses are multiples of 512 and differ in their middle bits.
std::size_t address_table::place_of(std::uint64_t key) const noexcept {
  const std::size_t mask = entries_.size() - 1;
  std::uint64_t hash = (key ^ (key >> 32)) * 0x9e3779b97f4a7c15u;
  hash ^= hash >> 29;
  std::size_t place = static_cast<std::size_t>(hash) & mask;
  while (entries_[place].is() != state::unknown && entries_[place].key != key) place = (place + 1) & mask;
  return place;
}

address_table::entry& address_table::at(std::uint64_t key) {
  if (entries_.empty()) entries_.resize(8);
  std::size_t place = place_of(key);
  if (entries_[place].is() == state::unknown) {
    if ((size_ + 1) * 4 > entries_.size() * 3) {
      grow();
      place = place_of(key);
    }
    ++size_;
    entries_[place].key = key;
  }
  return entries_[place];
}

const address_table::entry* address_table::find(std::uint64_t key) const noexcept {
  if (entries_.empty()) return nullptr;
  const entry& found = entries_[place_of(key)];
  return found.is() == state::unknown ? nullptr : &found;
}

void address_table::grow() {
  std::vector<entry> old(entries_.size() * 2);
  old.swap(entries_);
  for (const entry& each : old)
    if (each.is() != state::unknown) entries_[place_of(each.key)] = each;
}

void address_table::clear() noexcept {
  entries_ = {};
  size_ = 0;
}

void program_builder::push(operation_kind kind, std::uint32_t stream, std::uint32_t block, std::uint64_t bytes) {
  if (chunks_.empty() || chunks_.back().size() == chunks_.back().capacity()) {
    const std::size_t last = chunks_.empty() ? first_chunk_operations / 2 : chunks_.back().capacity();
    chunks_.emplace_back().reserve(std::min(last * 2, most_chunk_operations));
  }
  chunks_.back().push_back({kind, stream, block, bytes});
  ++count_;
}

std::uint32_t program_builder::stream_number(std::uint64_t handle) {
  if (streams_.size() != 0 && handle == last_stream_handle_) return last_stream_;
  const auto known = static_cast<std::uint32_t>(streams_.size());
  address_table::entry& found = streams_.at(handle);
  if (found.is() == address_table::state::unknown) {
    found.become(address_table::state::live);
    found.value = known;
    if (known == stream_limit) throw std::length_error("too many streams");
  }
  last_stream_handle_ = handle;
  last_stream_ = found.value;
  return last_stream_;
}

std::uint32_t program_builder::next_block() {
  if (block_count_ == no_number) throw std::length_error("too many blocks");
  return block_count_++;
}

void program_builder::allocate(std::uint64_t address, std::uint64_t bytes, std::uint64_t stream) {
  address_table::entry& found = blocks_.at(address);
  if (found.is() == address_table::state::live) {
    ++omitted_.missing_frees;
    push(operation_kind::free, found.stream, found.value, 0);
  }
  const std::uint32_t on = stream_number(stream);
  found.become(address_table::state::live);
  found.stream = on & (stream_limit - 1);
  found.value = next_block();
  push(operation_kind::allocate, on, found.value, bytes);
}

void program_builder::free_block(address_table::entry& of, std::uint64_t bytes, std::uint64_t stream,
                                 address_table::state next) {
  const std::uint32_t on = stream_number(stream);
  if (of.is() == address_table::state::unknown) {
    of.value = next_block();
    early_.push_back({of.key, bytes, on, of.value});
  }
  of.become(next);
  push(operation_kind::free, on, of.value, 0);
}

void program_builder::free(std::uint64_t address, std::uint64_t bytes, std::uint64_t stream) {
  address_table::entry& found = blocks_.at(address);
  if (found.is() == address_table::state::gone || found.is() == address_table::state::asked) ++omitted_.unmatched_frees;
  else free_block(found, bytes, stream, address_table::state::gone);
}

void program_builder::request_free(std::uint64_t address, std::uint64_t bytes, std::uint64_t stream) {
  saw_request_ = true;
  address_table::entry& found = blocks_.at(address);
  if (found.is() == address_table::state::gone || found.is() == address_table::state::asked) ++omitted_.unmatched_frees;
  else free_block(found, bytes, stream, address_table::state::asked);
}

void program_builder::complete_free(std::uint64_t address, std::uint64_t bytes, std::uint64_t stream) {
  // Once a request has been seen, every free of the program has one. So a completion whose request was not recorded is
  // of a block that the program had given up before recording began.
  if (saw_request_ && blocks_.find(address) == nullptr) {
    ++omitted_.unmatched_frees;
    return;
  }
  address_table::entry& found = blocks_.at(address);
  if (found.is() == address_table::state::asked) found.become(address_table::state::gone);
  else if (found.is() == address_table::state::gone) ++omitted_.unmatched_frees;
  else free_block(found, bytes, stream, address_table::state::gone);
}

void program_builder::free_live(std::uint64_t address) {
  address_table::entry& found = blocks_.at(address);
  found.become(address_table::state::gone);
  push(operation_kind::free, found.stream, found.value, 0);
}

bool program_builder::is_live(std::uint64_t address) const noexcept {
  const address_table::entry* found = blocks_.find(address);
  return found != nullptr && found->is() == address_table::state::live;
}

void program_builder::add_live_at_end(std::uint64_t address, std::uint64_t bytes, std::uint64_t stream) {
  if (blocks_.find(address) != nullptr) return;
  const std::uint32_t on = stream_number(stream);
  address_table::entry& found = blocks_.at(address);
  found.become(address_table::state::live);
  found.value = next_block();
  found.stream = on & (stream_limit - 1);
  early_.push_back({address, bytes, on, found.value});
}

program program_builder::finish() {
  program made;
  made.stream_count = static_cast<std::uint32_t>(streams_.size());
  made.block_count = block_count_;
  made.early_block_count = static_cast<std::uint32_t>(early_.size());
  made.omitted = omitted_;
  blocks_.clear();
  streams_.clear();

  std::sort(early_.begin(), early_.end(),
            [](const early_block& a, const early_block& b) { return a.address < b.address; });
  renumbering blocks(early_.empty() ? 0 : block_count_);
  renumbering streams(early_.empty() ? 0 : made.stream_count);
  made.operations.reserve(early_.size() + count_);
  for (const early_block& each : early_)
    made.operations.push_back({operation_kind::allocate, streams(each.stream), blocks(each.block), each.bytes});
  for (std::vector<operation>& chunk : chunks_) {
    for (operation next : chunk) {
      if (!early_.empty()) {
        next.block = blocks(next.block);
        next.stream = streams(next.stream);
      }
      made.operations.push_back(next);
    }
    chunk = {};
  }
  early_ = {};
  chunks_ = {};
  count_ = 0;
  return made;
}

}  // namespace terrazzo::trace
