// The user's story: a card with room enough, on which cuBLAS fails all the same.
//
// The same requests are made twice on the same device. First by hand, as engines do: a cache of plain segments that are
// kept for reuse, and a cuBLAS handle made at the first product. Scratch that grows a little each time leaves a segment
// of each size behind, until nothing is left for the handle. Then through terrazzo: the range grows in place, so that
// little more is held than what is live, and the same product runs.
#include <cublas_api.h>

#include <CLI/CLI.hpp>
#include <algorithm>
#include <cstdio>
#include <map>
#include <nlohmann/json.hpp>
#include <stdexcept>
#include <vector>

#include "base/bytes.hpp"
#include "support/choose_device.hpp"
#include "support/cuda.hpp"
#include "support/device_facts.hpp"
#include "support/matrices.hpp"
#include "support/size.hpp"
#include "terrazzo/terrazzo.hpp"

namespace {

constexpr std::size_t mib = std::size_t{1} << 20;
constexpr std::size_t default_memory_bytes = 512 * mib;
constexpr std::size_t least_memory_bytes = 256 * mib;
constexpr int side = 512;  // of the square f32 matrices of the product
constexpr std::size_t matrix_bytes = sizeof(float) * side * side;

/// What the program asks for: weights that stay, then scratch that is freed before the next, larger one is asked for.
struct plan {
  explicit plan(std::size_t free_bytes) {
    // By hand, all scratch sizes together and the weights leave 8 MiB of the card.
    const std::size_t first = free_bytes / 16 / mib * mib;
    std::size_t sum = 0;
    for (std::size_t step = 0; step < 8; ++step) {
      scratch.push_back(first + 2 * step * mib);
      sum += scratch.back();
    }
    const std::size_t for_weights = (free_bytes - sum - 8 * mib) / mib * mib;
    for (std::size_t part = 0; part < 4; ++part) weights.push_back(for_weights / 4 / mib * mib);
  }
  [[nodiscard]] std::size_t live_peak_bytes() const {
    std::size_t sum = std::max(scratch.back(), 3 * matrix_bytes);
    for (std::size_t bytes : weights) sum += bytes;
    return sum;
  }

  std::vector<std::size_t> weights;
  std::vector<std::size_t> scratch;
};

/// How a half of the story ended.
struct ending {
  cublasStatus_t code = CUBLAS_STATUS_SUCCESS;
  std::string where;           // the call that failed; empty: none
  std::size_t held_bytes = 0;  // taken from the device before the handle was made
  std::size_t free_bytes = 0;  // of the device, at that moment
  double max_rel_error = -1;   // of the product; below 0: there was none
  [[nodiscard]] bool succeeded() const { return where.empty() && max_rel_error >= 0 && max_rel_error <= 1e-5; }
};

const char* name_of(cublasStatus_t code) {
  switch (code) {
    case CUBLAS_STATUS_SUCCESS:
      return "CUBLAS_STATUS_SUCCESS";
    case CUBLAS_STATUS_NOT_INITIALIZED:
      return "CUBLAS_STATUS_NOT_INITIALIZED";
    case CUBLAS_STATUS_ALLOC_FAILED:
      return "CUBLAS_STATUS_ALLOC_FAILED";
    default:
      return "another cuBLAS status";
  }
}

/// Memory by hand: plain segments, kept when freed, and served again to whoever fits best.
class hand_made_cache {
 public:
  explicit hand_made_cache(const example::cuda& cuda) : cuda_(cuda) {}
  ~hand_made_cache() {
    for (const auto& [address, bytes] : sizes_) cuda_.call().cuMemFree_v2(address);
  }
  hand_made_cache(const hand_made_cache&) = delete;
  hand_made_cache& operator=(const hand_made_cache&) = delete;

  [[nodiscard]] void* allocate(std::size_t bytes) {
    CUdeviceptr address = 0;
    const auto fit = free_.lower_bound(bytes);
    if (fit != free_.end()) {
      address = fit->second;
      free_.erase(fit);
    } else {
      cuda_.check(cuda_.call().cuMemAlloc_v2(&address, bytes), "cuMemAlloc");
      sizes_[address] = bytes;
      held_bytes_ += bytes;
    }
    return reinterpret_cast<void*>(address);
  }
  void deallocate(void* block) {
    const auto address = reinterpret_cast<CUdeviceptr>(block);
    free_.emplace(sizes_.at(address), address);
  }
  [[nodiscard]] std::size_t held_bytes() const { return held_bytes_; }

 private:
  const example::cuda& cuda_;
  std::multimap<std::size_t, CUdeviceptr> free_;
  std::map<CUdeviceptr, std::size_t> sizes_;
  std::size_t held_bytes_ = 0;
};

/// Memory through terrazzo, with the same face.
class from_terrazzo {
 public:
  explicit from_terrazzo(terrazzo::allocator& memory) : memory_(memory) {}
  [[nodiscard]] void* allocate(std::size_t bytes) { return memory_.allocate(bytes); }
  void deallocate(void* block) { memory_.deallocate(block); }
  [[nodiscard]] std::size_t held_bytes() const { return memory_.stats().reserved_bytes.current; }

 private:
  terrazzo::allocator& memory_;
};

/// Makes the plan's requests, then one product. `make_handle(handle)` and `prepare(handle)` return cuBLAS' status.
template <typename Memory, typename MakeHandle, typename Prepare, typename DestroyHandle>
ending run(const example::cuda& cuda, const terrazzo::cublas_library& library, const plan& requests, Memory& memory,
           MakeHandle make_handle, Prepare prepare, DestroyHandle destroy_handle) {
  std::vector<void*> weights;
  for (std::size_t bytes : requests.weights) weights.push_back(memory.allocate(bytes));
  for (std::size_t bytes : requests.scratch) memory.deallocate(memory.allocate(bytes));
  void* const left = memory.allocate(matrix_bytes);
  void* const right = memory.allocate(matrix_bytes);
  void* const result = memory.allocate(matrix_bytes);

  ending end;
  end.held_bytes = memory.held_bytes();
  end.free_bytes = cuda.free_bytes();
  terrazzo::cublas_handle handle = nullptr;
  end.code = make_handle(handle);
  if (end.code != CUBLAS_STATUS_SUCCESS) {
    end.where = "cublasCreate";
  } else {
    const example::element_info& f32 = example::elements[0];
    example::matrix host_left(side, side, f32);
    example::matrix host_right(side, side, f32);
    example::matrix host_result(side, side, f32);
    host_left.fill(1);
    host_right.fill(2);
    const auto device = [](void* block) { return reinterpret_cast<CUdeviceptr>(block); };
    cuda.check(cuda.call().cuMemcpyHtoDAsync_v2(device(left), host_left.bytes.data(), matrix_bytes, nullptr),
               "cuMemcpyHtoD");
    cuda.check(cuda.call().cuMemcpyHtoDAsync_v2(device(right), host_right.bytes.data(), matrix_bytes, nullptr),
               "cuMemcpyHtoD");
    const float one = 1;
    const float zero = 0;
    const auto sgemm = library.function<decltype(&cublasSgemm_v2)>("cublasSgemm_v2");
    end.code = prepare(handle);
    if (end.code == CUBLAS_STATUS_SUCCESS)
      end.code = sgemm(handle, CUBLAS_OP_N, CUBLAS_OP_N, side, side, side, &one, static_cast<const float*>(left), side,
                       static_cast<const float*>(right), side, &zero, static_cast<float*>(result), side);
    if (end.code != CUBLAS_STATUS_SUCCESS) {
      end.where = "cublasSgemm";
    } else {
      cuda.check(cuda.call().cuMemcpyDtoHAsync_v2(host_result.bytes.data(), device(result), matrix_bytes, nullptr),
                 "cuMemcpyDtoH");
      cuda.check(cuda.call().cuCtxSynchronize(), "cuCtxSynchronize");
      end.max_rel_error = example::compare(host_left, host_right, host_result).max_rel_error;
    }
    destroy_handle(handle);
  }
  for (void* block : {left, right, result}) memory.deallocate(block);
  for (void* block : weights) memory.deallocate(block);
  return end;
}

ending run_by_hand(const example::cuda& cuda, const terrazzo::cublas_library& library, const plan& requests) {
  hand_made_cache memory(cuda);
  const auto create = library.function<decltype(&cublasCreate_v2)>("cublasCreate_v2");
  const auto destroy = library.function<decltype(&cublasDestroy_v2)>("cublasDestroy_v2");
  return run(
      cuda, library, requests, memory, [&](terrazzo::cublas_handle& handle) { return create(&handle); },
      [](terrazzo::cublas_handle) { return CUBLAS_STATUS_SUCCESS; },
      [&](terrazzo::cublas_handle handle) { destroy(handle); });
}

ending run_through_terrazzo(const example::cuda& cuda, const terrazzo::cublas_library& library, const plan& requests,
                            terrazzo::allocator& device) {
  from_terrazzo memory(device);
  std::unique_ptr<terrazzo::workspace_pool> workspaces;
  // What terrazzo throws ends the program with its message: in this half nothing may fail.
  return run(
      cuda, library, requests, memory,
      [&](terrazzo::cublas_handle& handle) {
        workspaces =
            std::make_unique<terrazzo::workspace_pool>(device, terrazzo::workspace_options{.preallocate_count = 1});
        handle = workspaces->create_handle();
        return CUBLAS_STATUS_SUCCESS;
      },
      [&](terrazzo::cublas_handle handle) {
        workspaces->bind(handle, nullptr);
        return CUBLAS_STATUS_SUCCESS;
      },
      [&](terrazzo::cublas_handle handle) { workspaces->destroy_handle(handle); });
}

nlohmann::ordered_json to_json(const ending& end) {
  nlohmann::ordered_json out;
  out["succeeded"] = end.succeeded();
  out["status"] = name_of(end.code);
  out["failed_call"] = end.where;
  out["held_bytes"] = end.held_bytes;
  out["free_bytes"] = end.free_bytes;
  if (end.max_rel_error >= 0) out["max_rel_error"] = end.max_rel_error;
  return out;
}

void print(const char* who, const ending& end) {
  std::printf("%-17s %6zu MiB held, %6zu MiB free: ", who, end.held_bytes / mib, end.free_bytes / mib);
  if (end.where.empty()) std::printf("the product is right, with a relative error of %.1e\n", end.max_rel_error);
  else std::printf("%s fails with %s\n", end.where.c_str(), name_of(end.code));
}

}  // namespace

int main(int argc, char** argv) {
  std::optional<std::uint64_t> memory_bytes;
  std::string wanted_device = "auto";
  bool json = false;
  CLI::App app{"Fills a device until cuBLAS fails by hand, then makes the same requests through terrazzo."};
  example::add_size_option(app, "--memory", memory_bytes, least_memory_bytes, mib << 20,
                           "device memory there is: the software GPU's (default: what TERRAZZO_SOFTGPU says, else "
                           "512MiB); of a card, all but "
                           "this is taken away (default 512MiB)");
  app.add_option("--device", wanted_device, "auto takes a card if there is one")
      ->check(CLI::IsMember({"auto", "cuda", "soft"}))
      ->capture_default_str();
  app.add_flag("--json", json, "print one JSON object");
  try {
    app.parse(argc, argv);
  } catch (const CLI::ParseError& failure) {
    return app.exit(failure) == 0 ? 0 : 2;
  }
  try {
    const example::chosen_device chosen = example::choose_device(wanted_device, memory_bytes, default_memory_bytes);
    example::cuda cuda(chosen.driver_path);
    terrazzo::allocator device({.device = 0, .settings = terrazzo::config(), .driver_path = chosen.driver_path});
    const terrazzo::cublas_library library({}, chosen.driver_path);

    const std::size_t free_bytes =
        example::make_room(cuda, chosen, memory_bytes, default_memory_bytes, least_memory_bytes);
    const plan requests(free_bytes);
    const ending by_hand = run_by_hand(cuda, library, requests);
    const std::size_t free_bytes_again = cuda.free_bytes();
    const ending by_terrazzo = run_through_terrazzo(cuda, library, requests, device);

    const bool told = !by_hand.succeeded() && by_terrazzo.succeeded() && free_bytes_again == free_bytes;
    nlohmann::ordered_json out;
    out["passed"] = told;
    example::put_device(out, chosen, cuda);
    if (json) {
      out["device_free_bytes"] = free_bytes;
      out["device_free_bytes_second_time"] = free_bytes_again;
      out["live_peak_bytes"] = requests.live_peak_bytes();
      out["by_hand"] = to_json(by_hand);
      out["terrazzo"] = to_json(by_terrazzo);
      std::printf("%s\n", out.dump(2).c_str());
    } else {
      std::printf("%s, %s free\n", example::describe_device(out).c_str(),
                  terrazzo::detail::format_bytes(free_bytes).c_str());
      std::printf("the program: at most %zu MiB live, then two matrices multiplied\n",
                  requests.live_peak_bytes() / mib);
      std::printf(
          "\"by hand\" is a cache of plain segments that never gives back, and the pool that cuBLAS takes itself\n");
      print("by hand:", by_hand);
      print("through terrazzo:", by_terrazzo);
      std::printf("%s\n", told ? "passed: cuBLAS fails over the cache by hand, and works through terrazzo"
                               : "FAILED: not the story that was to be told");
    }
    return told ? 0 : 1;
  } catch (const std::exception& failure) {
    std::fprintf(stderr, "almost_full: %s\n", failure.what());
    return 1;
  }
}
