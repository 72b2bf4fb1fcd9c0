// The fixture that other rooms' tests stand on, and a walk through the software GPU with it.
#include "support/softgpu.hpp"

#include <cstring>

using terrazzo::test::current_context;
using terrazzo::test::softgpu_session;

TEST_CASE("softgpu session: memory can be made mapped written read and undone") {
  softgpu_session session("memory=64MiB");
  const current_context current(session);
  const auto& cuda = session.cuda();
  constexpr std::size_t bytes = std::size_t{2} << 20;

  CUdeviceptr range = 0;
  REQUIRE(cuda.cuMemAddressReserve(&range, 4 * bytes, 0, 0, 0) == CUDA_SUCCESS);
  CUmemAllocationProp properties{};
  properties.type = CU_MEM_ALLOCATION_TYPE_PINNED;
  properties.location.type = CU_MEM_LOCATION_TYPE_DEVICE;
  properties.location.id = 0;
  CUmemGenericAllocationHandle handle = 0;
  REQUIRE(cuda.cuMemCreate(&handle, bytes, &properties, 0) == CUDA_SUCCESS);
  REQUIRE(cuda.cuMemMap(range, bytes, 0, handle, 0) == CUDA_SUCCESS);
  REQUIRE(cuda.cuMemMap(range + 2 * bytes, bytes, 0, handle, 0) == CUDA_SUCCESS);
  CUmemAccessDesc access{};
  access.location = properties.location;
  access.flags = CU_MEM_ACCESS_FLAGS_PROT_READWRITE;
  for (const CUdeviceptr at : {range, range + 2 * bytes})
    REQUIRE(cuda.cuMemSetAccess(at, bytes, &access, 1) == CUDA_SUCCESS);
  std::memset(reinterpret_cast<void*>(range), 0x5a, bytes);
  CHECK(*reinterpret_cast<unsigned char*>(range + 3 * bytes - 1) == 0x5a);
  CHECK(session.count("used_bytes", 0) == bytes);
  CHECK(session.count("mappings") == 2);
  CHECK(session.calls("cuMemMap") == 2);

  CHECK(cuda.cuMemRelease(handle) == CUDA_SUCCESS);
  for (const CUdeviceptr at : {range, range + 2 * bytes}) CHECK(cuda.cuMemUnmap(at, bytes) == CUDA_SUCCESS);
  CHECK(cuda.cuMemAddressFree(range, 4 * bytes) == CUDA_SUCCESS);
  CHECK(session.count("used_bytes", 0) == 0);
}
