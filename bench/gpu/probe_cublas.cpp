// What cuBLAS and cuBLASLt ask of device memory (to be measured on a card, items 1 to 3 of cuBLAS).
//   handle_memory   free bytes lost to creating the handles, to a first product, and got back by destroying them; run
//                   with several CUBLAS_WORKSPACE_CONFIG, which is read when the library is first used
//   algorithms      what a workspace limit leaves of cuBLASLt's algorithms, what they need, how fast the first ones
//                   are, and whether they give the same bits as under the largest limit
//   full_cold       how much memory must be free for cublasCreate, and for a first product, in a process that never
//                   used it
//   full_cold_lt    the same of cuBLASLt
//   full_warm       what still works with nothing free once both have been used

#include <cstring>
#include <functional>
#include <optional>

#include "blas.hpp"
#include "vmm.hpp"

namespace {

using namespace terrazzo::probe;

struct number_type {
  const char* name;
  cudaDataType_t data;
  std::size_t bytes;
};
constexpr number_type number_types[] = {{"f32", CUDA_R_32F, 4}, {"f16", CUDA_R_16F, 2}, {"bf16", CUDA_R_16BF, 2}};

/// Device memory full of numbers of either sign between 1/8 and 1, the same each time.
void fill_with_numbers(const gpu& device, const plain_memory& memory, std::size_t count, const number_type& type) {
  std::vector<unsigned char> host(count * type.bytes);
  std::uint64_t state = 0x9e3779b97f4a7c15u;
  for (std::size_t i = 0; i < count; ++i) {
    state = state * 6364136223846793005u + 1442695040888963407u;
    const auto random = static_cast<std::uint32_t>(state >> 33);
    const std::uint32_t sign = random >> 30 & 1;
    if (type.data == CUDA_R_32F) {
      const std::uint32_t bits = sign << 31 | (0x3e000000u + random % 0x01800000u);
      std::memcpy(host.data() + i * 4, &bits, 4);
    } else {
      const std::uint32_t low = type.data == CUDA_R_16F ? 0x3000u : 0x3e00u;
      const std::uint32_t span = type.data == CUDA_R_16F ? 0x0c00u : 0x0180u;
      const auto bits = static_cast<std::uint16_t>(sign << 15 | (low + random % span));
      std::memcpy(host.data() + i * 2, &bits, 2);
    }
  }
  device.cuda.cuMemcpyHtoD_v2.must(memory.address(), static_cast<const void*>(host.data()), host.size());
}

template <typename T = void>
[[nodiscard]] T* at(CUdeviceptr address) {
  return reinterpret_cast<T*>(address);
}

/// One product D = A * B of a shape and type, described to cuBLASLt, with operands on the device.
class product {
 public:
  product(const gpu& device, const blas_calls& blas, const number_type& type, std::size_t m, std::size_t n,
          std::size_t k)
      : blas_(blas),
        flops_(2.0 * static_cast<double>(m) * static_cast<double>(n) * static_cast<double>(k)),
        result_bytes_(m * n * type.bytes),
        a_(device, m * k * type.bytes),
        b_(device, k * n * type.bytes),
        d_(device, result_bytes_) {
    fill_with_numbers(device, a_, m * k, type);
    fill_with_numbers(device, b_, k * n, type);
    need(blas.cublasLtMatmulDescCreate(&operation_, CUBLAS_COMPUTE_32F, CUDA_R_32F), "cublasLtMatmulDescCreate");
    const auto layout = [&](cublasLtMatrixLayout_t& made, std::size_t rows, std::size_t columns) {
      need(blas.cublasLtMatrixLayoutCreate(&made, type.data, static_cast<std::uint64_t>(rows),
                                           static_cast<std::uint64_t>(columns), static_cast<std::int64_t>(rows)),
           "cublasLtMatrixLayoutCreate");
    };
    layout(a_layout_, m, k);
    layout(b_layout_, k, n);
    layout(d_layout_, m, n);
  }
  product(const product&) = delete;
  product& operator=(const product&) = delete;
  ~product() {
    for (const cublasLtMatrixLayout_t layout : {a_layout_, b_layout_, d_layout_})
      blas_.cublasLtMatrixLayoutDestroy(layout);
    blas_.cublasLtMatmulDescDestroy(operation_);
  }

  /// Asks for algorithms that need at most `limit_bytes` of workspace.
  cublasStatus_t plan(cublasLtHandle_t handle, std::size_t limit_bytes, int most,
                      std::vector<cublasLtMatmulHeuristicResult_t>& found) const {
    cublasLtMatmulPreference_t preference = nullptr;
    need(blas_.cublasLtMatmulPreferenceCreate(&preference), "cublasLtMatmulPreferenceCreate");
    need(blas_.cublasLtMatmulPreferenceSetAttribute(preference, CUBLASLT_MATMUL_PREF_MAX_WORKSPACE_BYTES,
                                                    static_cast<const void*>(&limit_bytes), sizeof(limit_bytes)),
         "cublasLtMatmulPreferenceSetAttribute");
    found.resize(static_cast<std::size_t>(most));
    int count = 0;
    const cublasStatus_t status = blas_.cublasLtMatmulAlgoGetHeuristic(
        handle, operation_, a_layout_, b_layout_, d_layout_, d_layout_, preference, most, found.data(), &count);
    found.resize(status == CUBLAS_STATUS_SUCCESS ? static_cast<std::size_t>(count) : 0);
    blas_.cublasLtMatmulPreferenceDestroy(preference);
    return status;
  }

  cublasStatus_t run(cublasLtHandle_t handle, const cublasLtMatmulAlgo_t& algorithm, CUdeviceptr workspace,
                     std::size_t bytes, CUstream stream) const {
    const float one = 1, zero = 0;
    return blas_.cublasLtMatmul(handle, operation_, static_cast<const void*>(&one), at<const void>(a_.address()),
                                a_layout_, at<const void>(b_.address()), b_layout_, static_cast<const void*>(&zero),
                                at<const void>(d_.address()), d_layout_, at<void>(d_.address()), d_layout_, &algorithm,
                                at<void>(workspace), bytes, stream);
  }

  /// A number that tells results apart (FNV-1a over their bytes).
  [[nodiscard]] std::uint64_t digest(const gpu& device) const {
    std::vector<unsigned char> host(result_bytes_);
    device.cuda.cuMemcpyDtoH_v2.must(static_cast<void*>(host.data()), d_.address(), host.size());
    std::uint64_t hash = 0xcbf29ce484222325u;
    for (const unsigned char byte : host) hash = (hash ^ byte) * 0x100000001b3u;
    return hash;
  }
  [[nodiscard]] double flops() const noexcept { return flops_; }

 private:
  const blas_calls& blas_;
  double flops_;
  std::size_t result_bytes_;
  plain_memory a_, b_, d_;
  cublasLtMatmulDesc_t operation_ = nullptr;
  cublasLtMatrixLayout_t a_layout_ = nullptr, b_layout_ = nullptr, d_layout_ = nullptr;
};

/// A square Sgemm through a cuBLAS handle.
class square_product {
 public:
  square_product(const gpu& device, const blas_calls& blas, int n)
      : device_(device), blas_(blas), n_(n), memory_(device, 3 * bytes()) {
    device.cuda.cuMemsetD8_v2.must(memory_.address(), static_cast<unsigned char>(0), 3 * bytes());
  }
  cublasStatus_t run(cublasHandle_t handle) const {
    const float one = 1, zero = 0;
    const CUdeviceptr a = memory_.address(), b = a + bytes(), c = b + bytes();
    const cublasStatus_t status =
        blas_.cublasSgemm_v2(handle, CUBLAS_OP_N, CUBLAS_OP_N, n_, n_, n_, &one, at<const float>(a), n_,
                             at<const float>(b), n_, &zero, at<float>(c), n_);
    if (status == CUBLAS_STATUS_SUCCESS) device_.cuda.cuCtxSynchronize.must();
    return status;
  }

 private:
  [[nodiscard]] std::size_t bytes() const {
    return static_cast<std::size_t>(n_) * static_cast<std::size_t>(n_) * sizeof(float);
  }
  const gpu& device_;
  const blas_calls& blas_;
  int n_;
  plain_memory memory_;
};

std::string lost(std::size_t before, std::size_t after) {
  return before >= after ? fmt::format("bytes_taken={}", before - after)
                         : fmt::format("bytes_given_back={}", after - before);
}

void measure_handle_memory(probe& p) {
  gpu& device = p.device();
  const blas_calls blas = load_blas(device);
  const square_product gemm(device, blas, 512);
  std::size_t before = device.free_bytes();
  const auto step = [&](const char* call, const std::string& status) {
    const std::size_t after = device.free_bytes();
    p.row(call, "", fmt::format("{}; {}", status, lost(before, after)));
    const std::size_t taken = before - std::min(before, after);
    before = after;
    return taken;
  };
  cublasHandle_t handle = nullptr;
  need(blas.cublasCreate_v2(&handle), "cublasCreate");
  const std::size_t created = step("cublasCreate, first", "CUBLAS_STATUS_SUCCESS");
  cublasHandle_t second = nullptr;
  need(blas.cublasCreate_v2(&second), "cublasCreate");
  const std::size_t again = step("cublasCreate, second", "CUBLAS_STATUS_SUCCESS");
  int version = 0;
  blas.cublasGetVersion_v2(handle, &version);
  p.row("cublasGetVersion", "", fmt::format("{}; {}", version, blas.path));
  const std::size_t first_product = step("cublasSgemm 512, first", name_of(gemm.run(handle)));
  step("cublasSgemm 512, second", name_of(gemm.run(handle)));
  {
    const plain_memory workspace(device, 32 * mib);
    step("cuMemAlloc of 32 MiB for a workspace", "CUDA_SUCCESS");
    step("cublasSetWorkspace", name_of(blas.cublasSetWorkspace_v2(handle, at<void>(workspace.address()), 32 * mib)));
    step("cublasSgemm 512, user's workspace", name_of(gemm.run(handle)));
    blas.cublasSetStream_v2(handle, CUstream{nullptr});
  }
  step("cuMemFree of the workspace", "CUDA_SUCCESS");
  std::string lt_told = "no cuBLASLt here";
  if (blas.cublasLtCreate) {
    const product small(device, blas, number_types[1], 512, 512, 512);
    const stream own(device);
    step("operands for cublasLtMatmul", "CUDA_SUCCESS");
    cublasLtHandle_t lt = nullptr;
    need(blas.cublasLtCreate(&lt), "cublasLtCreate");
    const std::size_t lt_created = step("cublasLtCreate", "CUBLAS_STATUS_SUCCESS");
    std::vector<cublasLtMatmulHeuristicResult_t> found;
    const cublasStatus_t planned = small.plan(lt, 0, 1, found);
    const std::size_t asked =
        step("cublasLtMatmulAlgoGetHeuristic", fmt::format("{} results={}", name_of(planned), found.size()));
    std::size_t run = 0;
    if (!found.empty()) {
      const cublasStatus_t multiplied = small.run(lt, found[0].algo, 0, 0, own);
      own.synchronize();
      run = step("cublasLtMatmul f16 512, first", name_of(multiplied));
    }
    blas.cublasLtDestroy(lt);
    step("cublasLtDestroy", "CUBLAS_STATUS_SUCCESS");
    lt_told = fmt::format("cublasLtCreate {}, its heuristic {}, its first product {}", lt_created, asked, run);
  }
  blas.cublasDestroy_v2(second);
  step("cublasDestroy, second", "CUBLAS_STATUS_SUCCESS");
  blas.cublasDestroy_v2(handle);
  step("cublasDestroy, first", "CUBLAS_STATUS_SUCCESS");
  p.pass("bytes taken: first cublasCreate {}, second {}, first product {}; {}", created, again, first_product, lt_told);
}

void measure_algorithms(probe& p) {
  gpu& device = p.device();
  const blas_calls blas = load_blas(device);
  cublasLtHandle_t lt = nullptr;
  need(blas.cublasLtCreate(&lt), "cublasLtCreate");
  const stream own(device);
  const plain_memory workspace(device, 32 * mib);
  struct shape {
    std::size_t m, n, k;
  };
  const std::size_t full = p.quick ? 128 : 4096;
  int changed = 0, compared = 0;
  for (const number_type& type : number_types) {
    for (const shape& of : {shape{full, full, full}, shape{full / 8, full / 8, full * 4}}) {
      const product tried(device, blas, type, of.m, of.n, of.k);
      std::optional<std::uint64_t> largest_digest;
      for (const std::size_t limit : {32 * mib, 4 * mib, 1 * mib, 16 * kib, std::size_t{0}}) {
        const std::string conditions =
            fmt::format("type={} m={} n={} k={} limit_kib={}", type.name, of.m, of.n, of.k, limit / kib);
        if (p.time_is_up()) {
          p.row("cublasLtMatmul", conditions, "left out: time is up");
          continue;
        }
        std::vector<cublasLtMatmulHeuristicResult_t> found;
        const cublasStatus_t planned = tried.plan(lt, limit, 16, found);
        p.row("cublasLtMatmulAlgoGetHeuristic", conditions,
              fmt::format("{} results={}", name_of(planned), found.size()));
        for (std::size_t rank = 0; rank < std::min<std::size_t>(found.size(), 4); ++rank) {
          const auto once = [&] { return tried.run(lt, found[rank].algo, workspace.address(), limit, own); };
          const cublasStatus_t first = once();
          own.synchronize();
          int id = -1;
          std::size_t written = 0;
          blas.cublasLtMatmulAlgoConfigGetAttribute(&found[rank].algo, CUBLASLT_ALGO_CONFIG_ID, static_cast<void*>(&id),
                                                    sizeof(id), &written);
          std::string told =
              fmt::format("{} algorithm={} needs_bytes={}", name_of(first), id, found[rank].workspaceSize);
          std::vector<double> rates;
          if (first == CUBLAS_STATUS_SUCCESS) {
            if (rank == 0) {
              const std::uint64_t digest = tried.digest(device);
              if (!largest_digest) largest_digest = digest;
              ++compared;
              changed += digest != *largest_digest;
              told += digest == *largest_digest ? " bits=as_32_MiB" : " bits=other";
            }
            for (int sample = 0; sample < p.repetitions(10, 2); ++sample) {
              constexpr int products = 10;
              const double us = time_us([&] {
                for (int i = 0; i < products; ++i) once();
                own.synchronize();
              });
              rates.push_back(tried.flops() * products / us * 1e-6);
            }
          }
          p.row("cublasLtMatmul", fmt::format("{} rank={}", conditions, rank), "TFLOP/s", rates, told);
        }
      }
    }
  }
  blas.cublasLtDestroy(lt);
  if (compared == 0) p.fail("cuBLASLt gave no algorithm that ran");
  else
    p.pass("under {} of {} combinations of product and limit the first algorithm's bits differ from those at 32 MiB",
           changed, compared);
}

/// Tries something with ever more memory left free until it succeeds; gives what was free then, in MiB, as text.
std::string least_free(probe& p, const char* call, const std::function<cublasStatus_t()>& attempt) {
  gpu& device = p.device();
  for (const std::size_t leave : {0, 1, 2, 4, 8, 16, 32, 64, 128, 256, 512, 1024}) {
    cublasStatus_t status = CUBLAS_STATUS_SUCCESS;
    std::size_t free = 0;
    {
      const full_card full(device, leave * mib);
      free = device.free_bytes();
      status = attempt();
    }
    p.row(call, fmt::format("free_bytes={}", free), name_of(status));
    if (status == CUBLAS_STATUS_SUCCESS)
      return fmt::format("{:.1f} MiB", static_cast<double>(free) / static_cast<double>(mib));
    if (device.cuda.cuCtxSynchronize() != CUDA_SUCCESS)
      throw std::runtime_error(fmt::format("{} on a full card broke the context", call));
  }
  return "more than 1 GiB";
}

void fill_before_cublas(probe& p) {
  gpu& device = p.device();
  const blas_calls blas = load_blas(device);
  const square_product gemm(device, blas, 512);
  cublasHandle_t handle = nullptr;
  const std::string create = least_free(p, "cublasCreate, cold", [&] { return blas.cublasCreate_v2(&handle); });
  if (handle == nullptr) throw std::runtime_error("cublasCreate never succeeded");
  const std::string multiply = least_free(p, "cublasSgemm 512, cold", [&] { return gemm.run(handle); });
  p.pass("it succeeded with this much free: cublasCreate {}, then a first product {}", create, multiply);
}

void fill_before_cublaslt(probe& p) {
  gpu& device = p.device();
  const blas_calls blas = load_blas(device);
  const product tried(device, blas, number_types[1], 512, 512, 512);
  const stream own(device);
  cublasLtHandle_t lt = nullptr;
  std::vector<cublasLtMatmulHeuristicResult_t> found;
  const std::string create = least_free(p, "cublasLtCreate, cold", [&] { return blas.cublasLtCreate(&lt); });
  if (lt == nullptr) throw std::runtime_error("cublasLtCreate never succeeded");
  const std::string plan =
      least_free(p, "cublasLtMatmulAlgoGetHeuristic, cold", [&] { return tried.plan(lt, 0, 1, found); });
  if (found.empty()) throw std::runtime_error("cuBLASLt gave no algorithm");
  const std::string multiply = least_free(p, "cublasLtMatmul f16 512, cold", [&] {
    const cublasStatus_t status = tried.run(lt, found[0].algo, 0, 0, own);
    own.synchronize();
    return status;
  });
  p.pass("it succeeded with this much free: cublasLtCreate {}, then the heuristic {}, then a first product {}", create,
         plan, multiply);
}

void fill_after_use(probe& p) {
  gpu& device = p.device();
  const blas_calls blas = load_blas(device);
  const square_product gemm(device, blas, 512), other_shape(device, blas, 1536);
  cublasHandle_t handle = nullptr;
  need(blas.cublasCreate_v2(&handle), "cublasCreate");
  need(gemm.run(handle), "cublasSgemm");
  cublasLtHandle_t lt = nullptr;
  std::optional<product> tried, other_type;
  std::vector<cublasLtMatmulHeuristicResult_t> found, others;
  const stream own(device);
  if (blas.cublasLtCreate) {
    tried.emplace(device, blas, number_types[1], 512, 512, 512);
    other_type.emplace(device, blas, number_types[2], 512, 512, 512);
    need(blas.cublasLtCreate(&lt), "cublasLtCreate");
    need(tried->plan(lt, 0, 1, found), "cublasLtMatmulAlgoGetHeuristic");
    if (!found.empty()) need(tried->run(lt, found[0].algo, 0, 0, own), "cublasLtMatmul");
    own.synchronize();
  }
  const full_card full(device, 0);
  const std::string conditions = fmt::format("free_bytes={}", device.free_bytes());
  std::string failing;
  const auto tell = [&](const char* call, cublasStatus_t status) {
    p.row(call, conditions, name_of(status));
    if (status != CUBLAS_STATUS_SUCCESS)
      failing += fmt::format("{}{} ({})", failing.empty() ? "" : ", ", call, name_of(status));
  };
  tell("cublasSgemm 512, warm", gemm.run(handle));
  tell("cublasSgemm 1536, a new shape", other_shape.run(handle));
  if (!found.empty()) {
    tell("cublasLtMatmul f16 512, warm", tried->run(lt, found[0].algo, 0, 0, own));
    tell("cublasLtMatmulAlgoGetHeuristic, a new type", other_type->plan(lt, 0, 1, others));
    if (!others.empty()) tell("cublasLtMatmul bf16 512, a new type", other_type->run(lt, others[0].algo, 0, 0, own));
    own.synchronize();
  }
  cublasHandle_t second = nullptr;
  tell("cublasCreate, a second handle", blas.cublasCreate_v2(&second));
  p.pass("with nothing free these fail after cuBLAS has been used: {}", failing.empty() ? "none" : failing);
}

}  // namespace

int main(int argc, char** argv) {
  return run_probe(argc, argv,
                   {{"handle_memory", measure_handle_memory},
                    {"algorithms", measure_algorithms},
                    {"full_cold", fill_before_cublas},
                    {"full_cold_lt", fill_before_cublaslt},
                    {"full_warm", fill_after_use}});
}
