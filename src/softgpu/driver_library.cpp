// Driver functions about the driver itself: initialisation, version, error names, entry points.
#include <algorithm>
#include <iterator>
#include <string_view>

#include "softgpu/driver_functions.hpp"
#include "softgpu/error_names.hpp"

using namespace softgpu;

namespace softgpu {
namespace {

// clang-format off
#define TERRAZZO_SOFTGPU_LIST(name, since) {#name, since, reinterpret_cast<void*>(&::name)},
const function_entry functions[] = {TERRAZZO_SOFTGPU_FUNCTIONS(TERRAZZO_SOFTGPU_LIST)};
#undef TERRAZZO_SOFTGPU_LIST
// clang-format on

// "cuMemAlloc" has the variant "cuMemAlloc_v2".
bool is_variant_of(std::string_view exported, std::string_view name) {
  if (!exported.starts_with(name)) return false;
  const std::string_view rest = exported.substr(name.size());
  return rest.empty() || (rest.size() == 3 && rest.starts_with("_v"));
}

}  // namespace

function_list all_functions() noexcept { return {std::begin(functions), std::end(functions)}; }

}  // namespace softgpu

TERRAZZO_SOFTGPU_ENTRY cuInit(unsigned int flags) {
  return run_call("cuInit", needs::nothing, [&](driver_call& call) {
    if (flags != 0) return refuse(CUDA_ERROR_INVALID_VALUE, "the flags {} are not 0", flags);
    if (!call.all.bad_spec.empty()) {
      return refuse(CUDA_ERROR_INVALID_VALUE, "TERRAZZO_SOFTGPU: {}", call.all.bad_spec);
    }
    if (call.all.contexts.empty()) return refuse(CUDA_ERROR_NO_DEVICE, "the software GPU was told to have no device");
    call.all.initialised = true;
    return CUDA_SUCCESS;
  });
}

TERRAZZO_SOFTGPU_ENTRY cuDriverGetVersion(int* version) {
  return run_call("cuDriverGetVersion", needs::nothing, [&](driver_call& call) {
    if (version == nullptr) return refuse_null("version");
    *version = call.all.spec.driver_version;
    return CUDA_SUCCESS;
  });
}

TERRAZZO_SOFTGPU_ENTRY cuGetErrorName(CUresult error, const char** name) {
  return run_call("cuGetErrorName", needs::nothing, [&](driver_call&) {
    if (name == nullptr) return refuse_null("name");
    *name = error_name(error);
    return *name != nullptr ? CUDA_SUCCESS
                            : refuse(CUDA_ERROR_INVALID_VALUE, "{} is not known", static_cast<int>(error));
  });
}

TERRAZZO_SOFTGPU_ENTRY cuGetErrorString(CUresult error, const char** sentence) {
  return run_call("cuGetErrorString", needs::nothing, [&](driver_call&) {
    if (sentence == nullptr) return refuse_null("sentence");
    *sentence = error_sentence(error);
    return *sentence != nullptr ? CUDA_SUCCESS
                                : refuse(CUDA_ERROR_INVALID_VALUE, "{} is not known", static_cast<int>(error));
  });
}

TERRAZZO_SOFTGPU_ENTRY cuGetProcAddress_v2(const char* symbol, void** function, int version, cuuint64_t flags,
                                           CUdriverProcAddressQueryResult* status) {
  return run_call("cuGetProcAddress_v2", needs::nothing, [&](driver_call& call) {
    if (symbol == nullptr || function == nullptr) return refuse_null("the symbol or the place for the function");
    if (version > call.all.spec.driver_version) {
      return refuse(CUDA_ERROR_INVALID_VALUE, "version {} is newer than the driver, {}", version,
                    call.all.spec.driver_version);
    }
    if ((flags & CU_GET_PROC_ADDRESS_PER_THREAD_DEFAULT_STREAM) != 0) {
      return refuse(CUDA_ERROR_NOT_SUPPORTED, "functions for per-thread default streams are not modelled");
    }
    const function_entry* best = nullptr;
    bool newer = false;
    for (const function_entry& one : all_functions()) {
      if (!is_variant_of(one.name, symbol)) continue;
      if (one.since > version) newer = true;
      else if (best == nullptr || one.since > best->since) best = &one;
    }
    *function = best != nullptr ? best->address : nullptr;
    const CUdriverProcAddressQueryResult found = best != nullptr ? CU_GET_PROC_ADDRESS_SUCCESS
                                                 : newer         ? CU_GET_PROC_ADDRESS_VERSION_NOT_SUFFICIENT
                                                                 : CU_GET_PROC_ADDRESS_SYMBOL_NOT_FOUND;
    if (status != nullptr) *status = found;
    if (best != nullptr || status != nullptr) return CUDA_SUCCESS;
    return refuse(CUDA_ERROR_NOT_FOUND, "{} is not modelled, or is newer than {}", symbol, version);
  });
}
