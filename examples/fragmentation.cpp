// Free memory in pieces: half of a card is free, but nowhere more than 2 MiB of it together, and one request wants 90 %
// of what is free.
//
// The same requests are made twice. Over plain segments, which cannot be joined, the last one fails. With the default
// settings it gets contiguous addresses, behind which the pieces are mapped. Blocks that stayed live are filled before
// and compared after, and so is the new block: nobody's memory may lie under two addresses.
#include <fmt/format.h>

#include <CLI/CLI.hpp>
#include <algorithm>
#include <bit>
#include <cstdio>
#include <fstream>
#include <nlohmann/json.hpp>
#include <stdexcept>
#include <vector>

#include "support/address_map.hpp"
#include "support/choose_device.hpp"
#include "support/cuda.hpp"
#include "support/device_facts.hpp"
#include "support/size.hpp"
#include "terrazzo/terrazzo.hpp"

namespace {

constexpr std::size_t mib = std::size_t{1} << 20;
constexpr std::size_t default_memory_bytes = 1024 * mib;
constexpr std::size_t least_memory_bytes = 128 * mib;
constexpr std::size_t block_bytes = 2 * mib;
// Plain segments for requests above 1 MiB and below 10 MiB have this size, in terrazzo and in PyTorch.
constexpr std::size_t segment_bytes = 20 * mib;

/// What the program asks for, decided before the first request: blocks that fill the card, every second of which is
/// freed, then the large one.
struct plan {
  // One plain segment's room is left: a card's driver may need some for itself.
  explicit plan(std::size_t free_bytes)
      : block_count((free_bytes - segment_bytes) / segment_bytes * (segment_bytes / block_bytes)),
        request_bytes((free_bytes - block_count / 2 * block_bytes) / 10 * 9 / block_bytes * block_bytes) {}
  [[nodiscard]] static bool stays_live(std::size_t block) { return block % 2 == 0; }

  std::size_t block_count;  // even
  std::size_t request_bytes;
};

std::uintptr_t address_of(const void* block) { return reinterpret_cast<std::uintptr_t>(block); }

/// Writes and compares blocks. No two blocks, and no two places in one, hold the same word.
class contents {
 public:
  explicit contents(const example::cuda& cuda) : cuda_(cuda) {}

  void write(std::uintptr_t block, std::uint64_t number) {
    expect(number);
    cuda_.check(cuda_.call().cuMemcpyHtoDAsync_v2(block, expected_.data(), block_bytes, nullptr), "cuMemcpyHtoD");
    cuda_.check(cuda_.call().cuCtxSynchronize(), "cuCtxSynchronize");
  }
  [[nodiscard]] bool holds(std::uintptr_t block, std::uint64_t number) {
    expect(number);
    cuda_.check(cuda_.call().cuMemcpyDtoHAsync_v2(found_.data(), block, block_bytes, nullptr), "cuMemcpyDtoH");
    cuda_.check(cuda_.call().cuCtxSynchronize(), "cuCtxSynchronize");
    return found_ == expected_;
  }

 private:
  void expect(std::uint64_t number) {
    for (std::uint64_t i = 0; i < expected_.size(); ++i) expected_[i] = (number << 32 | i) * 0x9E3779B97F4A7C15u;
  }

  const example::cuda& cuda_;
  std::vector<std::uint64_t> expected_ = std::vector<std::uint64_t>(block_bytes / sizeof(std::uint64_t));
  std::vector<std::uint64_t> found_ = expected_;
};

/// How the requests ended.
struct outcome {
  nlohmann::ordered_json told;
  example::address_map before;  // the large request
  example::address_map after;
};

outcome run(const example::cuda& cuda, const std::string& driver_path, const plan& requests,
            const terrazzo::config& settings, const std::string& name) {
  terrazzo::allocator memory({.device = 0, .settings = settings, .driver_path = driver_path});
  contents data(cuda);
  std::vector<void*> blocks;
  std::vector<example::map_piece> pieces;
  for (std::size_t i = 0; i < requests.block_count; ++i) blocks.push_back(memory.allocate(block_bytes));
  for (std::size_t i = 0; i < requests.block_count; ++i) {
    using content = example::map_piece::content;
    pieces.push_back({plan::stays_live(i) ? content::live : content::freed, address_of(blocks[i]), block_bytes});
    if (plan::stays_live(i)) data.write(address_of(blocks[i]), i);
    else memory.deallocate(blocks[i]);
  }
  outcome end;
  end.before = {name + ": before the request", pieces};
  const std::size_t device_free_bytes = cuda.free_bytes();
  const terrazzo::statistics before = memory.stats();
  void* block = nullptr;
  std::string message;
  try {
    block = memory.allocate(requests.request_bytes);
  } catch (const terrazzo::out_of_memory& failure) {
    message = failure.what();
  }
  const terrazzo::statistics after = memory.stats();

  bool block_holds = block != nullptr;
  if (block != nullptr) {
    pieces.push_back({example::map_piece::content::taken, address_of(block), requests.request_bytes});
    // All is written before anything is compared: two of its addresses might lead to the same memory.
    const std::size_t count = requests.request_bytes / block_bytes;
    const auto part = [&](std::size_t i) { return address_of(block) + i * block_bytes; };
    for (std::size_t i = 0; i < count; ++i) data.write(part(i), requests.block_count + i);
    for (std::size_t i = 0; i < count; ++i) block_holds = block_holds && data.holds(part(i), requests.block_count + i);
  }
  std::size_t intact_count = 0;
  for (std::size_t i = 0; i < requests.block_count; ++i)
    if (plan::stays_live(i) && data.holds(address_of(blocks[i]), i)) ++intact_count;
  end.after = {name + (block != nullptr ? ": the request succeeded" : ": the request failed"), pieces};
  for (std::size_t i = 0; i < requests.block_count; ++i)
    if (plan::stays_live(i)) memory.deallocate(blocks[i]);
  memory.deallocate(block);

  end.told["conf"] = settings == terrazzo::config() ? "defaults" : terrazzo::to_string(settings);
  end.told["segments"] = memory.kind() == terrazzo::segment_kind::expandable ? "expandable" : "plain";
  end.told["free_bytes"] = device_free_bytes + before.reserved_bytes.current - before.allocated_bytes.current;
  end.told["device_free_bytes"] = device_free_bytes;
  end.told["largest_free_bytes"] = before.largest_free_bytes;
  end.told["reserved_before_bytes"] = before.reserved_bytes.current;
  end.told["driver_calls_before"] = before.driver_calls;
  end.told["request_bytes"] = requests.request_bytes;
  end.told["result"] = block != nullptr ? "succeeded" : "out_of_memory";
  end.told["message"] = message;
  end.told["address"] = fmt::format("{:#x}", address_of(block));
  end.told["driver_calls"] = after.driver_calls - before.driver_calls;
  end.told["reserved_bytes"] = after.reserved_bytes.current;
  end.told["intact_blocks"] = intact_count;
  end.told["block_holds"] = block_holds;
  return end;
}

/// What of the story did not hold; empty: all did.
std::string find_flaw(const plan& requests, const nlohmann::ordered_json& plain,
                      const nlohmann::ordered_json& standard) {
  const std::size_t live_count = requests.block_count / 2;
  if (plain["result"] != "out_of_memory") return "with plain segments the request succeeded, too";
  if (standard["result"] != "succeeded")
    return "with the default settings the request failed, too: " + standard["message"].get<std::string>();
  if (plain["intact_blocks"] != live_count) return "with plain segments blocks that stayed live were changed";
  if (standard["intact_blocks"] != live_count) return "with the default settings blocks that stayed live were changed";
  return standard["block_holds"] == true ? "" : "the new block does not hold what was written to it";
}

void print_table(const nlohmann::ordered_json& plain, const nlohmann::ordered_json& standard) {
  constexpr std::pair<const char*, const char*> lines[] = {{"config", "conf"},
                                                           {"free before the request", "free_bytes"},
                                                           {"  of it not reserved", "device_free_bytes"},
                                                           {"  largest free run reserved", "largest_free_bytes"},
                                                           {"reserved before the request", "reserved_before_bytes"},
                                                           {"driver calls before it", "driver_calls_before"},
                                                           {"the request", "request_bytes"},
                                                           {"result", "result"},
                                                           {"driver calls for it", "driver_calls"},
                                                           {"reserved after it", "reserved_bytes"},
                                                           {"live blocks intact", "intact_blocks"}};
  const auto cell = [](const nlohmann::ordered_json& value, bool is_size) {
    if (value.is_string()) return value.get<std::string>();
    return is_size ? fmt::format("{} MiB", value.get<std::size_t>() / mib) : value.dump();
  };
  fmt::print("{:<30}{:>26}{:>18}\n", "", "plain segments", "default settings");
  for (const auto& [label, key] : lines) {
    const bool is_size = std::string_view(key).ends_with("_bytes");
    fmt::print("{:<30}{:>26}{:>18}\n", label, cell(plain[key], is_size), cell(standard[key], is_size));
  }
}

}  // namespace

int main(int argc, char** argv) {
  std::optional<std::uint64_t> memory_bytes;
  std::string wanted_device = "auto";
  std::optional<std::string> svg;
  std::ofstream picture;
  bool json = false;
  CLI::App app{"Leaves a device's free memory in pieces of 2 MiB, then asks for 90 % of it in one block."};
  example::add_size_option(app, "--memory", memory_bytes, least_memory_bytes, mib << 20,
                           "device memory there is: the software GPU's (default: what TERRAZZO_SOFTGPU says, else "
                           "1GiB); of a card, all but this is taken away (default 1GiB)");
  app.add_option("--device", wanted_device, "auto takes a card if there is one")
      ->check(CLI::IsMember({"auto", "cuda", "soft"}))
      ->capture_default_str();
  app.add_option("--svg", svg, "write the addresses before and after the request as a picture")->type_name("FILE");
  app.add_flag("--json", json, "print one JSON object");
  try {
    app.parse(argc, argv);
    if (svg) picture.open(*svg);  // before the work, which would be lost
    if (svg && !picture)
      throw CLI::ValidationError(
          "--svg",
          fmt::format("'{}' cannot be written: name a file in a folder that is there and may be written", *svg));
  } catch (const CLI::ParseError& failure) {
    return app.exit(failure) == 0 ? 0 : 2;
  }
  try {
    const example::chosen_device chosen = example::choose_device(wanted_device, memory_bytes, default_memory_bytes);
    example::cuda cuda(chosen.driver_path);

    const std::size_t free_bytes =
        example::make_room(cuda, chosen, memory_bytes, default_memory_bytes, least_memory_bytes);
    const plan requests(free_bytes);
    const outcome plain =
        run(cuda, chosen.driver_path, requests, terrazzo::parse_config("expandable_segments:False"), "plain segments");
    const outcome standard = run(cuda, chosen.driver_path, requests, terrazzo::config(), "default settings");
    const std::string flaw = find_flaw(requests, plain.told, standard.told);

    if (svg) {
      picture << example::draw_address_maps(
          {plain.before, plain.after, standard.before, standard.after},
          std::max(std::bit_ceil(free_bytes / 16), 8 * block_bytes),
          {"freed block of 2 MiB; its memory may have moved", "the new block", "live block of 2 MiB"});
      if (!picture.flush()) throw std::runtime_error(fmt::format("--svg: '{}' cannot be written to its end", *svg));
    }
    nlohmann::ordered_json out;
    out["passed"] = flaw.empty();
    out["flaw"] = flaw;
    example::put_device(out, chosen, cuda);
    if (json) {
      out["device_free_bytes"] = free_bytes;
      out["block_bytes"] = block_bytes;
      out["block_count"] = requests.block_count;
      out["live_count"] = requests.block_count / 2;
      out["plain"] = plain.told;
      out["default"] = standard.told;
      fmt::print("{}\n", out.dump(2));
    } else {
      fmt::print("{}, {} MiB free\n", example::describe_device(out), free_bytes / mib);
      fmt::print("the program: {} blocks of 2 MiB, every second one freed, then one block of 90 % of what is free\n\n",
                 requests.block_count);
      print_table(plain.told, standard.told);
      if (flaw.empty())
        fmt::print(
            "\npassed: over free memory in pieces of 2 MiB plain segments fail, the default settings serve {} MiB at "
            "once, and no live block changed\n",
            requests.request_bytes / mib);
      else fmt::print("\nFAILED: {}\n", flaw);
    }
    return flaw.empty() ? 0 : 1;
  } catch (const std::exception& failure) {
    fmt::print(stderr, "fragmentation: {}\n", failure.what());
    return 1;
  }
}
