// A cuBLAS that tells a version and can do nothing else: several of them, in folders of their own, show which one the
// search takes.
#include <cublas_api.h>

#if defined(_WIN32)
#define FAKE_CUBLAS_API extern "C" __declspec(dllexport)
#else
#define FAKE_CUBLAS_API extern "C" __attribute__((visibility("default")))
#endif

FAKE_CUBLAS_API cublasStatus_t CUBLASWINAPI cublasGetProperty(libraryPropertyType type, int* value) {
  if (type == MAJOR_VERSION) *value = FAKE_CUBLAS_VERSION / 10000;
  else if (type == MINOR_VERSION) *value = FAKE_CUBLAS_VERSION / 100 % 100;
  else *value = FAKE_CUBLAS_VERSION % 100;
  return CUBLAS_STATUS_SUCCESS;
}

FAKE_CUBLAS_API cublasStatus_t CUBLASWINAPI cublasCreate_v2(cublasHandle_t*) { return CUBLAS_STATUS_NOT_SUPPORTED; }
FAKE_CUBLAS_API cublasStatus_t CUBLASWINAPI cublasDestroy_v2(cublasHandle_t) { return CUBLAS_STATUS_NOT_SUPPORTED; }
FAKE_CUBLAS_API cublasStatus_t CUBLASWINAPI cublasSetStream_v2(cublasHandle_t, cudaStream_t) {
  return CUBLAS_STATUS_NOT_SUPPORTED;
}

// It came with 11.0.
#if FAKE_CUBLAS_VERSION >= 110000
FAKE_CUBLAS_API cublasStatus_t CUBLASWINAPI cublasSetWorkspace_v2(cublasHandle_t, void*, size_t) {
  return CUBLAS_STATUS_NOT_SUPPORTED;
}
#endif
