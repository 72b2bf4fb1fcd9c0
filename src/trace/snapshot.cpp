#include "trace/snapshot.hpp"

#include <fmt/format.h>

#include <algorithm>
#include <cstddef>
#include <iterator>
#include <memory>
#include <utility>

#include "trace/builder.hpp"
#include "trace/pickle.hpp"

namespace terrazzo::trace {

namespace {

enum word : std::uint8_t {
  // fields
  action,
  addr,
  size,
  stream,
  address,
  requested_size,
  state,
  blocks,
  device,
  device_traces,
  config,
  // texts that are values
  alloc,
  free_requested,
  free_completed,
  oom,
  active_allocated,
};
constexpr std::string_view all_words[] = {
    "action",
    "addr",
    "size",
    "stream",
    "address",
    "requested_size",
    "state",
    "blocks",
    "device",
    "device_traces",
    "PYTORCH_CUDA_ALLOC_CONF",
    "alloc",
    "free_requested",
    "free_completed",
    "oom",
    "active_allocated",
};
static_assert(config < most_fields && std::size(all_words) == active_allocated + 1);

// What a label says: a kind, and a number.
//
//   an event, a trace   the number of its trace, which is a list of events
//   traces              a list of traces: the number of its entry in `trace_lists_`
//   empty_lists         a list of so many lists without a label, which may be traces of unused devices
//   a block, block_list the list: where in `live_` its first block is
enum class label_kind : std::uint64_t {
  nothing,
  event,
  trace,
  traces,
  empty_lists,
  block,
  block_list,
  segment,
  snapshot
};

constexpr std::uint64_t label(label_kind kind, std::uint64_t number = 0) {
  return static_cast<std::uint64_t>(kind) << 56 | number;
}
constexpr label_kind kind_of(std::uint64_t of) { return static_cast<label_kind>(of >> 56); }
constexpr std::size_t number_of(std::uint64_t of) { return static_cast<std::size_t>(of & 0xffffffffffffff); }

constexpr std::size_t most_devices = 128;  // a trace of one event costs a kilobyte here, and a few bytes of file

class snapshot_client final : public pickle_client {
 public:
  explicit snapshot_client(const input& from) : input_(from) {}

  std::span<const std::string_view> words() const override { return all_words; }
  std::uint8_t kept_text() const override { return config; }
  void keep_text(std::string text) override { settings_ = std::move(text); }

  std::uint64_t close_dictionary(const pickle_fields& fields, std::uint64_t* list) override {
    if (fields.has(device_traces)) return take_snapshot(fields);
    if (fields.has(action)) return take_event(fields, list);
    if (fields.has(state) && fields.has(size)) return take_block(fields, list);
    if (fields.has(blocks)) return take_segment(fields);
    return label(label_kind::nothing);
  }

  std::uint64_t append(std::uint64_t list, const pickle_value& item, std::uint64_t offset) override;

  void check_root(const pickle_value& root) const;
  std::vector<program> finish();

 private:
  struct live_block {
    std::uint64_t address;
    std::uint64_t bytes;
    std::uint64_t stream = 0;
    std::uint32_t device = most_devices;  // until its segment is known
    bool has_address;                     // else `address` is from the segment's beginning, as before PyTorch 2.1
  };

  std::uint64_t take_event(const pickle_fields& fields, std::uint64_t* list);
  std::uint64_t take_block(const pickle_fields& fields, std::uint64_t* list);
  std::uint64_t take_segment(const pickle_fields& fields);
  std::uint64_t take_snapshot(const pickle_fields& fields);
  std::uint64_t append_list(std::uint64_t list, std::uint64_t item, std::uint64_t offset);
  std::uint64_t number(const pickle_fields& fields, word name, const char* of) const;

  const input& input_;
  std::vector<std::unique_ptr<program_builder>> builders_;  // by number of the trace
  std::vector<std::vector<std::size_t>> trace_lists_;       // by device: the trace; no_trace where it is empty
  std::vector<live_block> live_;
  std::uint64_t list_bytes_ = 0;  // of the blocks of the last list
  bool is_snapshot_ = false;
  std::uint64_t traces_label_ = 0;
  std::string settings_;
};

constexpr std::size_t no_trace = static_cast<std::size_t>(-1);

std::uint64_t snapshot_client::number(const pickle_fields& fields, word name, const char* of) const {
  const pickle_value& value = fields.at(name);
  if (!fields.has(name)) input_.fail_at_byte(fields.offset, fmt::format("{} without \"{}\"", of, all_words[name]));
  if (value.kind != pickle_kind::integer || value.integer() < 0) {
    input_.fail_at_byte(
        fields.offset,
        fmt::format("{} whose \"{}\" is {}, where a number from 0 to 2^63 - 1 should be", of, all_words[name],
                    value.kind == pickle_kind::integer ? "negative" : describe(value.kind)));
  }
  return value.bits;
}

std::uint64_t snapshot_client::take_event(const pickle_fields& fields, std::uint64_t* list) {
  const pickle_value& what = fields.at(action);
  if (list == nullptr || what.kind != pickle_kind::text) return label(label_kind::nothing);
  if (*list == 0) {
    if (builders_.size() == most_devices)
      input_.fail_at_byte(fields.offset,
                          fmt::format("more than {} lists of events, one for each device", most_devices));
    *list = label(label_kind::trace, builders_.size());
    builders_.push_back(std::make_unique<program_builder>());
  }
  if (kind_of(*list) != label_kind::trace) return label(label_kind::nothing);
  program_builder& builder = *builders_[number_of(*list)];
  if (what.bits == alloc || what.bits == free_requested || what.bits == free_completed) {
    const std::uint64_t at = number(fields, addr, "an event");
    const std::uint64_t bytes = number(fields, size, "an event");
    // A handle, of which PyTorch prints the 64 bits with a sign.
    const std::uint64_t on = fields.at(stream).kind == pickle_kind::integer ? fields.at(stream).bits : 0;
    if (what.bits == alloc) builder.allocate(at, bytes, on);
    else if (what.bits == free_requested) builder.request_free(at, bytes, on);
    else builder.complete_free(at, bytes, on);
  } else if (what.bits == oom) {
    ++builder.omitted().failed_allocations;
  } else {
    ++builder.omitted().other_records;
  }
  return label(label_kind::event, number_of(*list));
}

std::uint64_t snapshot_client::take_block(const pickle_fields& fields, std::uint64_t* list) {
  if (list == nullptr) return label(label_kind::nothing);
  if (*list == 0) {
    *list = label(label_kind::block_list, live_.size());
    list_bytes_ = 0;
  }
  if (kind_of(*list) != label_kind::block_list) return label(label_kind::nothing);
  const std::uint64_t bytes = number(fields, size, "a block");
  const pickle_value& what = fields.at(state);
  if (what.kind == pickle_kind::text && what.bits == active_allocated) {
    const std::uint64_t asked = fields.has(requested_size) ? number(fields, requested_size, "a block") : bytes;
    const bool has_address = fields.has(address);
    live_.push_back({.address = has_address ? number(fields, address, "a block") : list_bytes_,
                     .bytes = asked,
                     .has_address = has_address});
  }
  list_bytes_ += bytes;
  return label(label_kind::block);
}

std::uint64_t snapshot_client::take_segment(const pickle_fields& fields) {
  const pickle_value& list = fields.at(blocks);
  if (list.kind == pickle_kind::list && kind_of(list.bits) == label_kind::block_list) {
    const std::uint64_t on = fields.at(stream).kind == pickle_kind::integer ? fields.at(stream).bits : 0;
    const std::uint64_t of = fields.has(device) ? number(fields, device, "a segment") : 0;
    for (std::size_t i = number_of(list.bits); i < live_.size(); ++i) {
      live_[i].stream = on;
      live_[i].device = static_cast<std::uint32_t>(std::min<std::uint64_t>(of, most_devices));
      if (!live_[i].has_address) live_[i].address += number(fields, address, "a segment");
    }
  }
  return label(label_kind::segment);
}

std::uint64_t snapshot_client::take_snapshot(const pickle_fields& fields) {
  const pickle_value& traces = fields.at(device_traces);
  if (traces.kind != pickle_kind::list)
    input_.fail_at_byte(fields.offset,
                        fmt::format("\"device_traces\" is {}, where a list should be", describe(traces.kind)));
  is_snapshot_ = true;
  traces_label_ = traces.bits;
  return label(label_kind::snapshot);
}

std::uint64_t snapshot_client::append(std::uint64_t list, const pickle_value& item, std::uint64_t offset) {
  if (item.kind == pickle_kind::list) return append_list(list, item.bits, offset);
  if (kind_of(list) == label_kind::trace &&
      (item.kind != pickle_kind::dictionary || item.bits != label(label_kind::event, number_of(list)))) {
    input_.fail_at_byte(
        offset, fmt::format("among the events of a device is {} that is no event of its own", describe(item.kind)));
  }
  return list;
}

std::uint64_t snapshot_client::append_list(std::uint64_t list, std::uint64_t item, std::uint64_t offset) {
  const bool is_trace = kind_of(item) == label_kind::trace;
  if (kind_of(list) == label_kind::nothing || kind_of(list) == label_kind::empty_lists) {
    if (!is_trace && number_of(list) == most_devices) return list;
    if (!is_trace) return label(label_kind::empty_lists, number_of(list) + 1);
    trace_lists_.emplace_back(number_of(list), no_trace);
    list = label(label_kind::traces, trace_lists_.size() - 1);
  }
  if (kind_of(list) != label_kind::traces) {
    if (kind_of(list) == label_kind::trace) input_.fail_at_byte(offset, "among the events of a device is a list");
    return list;
  }
  std::vector<std::size_t>& traces = trace_lists_[number_of(list)];
  if (traces.size() == most_devices)
    input_.fail_at_byte(offset, fmt::format("lists of events of more than {} devices", most_devices));
  traces.push_back(is_trace ? number_of(item) : no_trace);
  return list;
}

void snapshot_client::check_root(const pickle_value& root) const {
  if (is_snapshot_ && root.kind == pickle_kind::dictionary && kind_of(root.bits) == label_kind::snapshot) return;
  // torch.save's older format begins with a magic number of ten bytes.
  if (root.kind == pickle_kind::wide_integer) input_.fail("", "is a file of torch.save, not a memory snapshot");
  input_.fail("",
              fmt::format("the pickle holds {}, not a memory snapshot, which is a dictionary with \"device_traces\": "
                          "dump one with torch.cuda.memory._dump_snapshot",
                          describe(root.kind)));
}

std::vector<program> snapshot_client::finish() {
  std::vector<program> made;
  if (kind_of(traces_label_) == label_kind::traces) {
    const std::vector<std::size_t>& traces = trace_lists_[number_of(traces_label_)];
    for (std::size_t of = 0; of < traces.size(); ++of) {
      if (traces[of] == no_trace || builders_[traces[of]]->is_empty()) continue;
      program_builder& builder = *builders_[traces[of]];
      for (const live_block& each : live_)
        if (each.device == of) builder.add_live_at_end(each.address, each.bytes, each.stream);
      program next = builder.finish();
      builders_[traces[of]] = std::make_unique<program_builder>();
      next.format = "PyTorch snapshot";
      next.device = static_cast<int>(of);
      next.source_settings = settings_;
      made.push_back(std::move(next));
    }
  }
  if (made.empty()) {
    input_.fail("",
                "the snapshot has no allocations: none were recorded; call "
                "torch.cuda.memory._record_memory_history() before the program's work begins");
  }
  return made;
}

}  // namespace

std::vector<program> read_snapshot(input& from) {
  snapshot_client client(from);
  {
    pickle_reader reader(from, client);
    client.check_root(reader.read());
  }
  // Reading to the end lets unpackers check their sums.
  const std::uint64_t end = from.offset();
  if (from.get() >= 0) from.fail_at_byte(end, "more bytes follow the end of the pickle");
  return client.finish();
}

}  // namespace terrazzo::trace
