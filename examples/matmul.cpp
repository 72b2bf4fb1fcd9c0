// The main job: matrices multiplied through the cuBLAS API, in memory and with a workspace from terrazzo.
//
// A product is split in two along k, as engines do for long sums: both halves go into scratch, and a small third
// product adds them up into the result. Scratch and result are allocated and freed by terrazzo for each product, which
// after the first costs no driver call; each result is checked.
#include <cublas_api.h>
#include <fmt/format.h>

#include <CLI/CLI.hpp>
#include <algorithm>
#include <chrono>
#include <cstdio>
#include <nlohmann/json.hpp>
#include <stdexcept>

#include "base/bytes.hpp"
#include "support/choose_device.hpp"
#include "support/cuda.hpp"
#include "support/device_facts.hpp"
#include "support/matrices.hpp"
#include "support/size.hpp"
#include "terrazzo/terrazzo.hpp"

namespace {

constexpr std::uint64_t mib = std::uint64_t{1} << 20;
constexpr std::uint64_t default_memory_bytes = 8192 * mib;

struct options {
  std::size_t m = 1024;
  std::size_t n = 1024;
  std::size_t k = 1024;
  std::string type = "f32";
  std::optional<std::uint64_t> memory_bytes;
  std::string conf;
  bool conf_given = false;
  std::string device = "auto";
  std::size_t repeat = 10;
  bool json = false;
};

/// cublasGemmEx, which in C++ has an older overload beside the exported function.
using gemm_ex = cublasStatus_t (*)(cublasHandle_t, cublasOperation_t, cublasOperation_t, int, int, int, const void*,
                                   const void*, cudaDataType, int, const void*, cudaDataType, int, const void*, void*,
                                   cudaDataType, int, cublasComputeType_t, cublasGemmAlgo_t);

/// The two cuBLAS functions used here, and what to do when one fails.
struct blas {
  explicit blas(const terrazzo::cublas_library& library)
      : gemm(library.function<gemm_ex>("cublasGemmEx")),
        sgemm(library.function<decltype(&cublasSgemm_v2)>("cublasSgemm_v2")) {}

  static void check(cublasStatus_t code, const char* call) {
    if (code == CUBLAS_STATUS_SUCCESS) return;
    throw std::runtime_error(std::string(call) + " failed with cuBLAS status " +
                             std::to_string(static_cast<int>(code)));
  }

  gemm_ex gemm;
  decltype(&cublasSgemm_v2) sgemm;
};

/// Device memory from terrazzo for the length of a scope.
struct device_buffer {
  device_buffer(terrazzo::allocator& from, std::size_t bytes, terrazzo::stream_handle stream)
      : memory(from), pointer(from.allocate(bytes, stream)) {}
  ~device_buffer() { memory.try_deallocate(pointer); }
  device_buffer(const device_buffer&) = delete;
  device_buffer& operator=(const device_buffer&) = delete;
  [[nodiscard]] CUdeviceptr address() const { return reinterpret_cast<CUdeviceptr>(pointer); }

  terrazzo::allocator& memory;
  void* pointer;
};

struct stream {
  explicit stream(const example::cuda& on) : cuda(on) {
    cuda.check(cuda.call().cuStreamCreate(&handle, CU_STREAM_NON_BLOCKING), "cuStreamCreate");
  }
  ~stream() { cuda.call().cuStreamDestroy_v2(handle); }
  stream(const stream&) = delete;
  stream& operator=(const stream&) = delete;
  void wait() const { cuda.check(cuda.call().cuStreamSynchronize(handle), "cuStreamSynchronize"); }

  const example::cuda& cuda;
  CUstream handle = nullptr;
};

/// A cuBLAS handle of a pool.
struct handle {
  explicit handle(terrazzo::workspace_pool& from) : pool(from), value(from.create_handle()) {}
  ~handle() {
    try {
      pool.destroy_handle(value);
    } catch (const terrazzo::error& failure) {
      std::fprintf(stderr, "%s\n", failure.what());
    }
  }
  handle(const handle&) = delete;
  handle& operator=(const handle&) = delete;

  terrazzo::workspace_pool& pool;
  terrazzo::cublas_handle value;
};

/// result = left * right, by way of scratch that holds the two halves of the sum.
void multiply(const blas& cublas, terrazzo::cublas_handle handle, const options& with,
              const example::element_info& type, const void* left, const void* right, float* scratch, const float* ones,
              float* result) {
  const auto m = static_cast<int>(with.m);
  const auto n = static_cast<int>(with.n);
  const auto k = static_cast<int>(with.k);
  const float one = 1;
  const float zero = 0;
  const std::size_t first = with.k / 2;
  for (const bool second : {false, true}) {
    const std::size_t from = second ? first : 0;
    const auto depth = static_cast<int>(second ? with.k - first : first);
    blas::check(
        cublas.gemm(handle, CUBLAS_OP_N, CUBLAS_OP_N, m, n, depth, &one,
                    static_cast<const char*>(left) + from * with.m * type.bytes, type.cuda_type, m,
                    static_cast<const char*>(right) + from * type.bytes, type.cuda_type, k, &zero,
                    scratch + (second ? with.m * with.n : 0), CUDA_R_32F, m, CUBLAS_COMPUTE_32F, CUBLAS_GEMM_DEFAULT),
        "cublasGemmEx");
  }
  // The halves, seen as two columns, times (1, 1).
  const int entries = m * n;
  blas::check(cublas.sgemm(handle, CUBLAS_OP_N, CUBLAS_OP_N, entries, 1, 2, &one, scratch, entries, ones, 2, &zero,
                           result, entries),
              "cublasSgemm");
}

nlohmann::ordered_json run(const options& with) {
  const example::chosen_device chosen = example::choose_device(with.device, with.memory_bytes, default_memory_bytes);
  const example::cuda cuda(chosen.driver_path);
  terrazzo::config settings = with.conf_given ? terrazzo::parse_config(with.conf) : terrazzo::config_from_environment();
  // The software GPU has the memory that was asked for; of a card, terrazzo takes no more than that.
  if (!chosen.is_software)
    settings.limit_bytes =
        std::min<std::size_t>(settings.limit_bytes, with.memory_bytes.value_or(default_memory_bytes));
  terrazzo::allocator memory({.device = 0, .settings = settings, .driver_path = chosen.driver_path});

  const stream work(cuda);
  terrazzo::workspace_pool workspaces(memory, {.preallocate_count = 1});
  const terrazzo::cublas_library& library = workspaces.library();
  const blas cublas(library);
  const handle handle(workspaces);

  const example::element_info& type = example::find_element(with.type);
  example::matrix left(with.m, with.k, type);
  example::matrix right(with.k, with.n, type);
  left.fill(1);
  right.fill(2);
  const float ones[2] = {1, 1};
  const device_buffer device_left(memory, left.bytes.size(), work.handle);
  const device_buffer device_right(memory, right.bytes.size(), work.handle);
  const device_buffer device_ones(memory, sizeof ones, work.handle);
  const auto upload = [&](const device_buffer& to, const void* from, std::size_t bytes) {
    cuda.check(cuda.call().cuMemcpyHtoDAsync_v2(to.address(), from, bytes, work.handle), "cuMemcpyHtoDAsync");
  };
  upload(device_left, left.bytes.data(), left.bytes.size());
  upload(device_right, right.bytes.data(), right.bytes.size());
  upload(device_ones, ones, sizeof ones);
  work.wait();

  example::matrix product(with.m, with.n, example::elements[0]);
  example::comparison first;
  std::vector<unsigned char> first_bytes;
  bool identical = true;
  double seconds = 0;
  terrazzo::statistics before;
  for (std::size_t round = 0; round <= with.repeat; ++round) {  // round 0 warms up, and is the one compared in full
    if (round == 1) before = memory.stats();
    const auto start = std::chrono::steady_clock::now();
    const device_buffer scratch(memory, 2 * product.bytes.size(), work.handle);
    const device_buffer result(memory, product.bytes.size(), work.handle);
    workspaces.bind(handle.value, work.handle);
    multiply(cublas, handle.value, with, type, device_left.pointer, device_right.pointer,
             static_cast<float*>(scratch.pointer), static_cast<const float*>(device_ones.pointer),
             static_cast<float*>(result.pointer));
    work.wait();
    if (round > 0) seconds += std::chrono::duration<double>(std::chrono::steady_clock::now() - start).count();

    cuda.check(
        cuda.call().cuMemcpyDtoHAsync_v2(product.bytes.data(), result.address(), product.bytes.size(), work.handle),
        "cuMemcpyDtoHAsync");
    work.wait();
    if (round == 0) {
      first = example::compare(left, right, product);
      first_bytes = product.bytes;
    } else {
      identical = identical && product.bytes == first_bytes;
    }
  }
  const terrazzo::statistics after = memory.stats();
  const auto per_product = [&](std::uint64_t count) {
    return static_cast<double>(count) / static_cast<double>(with.repeat);
  };
  const double flops = 2.0 * static_cast<double>(with.m) * static_cast<double>(with.n) * static_cast<double>(with.k);
  const terrazzo::workspace_view workspace = workspaces.workspace(work.handle);

  nlohmann::ordered_json out;
  out["passed"] = first.max_rel_error <= type.tolerance && identical && after.driver_calls == before.driver_calls;
  example::put_device(out, chosen, cuda);
  out["conf"] = terrazzo::to_string(memory.settings());
  out["segments"] = memory.kind() == terrazzo::segment_kind::expandable ? "expandable" : "plain";
  out["m"] = with.m;
  out["n"] = with.n;
  out["k"] = with.k;
  out["type"] = type.name;
  out["repeat"] = with.repeat;
  out["max_rel_error"] = first.max_rel_error;
  out["tolerance"] = type.tolerance;
  out["rows_checked"] = first.rows_checked;
  out["identical"] = identical;
  out["workspace_bytes"] = workspace.bytes;
  out["workspace_origin"] = workspaces.size_origin();
  out["workspace_aligned_to"] = workspaces.stats().aligned_to;
  out["allocations_per_product"] = per_product(after.allocation_count - before.allocation_count);
  out["driver_calls_per_product"] = per_product(after.driver_calls - before.driver_calls);
  out["seconds_per_product"] = seconds / static_cast<double>(with.repeat);
  out["gflops"] = flops * static_cast<double>(with.repeat) / seconds / 1e9;
  out["allocated_peak_bytes"] = after.allocated_bytes.peak;
  out["reserved_peak_bytes"] = after.reserved_bytes.peak;
  out["cublas"] = library.path();
  out["cublas_version"] = library.version();
  return out;
}

void print(const nlohmann::ordered_json& out) {
  const bool software = out["device"] == "soft";
  const auto line = [](const char* label, const std::string& text) { std::printf("%-12s %s\n", label, text.c_str()); };
  const auto size = [&](const char* key) { return terrazzo::detail::format_bytes(out[key].get<std::uint64_t>()); };
  line("device", example::describe_device(out));
  line("config", fmt::format("{}, {} segments", out["conf"] == "" ? "defaults" : out["conf"].get<std::string>(),
                             out["segments"].get<std::string>()));
  line("cuBLAS", fmt::format("{}, version {}", out["cublas"].get<std::string>(), out["cublas_version"].get<int>()));
  line("workspace", fmt::format("{}, aligned to {}, {}", size("workspace_bytes"), size("workspace_aligned_to"),
                                out["workspace_origin"].get<std::string>()));
  line("product",
       fmt::format("{} x {} x {} in {}, {} times", out["m"].get<std::size_t>(), out["n"].get<std::size_t>(),
                   out["k"].get<std::size_t>(), out["type"].get<std::string>(), out["repeat"].get<std::size_t>()));
  line("error",
       fmt::format("{:.2e} relative ({:.0e} allowed), {} rows compared with the CPU, all products {}",
                   out["max_rel_error"].get<double>(), out["tolerance"].get<double>(),
                   out["rows_checked"].get<std::size_t>(), out["identical"].get<bool>() ? "identical" : "DIFFERENT"));
  line("memory",
       fmt::format("{} allocated at the peak, {} reserved", size("allocated_peak_bytes"), size("reserved_peak_bytes")));
  line("each product",
       fmt::format("{:.3g} allocations, {:.3g} driver calls, {:.3f} ms, {:.1f} GFLOP/s{}",
                   out["allocations_per_product"].get<double>(), out["driver_calls_per_product"].get<double>(),
                   out["seconds_per_product"].get<double>() * 1e3, out["gflops"].get<double>(),
                   software ? " (this machine's CPU, not a GPU's number)" : ""));
  line("result", out["passed"].get<bool>() ? "passed" : "FAILED");
}

}  // namespace

int main(int argc, char** argv) {
  options with;
  CLI::App app{"Multiplies matrices through cuBLAS in memory and workspaces from terrazzo, and checks every product."};
  app.add_option("--m", with.m, "rows of the result")->check(CLI::Range(1, 32768))->capture_default_str();
  app.add_option("--n", with.n, "columns of the result")->check(CLI::Range(1, 32768))->capture_default_str();
  app.add_option("--k", with.k, "length of the sums")->check(CLI::Range(1, 1048576))->capture_default_str();
  app.add_option("--type", with.type, "type of the operands; sums and result are f32")
      ->check(CLI::IsMember({"f32", "f16", "bf16"}))
      ->capture_default_str();
  example::add_size_option(app, "--memory", with.memory_bytes, mib, mib << 26,
                           "memory of the software GPU (default: what TERRAZZO_SOFTGPU says, else 8GiB), or limit on a "
                           "card (default 8GiB)");
  app.add_option("--conf", with.conf, "config string, as in expandable_segments:False (default: from the environment)");
  app.add_option("--device", with.device, "auto takes a card if there is one")
      ->check(CLI::IsMember({"auto", "cuda", "soft"}))
      ->capture_default_str();
  app.add_option("--repeat", with.repeat, "products after the first")
      ->check(CLI::Range(1, 1000000))
      ->capture_default_str();
  app.add_flag("--json", with.json, "print one JSON object");
  try {
    app.parse(argc, argv);
  } catch (const CLI::ParseError& failure) {
    return app.exit(failure) == 0 ? 0 : 2;
  }
  with.conf_given = app.count("--conf") != 0;
  try {
    const nlohmann::ordered_json out = run(with);
    if (with.json) std::printf("%s\n", out.dump(2).c_str());
    else print(out);
    return out["passed"].get<bool>() ? 0 : 1;
  } catch (const terrazzo::error& failure) {
    std::fprintf(stderr, "matmul: %s\n", failure.what());
    return failure.code() == terrazzo::status::invalid_config ? 2 : 1;
  } catch (const std::exception& failure) {
    std::fprintf(stderr, "matmul: %s\n", failure.what());
    return 1;
  }
}
