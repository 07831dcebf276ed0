// The plain RMS norm gives the CPU's bits.
#include <gtest/gtest.h>

#include "kernels/cuda/plain_ops.h"
#include "tests/unit/cuda/norm_test_util.h"

namespace ssmd::kernels::cuda {
namespace {

class PlainNorm : public CudaTest {
 protected:
  const Op<RmsNormParams> cuda_ = Cuda(plain::RmsNorm);
  const Op<RmsNormParams> cpu_ = Cpu(&Device::RmsNorm);
};

TEST_F(PlainNorm, GivesTheBitsOfTheCpu) {
  int variant = 0;
  for (int64_t rows : {1, 3, 9}) {
    for (int64_t cols : {1, 3, 15, 16, 17, 63, 65, 513, 768, 2561, 4099}) {
      const NormCase norm{rows, cols, variant % 3 != 0, variant % 2 != 0};
      ++variant;
      EXPECT_TRUE(SameBits(RunNorm(cuda_, norm), RunNorm(cpu_, norm))) << rows << "x" << cols;
    }
  }
}

TEST_F(PlainNorm, WorksInPlace) {
  Tensor x = RandomTensor(3 * 100, 1);
  Tensor apart(x.size());
  RmsNormParams params;
  params.x = x.data();
  params.x_stride = params.out_stride = params.cols = 100;
  params.eps = 1e-6f;
  params.rows = 3;
  params.out = apart.data();
  cpu_(params);
  params.out = x.data();
  cuda_(params);
  EXPECT_TRUE(SameBits(x, apart));
}

}  // namespace
}  // namespace ssmd::kernels::cuda
