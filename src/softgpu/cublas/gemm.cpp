#include "softgpu/cublas/gemm.hpp"

#include <algorithm>
#include <cstdint>
#include <new>

#include "softgpu/cublas/handle.hpp"
#include "softgpu/cublas/product.hpp"
#include "terrazzo/softgpu.h"

namespace softgpu::cublas {
namespace {

// Simulated time of a product: round figures of the size that data sheets give for a card of compute capability 9.0
// (f32 outside the tensor cores, 16-bit types inside them), and the launch of one kernel. Not measured.
constexpr double launch_ns = 3000;
constexpr double f32_flops_per_ns = 50e3;
constexpr double half_flops_per_ns = 500e3;

// The types that cublasGemmEx documents for f32 sums; half precision results of f32 operands do not exist there either.
struct type_row {
  cudaDataType input, output;
  element input_element, output_element;
};
constexpr type_row supported_types[] = {
    {CUDA_R_32F, CUDA_R_32F, element::f32, element::f32},   {CUDA_R_16F, CUDA_R_16F, element::f16, element::f16},
    {CUDA_R_16F, CUDA_R_32F, element::f16, element::f32},   {CUDA_R_16BF, CUDA_R_16BF, element::bf16, element::bf16},
    {CUDA_R_16BF, CUDA_R_32F, element::bf16, element::f32},
};

// Fast variants may sum less exactly; this library sums in f32 all the same, which they allow.
bool is_f32_sum(cublasComputeType_t compute, element input) {
  switch (compute) {
    case CUBLAS_COMPUTE_32F:
    case CUBLAS_COMPUTE_32F_PEDANTIC:
      return true;
    case CUBLAS_COMPUTE_32F_FAST_16F:
    case CUBLAS_COMPUTE_32F_FAST_16BF:
    case CUBLAS_COMPUTE_32F_FAST_TF32:
      return input == element::f32;
    default:
      return false;
  }
}

bool is_algorithm(cublasGemmAlgo_t algo) {
  return (algo >= CUBLAS_GEMM_DEFAULT && algo <= CUBLAS_GEMM_ALGO23) ||
         (algo >= CUBLAS_GEMM_DEFAULT_TENSOR_OP && algo <= CUBLAS_GEMM_ALGO15_TENSOR_OP);
}

bool is_operation(cublasOperation_t op) { return op == CUBLAS_OP_N || op == CUBLAS_OP_T || op == CUBLAS_OP_C; }

/// Fills in types and shape.
cublasStatus_t understand(const gemm_call& call, product& made) {
  if (call.m < 0 || call.n < 0 || call.k < 0 || call.batch_count < 0) {
    return refuse(CUBLAS_STATUS_INVALID_VALUE, call.function, "m {}, n {}, k {} or the batch count {} is negative",
                  call.m, call.n, call.k, call.batch_count);
  }
  if (!is_operation(call.a_op) || !is_operation(call.b_op)) {
    return refuse(CUBLAS_STATUS_INVALID_VALUE, call.function, "the operations {} and {} are not N, T and C",
                  static_cast<int>(call.a_op), static_cast<int>(call.b_op));
  }
  if (call.alpha == nullptr || call.beta == nullptr)
    return refuse(CUBLAS_STATUS_INVALID_VALUE, call.function, "alpha or beta is null");
  made.a_transposed = call.a_op != CUBLAS_OP_N;
  made.b_transposed = call.b_op != CUBLAS_OP_N;
  made.m = call.m;
  made.n = call.n;
  made.k = call.k;
  made.batch_count = call.batch_count;
  const auto check_ld = [&](const char* name, int ld, int rows) {
    if (ld >= std::max(1, rows)) return CUBLAS_STATUS_SUCCESS;
    return refuse(CUBLAS_STATUS_INVALID_VALUE, call.function, "ld{} is {}, less than the {} rows that are stored", name,
                  ld, std::max(1, rows));
  };
  if (const auto bad = check_ld("a", call.a.ld, made.a_rows()); bad != CUBLAS_STATUS_SUCCESS) return bad;
  if (const auto bad = check_ld("b", call.b.ld, made.b_rows()); bad != CUBLAS_STATUS_SUCCESS) return bad;
  if (const auto bad = check_ld("c", call.c.ld, call.m); bad != CUBLAS_STATUS_SUCCESS) return bad;

  const auto row = std::find_if(std::begin(supported_types), std::end(supported_types), [&](const type_row& one) {
    return one.input == call.a.type && one.input == call.b.type && one.output == call.c.type;
  });
  if (row == std::end(supported_types) || !is_f32_sum(call.compute, row->input_element)) {
    return refuse(CUBLAS_STATUS_NOT_SUPPORTED, call.function,
                  "A of type {}, B of {}, C of {} with compute type {}: modelled are sums in f32 of f32, f16 or bf16",
                  static_cast<int>(call.a.type), static_cast<int>(call.b.type), static_cast<int>(call.c.type),
                  static_cast<int>(call.compute));
  }
  if (!is_algorithm(call.algo)) {
    return refuse(CUBLAS_STATUS_NOT_SUPPORTED, call.function, "there is no algorithm {}", static_cast<int>(call.algo));
  }
  made.a = {const_cast<void*>(call.a.data), row->input_element, call.a.ld, call.a.stride};
  made.b = {const_cast<void*>(call.b.data), row->input_element, call.b.ld, call.b.stride};
  made.c = {const_cast<void*>(call.c.data), row->output_element, call.c.ld, call.c.stride};
  return CUBLAS_STATUS_SUCCESS;
}

/// Checks that the device may touch a range, and notes in `touchable` if it has books only.
cublasStatus_t check_range(const gemm_call& call, const char* name, std::uintptr_t address, std::uint64_t bytes,
                           std::size_t unit, bool write, bool& touchable) {
  if (address % unit != 0) {
    return refuse(CUBLAS_STATUS_EXECUTION_FAILED, call.function,
                  "{} at {:#x} is not aligned to its elements of {} bytes", name, address, unit);
  }
  const int reach = terrazzo_softgpu_reach(address, bytes, write ? 1 : 0);
  if (reach == 2) touchable = false;
  if (reach != 0) return CUBLAS_STATUS_SUCCESS;
  return refuse(CUBLAS_STATUS_EXECUTION_FAILED, call.function,
                "{} of {} bytes at {:#x} is not all device memory that may be {}", name, bytes, address,
                write ? "written" : "read");
}

cublasStatus_t check_matrix(const gemm_call& call, const char* name, const matrix& x, int rows, int columns, bool write,
                            bool& touchable) {
  const std::size_t unit = size_of(x.type);
  const std::uint64_t extent =
      static_cast<std::uint64_t>(columns - 1) * static_cast<std::uint64_t>(x.ld) + static_cast<std::uint64_t>(rows);
  for (int i = 0; i < call.batch_count; ++i) {
    const std::uintptr_t address = reinterpret_cast<std::uintptr_t>(x.data) +
                                   static_cast<std::uintptr_t>(x.stride) * static_cast<unsigned>(i) * unit;
    const auto bad = check_range(call, name, address, extent * unit, unit, write, touchable);
    if (bad != CUBLAS_STATUS_SUCCESS || x.stride == 0) return bad;
  }
  return CUBLAS_STATUS_SUCCESS;
}

cublasStatus_t read_scalars(const gemm_call& call, cublasPointerMode_t mode, product& made, bool& touchable) {
  const float* alpha = static_cast<const float*>(call.alpha);
  const float* beta = static_cast<const float*>(call.beta);
  if (mode == CUBLAS_POINTER_MODE_HOST) {
    made.alpha.value = *alpha;
    made.beta.value = *beta;
    return CUBLAS_STATUS_SUCCESS;
  }
  for (const float* one : {alpha, beta}) {
    const auto bad = check_range(call, one == alpha ? "alpha" : "beta", reinterpret_cast<std::uintptr_t>(one),
                                 sizeof(float), sizeof(float), false, touchable);
    if (bad != CUBLAS_STATUS_SUCCESS) return bad;
  }
  made.alpha = {1, alpha};
  made.beta = {1, beta};
  return CUBLAS_STATUS_SUCCESS;
}

/// Tells whether two results of a batch share an element. They may interleave: a stride below the extent of one is fine
/// where each lies in the other's gaps between columns.
bool results_overlap(const gemm_call& call) {
  const std::uint64_t rows = static_cast<std::uint64_t>(call.m);
  const std::uint64_t columns = static_cast<std::uint64_t>(call.n);
  const std::uint64_t ld = static_cast<std::uint64_t>(call.c.ld);
  const std::uint64_t stride =
      call.c.stride < 0 ? 0 - static_cast<std::uint64_t>(call.c.stride) : static_cast<std::uint64_t>(call.c.stride);
  std::uint64_t distance = 0;
  for (int i = 1; i < call.batch_count; ++i) {
    // Results i apart. The farther ones are clear where these are, and below it cannot overflow.
    if (stride > columns * ld - distance) return false;
    distance += stride;
    const std::uint64_t column = distance / ld;
    const std::uint64_t row = distance % ld;
    if ((column < columns && row < rows) || (column + 1 < columns && ld - row < rows)) return true;
  }
  return false;
}

cublasStatus_t check_operands(const gemm_call& call, const product& made, bool& touchable) {
  if (results_overlap(call)) {
    return refuse(CUBLAS_STATUS_INVALID_VALUE, call.function, "results of the batch overlap: stride {}, ldc {}",
                  call.c.stride, call.c.ld);
  }
  auto bad = check_matrix(call, "C", made.c, call.m, call.n, true, touchable);
  if (bad != CUBLAS_STATUS_SUCCESS || !made.multiplies()) return bad;
  bad = check_matrix(call, "A", made.a, made.a_rows(), made.a_columns(), false, touchable);
  if (bad != CUBLAS_STATUS_SUCCESS) return bad;
  return check_matrix(call, "B", made.b, made.b_rows(), made.b_columns(), false, touchable);
}

cublasStatus_t take_workspace(const gemm_call& call, const handle_state& state, product& made, bool& touchable) {
  if (!made.multiplies()) return CUBLAS_STATUS_SUCCESS;
  if (!choose(call.m, call.n, call.k, call.batch_count, made.a.type, state.workspace_bytes, made.how)) {
    return refuse(CUBLAS_STATUS_ALLOC_FAILED, call.function, "the workspace of {} bytes is too small: {} are needed",
                  state.workspace_bytes, made.how.workspace_bytes);
  }
  if (made.how.workspace_bytes == 0) return CUBLAS_STATUS_SUCCESS;
  made.workspace = reinterpret_cast<float*>(state.workspace);
  return check_range(call, "the workspace", state.workspace, made.how.workspace_bytes, sizeof(float), true, touchable);
}

void run_and_forget(void* argument) {
  const std::unique_ptr<product> made(static_cast<product*>(argument));
  made->run();
}

void do_nothing(void*) {}

cublasStatus_t enqueue(const gemm_call& call, const handle_state& state, void (*work)(void*), void* argument,
                       double cost) {
  if (terrazzo_softgpu_enqueue(state.stream, work, argument, cost) == 0) return CUBLAS_STATUS_SUCCESS;
  // The default streams are those of the current context; where a thread has none, the handle's is meant.
  const bool is_default =
      state.stream == nullptr || state.stream == CU_STREAM_LEGACY || state.stream == CU_STREAM_PER_THREAD;
  CUcontext before = nullptr;
  if (is_default && cuCtxGetCurrent(&before) == CUDA_SUCCESS && before == nullptr &&
      cuCtxPushCurrent_v2(state.context) == CUDA_SUCCESS) {
    const int refused = terrazzo_softgpu_enqueue(state.stream, work, argument, cost);
    cuCtxPopCurrent_v2(&before);
    if (refused == 0) return CUBLAS_STATUS_SUCCESS;
  }
  return refuse(CUBLAS_STATUS_EXECUTION_FAILED, call.function,
                "the handle's stream {} takes no work: it does not exist", fmt::ptr(state.stream));
}

cublasStatus_t checked_gemm(const gemm_call& call) {
  handle_state state;
  if (const auto bad = enter(call.function, call.handle, state); bad != CUBLAS_STATUS_SUCCESS) return bad;
  auto made = std::make_unique<product>();
  if (const auto bad = understand(call, *made); bad != CUBLAS_STATUS_SUCCESS) return bad;
  if (call.m == 0 || call.n == 0 || call.batch_count == 0) return CUBLAS_STATUS_SUCCESS;
  bool touchable = true;
  if (const auto bad = read_scalars(call, state.pointer_mode, *made, touchable); bad != CUBLAS_STATUS_SUCCESS)
    return bad;
  if (const auto bad = check_operands(call, *made, touchable); bad != CUBLAS_STATUS_SUCCESS) return bad;
  if (const auto bad = take_workspace(call, state, *made, touchable); bad != CUBLAS_STATUS_SUCCESS) return bad;

  const double flops = 2.0 * call.m * call.n * call.k * call.batch_count;
  const double cost = launch_ns + flops / (made->a.type == element::f32 ? f32_flops_per_ns : half_flops_per_ns);
  if (!touchable) return enqueue(call, state, do_nothing, nullptr, cost);
  if (!made->prepare()) {
    return refuse(CUBLAS_STATUS_ALLOC_FAILED, call.function, "the host has no memory to convert the operands in");
  }
  const auto result = enqueue(call, state, run_and_forget, made.get(), cost);
  if (result == CUBLAS_STATUS_SUCCESS) (void)made.release();  // run_and_forget owns it, and may be done already
  return result;
}

}  // namespace

cublasStatus_t gemm(const gemm_call& call) noexcept {
  try {
    return checked_gemm(call);
  } catch (const std::bad_alloc&) {
    return CUBLAS_STATUS_ALLOC_FAILED;
  }
}

}  // namespace softgpu::cublas
