#include "tools/nvml.hpp"

#include <fmt/format.h>

#include <algorithm>
#include <cstring>
#include <filesystem>
#include <type_traits>

#include "base/shared_library.hpp"
#include "tools/platform.hpp"

namespace terrazzo::tools {
namespace {

#ifdef _WIN32
constexpr const char* library_name = "nvml.dll";
#else
constexpr const char* library_name = "libnvidia-ml.so.1";
#endif

constexpr unsigned int success = 0;
constexpr unsigned int insufficient_size = 7;
constexpr std::uint64_t not_available = ~std::uint64_t{0};  // NVML_VALUE_NOT_AVAILABLE

constexpr std::size_t strides[] = {16, 24, 32};  // all layouts there have been; pid and bytes come first in each
constexpr std::size_t largest_stride = 64;       // room for one that is yet to come
constexpr unsigned char untouched = 0xa5;

/// Tells how large an entry is that the library wrote, from how far it wrote.
std::size_t stride_of(const std::vector<unsigned char>& buffer, std::size_t count) {
  std::size_t written = buffer.size();
  while (written > 0 && buffer[written - 1] == untouched) --written;
  for (const std::size_t stride : strides)
    if (written <= count * stride) return stride;
  return 0;
}

}  // namespace

management_library::management_library(const std::string& driver_path) {
  detail::shared_library library;
  std::string reason;
  if (const std::string folder = detail::folder_of(driver_path); !folder.empty()) {
    const std::filesystem::path beside = std::filesystem::path(folder) / library_name;
    std::error_code ignored;
    if (std::filesystem::exists(beside, ignored)) library = detail::shared_library::open(beside.string(), reason);
  }
  if (!library) library = detail::shared_library::open(library_name, reason);
  if (!library) {
    problem_ = fmt::format("'{}' cannot be loaded: {}", library_name, reason);
    return;
  }
  path_ = library.path();
  enum class function_use { needed, optional };
  const auto take = [&](auto& slot, const char* name, function_use use) {
    slot = reinterpret_cast<std::remove_reference_t<decltype(slot)>>(library.symbol(name));
    if (slot == nullptr && use == function_use::needed) problem_ = fmt::format("'{}' has no function {}", path_, name);
  };
#define TERRAZZO_TAKE_FUNCTION(name, use) take(functions_.name, #name, function_use::use);
  TERRAZZO_NVML_FUNCTIONS(TERRAZZO_TAKE_FUNCTION)
#undef TERRAZZO_TAKE_FUNCTION
  if (!problem_.empty()) return;
  const unsigned int started = functions_.nvmlInit_v2();
  if (started != success) {
    const char* sentence = functions_.nvmlErrorString != nullptr ? functions_.nvmlErrorString(started) : nullptr;
    problem_ = fmt::format("nvmlInit failed: {} ({})", sentence != nullptr ? sentence : "no description", started);
    return;
  }
  open_ = true;
}

management_library::~management_library() {
  if (open_) functions_.nvmlShutdown();
}

bool management_library::add_processes(list_function list, nvmlDevice_st* device,
                                       std::vector<memory_holder>& result) const {
  if (list == nullptr) return false;
  std::vector<unsigned char> buffer;
  unsigned int count = 0;
  unsigned int code = list(device, &count, nullptr);
  constexpr unsigned int most = 16384;  // processes; what claims more is broken
  for (int attempt = 0; code == insufficient_size && attempt < 5; ++attempt) {
    if (count > most) return false;
    count += 8;  // more may start meanwhile
    buffer.assign(count * largest_stride, untouched);
    code = list(device, &count, buffer.data());
  }
  if (code != success) return false;
  if (buffer.empty() || count == 0) return true;
  if (count > buffer.size() / largest_stride) return false;
  const std::size_t stride = stride_of(buffer, count);
  if (stride == 0) return false;
  for (std::size_t i = 0; i < count; ++i) {
    std::uint32_t pid = 0;
    std::uint64_t bytes = 0;
    std::memcpy(&pid, buffer.data() + i * stride, sizeof pid);
    std::memcpy(&bytes, buffer.data() + i * stride + 8, sizeof bytes);
    // A process that computes and draws is in both lists, with the same bytes.
    if (std::any_of(result.begin(), result.end(), [&](const memory_holder& one) { return one.pid == pid; })) continue;
    memory_holder holder;
    holder.pid = pid;
    holder.is_this_command = pid == platform::process_id();
    if (bytes != not_available) holder.bytes = static_cast<std::size_t>(bytes);
    char name[1024] = "";
    if (functions_.nvmlSystemGetProcessName != nullptr &&
        functions_.nvmlSystemGetProcessName(pid, name, sizeof name) == success)
      holder.name = std::string(name, strnlen(name, sizeof name));
    if (holder.name.empty()) holder.name = platform::process_name(pid);
    result.push_back(std::move(holder));
  }
  return true;
}

std::optional<std::vector<memory_holder>> management_library::holders(const std::string& uuid) const {
  nvmlDevice_st* device = nullptr;
  if (!open_ || uuid.empty() || functions_.nvmlDeviceGetHandleByUUID(uuid.c_str(), &device) != success) {
    return std::nullopt;
  }
  const auto newest = [](auto first, auto second, auto third) {
    return first != nullptr ? first : second != nullptr ? second : third;
  };
  std::vector<memory_holder> result;
  const bool told = add_processes(
      newest(functions_.nvmlDeviceGetComputeRunningProcesses_v3, functions_.nvmlDeviceGetComputeRunningProcesses_v2,
             functions_.nvmlDeviceGetComputeRunningProcesses),
      device, result);
  add_processes(
      newest(functions_.nvmlDeviceGetGraphicsRunningProcesses_v3, functions_.nvmlDeviceGetGraphicsRunningProcesses_v2,
             functions_.nvmlDeviceGetGraphicsRunningProcesses),
      device, result);
  if (!told && result.empty()) return std::nullopt;
  std::stable_sort(result.begin(), result.end(), [](const memory_holder& a, const memory_holder& b) {
    return a.bytes.value_or(0) > b.bytes.value_or(0);
  });
  return result;
}

}  // namespace terrazzo::tools
