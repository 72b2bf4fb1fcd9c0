// `terrazzo replay`: recorded programs, run again on a software GPU of any size: how much memory they need under which
// settings, and what that costs.
#include <algorithm>
#include <fstream>
#include <nlohmann/json.hpp>
#include <optional>
#include <set>

#include "base/bytes.hpp"
#include "tools/commands.hpp"
#include "tools/machine.hpp"
#include "tools/progress.hpp"
#include "tools/replay.hpp"
#include "tools/replay_picture.hpp"
#include "tools/sizes.hpp"
#include "tools/table.hpp"
#include "trace/error.hpp"
#include "trace/load.hpp"

namespace terrazzo::tools {
namespace {

using json = nlohmann::ordered_json;
using detail::format_bytes;
using trace::program;

constexpr std::size_t plenty = std::size_t{200} << 30;  // where no memory is given: more than any program here needs

struct choices {
  std::vector<std::string> traces;
  std::vector<std::string> confs;
  std::string memory;
  bool fit = false;
  std::string completion = "free";
  int device = -1;
  std::string driver;
  std::string costs;
  bool csv = false;
  std::string svg;
};

/// One program under one string.
struct run_report {
  const program* what = nullptr;
  std::string conf;
  std::uint64_t peak_live_bytes = 0;
  std::optional<std::size_t> smallest_device_bytes;
  replay_result result;
};

config read_conf(const std::string& text) {
  try {
    return parse_config(text);
  } catch (const error&) {
    throw usage_error(fmt::format("--conf: {}", last_error_message()));
  }
}

replay_setup setup_of(const choices& chosen) {
  replay_setup setup;
  setup.memory_bytes = chosen.memory.empty() ? plenty : read_size("--memory", chosen.memory);
  const std::string_view word = chosen.completion;
  if (word == "never") {
    setup.completion = completion_kind::never;
  } else if (word.starts_with("delay:") && word.size() > 6 && word.size() < 16 &&
             word.find_first_not_of("0123456789", 6) == std::string_view::npos) {
    setup.completion = completion_kind::delayed;
    setup.delay = std::stoull(std::string(word.substr(6)));
  } else if (word != "free") {
    throw usage_error(
        fmt::format("--completion takes free, never or delay:N, N operations; got '{}'", chosen.completion));
  }
  return setup;
}

/// Prices of driver calls: a file of lines "function,a,b": a call that touches n chunks takes a + b * n ns.
void set_prices(soft_device& soft, const std::string& path) {
  std::ifstream file(path);
  if (!file) throw usage_error(fmt::format("--costs: '{}' cannot be read", path));
  std::string line;
  for (int number = 1; std::getline(file, line); ++number) {
    if (line.empty() || line.front() == '#' || line.starts_with("function")) continue;
    char name[64] = {};
    double a = 0;
    double b = 0;
    if (std::sscanf(line.c_str(), "%63[A-Za-z0-9_],%lf,%lf", name, &a, &b) != 3 || !(a >= 0) || !(b >= 0) ||
        !soft.set_price(name, a, b)) {
      throw usage_error(fmt::format(
          "--costs: {}, line {}: expected a driver function and two prices in ns, as in \"cuMemMap,0,1450\"; got '{}'",
          path, number, line));
    }
  }
}

std::vector<program> load_all(const invocation& with, const choices& chosen) {
  std::vector<program> all;
  for (const std::string& path : chosen.traces) {
    progress_bar bar(with.err, "reading " + path);
    try {
      std::vector<program> some = trace::load_programs(path, [&](std::uint64_t done, std::uint64_t total) {
        bar.show(total == 0 ? 0 : static_cast<double>(done) / static_cast<double>(total));
      });
      std::ranges::move(some, std::back_inserter(all));
    } catch (const trace::trace_error& failure) {
      throw usage_error(failure.what());
    }
  }
  return all;
}

std::string ratio(std::uint64_t bytes, std::uint64_t peak) {
  return peak == 0 ? "-" : fmt::format("{:.4f}", static_cast<double>(bytes) / static_cast<double>(peak));
}

json to_json(const run_report& report, const choices& chosen) {
  json row;
  row["trace"] = report.what->name;
  row["conf"] = report.conf;
  row["completion"] = chosen.completion;
  row["completed"] = report.result.completed;
  row["problem"] = report.result.completed ? json(nullptr) : json(report.result.problem);
  row["failed_operation"] = report.result.completed ? json(nullptr) : json(report.result.failed_operation);
  row["operations"] = report.what->operations.size();
  row["streams"] = report.what->stream_count;
  row["peak_live_bytes"] = report.peak_live_bytes;
  row["smallest_device_bytes"] = report.smallest_device_bytes ? json(*report.smallest_device_bytes) : json(nullptr);
  row["reserved_peak_bytes"] = report.result.reserved_peak_bytes;
  row["reserved_at_peak_bytes"] = report.result.reserved_at_peak_bytes;
  row["retries"] = report.result.retry_count;
  row["driver_calls"] = json(report.result.driver_calls);
  row["moved_bytes"] = report.result.moved_bytes;
  row["priced_driver_ms"] = report.result.priced_ms;
  row["ns_per_event"] = report.result.ns_per_event;
  return row;
}

void print_csv(const invocation& with, const std::vector<run_report>& reports, const choices& chosen) {
  const auto quoted = [](const std::string& text) {
    std::string out = "\"";
    for (const char c : text) out += c == '"' ? std::string("\"\"") : std::string(1, c);
    return out + "\"";
  };
  with.out.write(
      "trace,conf,completion,completed,peak_live_bytes,smallest_device_bytes,reserved_peak_bytes,retries,driver_calls,"
      "moved_bytes,priced_driver_ms,ns_per_event\n");
  for (const run_report& each : reports) {
    std::uint64_t calls = 0;
    for (const auto& [name, count] : each.result.driver_calls) calls += count;
    with.out.print("{},{},{},{},{},{},{},{},{},{},{:.3f},{:.1f}\n", quoted(each.what->name), quoted(each.conf),
                   chosen.completion, each.result.completed ? 1 : 0, each.peak_live_bytes,
                   each.smallest_device_bytes ? fmt::format("{}", *each.smallest_device_bytes) : "",
                   each.result.reserved_peak_bytes, each.result.retry_count, calls, each.result.moved_bytes,
                   each.result.priced_ms, each.result.ns_per_event);
  }
}

/// A table for each program, with a column for each string.
void print_tables(const invocation& with, const std::vector<run_report>& reports, std::size_t conf_count) {
  for (std::size_t first = 0; first < reports.size(); first += conf_count) {
    const program& what = *reports[first].what;
    with.out.print("{}: {}, {} operations on {} stream{}, {} live at most\n", with.out.paint(style::heading, what.name),
                   what.format, what.operations.size(), what.stream_count, what.stream_count == 1 ? "" : "s",
                   format_bytes(reports[first].peak_live_bytes));
    const std::span<const run_report> row_of(&reports[first], conf_count);
    std::vector<table::column> columns{{""}};
    for (const run_report& each : row_of)
      columns.push_back({each.conf.empty() ? std::string("(defaults)") : each.conf, alignment::right});
    table rows(columns);
    const auto add = [&](const char* name, auto cell) {
      std::vector<table_cell> cells{{name, style::dim}};
      for (const run_report& each : row_of) cells.push_back(cell(each));
      rows.add(std::move(cells));
    };
    add("completed", [](const run_report& each) {
      return each.result.completed
                 ? table_cell("yes", style::good)
                 : table_cell(fmt::format("no, at operation {}", each.result.failed_operation), style::error);
    });
    if (reports[first].smallest_device_bytes) {
      add("smallest device", [](const run_report& each) { return format_bytes(*each.smallest_device_bytes); });
      add("  / peak live",
          [](const run_report& each) { return ratio(*each.smallest_device_bytes, each.peak_live_bytes); });
    }
    add("reserved at most", [](const run_report& each) { return format_bytes(each.result.reserved_peak_bytes); });
    add("  / peak live",
        [](const run_report& each) { return ratio(each.result.reserved_peak_bytes, each.peak_live_bytes); });
    add("not live at the peak", [](const run_report& each) {
      const double held = static_cast<double>(each.result.reserved_at_peak_bytes);
      return held == 0 ? std::string("-")
                       : fmt::format("{:.1f} %", 100 * (1 - static_cast<double>(each.peak_live_bytes) / held));
    });
    add("retries", [](const run_report& each) { return fmt::format("{}", each.result.retry_count); });
    std::set<std::string> names;
    for (const run_report& each : row_of)
      for (const auto& [name, count] : each.result.driver_calls) names.insert(name);
    for (const std::string& name : names) {
      add(name.c_str(), [&](const run_report& each) {
        const auto found = each.result.driver_calls.find(name);
        return fmt::format("{}", found == each.result.driver_calls.end() ? 0 : found->second);
      });
    }
    add("moved", [](const run_report& each) { return format_bytes(each.result.moved_bytes); });
    add("driver, priced", [](const run_report& each) { return fmt::format("{:.1f} ms", each.result.priced_ms); });
    add("host", [](const run_report& each) { return fmt::format("{:.0f} ns an event", each.result.ns_per_event); });
    with.out.write(rows.to_string(with.out, 2));
    for (const run_report& each : row_of)
      if (!each.result.completed) with.out.print("  {}\n", with.out.paint(style::error, each.result.problem));
    with.out.write("\n");
  }
}

void write_picture(const std::string& path, const std::vector<run_report>& reports) {
  std::vector<replay_panel> panels;
  for (const run_report& each : reports) {
    panels.push_back({fmt::format("{}{}{}", each.what->name, each.conf.empty() ? "" : ", ", each.conf),
                      each.what->operations.size(), &each.result});
  }
  std::ofstream file(path, std::ios::binary);
  file << draw_replays(panels);
  if (!file.flush()) throw usage_error(fmt::format("--svg: '{}' cannot be written", path));
}

int run_replay(const invocation& with, const choices& chosen) {
  const replay_setup base = setup_of(chosen);
  std::vector<std::string> confs = chosen.confs;
  if (confs.empty()) confs.emplace_back();
  std::vector<config> settings;
  for (const std::string& each : confs) settings.push_back(read_conf(each));

  std::optional<soft_device> soft;
  std::optional<replayer> runner;
  if (chosen.device >= 0) {
    if (chosen.fit || !chosen.costs.empty() || chosen.completion != "free")
      throw usage_error("--fit, --costs and --completion are for the software GPU, without --device");
    std::shared_ptr<const detail::driver> api;
    throw_on_failure(detail::driver::load(chosen.driver, api));
    runner.emplace(std::move(api), chosen.device);
  } else {
    const std::string path = chosen.driver.empty() ? software_driver_path() : chosen.driver;
    if (path.empty())
      throw usage_error("the software GPU is not beside this program: name its driver with --driver PATH");
    soft.emplace(path);
    if (!chosen.costs.empty()) set_prices(*soft, chosen.costs);
    runner.emplace(*soft);
  }

  const std::vector<program> programs = load_all(with, chosen);
  std::vector<run_report> reports;
  for (const program& each : programs) {
    for (std::size_t i = 0; i < confs.size(); ++i) {
      progress_bar bar(with.err, fmt::format("{} {}", each.name, confs[i]));
      const auto progress = [&](double share) { bar.show(share); };
      run_report report{&each, confs[i], trace::peak_of(each).bytes, {}, {}};
      replay_setup setup = base;
      setup.settings = settings[i];
      if (chosen.fit) {
        report.smallest_device_bytes = runner->find_smallest(each, setup, progress);
        if (chosen.memory.empty()) setup.memory_bytes = *report.smallest_device_bytes;
      }
      report.result = runner->run(each, setup, chosen.svg.empty() ? 0 : 1000, progress);
      reports.push_back(std::move(report));
    }
  }
  if (!chosen.svg.empty()) write_picture(chosen.svg, reports);
  if (with.json) {
    json out = json::array();
    for (const run_report& each : reports) out.push_back(to_json(each, chosen));
    with.print_json(out);
  } else if (chosen.csv) {
    print_csv(with, reports, chosen);
  } else {
    print_tables(with, reports, confs.size());
  }
  const bool all = std::ranges::all_of(reports, [](const run_report& each) { return each.result.completed; });
  return all ? exit_fine : exit_wrong;
}

}  // namespace

void add_replay_command(CLI::App& app, invocation& with) {
  const auto chosen = std::make_shared<choices>();
  CLI::App& command = add_command(app, with, "replay", "run recorded programs again, and see how much memory they need",
                                  [&with, chosen] { return run_replay(with, *chosen); });
  command
      .add_option("trace", chosen->traces,
                  "PyTorch snapshots, RMM logs or terrazzo traces; plain, xz or gzip; - is stdin")
      ->required()
      ->type_name("TRACE");
  command.add_option("--conf", chosen->confs, "settings to run under; given again: one column more")
      ->type_name("STRING");
  command.add_option("--memory", chosen->memory, "memory of the device, as in 8GiB; 200GiB if not said")
      ->type_name("SIZE");
  command.add_flag("--fit", chosen->fit, "find the smallest device on which it completes, to a thousandth");
  command
      .add_option("--completion", chosen->completion,
                  "when a stream finishes what was freed: free, at once; never, unless waited for; delay:N operations")
      ->type_name("WHEN");
  command.add_option("--device", chosen->device, "run on this device rather than on the software GPU")->type_name("N");
  add_driver_option(command, chosen->driver);
  command.add_option("--costs", chosen->costs, "prices of driver calls, lines of \"function,a,b\" in ns")
      ->type_name("FILE");
  command.add_flag("--csv", chosen->csv, "print a line of values for each run");
  command.add_option("--svg", chosen->svg, "write the curves and the address map as a picture")->type_name("FILE");
  command.footer("Exits with 0 if all completed, 1 if memory ran out, 2 if the input cannot be understood.");
}

}  // namespace terrazzo::tools
