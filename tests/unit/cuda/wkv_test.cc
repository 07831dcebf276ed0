// The plain recurrences of RWKV-6 and 7, whose threads share a head, give the CPU's bits.
#include <gtest/gtest.h>

#include "kernels/cuda/plain_ops.h"
#include "tests/unit/cuda/cuda_test_util.h"
#include "tests/unit/kernels/wkv_test_util.h"

namespace ssmd::kernels::cuda {
namespace {

class PlainWkv : public CudaTest {
 protected:
  // REQUIRES: `fresh` has 5 rows.
  template <typename Recurrence, typename Params>
  void ExpectTheBitsOfTheCpu(const Recurrence& fresh, const Op<Params>& cuda,
                             const Op<Params>& cpu) {
    Recurrence ours = fresh;
    Recurrence expected = fresh;
    EXPECT_TRUE(SameBits(Run(ours, cuda), Run(expected, cpu)));
    EXPECT_TRUE(SameBits(ours.slots.slab(), expected.slots.slab()));
  }

 private:
  template <typename Recurrence, typename Params>
  static Tensor Run(Recurrence& recurrence, const Op<Params>& op) {
    const std::vector<Segment> segments = {{0, 3, 0, 0, 2}, {3, 1, 1, 2, 9}, {4, 1, -1, -1, 0}};
    Tensor y(static_cast<size_t>(5 * recurrence.y_stride()), 7.0f);
    Params params = recurrence.Params(segments);
    params.y = y.data();
    params.y_stride = recurrence.y_stride();
    op(params);
    return y;
  }
};

TEST_F(PlainWkv, SixGivesTheBitsOfTheCpu) {
  for (const int64_t head_dim : {16, 48, 80}) {
    for (const bool by_token : {false, true}) {
      ExpectTheBitsOfTheCpu(Wkv6Op(2, head_dim, 5, by_token), Cuda(plain::Wkv6),
                            Cpu(&Device::Wkv6));
    }
  }
}

TEST_F(PlainWkv, SevenGivesTheBitsOfTheCpu) {
  for (const int64_t head_dim : {16, 48, 80}) {
    ExpectTheBitsOfTheCpu(Wkv7Op(2, head_dim, 5), Cuda(plain::Wkv7), Cpu(&Device::Wkv7));
  }
}

}  // namespace
}  // namespace ssmd::kernels::cuda
