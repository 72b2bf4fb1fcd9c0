// `terrazzo doctor`: what is wrong with this machine and this environment, most important first, with one command for
// each that mends it.
#include <algorithm>
#include <nlohmann/json.hpp>

#include "driver/driver.hpp"
#include "tools/checks.hpp"
#include "tools/commands.hpp"
#include "tools/table.hpp"

namespace terrazzo::tools {
namespace {

using json = nlohmann::ordered_json;

std::size_t count_of(const std::vector<finding>& findings, severity_level severity) {
  return static_cast<std::size_t>(
      std::count_if(findings.begin(), findings.end(), [&](const finding& one) { return one.severity == severity; }));
}

std::string counted(std::size_t count, const char* word) {
  return fmt::format("{} {}{}", count, word, count == 1 ? "" : "s");
}

void print_findings(const invocation& with, const std::vector<finding>& findings) {
  constexpr std::size_t behind_word = 9;  // "warning" and a gap
  for (const finding& one : findings) {
    table out({{""}, {""}});
    out.add({{fmt::format("{:7}", to_string(one.severity)), style_of(one.severity)}, {one.what, style::heading}});
    if (!one.why.empty()) out.add({"", one.why});
    with.out.write(out.to_string(with.out));
    // Never wrapped: it is there to be copied.
    if (!one.command.empty())
      with.out.print("{:{}}{}\n", "", behind_word, with.out.paint(style::good, "$ " + one.command));
    with.out.write("\n");
  }
}

/// What was looked at, so that "nothing is wrong" says about what.
std::string summary_of(const machine_facts& machine) {
  std::string text = machine.driver_status == status::ok
                         ? fmt::format("driver for CUDA {}, {}", detail::cuda_version_text(machine.driver.version),
                                       counted(machine.devices.size(), "device"))
                         : "no driver";
  text += machine.cublas.problem.empty() ? fmt::format(", cuBLAS {}", cublas_version_text(machine.cublas.version))
                                         : ", no cuBLAS";
  return text;
}

int run_doctor(const invocation& with, const std::string& driver_path) {
  const evidence seen = gather_evidence(driver_path);
  const std::vector<finding> findings = run_checks(seen);
  const std::size_t errors = count_of(findings, severity_level::error);
  const std::size_t warnings = count_of(findings, severity_level::warning);
  const std::size_t notes = count_of(findings, severity_level::note);
  const bool is_healthy = errors + warnings == 0;
  if (with.json) {
    json out;
    out["healthy"] = is_healthy;
    out["errors"] = errors;
    out["warnings"] = warnings;
    out["notes"] = notes;
    out["findings"] = json::array();
    for (const finding& one : findings) {
      json row;
      row["severity"] = to_string(one.severity);
      row["check"] = one.check;
      row["what"] = one.what;
      row["why"] = one.why;
      row["command"] = one.command.empty() ? json(nullptr) : json(one.command);
      out["findings"].push_back(std::move(row));
    }
    out["checks"] = json::array();
    for (const check& one : all_checks()) out["checks"].push_back(one.id);
    with.print_json(out);
  } else {
    print_findings(with, findings);
    const std::string counts =
        is_healthy
            ? notes == 0 ? "nothing is wrong" : fmt::format("nothing is wrong; {}", counted(notes, "note"))
            : fmt::format("{}, {}, {}", counted(errors, "error"), counted(warnings, "warning"), counted(notes, "note"));
    with.out.print("{} ({})\n",
                   with.out.paint(is_healthy    ? style::good
                                  : errors != 0 ? style::error
                                                : style::warning,
                                  counts),
                   summary_of(seen.machine));
  }
  return is_healthy ? exit_fine : exit_wrong;
}

}  // namespace

void add_doctor_command(CLI::App& app, invocation& with) {
  auto driver_path = std::make_shared<std::string>();
  CLI::App& command =
      add_command(app, with, "doctor", "find what is wrong with this machine's set-up, and say what mends it",
                  [&with, driver_path] { return run_doctor(with, *driver_path); });
  add_driver_option(command, *driver_path);
  command.footer("Exits with 1 if there is an error or a warning.");
}

}  // namespace terrazzo::tools
