#include "config/mapped_effects.hpp"

#include <fmt/format.h>

#include <algorithm>

#include "config/numbers.hpp"

namespace terrazzo::detail {

namespace {

using enum severity_level;

std::string addresses_for(const address_reserve& reserve) {
  std::string text = print_reserve(reserve);
  if (reserve.bytes == 0) return text + " of the device's memory";
  text.pop_back();  // the G
  return text + " GiB";
}

void reserve_in_pytorch(bool readable, const std::string& what, const situation& among, explained_setting& out) {
  if (!among.expandable_in_pytorch()) {
    out.pytorch = {false, "Nothing: it is for expandable segments, which are off."};
    return advise(out, warning, "Add expandable_segments:True, or take it out.");
  }
  if (!readable) {
    out.pytorch = {false,
                   "Nothing: PyTorch warns that it cannot read it, and goes on with 9/8 of the device's memory."};
    out.severity = warning;
    return;
  }
  out.pytorch = {
      true, fmt::format("An expandable segment reserves addresses for {}; a single request cannot be larger than that.",
                        what)};
  advise(out, note, "The key is new in PyTorch 2.15; older ones refuse the whole string because of it.");
}

}  // namespace

void describe_reserve(const setting& entry, const situation& among, explained_setting& out) {
  const auto* value = std::get_if<address_reserve>(&entry.value);
  if (value == nullptr) {
    out.here = {false, "Nothing: it cannot be read."};
    return reserve_in_pytorch(false, {}, among, out);
  }
  if (!among.expandable_here()) out.here = {false, "Nothing: it is for mapped memory."};
  else {
    out.here = {true, fmt::format("The range reserves addresses for {} at a time; when they are used up, another such "
                                  "range is reserved. A request for more gets a range of its own size.",
                                  addresses_for(*value))};
  }
  reserve_in_pytorch(true, addresses_for({std::min(value->fraction, pytorch_reserve), value->bytes}), among, out);
}

void describe_reserve_by_class(const setting& entry, const situation& among, explained_setting& out) {
  out.here = {false, "Nothing: a device has one range, for all streams."};
  reserve_in_pytorch(std::get<std::string>(entry.value) != "[]", "what its stream's class is given", among, out);
}

void describe_growth(const setting& entry, const situation& among, explained_setting& out) {
  out.pytorch = {false, "Nothing: the key is terrazzo's own."};
  if (!among.expandable_here()) {
    out.here = {false, "Nothing: it is for mapped memory."};
    return;
  }
  switch (std::get<growth_policy>(entry.value)) {
    case growth_policy::move:
      out.here = {true,
                  "While less than half of the limit is held, idle chunks are moved to where a request finds addresses "
                  "before new ones are made; after that, new ones come first."};
      return;
    case growth_policy::create:
      out.here = {true, "New chunks are made up to the limit first; only then idle ones are moved."};
      return advise(out, note,
                    "More memory is reserved with it: the recorded programs in tests/traces reserve more, without a "
                    "limit. Take it out unless moving chunks costs too much time.");
    case growth_policy::fail:
      out.here = {true,
                  "Chunks are never moved and edges never shared: a request that needs it fails, though enough memory "
                  "is free in pieces."};
      advise(out, warning,
             "Take it out: requests fail although enough memory is free. To have new chunks before idle ones are "
             "moved, write on_miss:create.");
      out.keep = false;
  }
}

}  // namespace terrazzo::detail
