// The contract of cuBLAS, as far as terrazzo and its examples rely on it: one suite, included by one file for each
// cuBLAS that it is to hold for (the software one in process, its shared library, NVIDIA's on a card). It holds only
// what NVIDIA's does; the stricter rules of the software cuBLAS are tested in cublas_manners_test.cpp.
//
// REQUIRES, before it is included: the macro TERRAZZO_CONTRACT, a name for the library, and a function
// `const terrazzo::test::cublas_under_test& contract_cublas()`, of a driver that has been initialised and has a device
// 0.
#include <doctest/doctest.h>

#include <limits>
#include <string>
#include <vector>

#include "softgpu/cublas_fixture.hpp"

namespace {
namespace contract {

using namespace terrazzo::test;

// Device 0's primary context, current for a scope, and a handle on it.
struct session {
  session() {
    REQUIRE(cuda.cuDevicePrimaryCtxRetain(&context, 0) == CUDA_SUCCESS);
    REQUIRE(cuda.cuCtxPushCurrent_v2(context) == CUDA_SUCCESS);
    REQUIRE(blas.cublasCreate_v2(&handle) == CUBLAS_STATUS_SUCCESS);
  }
  ~session() {
    CHECK(blas.cublasDestroy_v2(handle) == CUBLAS_STATUS_SUCCESS);
    CUcontext popped = nullptr;
    CHECK(cuda.cuCtxPopCurrent_v2(&popped) == CUDA_SUCCESS);
    CHECK(cuda.cuDevicePrimaryCtxRelease_v2(0) == CUDA_SUCCESS);
  }
  session(const session&) = delete;
  session& operator=(const session&) = delete;
  const cublas_under_test& all = contract_cublas();
  const driver_table& cuda = all.cuda;
  const cublas_table& blas = all.blas;
  CUcontext context = nullptr;
  cublasHandle_t handle = nullptr;
};

struct stream_of {
  explicit stream_of(const driver_table& api) : cuda(api) {
    REQUIRE(cuda.cuStreamCreate(&stream, CU_STREAM_NON_BLOCKING) == CUDA_SUCCESS);
  }
  ~stream_of() { CHECK(cuda.cuStreamDestroy_v2(stream) == CUDA_SUCCESS); }
  stream_of(const stream_of&) = delete;
  stream_of& operator=(const stream_of&) = delete;
  const driver_table& cuda;
  CUstream stream = nullptr;
};

// Bounds for sums in f32; a real cuBLAS may reduce the parts of a long sum in the 16-bit type of the result.
struct type_pair {
  const char* name;
  cudaDataType input, output;
  double tolerance;
};
constexpr type_pair types[] = {{"f32", CUDA_R_32F, CUDA_R_32F, 1e-5},
                               {"f16", CUDA_R_16F, CUDA_R_16F, 4e-3},
                               {"f16 to f32", CUDA_R_16F, CUDA_R_32F, 1e-5},
                               {"bf16", CUDA_R_16BF, CUDA_R_16BF, 3e-2},
                               {"bf16 to f32", CUDA_R_16BF, CUDA_R_32F, 1e-5}};

TEST_CASE("cublas contract " TERRAZZO_CONTRACT ": statuses have names and the version is told") {
  const cublas_table& blas = contract_cublas().blas;
  CHECK(std::string(blas.cublasGetStatusName(CUBLAS_STATUS_ALLOC_FAILED)) == "CUBLAS_STATUS_ALLOC_FAILED");
  CHECK(std::string(blas.cublasGetStatusName(CUBLAS_STATUS_NOT_INITIALIZED)) == "CUBLAS_STATUS_NOT_INITIALIZED");
  CHECK(std::string(blas.cublasGetStatusString(CUBLAS_STATUS_ALLOC_FAILED)) == "the resource allocation failed");
  int major = 0;
  CHECK(blas.cublasGetProperty(MAJOR_VERSION, &major) == CUBLAS_STATUS_SUCCESS);
  CHECK(major >= 12);
  CHECK(blas.cublasGetProperty(MAJOR_VERSION, nullptr) == CUBLAS_STATUS_INVALID_VALUE);
  const session here;
  int version = 0;
  CHECK(blas.cublasGetVersion_v2(here.handle, &version) == CUBLAS_STATUS_SUCCESS);
  CHECK(version / 10000 == major);
}

TEST_CASE("cublas contract " TERRAZZO_CONTRACT ": a null handle is not initialized") {
  const session here;
  const cublas_table& blas = here.blas;
  CUstream stream = nullptr;
  cublasMath_t mode = CUBLAS_DEFAULT_MATH;
  CHECK(blas.cublasSetStream_v2(nullptr, nullptr) == CUBLAS_STATUS_NOT_INITIALIZED);
  CHECK(blas.cublasGetStream_v2(nullptr, &stream) == CUBLAS_STATUS_NOT_INITIALIZED);
  CHECK(blas.cublasSetWorkspace_v2(nullptr, nullptr, 0) == CUBLAS_STATUS_NOT_INITIALIZED);
  CHECK(blas.cublasSetMathMode(nullptr, mode) == CUBLAS_STATUS_NOT_INITIALIZED);
  CHECK(blas.cublasGetMathMode(nullptr, &mode) == CUBLAS_STATUS_NOT_INITIALIZED);
  CHECK(blas.cublasDestroy_v2(nullptr) == CUBLAS_STATUS_NOT_INITIALIZED);
  product_case one(here.all, {}, CUDA_R_32F, CUDA_R_32F);
  CHECK(one.run(nullptr) == CUBLAS_STATUS_NOT_INITIALIZED);
}

TEST_CASE("cublas contract " TERRAZZO_CONTRACT ": a handle keeps its stream and its modes") {
  const session here;
  const cublas_table& blas = here.blas;
  CUstream stream = reinterpret_cast<CUstream>(1);
  CHECK(blas.cublasGetStream_v2(here.handle, &stream) == CUBLAS_STATUS_SUCCESS);
  CHECK(stream == nullptr);
  const stream_of other(here.cuda);
  CHECK(blas.cublasSetMathMode(here.handle, CUBLAS_PEDANTIC_MATH) == CUBLAS_STATUS_SUCCESS);
  CHECK(blas.cublasSetPointerMode_v2(here.handle, CUBLAS_POINTER_MODE_DEVICE) == CUBLAS_STATUS_SUCCESS);
  CHECK(blas.cublasSetStream_v2(here.handle, other.stream) == CUBLAS_STATUS_SUCCESS);
  CHECK(blas.cublasGetStream_v2(here.handle, &stream) == CUBLAS_STATUS_SUCCESS);
  CHECK(stream == other.stream);
  cublasMath_t math = CUBLAS_DEFAULT_MATH;
  CHECK(blas.cublasGetMathMode(here.handle, &math) == CUBLAS_STATUS_SUCCESS);
  CHECK(math == CUBLAS_PEDANTIC_MATH);
  cublasPointerMode_t pointers = CUBLAS_POINTER_MODE_HOST;
  CHECK(blas.cublasGetPointerMode_v2(here.handle, &pointers) == CUBLAS_STATUS_SUCCESS);
  CHECK(pointers == CUBLAS_POINTER_MODE_DEVICE);
}

TEST_CASE("cublas contract " TERRAZZO_CONTRACT ": a workspace must be aligned to 256 bytes") {
  const session here;
  const device_buffer memory(here.cuda, 1 << 20);
  for (const std::size_t offset : {1, 16, 128, 255})
    CHECK(here.blas.cublasSetWorkspace_v2(here.handle, memory.data(offset), 65536) == CUBLAS_STATUS_INVALID_VALUE);
  for (const std::size_t offset : {0, 256, 512})
    CHECK(here.blas.cublasSetWorkspace_v2(here.handle, memory.data(offset), 65536) == CUBLAS_STATUS_SUCCESS);
  CHECK(here.blas.cublasSetStream_v2(here.handle, nullptr) == CUBLAS_STATUS_SUCCESS);
}

TEST_CASE("cublas contract " TERRAZZO_CONTRACT ": products are right in every type and transposition") {
  const session here;
  const product_shape shapes[] = {
      {.m = 1, .n = 1, .k = 1},
      {.m = 5, .n = 3, .k = 7, .alpha = 2, .beta = 0.5f},
      {.m = 64, .n = 64, .k = 64},
      {.m = 65, .n = 130, .k = 33, .alpha = -0.5f, .beta = 1, .lda = 140, .ldb = 131, .ldc = 70},
      {.m = 16, .n = 24, .k = 4096}};
  for (const type_pair& type : types) {
    for (product_shape shape : shapes) {
      for (const cublasOperation_t a_op : {CUBLAS_OP_N, CUBLAS_OP_T}) {
        for (const cublasOperation_t b_op : {CUBLAS_OP_N, CUBLAS_OP_T, CUBLAS_OP_C}) {
          CAPTURE(type.name);
          CAPTURE(shape.m);
          CAPTURE(static_cast<int>(a_op));
          CAPTURE(static_cast<int>(b_op));
          shape.a_op = a_op;
          shape.b_op = b_op;
          product_case one(here.all, shape, type.input, type.output);
          CHECK(one.error_of(here.handle) <= type.tolerance);
        }
      }
    }
  }
}

TEST_CASE("cublas contract " TERRAZZO_CONTRACT ": sgemm multiplies column by column") {
  const session here;
  product_case one(here.all, {.b_op = CUBLAS_OP_T, .m = 9, .n = 4, .k = 6, .alpha = 2, .beta = -1}, CUDA_R_32F,
                   CUDA_R_32F);
  const product_shape& s = one.shape;
  CHECK(here.blas.cublasSgemm_v2(here.handle, s.a_op, s.b_op, s.m, s.n, s.k, &s.alpha, one.a.floats(), s.lda,
                                 one.b.floats(), s.ldb, &s.beta, one.c.floats(), s.ldc) == CUBLAS_STATUS_SUCCESS);
  one.c.read();
  CHECK(farthest(one.c.host, one.want) <= 1e-5);
}

TEST_CASE("cublas contract " TERRAZZO_CONTRACT ": batches are strided shared and interleaved") {
  const session here;
  const product_shape shapes[] = {
      {.m = 8, .n = 6, .k = 10, .stride_a = 80, .stride_b = 60, .stride_c = 48, .batch_count = 5},
      {.m = 8, .n = 6, .k = 10, .alpha = 2, .beta = 1, .stride_b = 64, .stride_c = 50, .batch_count = 3},
      // Rows of C side by side in one wide matrix, as attention heads are laid out.
      {.m = 8, .n = 6, .k = 10, .ldc = 32, .stride_a = 80, .stride_b = 60, .stride_c = 8, .batch_count = 4}};
  for (const type_pair& type : types) {
    for (const product_shape& shape : shapes) {
      CAPTURE(type.name);
      CAPTURE(shape.stride_c);
      product_case one(here.all, shape, type.input, type.output);
      CHECK(one.error_of(here.handle) <= type.tolerance);
    }
  }
  product_case one(here.all, shapes[0], CUDA_R_32F, CUDA_R_32F);
  const product_shape& s = one.shape;
  CHECK(here.blas.cublasSgemmStridedBatched(here.handle, s.a_op, s.b_op, s.m, s.n, s.k, &s.alpha, one.a.floats(), s.lda,
                                            s.stride_a, one.b.floats(), s.ldb, s.stride_b, &s.beta, one.c.floats(),
                                            s.ldc, s.stride_c, s.batch_count) == CUBLAS_STATUS_SUCCESS);
  one.c.read();
  CHECK(farthest(one.c.host, one.want) <= 1e-5);
}

TEST_CASE("cublas contract " TERRAZZO_CONTRACT ": beta zero does not read the result's memory") {
  const session here;
  for (const type_pair& type : types) {
    CAPTURE(type.name);
    for (const int k : {8, 2048}) {
      product_case one(here.all, {.m = 20, .n = 20, .k = k}, type.input, type.output);
      one.c.fill_with(std::numeric_limits<float>::quiet_NaN());
      CHECK(one.error_of(here.handle) <= type.tolerance);
    }
  }
}

TEST_CASE("cublas contract " TERRAZZO_CONTRACT ": empty products change nothing") {
  const session here;
  product_case one(here.all, {.m = 4, .n = 4, .k = 4}, CUDA_R_32F, CUDA_R_32F);
  const std::vector<float> before = one.c.host;
  for (const bool no_rows : {true, false}) {
    one.shape.m = no_rows ? 0 : 4;
    one.shape.n = no_rows ? 4 : 0;
    CHECK(one.run(here.handle) == CUBLAS_STATUS_SUCCESS);
  }
  one.c.read();
  CHECK(one.c.host == before);
}

TEST_CASE("cublas contract " TERRAZZO_CONTRACT ": bad shapes are invalid and mixed types are not supported") {
  const session here;
  product_case one(here.all, {.m = 4, .n = 4, .k = 4}, CUDA_R_32F, CUDA_R_32F);
  const product_shape good = one.shape;
  for (int product_shape::*member : {&product_shape::m, &product_shape::n, &product_shape::k}) {
    one.shape = good;
    one.shape.*member = -1;
    CHECK(one.run(here.handle) == CUBLAS_STATUS_INVALID_VALUE);
  }
  for (int product_shape::*member : {&product_shape::lda, &product_shape::ldb, &product_shape::ldc}) {
    one.shape = good;
    one.shape.*member = 3;
    CHECK(one.run(here.handle) == CUBLAS_STATUS_INVALID_VALUE);
  }
  one.shape = good;
  one.b.type = CUDA_R_16F;
  CHECK(one.run(here.handle) == CUBLAS_STATUS_NOT_SUPPORTED);
  one.b.type = CUDA_R_32F;
  CHECK(one.error_of(here.handle) <= 1e-5);
}

TEST_CASE("cublas contract " TERRAZZO_CONTRACT ": a product runs in the order of its stream") {
  const session here;
  const stream_of work(here.cuda);
  product_case one(here.all, {.m = 48, .n = 32, .k = 64}, CUDA_R_32F, CUDA_R_32F);
  one.c.fill_with(0);
  REQUIRE(here.blas.cublasSetStream_v2(here.handle, work.stream) == CUBLAS_STATUS_SUCCESS);
  const device_elements copy(here.cuda, CUDA_R_32F, one.a.host.size());
  const std::size_t bytes = one.a.host.size() * sizeof(float);
  // A goes away and comes back in the stream; a product out of order would miss it.
  const auto address = [](const device_elements& of) { return reinterpret_cast<CUdeviceptr>(of.data()); };
  REQUIRE(here.cuda.cuMemcpyDtoDAsync_v2(address(copy), address(one.a), bytes, work.stream) == CUDA_SUCCESS);
  REQUIRE(here.cuda.cuMemsetD8Async(address(one.a), 0, bytes, work.stream) == CUDA_SUCCESS);
  REQUIRE(here.cuda.cuMemcpyDtoDAsync_v2(address(one.a), address(copy), bytes, work.stream) == CUDA_SUCCESS);
  REQUIRE(one.run(here.handle) == CUBLAS_STATUS_SUCCESS);
  REQUIRE(here.cuda.cuMemsetD8Async(address(one.a), 0, bytes, work.stream) == CUDA_SUCCESS);
  REQUIRE(here.cuda.cuStreamSynchronize(work.stream) == CUDA_SUCCESS);
  one.c.read();
  CHECK(farthest(one.c.host, one.want) <= 1e-5);
}

TEST_CASE("cublas contract " TERRAZZO_CONTRACT ": the same workspace gives the same bits") {
  const session here;
  constexpr std::size_t bytes = std::size_t{4} << 20;
  const device_buffer first(here.cuda, bytes);
  const device_buffer second(here.cuda, bytes);
  for (const type_pair& type : types) {
    CAPTURE(type.name);
    product_case one(here.all, {.m = 32, .n = 48, .k = 8192}, type.input, type.output);
    // Values that do not add up exactly, so that the order of the sum shows.
    for (std::size_t i = 0; i < one.a.host.size(); ++i) one.a.host[i] *= 1 + static_cast<float>(i % 7) / 7;
    one.a.write();
    std::vector<float> bits;
    for (const device_buffer* workspace : {&first, &second, &first}) {
      REQUIRE(here.blas.cublasSetStream_v2(here.handle, nullptr) == CUBLAS_STATUS_SUCCESS);
      REQUIRE(here.blas.cublasSetWorkspace_v2(here.handle, workspace->data(), bytes) == CUBLAS_STATUS_SUCCESS);
      one.c.fill_with(0);
      REQUIRE(one.run(here.handle) == CUBLAS_STATUS_SUCCESS);
      one.c.read();
      if (bits.empty()) bits = one.c.host;
      CHECK(one.c.host == bits);
    }
  }
}

}  // namespace contract
}  // namespace
