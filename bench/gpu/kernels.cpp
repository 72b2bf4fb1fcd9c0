#include "kernels.hpp"

#include <atomic>
#include <new>
#include <thread>

namespace terrazzo::probe {

// PTX 7.0 for sm_70: read by the drivers of CUDA 11 and later, for Volta and later.
const char* const kernel_text = R"ptx(
.version 7.0
.target sm_70
.address_size 64

.visible .entry spin(.param .u64 p_flag, .param .u64 p_progress, .param .u64 p_buffer, .param .u64 p_mask,
                     .param .u64 p_limit)
{
  .reg .pred %p<4>;
  .reg .b32 %r<4>;
  .reg .b64 %d<13>;
  ld.param.u64 %d1, [p_flag];
  ld.param.u64 %d2, [p_progress];
  ld.param.u64 %d3, [p_buffer];
  ld.param.u64 %d4, [p_mask];
  ld.param.u64 %d5, [p_limit];
  mov.u64 %d6, %globaltimer;
  add.u64 %d7, %d6, %d5;
  mov.u64 %d8, 0;
  mov.u64 %d9, 0;
turn:
  mov.u32 %r1, 0;
step:
  add.u64 %d10, %d3, %d9;
  ld.volatile.global.u64 %d11, [%d10];
  add.u64 %d9, %d9, %d11;
  add.u64 %d9, %d9, 65664;
  and.b64 %d9, %d9, %d4;
  add.u32 %r1, %r1, 1;
  setp.lt.u32 %p1, %r1, 64;
  @%p1 bra step;
  add.u64 %d8, %d8, 1;
  st.relaxed.sys.global.u64 [%d2], %d8;
  ld.relaxed.sys.global.u32 %r2, [%d1];
  setp.ne.u32 %p2, %r2, 0;
  @%p2 bra done;
  mov.u64 %d12, %globaltimer;
  setp.lt.u64 %p3, %d12, %d7;
  @%p3 bra turn;
done:
  ret;
}

.visible .entry fill(.param .u64 p_words, .param .u32 p_count, .param .u64 p_base, .param .u32 p_add)
{
  .reg .pred %p<2>;
  .reg .b32 %r<8>;
  .reg .b64 %d<6>;
  ld.param.u64 %d1, [p_words];
  ld.param.u32 %r1, [p_count];
  ld.param.u64 %d2, [p_base];
  ld.param.u32 %r2, [p_add];
  ld.volatile.global.u32 %r3, [%d2];
  add.u32 %r4, %r3, %r2;
  mov.u32 %r5, %tid.x;
  mov.u32 %r6, %ntid.x;
next:
  setp.ge.u32 %p1, %r5, %r1;
  @%p1 bra done;
  mul.wide.u32 %d3, %r5, 4;
  add.u64 %d4, %d1, %d3;
  add.u32 %r7, %r4, %r5;
  st.global.u32 [%d4], %r7;
  add.u32 %r5, %r5, %r6;
  bra next;
done:
  ret;
}

.visible .entry check(.param .u64 p_words, .param .u32 p_count, .param .u64 p_base, .param .u32 p_add,
                      .param .u64 p_mismatches)
{
  .reg .pred %p<3>;
  .reg .b32 %r<9>;
  .reg .b64 %d<7>;
  ld.param.u64 %d1, [p_words];
  ld.param.u32 %r1, [p_count];
  ld.param.u64 %d2, [p_base];
  ld.param.u32 %r2, [p_add];
  ld.param.u64 %d5, [p_mismatches];
  ld.volatile.global.u32 %r3, [%d2];
  add.u32 %r4, %r3, %r2;
  mov.u32 %r5, %tid.x;
  mov.u32 %r6, %ntid.x;
next:
  setp.ge.u32 %p1, %r5, %r1;
  @%p1 bra done;
  mul.wide.u32 %d3, %r5, 4;
  add.u64 %d4, %d1, %d3;
  add.u32 %r7, %r4, %r5;
  ld.global.u32 %r8, [%d4];
  add.u32 %r5, %r5, %r6;
  setp.eq.u32 %p2, %r8, %r7;
  @%p2 bra next;
  mov.u64 %d6, 1;
  red.global.add.u64 [%d5], %d6;
  bra next;
done:
  ret;
}

.visible .entry bump(.param .u64 p_base)
{
  .reg .b32 %r<3>;
  .reg .b64 %d<2>;
  ld.param.u64 %d1, [p_base];
  ld.volatile.global.u32 %r1, [%d1];
  add.u32 %r2, %r1, 1;
  st.volatile.global.u32 [%d1], %r2;
  ret;
}
)ptx";

kernels::kernels(gpu& device) : device_(device) {
  CUmodule module = nullptr;
  const CUresult loaded = device.cuda.cuModuleLoadData(&module, static_cast<const void*>(kernel_text));
  if (loaded != CUDA_SUCCESS)
    throw unsupported(fmt::format("no kernels: cuModuleLoadData answered {}", device.name_of(loaded)));
  device.cuda.cuModuleGetFunction.must(&fill_, module, "fill");
  device.cuda.cuModuleGetFunction.must(&check_, module, "check");
  device.cuda.cuModuleGetFunction.must(&bump_, module, "bump");
  device.cuda.cuModuleGetFunction.must(&spin_, module, "spin");
}

void kernels::launch(CUfunction kernel, CUstream stream, unsigned threads, void** arguments) const {
  device_.cuda.cuLaunchKernel.must(kernel, 1u, 1u, 1u, threads, 1u, 1u, 0u, stream, arguments, nullptr);
}

void kernels::fill(CUstream stream, CUdeviceptr words, std::uint32_t count, CUdeviceptr base, std::uint32_t add) const {
  void* arguments[] = {&words, &count, &base, &add};
  launch(fill_, stream, 128, arguments);
}

void kernels::check(CUstream stream, CUdeviceptr words, std::uint32_t count, CUdeviceptr base, std::uint32_t add,
                    CUdeviceptr mismatches) const {
  void* arguments[] = {&words, &count, &base, &add, &mismatches};
  launch(check_, stream, 128, arguments);
}

void kernels::bump(CUstream stream, CUdeviceptr base) const {
  void* arguments[] = {&base};
  launch(bump_, stream, 1, arguments);
}

void kernels::spin(CUstream stream, CUdeviceptr flag, CUdeviceptr progress, CUdeviceptr buffer, std::uint64_t mask,
                   std::uint64_t limit_ns) const {
  void* arguments[] = {&flag, &progress, &buffer, &mask, &limit_ns};
  launch(spin_, stream, 1, arguments);
}

struct spinner::shared_with_kernel {
  std::atomic<std::uint64_t> turns{0};
  std::atomic<std::uint32_t> flag{0};
};

spinner::spinner(gpu& device, const kernels& code, double limit_seconds) : device_(device) {
  const cuda_calls& cuda = device.cuda;
  void* host = nullptr;
  cuda.cuMemHostAlloc.must(&host, sizeof(shared_with_kernel), CU_MEMHOSTALLOC_DEVICEMAP | CU_MEMHOSTALLOC_PORTABLE);
  shared_ = new (host) shared_with_kernel;
  CUdeviceptr seen_by_kernel = 0;
  cuda.cuMemHostGetDevicePointer_v2.must(&seen_by_kernel, host, 0u);
  cuda.cuMemAlloc_v2.must(&buffer_, buffer_bytes);
  cuda.cuMemsetD8_v2.must(buffer_, static_cast<unsigned char>(0), buffer_bytes);
  cuda.cuStreamCreate.must(&stream_, static_cast<unsigned>(CU_STREAM_NON_BLOCKING));
  const CUdeviceptr turns_at = seen_by_kernel;
  const CUdeviceptr flag_at = seen_by_kernel + sizeof(shared_->turns);
  code.spin(stream_, flag_at, turns_at, buffer_, buffer_bytes - 8, static_cast<std::uint64_t>(limit_seconds * 1e9));
  const clock::time_point start = clock::now();
  while (turns() == 0) {
    if (microseconds_since(start) > 2e6) throw std::runtime_error("the spinning kernel did not start within 2 s");
  }
}

std::uint64_t spinner::turns() const noexcept { return shared_->turns.load(std::memory_order_relaxed); }

bool spinner::running() const {
  const std::uint64_t before = turns();
  std::this_thread::sleep_for(std::chrono::milliseconds(1));
  return turns() != before;
}

void spinner::release() noexcept { shared_->flag.store(1, std::memory_order_seq_cst); }

void spinner::stop() {
  release();
  device_.cuda.cuStreamSynchronize.must(stream_);
}

spinner::~spinner() {
  const cuda_calls& cuda = device_.cuda;
  release();
  cuda.cuStreamSynchronize(stream_);
  cuda.cuStreamDestroy_v2(stream_);
  cuda.cuMemFree_v2(buffer_);
  cuda.cuMemFreeHost(static_cast<void*>(shared_));
}

}  // namespace terrazzo::probe
