// The driver version that one library reports if its spec does not say: all that differs between the libraries that are
// made of the same objects.
#include "softgpu/gpu.hpp"

namespace softgpu {

const int default_driver_version = TERRAZZO_SOFTGPU_DRIVER_VERSION;

}  // namespace softgpu
