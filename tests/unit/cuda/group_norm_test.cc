// The plain norm with a mean gives the CPU's bits.
#include <gtest/gtest.h>

#include "kernels/cuda/plain_ops.h"
#include "tests/unit/cuda/cuda_test_util.h"

namespace ssmd::kernels::cuda {
namespace {

class PlainGroupNorm : public CudaTest {};

TEST_F(PlainGroupNorm, GivesTheBitsOfTheCpu) {
  for (const int64_t cols : {3, 17, 768, 4100}) {
    const Tensor x = RandomTensor(2 * 2 * cols, 1, -3, 5);
    const Tensor weight = RandomTensor(2 * cols, 2);
    Tensor out(x.size()), expected(x.size());
    GroupNormParams params;
    params.x = x.data();
    params.weight = params.bias = weight.data();
    params.eps = 1e-5f;
    params.rows = 2;
    params.groups = 2;
    params.cols = params.x_stride = params.out_stride = 2 * cols;
    params.out = out.data();
    Cuda(plain::GroupNorm)(params);
    params.out = expected.data();
    Cpu (&Device::GroupNorm)(params);
    EXPECT_TRUE(SameBits(out, expected)) << cols;
  }
}

}  // namespace
}  // namespace ssmd::kernels::cuda
