// `terrazzo devices`: each device of the driver, what an allocator would do on it, and who holds its memory.
#include <nlohmann/json.hpp>

#include "base/bytes.hpp"
#include "driver/driver.hpp"
#include "tools/commands.hpp"
#include "tools/machine.hpp"
#include "tools/table.hpp"

namespace terrazzo::tools {
namespace {

using json = nlohmann::ordered_json;

json text_or_null(const std::string& text) { return text.empty() ? json(nullptr) : json(text); }

json to_json(const library_facts& library, const std::string& version) {
  json out;
  out["path"] = text_or_null(library.path);
  if (!version.empty()) out["version"] = library.problem.empty() ? json(version) : json(nullptr);
  out["problem"] = text_or_null(library.problem);
  return out;
}

json to_json(const memory_holder& holder) {
  json out;
  out["pid"] = holder.pid;
  out["name"] = text_or_null(holder.name);
  out["bytes"] = holder.bytes ? json(*holder.bytes) : json(nullptr);
  out["this_command"] = holder.is_this_command;
  return out;
}

json to_json(const device_facts& device) {
  json out;
  out["device"] = device.ordinal;
  out["name"] = device.name;
  out["uuid"] = text_or_null(device.uuid);
  out["compute_capability"] = fmt::format("{}.{}", device.capability_major, device.capability_minor);
  out["total_bytes"] = device.total_bytes;
  out["problem"] = text_or_null(device.problem);
  if (!device.problem.empty()) return out;
  out["free_bytes"] = device.free_bytes;
  out["used_bytes"] = device.total_bytes - device.free_bytes;
  out["virtual_memory"] = device.has_virtual_memory;
  out["virtual_memory_problem"] = text_or_null(device.virtual_memory_reason);
  out["granularity_bytes"] = device.granularity_bytes != 0 ? json(device.granularity_bytes) : json(nullptr);
  out["chunk_bytes"] = device.has_virtual_memory ? json(device.chunk_bytes) : json(nullptr);
  out["segments"] = device.is_expandable ? "expandable" : "plain";
  out["workspace"]["bytes"] = device.workspace_problem.empty() ? json(device.workspace.bytes) : json(nullptr);
  out["workspace"]["recommended_bytes"] = detail::recommended_workspace_bytes(device.capability_major);
  out["workspace"]["origin"] = text_or_null(device.workspace.origin);
  out["workspace"]["problem"] = text_or_null(device.workspace_problem);
  out["holders"] = nullptr;
  if (device.holders) {
    out["holders"] = json::array();
    for (const memory_holder& holder : *device.holders) out["holders"].push_back(to_json(holder));
  }
  return out;
}

/// Lines of a word and what it says, which is wrapped.
struct lines {
  table text{{{""}, {""}}};
  void add(const char* word, table_cell says) { text.add({table_cell(word, style::dim), std::move(says)}); }
};

void add_holders(const device_facts& device, lines& out) {
  const std::size_t used = device.total_bytes - device.free_bytes;
  if (!device.holders && used == 0) return;
  if (!device.holders) {
    // Without NVML nobody says who it is. This command's own context is a part of it.
    out.add("in use", {fmt::format("{} by others and by this command; the system does not tell who",
                                   detail::format_bytes(used))});
    return;
  }
  const char* word = "in use by";
  for (const memory_holder& holder : *device.holders) {
    out.add(word, {fmt::format("{}: {} {}", holder.bytes ? detail::format_bytes(*holder.bytes) : "unknown bytes",
                               holder.is_this_command ? "this command, process"
                               : holder.name.empty()  ? "process"
                                                      : holder.name + ", process",
                               holder.pid)});
    word = "";
  }
  if (device.holders->empty() && used != 0)
    out.add(word, {fmt::format("{}: nobody that the system tells of", detail::format_bytes(used))});
}

void print_device(const invocation& with, const device_facts& device) {
  with.out.print("\n{}\n", with.out.paint(style::heading,
                                          fmt::format("device {}: {}, compute capability {}.{}", device.ordinal,
                                                      device.name, device.capability_major, device.capability_minor)));
  lines out;
  if (!device.problem.empty()) {
    out.add("problem", {device.problem, style::error});
    with.out.write(out.text.to_string(with.out, 2));
    return;
  }
  out.add("memory", {fmt::format("{}, of which {} free", detail::format_bytes(device.total_bytes),
                                 detail::format_bytes(device.free_bytes))});
  add_holders(device, out);
  if (device.has_virtual_memory) {
    out.add("mapping",
            {fmt::format("works, tried with one chunk: chunks of {}, granularity {}",
                         detail::format_bytes(device.chunk_bytes), detail::format_bytes(device.granularity_bytes)),
             style::good});
  } else {
    out.add("mapping", {"does not work: " + device.virtual_memory_reason, style::warning});
  }
  out.add("segments", {device.is_expandable         ? "expandable: one address range that grows by chunks"
                       : !device.has_virtual_memory ? "plain, since mapping does not work"
                                                    : "plain, since the settings say expandable_segments:False"});
  if (device.workspace_problem.empty())
    out.add("workspace", {fmt::format("{} for cuBLAS on each stream: {}", detail::format_bytes(device.workspace.bytes),
                                      device.workspace.origin)});
  else out.add("workspace", {device.workspace_problem, style::error});
  with.out.write(out.text.to_string(with.out, 2));
}

void print_text(const invocation& with, const machine_facts& machine) {
  lines out;
  out.add("driver",
          {fmt::format("{}, for CUDA {}", machine.driver.path, detail::cuda_version_text(machine.driver.version))});
  if (machine.cublas.problem.empty())
    out.add("cuBLAS",
            {fmt::format("{}, version {}", machine.cublas.path, cublas_version_text(machine.cublas.version))});
  else out.add("cuBLAS", {machine.cublas.problem, style::warning});
  if (!machine.settings_problem.empty()) out.add("settings", {machine.settings_problem, style::error});
  with.out.write(out.text.to_string(with.out));
  for (const device_facts& device : machine.devices) print_device(with, device);
}

/// What is told where there is no driver: its problem, and that the software GPU is there, if it is.
std::string no_driver_sentence(const machine_facts& machine) {
  std::string sentence = machine.driver.problem;
  const std::string software = software_driver_path();
  if (!software.empty()) sentence += fmt::format("; without a card, use the software GPU: --driver {}", software);
  return sentence;
}

int run_devices(const invocation& with, const std::string& driver_path) {
  const machine_facts machine = look_at_machine(driver_path);
  const bool has_driver = machine.driver_status == status::ok;
  if (with.json) {
    json out;
    out["driver"] = to_json(machine.driver, detail::cuda_version_text(machine.driver.version));
    out["cublas"] = to_json(machine.cublas, cublas_version_text(machine.cublas.version));
    out["management_library"] = to_json(machine.management, "");
    out["settings_problem"] = text_or_null(machine.settings_problem);
    out["devices"] = json::array();
    for (const device_facts& device : machine.devices) out["devices"].push_back(to_json(device));
    with.print_json(out);
  } else if (has_driver) {
    print_text(with, machine);
  }
  if (!has_driver) {
    with.print_error(no_driver_sentence(machine));
    const bool bad_path = !driver_path.empty() && machine.driver_status == status::driver_not_found;
    return bad_path ? exit_usage : exit_wrong;
  }
  bool all_open = true;
  for (const device_facts& device : machine.devices) all_open = all_open && device.problem.empty();
  return all_open ? exit_fine : exit_wrong;
}

}  // namespace

void add_devices_command(CLI::App& app, invocation& with) {
  auto driver_path = std::make_shared<std::string>();
  CLI::App& command =
      add_command(app, with, "devices", "show each device, its memory, and what an allocator would do there",
                  [&with, driver_path] { return run_devices(with, *driver_path); });
  add_driver_option(command, *driver_path);
}

}  // namespace terrazzo::tools
