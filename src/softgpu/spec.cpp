#include "softgpu/spec.hpp"

#include <fmt/format.h>

#include <algorithm>
#include <bit>
#include <charconv>
#include <limits>

#include "base/words.hpp"

namespace softgpu {
namespace {

constexpr std::uint64_t kib = std::uint64_t{1} << 10;
constexpr std::uint64_t tib = std::uint64_t{1} << 40;
constexpr int most_devices = 64;

bool read_number(std::string_view text, std::uint64_t& value) {
  const auto [end, error] = std::from_chars(text.data(), text.data() + text.size(), value);
  return error == std::errc() && end == text.data() + text.size() && !text.empty();
}

bool read_bytes(std::string_view text, std::uint64_t& value) {
  static constexpr struct {
    std::string_view name;
    int shift;
  } units[] = {{"KiB", 10}, {"MiB", 20}, {"GiB", 30}, {"TiB", 40}};
  int shift = 0;
  for (const auto& unit : units) {
    if (!text.ends_with(unit.name)) continue;
    shift = unit.shift;
    text.remove_suffix(unit.name.size());
    break;
  }
  std::uint64_t count = 0;
  if (!read_number(text, count) || count > std::numeric_limits<std::uint64_t>::max() >> shift) return false;
  value = count << shift;
  return true;
}

bool read_bytes_up_to(std::string_view text, std::uint64_t most, std::uint64_t& value) {
  std::uint64_t read = 0;
  if (!read_bytes(text, read) || read > most) return false;
  value = read;
  return true;
}

bool read_flag(std::string_view text, bool& value) {
  if (text != "0" && text != "1") return false;
  value = text == "1";
  return true;
}

bool read_version(std::string_view text, int most_major, int& major, int& minor) {
  const std::size_t dot = text.find('.');
  std::uint64_t before = 0;
  std::uint64_t after = 0;
  if (dot == std::string_view::npos || !read_number(text.substr(0, dot), before) ||
      !read_number(text.substr(dot + 1), after) || before < 1 || before > static_cast<std::uint64_t>(most_major) ||
      after > 9)
    return false;
  major = static_cast<int>(before);
  minor = static_cast<int>(after);
  return true;
}

struct global_key {
  std::string_view name;
  const char* allowed;
  bool (*read)(std::string_view text, gpu_spec& spec);
};

// `devices` is read before all others, since it says how many there are to set.
constexpr global_key global_keys[] = {
    {"devices", "a number from 0 to 64", [](std::string_view, gpu_spec&) { return true; }},
    {"completion", "immediate or manual",
     [](std::string_view text, gpu_spec& spec) {
       spec.manual_completion = text == "manual";
       return text == "manual" || text == "immediate";
     }},
    {"driver", "major.minor, from 1.0 to 99.9",
     [](std::string_view text, gpu_spec& spec) {
       int major = 0;
       int minor = 0;
       if (!read_version(text, 99, major, minor)) return false;
       spec.driver_version = major * 1000 + minor * 10;
       return true;
     }},
    {"addresses", "a size from 0 to 128TiB",
     [](std::string_view text, gpu_spec& spec) { return read_bytes_up_to(text, 128 * tib, spec.address_bytes); }},
};

struct device_key {
  std::string_view name;
  const char* allowed;
  bool (*read)(std::string_view text, device_spec& spec);
};

constexpr device_key device_keys[] = {
    {"memory", "a size from 1MiB to 64TiB, in KiB, MiB, GiB, TiB or plain bytes",
     [](std::string_view text, device_spec& spec) {
       return read_bytes_up_to(text, 64 * tib, spec.memory_bytes) && spec.memory_bytes >= 1024 * kib;
     }},
    {"capability", "major.minor, from 1.0 to 99.9",
     [](std::string_view text, device_spec& spec) {
       return read_version(text, 99, spec.capability_major, spec.capability_minor);
     }},
    {"granularity", "a power of two from 64KiB to 1GiB",
     [](std::string_view text, device_spec& spec) {
       return read_bytes_up_to(text, 1024 * 1024 * kib, spec.granularity_bytes) &&
              std::has_single_bit(spec.granularity_bytes) && spec.granularity_bytes >= 64 * kib;
     }},
    {"backed", "0 or 1", [](std::string_view text, device_spec& spec) { return read_flag(text, spec.backed); }},
    {"vmm", "0 or 1", [](std::string_view text, device_spec& spec) { return read_flag(text, spec.virtual_memory); }},
    {"other", "a size from 0 to 64TiB",
     [](std::string_view text, device_spec& spec) { return read_bytes_up_to(text, 64 * tib, spec.other_bytes); }},
    {"context", "a size from 0 to 64TiB",
     [](std::string_view text, device_spec& spec) { return read_bytes_up_to(text, 64 * tib, spec.context_bytes); }},
    {"cublas_pool", "a size from 0 to 64TiB",
     [](std::string_view text, device_spec& spec) {
       spec.cublas_pool_given = true;
       return read_bytes_up_to(text, 64 * tib, spec.cublas_pool_bytes);
     }},
    {"name", "1 to 255 characters",
     [](std::string_view text, device_spec& spec) {
       spec.name = text;
       return !text.empty() && text.size() <= 255;
     }},
};

template <typename Use>
void for_each_key(Use use) {
  for (const global_key& key : global_keys) use(key.name);
  for (const device_key& key : device_keys) use(key.name);
}

std::string known_keys() {
  std::string names;
  for_each_key([&](std::string_view name) { names.append(names.empty() ? "" : ", ").append(name); });
  return names;
}

/// The key that was meant, empty if none is near.
std::string_view nearest_key(std::string_view word) {
  constexpr std::size_t longest_word = 64;  // a longer one is no slip, and would take long to compare
  std::string_view nearest;
  if (word.size() > longest_word) return nearest;
  std::size_t least_slips = terrazzo::detail::most_slips(word) + 1;
  for_each_key([&](std::string_view name) {
    const std::size_t slips = terrazzo::detail::edit_distance(word, name);
    if (slips < least_slips) nearest = name, least_slips = slips;
  });
  return nearest;
}

std::string bad_value(std::string_view key, std::string_view value, const char* allowed) {
  return fmt::format("software GPU: {}={} is not understood: {} is {}", key, value, key, allowed);
}

struct setting {
  std::string_view key;  // without the device
  std::string_view value;
  int device = -1;  // -1: all
};

bool split(std::string_view text, std::vector<setting>& settings, std::string& reason) {
  while (!text.empty()) {
    const std::size_t end = std::min(text.find_first_of(";,"), text.size());
    const std::string_view item = text.substr(0, end);
    text.remove_prefix(std::min(end + 1, text.size()));
    if (item.empty()) continue;
    const std::size_t equals = item.find('=');
    if (equals == std::string_view::npos) {
      reason = fmt::format("software GPU: '{}' is not key=value; keys are {}", item, known_keys());
      return false;
    }
    setting made{item.substr(0, equals), item.substr(equals + 1)};
    const std::size_t dot = made.key.find('.');
    if (dot != std::string_view::npos) {
      std::uint64_t device = 0;
      if (!read_number(made.key.substr(0, dot), device) || device >= most_devices) {
        reason = fmt::format("software GPU: '{}' names no device: what stands before the dot is 0 to {}", made.key,
                             most_devices - 1);
        return false;
      }
      made.device = static_cast<int>(device);
      made.key.remove_prefix(dot + 1);
    }
    settings.push_back(made);
  }
  return true;
}

bool apply(const setting& item, gpu_spec& spec, std::string& reason) {
  for (const global_key& key : global_keys) {
    if (key.name != item.key) continue;
    if (item.device >= 0) {
      reason = fmt::format("software GPU: {} cannot be set for one device", item.key);
      return false;
    }
    if (key.read(item.value, spec)) return true;
    reason = bad_value(item.key, item.value, key.allowed);
    return false;
  }
  for (const device_key& key : device_keys) {
    if (key.name != item.key) continue;
    if (item.device >= static_cast<int>(spec.devices.size())) {
      reason = fmt::format("software GPU: {}.{}={}: there is no device {} among {}", item.device, item.key, item.value,
                           item.device, spec.devices.size());
      return false;
    }
    for (std::size_t i = 0; i < spec.devices.size(); ++i) {
      if (item.device >= 0 && item.device != static_cast<int>(i)) continue;
      if (key.read(item.value, spec.devices[i])) continue;
      reason = bad_value(item.key, item.value, key.allowed);
      return false;
    }
    // Read once more over a scratch device, so that a bad value is told even where there are no devices.
    device_spec scratch;
    if (key.read(item.value, scratch)) return true;
    reason = bad_value(item.key, item.value, key.allowed);
    return false;
  }
  const std::string_view meant = nearest_key(item.key);
  reason = fmt::format("software GPU: there is no key '{}'{}; keys are {}", item.key,
                       meant.empty() ? "" : fmt::format(" (did you mean {}?)", meant), known_keys());
  return false;
}

}  // namespace

bool parse_spec(std::string_view text, int default_driver_version, gpu_spec& result, std::string& reason) {
  std::vector<setting> settings;
  if (!split(text, settings, reason)) return false;
  gpu_spec spec;
  spec.driver_version = default_driver_version;
  std::uint64_t device_count = 1;
  for (const setting& item : settings) {
    if (item.key != "devices") continue;
    if (!read_number(item.value, device_count) || device_count > most_devices) {
      reason = bad_value(item.key, item.value, global_keys[0].allowed);
      return false;
    }
  }
  spec.devices.resize(device_count);
  // Settings of all devices first, so that one device's own wins wherever it stands.
  for (const bool own : {false, true}) {
    for (const setting& item : settings) {
      if ((item.device >= 0) == own && !apply(item, spec, reason)) return false;
    }
  }
  result = std::move(spec);
  return true;
}

}  // namespace softgpu
