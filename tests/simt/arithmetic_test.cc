// A device's arithmetic: denormals, roundings, conversions, bits.
#include <gtest/gtest.h>

#include <cmath>
#include <cstdint>
#include <limits>
#include <vector>

#include "kernels/cuda/simt.h"
#include "tests/simt/gpu_fixture.h"

namespace ssmd::simt {
namespace {

using kernels::cuda::Block;
using kernels::cuda::Launch;

using SimtArithmetic = GpuTest;

constexpr float kDenormal = 0x1p-130f;
constexpr float kSmallest = 0x1p-126f;  // normal number
constexpr float kInfinity = std::numeric_limits<float>::infinity();

// One operation, by number, on (a, b, c), which are floats or their bits.
struct Operate {
  static constexpr char kName[] = "operate";
  static constexpr int kThreads = 32;
  struct Args {
    float (*of)(float a, float b, float c);
    float a, b, c;
    float* result;
  };
  SIMT_DEVICE static void Run(const Block& block, const Args& args) {
    if (block.thread() == 0) *args.result = args.of(args.a, args.b, args.c);
  }
};

struct Operation {
  const char* name;
  float (*of)(float a, float b, float c);
  float a, b, c;
  float want;
};

float Int(int32_t value) { return static_cast<float>(value); }

const Operation kOperations[] = {
    {"a denormal read is zero", [](float a, float b, float) { return a * b; }, kDenormal, 0x1p100f,
     0, 0},
    {"a denormal result is zero", [](float a, float b, float) { return a * b; }, kSmallest, 0.5f, 0,
     0},
    {"likewise a sum's", [](float a, float b, float) { return a + b; }, kSmallest * 1.5f,
     -kSmallest, 0, 0},
    {"a fused product is rounded once", kernels::cuda::Fma, 1 + 0x1p-12f, 1 + 0x1p-12f,
     -(1 + 0x1p-11f), 0x1p-24f},
    {"what is not fused is rounded twice", [](float a, float b, float c) { return a * b + c; },
     1 + 0x1p-12f, 1 + 0x1p-12f, -(1 + 0x1p-11f), 0},
    {"sqrt", [](float a, float, float) { return kernels::cuda::Sqrt(a); }, 2, 0, 0, 0x1.6a09e6p0f},
    {"divide", [](float a, float b, float) { return kernels::cuda::Divide(a, b); }, 1, 3, 0,
     0x1.555556p-2f},
    {"half to even", [](float a, float, float) { return kernels::cuda::RoundNearest(a); }, 2.5f, 0,
     0, 2},
    {"half to even, as an integer",
     [](float a, float, float) { return Int(kernels::cuda::ToIntNearest(a)); }, -3.5f, 0, 0, -4},
    {"too large an integer",
     [](float a, float, float) { return Int(kernels::cuda::ToIntNearest(a)); }, 1e20f, 0, 0,
     0x1p31f},
    {"too small an integer",
     [](float a, float, float) { return Int(kernels::cuda::ToIntNearest(a)); }, -kInfinity, 0, 0,
     -0x1p31f},
    {"an integer of a NaN",
     [](float a, float, float) { return Int(kernels::cuda::ToIntNearest(a)); }, NAN, 0, 0, 0},
    {"f16 and back",
     [](float a, float, float) {
       return kernels::cuda::HalfToFloat(kernels::cuda::FloatToHalf(a));
     },
     1 + 0x3p-11f, 0, 0, 1 + 0x1p-9f},
    {"a denormal f16", [](float, float, float) { return kernels::cuda::HalfToFloat(0x0001); }, 0, 0,
     0, 0x1p-24f},
    {"2^x", [](float a, float, float) { return kernels::cuda::Exp2Approximate(a); }, -3, 0, 0,
     0.125f},
    {"2^x too small", [](float a, float, float) { return kernels::cuda::Exp2Approximate(a); },
     -126.5f, 0, 0, 0},
    {"2^−∞", [](float a, float, float) { return kernels::cuda::Exp2Approximate(a); }, -kInfinity, 0,
     0, 0},
};

TEST_F(SimtArithmetic, IsTheDevices) {
  const auto result = Allocate<float>(1);
  for (const Operation& c : kOperations) {
    Launch<Operate>(stream(), {}, 32, {c.of, c.a, c.b, c.c, result.get()});
    EXPECT_EQ(Download(result.get(), 1)[0], c.want) << c.name;
  }
}

TEST_F(SimtArithmetic, LeavesTheHostsFloatModeAsItWas) {
  const auto result = Allocate<float>(1);
  const auto quarter = [](float a, float, float) { return a * 0.25f; };
  Launch<Operate>(stream(), {}, 32, {quarter, 1, 0, 0, result.get()});
  stream().Synchronize();
  volatile float smallest = kSmallest;
  EXPECT_EQ(smallest * 0.25f, kDenormal * 4) << "denormals of the host";
}

TEST(SimtBits, AreCountedAndMultiplied) {
  EXPECT_EQ(kernels::cuda::PopCount(0xF0F0u), 8);
  EXPECT_EQ(kernels::cuda::LeadingZeros(0), 32);
  EXPECT_EQ(kernels::cuda::LeadingZeros(1), 31);
  EXPECT_EQ(kernels::cuda::TrailingZeros(0), 32);
  EXPECT_EQ(kernels::cuda::TrailingZeros(8), 3);
  EXPECT_EQ(kernels::cuda::MultiplyHigh(0xFFFFFFFF, 0xFFFFFFFF), 0xFFFFFFFEu);
  EXPECT_EQ(kernels::cuda::FloatOf(kernels::cuda::BitsOf(1.5f)), 1.5f);
  EXPECT_EQ(kernels::cuda::DoubleOf(kernels::cuda::BitsOf(1.5)), 1.5);
}

TEST(SimtBits, DotInt8TakesFourSignedProducts) {
  // (−128, 127, 1, −1) · (−128, 127, −1, −1) + 5
  EXPECT_EQ(kernels::cuda::DotInt8(0xFF017F80, 0xFFFF7F80, 5), 16384 + 16129 - 1 + 1 + 5);
}

}  // namespace
}  // namespace ssmd::simt
