// Products on the software cuBLAS: the workspace they write to, the algorithms it leaves them, what is refused and why,
// devices without memory behind them, and work that waits.
#include <array>

#include "softgpu/cublas_softgpu.hpp"

using namespace terrazzo::test;

namespace {

constexpr std::size_t kib = 1024;
constexpr std::size_t mib = 1024 * kib;

// A long product of values that do not add up exactly: its bits tell the order of the sum.
struct long_product : product_case {
  explicit long_product(const cublas_session& session)
      : product_case(session.all, {.m = 24, .n = 40, .k = 8192}, CUDA_R_32F, CUDA_R_32F) {
    for (std::size_t i = 0; i < a.host.size(); ++i) a.host[i] *= 1 + static_cast<float>(i % 7) / 7;
    a.write();
    want = expected(shape, a.host, b.host, c.host, CUDA_R_32F);
  }
  std::vector<float> bits(cublasHandle_t handle) {
    c.fill_with(0);
    REQUIRE(run(handle) == CUBLAS_STATUS_SUCCESS);
    c.read();
    CHECK(farthest(c.host, want) < 1e-4);
    return c.host;
  }
  [[nodiscard]] std::size_t split_bytes(int parts) const {
    return sizeof(float) * 24 * 40 * static_cast<std::size_t>(parts);
  }
};

std::size_t changed_bytes(const device_buffer& buffer, std::size_t bytes, unsigned char was) {
  const auto* data = static_cast<const unsigned char*>(buffer.data());
  std::size_t last = 0;
  for (std::size_t i = 0; i < bytes; ++i) {
    if (data[i] != was) last = i + 1;
  }
  return last;
}

}  // namespace

TEST_CASE("softcublas workspace: its size decides the algorithm and so the bits") {
  const cublas_session session("memory=128MiB;cublas_pool=4MiB");
  const cublas_handle handle(session);
  const device_buffer memory(session.all.cuda, 2 * mib);
  long_product one(session);
  const std::vector<float> in_pool = one.bits(handle);
  std::vector<std::vector<float>> by_parts;
  for (const int parts : {2, 4, 8, 16}) {
    CAPTURE(parts);
    REQUIRE(session.blas.cublasSetWorkspace_v2(handle, memory.data(), one.split_bytes(parts)) == CUBLAS_STATUS_SUCCESS);
    by_parts.push_back(one.bits(handle));
    CHECK(one.bits(handle) == by_parts.back());
  }
  // The most parts fit into the pool too.
  CHECK(by_parts.back() == in_pool);
  for (std::size_t i = 1; i < by_parts.size(); ++i) CHECK(by_parts[i] != by_parts[i - 1]);
  // cublasSetStream undoes cublasSetWorkspace, even with the stream that the handle has.
  REQUIRE(session.blas.cublasSetWorkspace_v2(handle, memory.data(), one.split_bytes(2)) == CUBLAS_STATUS_SUCCESS);
  CHECK(one.bits(handle) == by_parts.front());
  REQUIRE(session.blas.cublasSetStream_v2(handle, nullptr) == CUBLAS_STATUS_SUCCESS);
  CHECK(one.bits(handle) == in_pool);
}

TEST_CASE("softcublas workspace: a product writes to as much of it as its algorithm needs") {
  const cublas_session session("memory=128MiB;cublas_pool=4MiB");
  const cublas_handle handle(session);
  const device_buffer memory(session.all.cuda, mib);
  const auto written = [&](product_case& one) {
    std::memset(memory.data(), 0xa5, mib);
    REQUIRE(session.blas.cublasSetWorkspace_v2(handle, memory.data(), mib) == CUBLAS_STATUS_SUCCESS);
    REQUIRE(one.run(handle) == CUBLAS_STATUS_SUCCESS);
    return changed_bytes(memory, mib, 0xa5);
  };
  long_product split(session);
  CHECK(written(split) == split.split_bytes(16));
  product_case narrow(session.all, {.m = 100, .n = 100, .k = 50}, CUDA_R_16F, CUDA_R_16F);
  CHECK(written(narrow) == 16 * kib);
  product_case single(session.all, {.m = 100, .n = 100, .k = 50}, CUDA_R_32F, CUDA_R_32F);
  CHECK(written(single) == 0);
  // After cublasSetStream the program's memory is left alone.
  std::memset(memory.data(), 0xa5, mib);
  REQUIRE(session.blas.cublasSetStream_v2(handle, nullptr) == CUBLAS_STATUS_SUCCESS);
  REQUIRE(split.run(handle) == CUBLAS_STATUS_SUCCESS);
  CHECK(changed_bytes(memory, mib, 0xa5) == 0);
}

TEST_CASE("softcublas workspace: too small a one fails 16-bit products alone") {
  const cublas_session session("memory=64MiB;cublas_pool=4MiB");
  const cublas_handle handle(session);
  const device_buffer memory(session.all.cuda, mib);
  product_case single(session.all, {.m = 32, .n = 32, .k = 4096}, CUDA_R_32F, CUDA_R_32F);
  product_case narrow(session.all, {.m = 32, .n = 32, .k = 4096}, CUDA_R_16F, CUDA_R_16F);
  const auto set = [&](void* data, std::size_t bytes) {
    return session.blas.cublasSetWorkspace_v2(handle, data, bytes);
  };
  for (const std::size_t bytes : {std::size_t{0}, std::size_t{256}, 4 * kib}) {
    CAPTURE(bytes);
    REQUIRE(set(bytes == 0 ? nullptr : memory.data(), bytes) == CUBLAS_STATUS_SUCCESS);
    CHECK(single.error_of(handle) == 0);
    CHECK(narrow.run(handle) == CUBLAS_STATUS_ALLOC_FAILED);
    CHECK(message_has("too small: 16384 are needed"));
  }
  REQUIRE(set(memory.data(), 16 * kib) == CUBLAS_STATUS_SUCCESS);
  CHECK(narrow.error_of(handle) == 0);
  CHECK(set(nullptr, 256) == CUBLAS_STATUS_INVALID_VALUE);
}

TEST_CASE("softcublas workspace: one that is gone is refused when a product would write to it") {
  const cublas_session session("memory=64MiB;cublas_pool=4MiB");
  const cublas_handle handle(session);
  product_case narrow(session.all, {.m = 8, .n = 8, .k = 8}, CUDA_R_16F, CUDA_R_16F);
  {
    const device_buffer memory(session.all.cuda, mib);
    REQUIRE(session.blas.cublasSetWorkspace_v2(handle, memory.data(), 2 * mib) == CUBLAS_STATUS_SUCCESS);
    CHECK(narrow.error_of(handle) == 0);
  }
  CHECK(narrow.run(handle) == CUBLAS_STATUS_EXECUTION_FAILED);
  CHECK(message_has("the workspace of 16384 bytes"));
}

TEST_CASE("softcublas product: results are rounded once") {
  const cublas_session session("memory=64MiB;cublas_pool=4MiB");
  const cublas_handle handle(session);
  for (const cudaDataType type : {CUDA_R_32F, CUDA_R_16F, CUDA_R_16BF}) {
    for (const int k : {7, 300, 4096}) {
      CAPTURE(static_cast<int>(type));
      CAPTURE(k);
      product_case one(session.all, {.m = 70, .n = 66, .k = k, .alpha = 0.5f, .beta = 2, .ldc = 80}, type, type);
      CHECK(one.error_of(handle) == 0);
    }
  }
}

TEST_CASE("softcublas product: zero factors leave operands unread") {
  const cublas_session session("memory=64MiB;cublas_pool=4MiB");
  const cublas_handle handle(session);
  constexpr float nan = std::numeric_limits<float>::quiet_NaN();
  for (const cudaDataType type : {CUDA_R_32F, CUDA_R_16F}) {
    CAPTURE(static_cast<int>(type));
    product_case scaled(session.all, {.m = 6, .n = 5, .k = 4, .alpha = 0, .beta = 0.5f}, type, type);
    scaled.a.fill_with(nan);
    CHECK(scaled.error_of(handle) == 0);
    product_case no_sum(session.all, {.m = 6, .n = 5, .k = 0, .beta = -2}, type, type);
    CHECK(no_sum.error_of(handle) == 0);
    product_case cleared(session.all, {.m = 6, .n = 5, .k = 4, .alpha = 0}, type, type);
    cleared.c.fill_with(nan);
    CHECK(cleared.error_of(handle) == 0);
  }
}

TEST_CASE("softcublas product: factors can lie on the device") {
  const cublas_session session("memory=64MiB;cublas_pool=4MiB");
  const cublas_handle handle(session);
  product_case one(session.all, {.m = 6, .n = 5, .k = 4, .alpha = 2, .beta = 0.5f}, CUDA_R_16BF, CUDA_R_16BF);
  device_elements factors(session.all.cuda, CUDA_R_32F, 2);
  factors.host = {2, 0.5f};
  factors.write();
  const product_shape& s = one.shape;
  const auto run = [&](const float* alpha, const float* beta) {
    return session.blas.cublasGemmEx(handle, s.a_op, s.b_op, s.m, s.n, s.k, alpha, one.a.data(), one.a.type, s.lda,
                                     one.b.data(), one.b.type, s.ldb, beta, one.c.data(), one.c.type, s.ldc,
                                     CUBLAS_COMPUTE_32F, CUBLAS_GEMM_DEFAULT);
  };
  REQUIRE(session.blas.cublasSetPointerMode_v2(handle, CUBLAS_POINTER_MODE_DEVICE) == CUBLAS_STATUS_SUCCESS);
  CHECK(run(factors.floats(), factors.floats() + 1) == CUBLAS_STATUS_SUCCESS);
  one.c.read();
  CHECK(farthest(one.c.host, one.want) == 0);
  CHECK(run(&s.alpha, factors.floats()) == CUBLAS_STATUS_EXECUTION_FAILED);
  CHECK(message_has("alpha of 4 bytes"));
}

TEST_CASE("softcublas product: what is not modelled or wrong is refused by name") {
  const cublas_session session("memory=64MiB;cublas_pool=4MiB");
  const cublas_handle handle(session);
  product_case one(session.all, {.m = 8, .n = 8, .k = 8}, CUDA_R_32F, CUDA_R_32F);
  CHECK(one.run(handle, CUBLAS_COMPUTE_32F_FAST_TF32) == CUBLAS_STATUS_SUCCESS);
  CHECK(one.run(handle, CUBLAS_COMPUTE_32F_PEDANTIC) == CUBLAS_STATUS_SUCCESS);
  CHECK(one.run(handle, CUBLAS_COMPUTE_16F) == CUBLAS_STATUS_NOT_SUPPORTED);
  CHECK(message_has("compute type"));
  CHECK(one.run(handle, CUBLAS_COMPUTE_64F) == CUBLAS_STATUS_NOT_SUPPORTED);
  one.a.type = CUDA_R_64F;
  CHECK(one.run(handle) == CUBLAS_STATUS_NOT_SUPPORTED);
  one.a.type = CUDA_R_32F;
  const product_shape good = one.shape;
  one.shape.a_op = CUBLAS_OP_CONJG;
  CHECK(one.run(handle) == CUBLAS_STATUS_INVALID_VALUE);
  one.shape = good;
  one.shape.lda = 7;
  CHECK(one.run(handle) == CUBLAS_STATUS_INVALID_VALUE);
  CHECK(message_has("cublasGemmEx: lda is 7"));
  CHECK(session.blas.cublasSetMathMode(handle, static_cast<cublasMath_t>(9)) == CUBLAS_STATUS_INVALID_VALUE);
}

TEST_CASE("softcublas product: operands must be device memory to their last element") {
  const cublas_session session("memory=64MiB;cublas_pool=4MiB");
  const cublas_handle handle(session);
  product_case one(session.all, {.m = 8, .n = 8, .k = 8}, CUDA_R_32F, CUDA_R_32F);
  const product_shape good = one.shape;
  // One column more than is allocated, in each operand.
  one.shape.m = one.shape.lda = one.shape.ldc = 9;
  CHECK(one.run(handle) == CUBLAS_STATUS_EXECUTION_FAILED);
  CHECK(message_has("C of 288 bytes"));
  one.shape = good;
  one.shape.lda = 10;
  CHECK(one.run(handle) == CUBLAS_STATUS_EXECUTION_FAILED);
  CHECK(message_has("A of 312 bytes"));
  one.shape = good;
  one.shape.ldb = 10;
  CHECK(one.run(handle) == CUBLAS_STATUS_EXECUTION_FAILED);
  CHECK(message_has("B of 312 bytes"));
  one.shape = good;
  std::array<float, 64> on_host{};
  CHECK(session.blas.cublasSgemm_v2(handle, CUBLAS_OP_N, CUBLAS_OP_N, 8, 8, 8, &good.alpha, on_host.data(), 8,
                                    one.b.floats(), 8, &good.beta, one.c.floats(),
                                    8) == CUBLAS_STATUS_EXECUTION_FAILED);
  CHECK(one.error_of(handle) == 0);
}

TEST_CASE("softcublas product: results of a batch must not overlap") {
  const cublas_session session("memory=64MiB;cublas_pool=4MiB");
  const cublas_handle handle(session);
  static constexpr struct {
    int ldc;
    long long stride;
    int batch_count;
    bool overlap;
  } rows[] = {{4, 12, 2, false},  {4, 11, 2, true},  {4, 0, 2, true},         {4, 13, 9, false}, {16, 4, 4, false},
              {16, 4, 5, true},   {16, 3, 2, true},  {16, 5, 3, false},       {16, 5, 4, true},  {16, 13, 2, true},
              {16, 20, 4, false}, {16, 18, 2, true}, {4, 1LL << 60, 2, false}};
  for (const auto& row : rows) {
    CAPTURE(row.ldc);
    CAPTURE(row.stride);
    CAPTURE(row.batch_count);
    const device_buffer memory(session.all.cuda, mib);
    const float factor = 1;
    auto* const floats = static_cast<float*>(memory.data());
    for (const long long sign : {1, -1}) {
      // Backwards from the middle, so that what is not refused for overlapping stays within the memory.
      const cublasStatus_t result = session.blas.cublasSgemmStridedBatched(
          handle, CUBLAS_OP_N, CUBLAS_OP_N, 4, 3, 2, &factor, floats, 4, 0, floats + 64, 2, 0, &factor, floats + 4096,
          row.ldc, sign * row.stride, row.batch_count);
      const bool far = row.stride > 4096;
      CHECK(result == (row.overlap ? CUBLAS_STATUS_INVALID_VALUE
                       : far       ? CUBLAS_STATUS_EXECUTION_FAILED
                                   : CUBLAS_STATUS_SUCCESS));
      if (row.overlap) CHECK(message_has("overlap"));
    }
  }
}

TEST_CASE("softcublas product: without memory behind the device it is checked and priced alone") {
  const cublas_session session("memory=80GiB;backed=0");
  const cublas_handle handle(session);
  constexpr std::size_t side = 32768;
  const device_buffer a(session.all.cuda, side * side * 2);
  const device_buffer b(session.all.cuda, side * side * 2);
  const device_buffer c(session.all.cuda, side * side * 2);
  const float alpha = 1;
  const float beta = 0;
  const auto run = [&](int m) {
    return session.blas.cublasGemmEx(handle, CUBLAS_OP_N, CUBLAS_OP_N, m, side, side, &alpha, a.data(), CUDA_R_16F,
                                     std::max<int>(m, side), b.data(), CUDA_R_16F, side, &beta, c.data(), CUDA_R_16F,
                                     std::max<int>(m, side), CUBLAS_COMPUTE_32F, CUBLAS_GEMM_DEFAULT);
  };
  CUevent begin = nullptr;
  CUevent end = nullptr;
  const driver_table& cuda = session.all.cuda;
  REQUIRE(cuda.cuEventCreate(&begin, 0) == CUDA_SUCCESS);
  REQUIRE(cuda.cuEventCreate(&end, 0) == CUDA_SUCCESS);
  REQUIRE(cuda.cuEventRecord(begin, nullptr) == CUDA_SUCCESS);
  CHECK(run(side) == CUBLAS_STATUS_SUCCESS);
  REQUIRE(cuda.cuEventRecord(end, nullptr) == CUDA_SUCCESS);
  float milliseconds = 0;
  CHECK(cuda.cuEventElapsedTime(&milliseconds, begin, end) == CUDA_SUCCESS);
  CHECK(milliseconds > 1);
  CHECK(run(side + 1) == CUBLAS_STATUS_EXECUTION_FAILED);
  CHECK(cuda.cuEventDestroy_v2(begin) == CUDA_SUCCESS);
  CHECK(cuda.cuEventDestroy_v2(end) == CUDA_SUCCESS);
}

TEST_CASE("softcublas product: it waits in its stream and destroy waits for it") {
  const cublas_session session("memory=64MiB;cublas_pool=4MiB;completion=manual");
  const driver_table& cuda = session.all.cuda;
  CUstream stream = nullptr;
  REQUIRE(cuda.cuStreamCreate(&stream, CU_STREAM_NON_BLOCKING) == CUDA_SUCCESS);
  {
    product_case one(session.all, {.m = 8, .n = 8, .k = 8}, CUDA_R_32F, CUDA_R_32F);
    const std::vector<float> before = one.c.host;
    {
      const cublas_handle handle(session);
      REQUIRE(session.blas.cublasSetStream_v2(handle, stream) == CUBLAS_STATUS_SUCCESS);
      REQUIRE(one.run(handle) == CUBLAS_STATUS_SUCCESS);
      CHECK(cuda.cuStreamQuery(stream) == CUDA_ERROR_NOT_READY);
      CHECK(std::memcmp(one.c.data(), before.data(), before.size() * sizeof(float)) == 0);
      CHECK(terrazzo_softgpu_complete(stream, 1) == 1);
      CHECK(std::memcmp(one.c.data(), one.want.data(), one.want.size() * sizeof(float)) == 0);
      one.c.fill_with(0);
      REQUIRE(one.run(handle) == CUBLAS_STATUS_SUCCESS);
      CHECK(cuda.cuStreamQuery(stream) == CUDA_ERROR_NOT_READY);
    }
    CHECK(cuda.cuStreamQuery(stream) == CUDA_SUCCESS);
    one.c.read();
    CHECK(farthest(one.c.host, one.want) == 0);
  }
  const cublas_handle handle(session);
  REQUIRE(session.blas.cublasSetStream_v2(handle, stream) == CUBLAS_STATUS_SUCCESS);
  CHECK(cuda.cuStreamDestroy_v2(stream) == CUDA_SUCCESS);
  product_case late(session.all, {}, CUDA_R_32F, CUDA_R_32F);
  CHECK(late.run(handle) == CUBLAS_STATUS_EXECUTION_FAILED);
  CHECK(message_has("it does not exist"));
}

TEST_CASE("softcublas product: it costs no driver call") {
  const cublas_session session("memory=64MiB;cublas_pool=4MiB");
  const cublas_handle handle(session);
  product_case one(session.all, {.m = 8, .n = 8, .k = 8}, CUDA_R_16F, CUDA_R_16F);
  terrazzo_softgpu_reset_counts();
  REQUIRE(one.run(handle) == CUBLAS_STATUS_SUCCESS);
  CHECK(session.calls() == 1);
  CHECK(session.calls("cublasGemmEx") == 1);
}
