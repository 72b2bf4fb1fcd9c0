# Finds CUDA's headers, and nothing to link: terrazzo takes the driver and cuBLAS at run time.
# Searched: CUDA_HEADERS_DIR, an installed toolkit, then build/cuda-headers, where scripts/setup unpacks the headers
# from PyPI's packages. Makes the target cuda_headers.

find_path(CUDA_HEADERS_DIR
  NAMES cuda.h
  HINTS ENV CUDA_HOME ENV CUDA_PATH
  PATHS /usr/local/cuda /opt/cuda ${PROJECT_SOURCE_DIR}/build/cuda-headers
  PATH_SUFFIXES include
  DOC "Folder with cuda.h, cublas_v2.h and cublasLt.h")
if(CUDA_HEADERS_DIR AND NOT EXISTS ${CUDA_HEADERS_DIR}/cublasLt.h)
  set(CudaHeaders_REASON "${CUDA_HEADERS_DIR} has cuda.h but not cublasLt.h: install the toolkit's cuBLAS headers too")
endif()
if(CUDA_HEADERS_DIR)
  file(STRINGS ${CUDA_HEADERS_DIR}/cuda.h cuda_version_line REGEX "#define CUDA_VERSION [0-9]+")
  string(REGEX MATCH "[0-9]+" CudaHeaders_VERSION "${cuda_version_line}")
endif()

include(FindPackageHandleStandardArgs)
find_package_handle_standard_args(CudaHeaders
  REQUIRED_VARS CUDA_HEADERS_DIR VERSION_VAR CudaHeaders_VERSION
  REASON_FAILURE_MESSAGE "run scripts/setup, or set CUDA_HEADERS_DIR. ${CudaHeaders_REASON}")

if(CudaHeaders_FOUND AND NOT TARGET cuda_headers)
  add_library(cuda_headers INTERFACE)
  target_include_directories(cuda_headers SYSTEM INTERFACE ${CUDA_HEADERS_DIR})
endif()
