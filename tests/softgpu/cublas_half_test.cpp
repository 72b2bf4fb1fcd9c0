// The 16-bit formats: every value there and back, and rounding to the nearest with ties to even.
#include "softgpu/cublas/half.hpp"

#include <doctest/doctest.h>

#include <cmath>
#include <cstdint>
#include <limits>

using namespace softgpu::cublas;

namespace {

struct format {
  const char* name;
  float (*from)(std::uint16_t);
  std::uint16_t (*to)(float);
  std::uint16_t infinity;
};
constexpr format formats[] = {{"f16", from_f16, to_f16, 0x7c00}, {"bf16", from_bf16, to_bf16, 0x7f80}};

}  // namespace

TEST_CASE("softcublas half: every value survives the way to float and back") {
  for (const format& one : formats) {
    CAPTURE(one.name);
    int wrong = 0;
    for (std::uint32_t bits = 0; bits <= 0xffff; ++bits) {
      const float value = one.from(static_cast<std::uint16_t>(bits));
      const bool is_nan = (bits & 0x7fff) > one.infinity;
      const std::uint16_t back = one.to(value);
      const bool right = is_nan ? std::isnan(value) && (back & 0x7fff) > one.infinity : back == bits;
      if (!right) ++wrong;
    }
    CHECK(wrong == 0);
  }
}

TEST_CASE("softcublas half: values between two neighbours go to the nearer and ties to the even one") {
  for (const format& one : formats) {
    CAPTURE(one.name);
    int wrong = 0;
    for (std::uint16_t low = 0; low + 1 < one.infinity; ++low) {
      const double below = one.from(low);
      const double above = one.from(static_cast<std::uint16_t>(low + 1));
      const double middle = (below + above) / 2;  // exact in f32: one bit more than the format has
      const float tie = static_cast<float>(middle);
      if (static_cast<double>(tie) != middle) continue;  // below f32's own subnormals, for bf16's smallest
      const std::uint16_t even = low % 2 == 0 ? low : static_cast<std::uint16_t>(low + 1);
      const float less = std::nextafter(tie, 0.0f);
      const float more = std::nextafter(tie, std::numeric_limits<float>::infinity());
      if (one.to(tie) != even || one.to(-tie) != (even | 0x8000)) ++wrong;
      if (one.to(less) != low || one.to(more) != low + 1) ++wrong;
    }
    CHECK(wrong == 0);
  }
}

TEST_CASE("softcublas half: what is too large becomes infinite") {
  CHECK(to_f16(65504.0f) == 0x7bff);
  CHECK(to_f16(65519.0f) == 0x7bff);
  CHECK(to_f16(65520.0f) == 0x7c00);
  CHECK(to_f16(-1e30f) == 0xfc00);
  CHECK(to_bf16(std::numeric_limits<float>::max()) == 0x7f80);
  CHECK(to_bf16(-std::numeric_limits<float>::infinity()) == 0xff80);
  CHECK(to_f16(1e-10f) == 0);
  CHECK(to_f16(-1e-10f) == 0x8000);
}
