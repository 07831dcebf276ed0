// The tensor core's product, held against a plain one: fragments are filled by the layout that
// simt.h gives, element by element.
#include <gtest/gtest.h>

#include <cstdint>
#include <vector>

#include "kernels/cuda/simt.h"
#include "kernels/number_format.h"
#include "tests/simt/gpu_fixture.h"

namespace ssmd::simt {
namespace {

using kernels::cuda::Block;
using kernels::cuda::Launch;

constexpr int kRows = 16, kColumns = 8, kDepth = 16;

SIMT_DEVICE uint32_t Pair(uint16_t low, uint16_t high) { return uint32_t{high} << 16 | low; }

// d += a · b, each row-major.
template <bool kBf16>
struct Multiply16 {
  static constexpr char kName[] = "multiply16";
  static constexpr int kThreads = 64;  // both warps do the same
  struct Args {
    const uint16_t* a;
    const uint16_t* b;
    float* d;  // (2, 16, 8): one a warp
  };
  SIMT_DEVICE static void Run(const Block& block, const Args& args) {
    const int g = block.lane() / 4, q = block.lane() % 4;
    const auto a_pair = [&](int row, int k) {
      return Pair(args.a[row * kDepth + k], args.a[row * kDepth + k + 1]);
    };
    const auto b_pair = [&](int k, int column) {
      return Pair(args.b[k * kColumns + column], args.b[(k + 1) * kColumns + column]);
    };
    float* out = args.d + block.warp() * kRows * kColumns;
    const uint32_t a[4] = {a_pair(g, 2 * q), a_pair(g + 8, 2 * q), a_pair(g, 2 * q + 8),
                           a_pair(g + 8, 2 * q + 8)};
    const uint32_t b[2] = {b_pair(2 * q, g), b_pair(2 * q + 8, g)};
    float d[4] = {out[g * kColumns + 2 * q], out[g * kColumns + 2 * q + 1],
                  out[(g + 8) * kColumns + 2 * q], out[(g + 8) * kColumns + 2 * q + 1]};
    if constexpr (kBf16) {
      kernels::cuda::MmaBf16(d, a, b);
    } else {
      kernels::cuda::MmaF16(d, a, b);
    }
    out[g * kColumns + 2 * q] = d[0];
    out[g * kColumns + 2 * q + 1] = d[1];
    out[(g + 8) * kColumns + 2 * q] = d[2];
    out[(g + 8) * kColumns + 2 * q + 1] = d[3];
  }
};

// Small integers, so that any order of sums is exact.
template <bool kBf16>
uint16_t Narrow(int value) {
  const auto f = static_cast<float>(value);
  return kBf16 ? kernels::RoundToBf16(f) : kernels::RoundToF16(f);
}

template <typename Kernel>
class SimtProducts : public GpuTest {};

using Products = ::testing::Types<std::true_type, std::false_type>;
TYPED_TEST_SUITE(SimtProducts, Products);

TYPED_TEST(SimtProducts, IsThePlainProduct) {
  constexpr bool kBf16 = TypeParam::value;
  const auto a_of = [](int row, int k) { return (row * 7 + k * 3) % 11 - 5; };
  const auto b_of = [](int k, int column) { return (k * 5 + column * 2) % 13 - 6; };
  std::vector<uint16_t> a, b;
  for (int i = 0; i < kRows * kDepth; ++i) a.push_back(Narrow<kBf16>(a_of(i / kDepth, i % kDepth)));
  for (int i = 0; i < kDepth * kColumns; ++i) {
    b.push_back(Narrow<kBf16>(b_of(i / kColumns, i % kColumns)));
  }
  std::vector<float> d(2 * kRows * kColumns, 1000.0f);
  const auto device_a = this->Upload(a);
  const auto device_b = this->Upload(b);
  const auto device_d = this->Upload(d);
  Launch<Multiply16<kBf16>>(this->stream(), {}, 64,
                            {device_a.get(), device_b.get(), device_d.get()});
  const std::vector<float> got = this->Download(device_d.get(), d.size());
  for (int i = 0; i < 2 * kRows * kColumns; ++i) {
    const int row = i / kColumns % kRows, column = i % kColumns;
    int want = 1000;
    for (int k = 0; k < kDepth; ++k) want += a_of(row, k) * b_of(k, column);
    EXPECT_EQ(got[static_cast<size_t>(i)], static_cast<float>(want)) << row << ", " << column;
  }
}

}  // namespace
}  // namespace ssmd::simt
