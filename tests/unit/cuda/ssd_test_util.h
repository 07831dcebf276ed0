// Runs of a Mamba-2 recurrence on CUDA kernels; the recurrence is the one of the CPU's tests.
#ifndef SSMD_TESTS_UNIT_CUDA_SSD_TEST_UTIL_H_
#define SSMD_TESTS_UNIT_CUDA_SSD_TEST_UTIL_H_

#include "tests/unit/cuda/cuda_test_util.h"
#include "tests/unit/kernels/ssd_test_util.h"

namespace ssmd::kernels::cuda {

// Rows that no segment writes hold 7.
inline Tensor RunSsd(const Op<SsdScanParams>& op, Ssd& ssd, const std::vector<Segment>& segments) {
  Tensor y(static_cast<size_t>(ssd.shape.rows * ssd.y_stride()), 7.0f);
  SsdScanParams params = ssd.Params(segments);
  params.y = y.data();
  params.y_stride = ssd.y_stride();
  op(params);
  return y;
}

// y replaces x.
inline void RunInPlace(const Op<SsdScanParams>& op, Ssd& ssd,
                       const std::vector<Segment>& segments) {
  SsdScanParams params = ssd.Params(segments);
  params.y = ssd.x.data();
  params.y_stride = params.x_stride;
  op(params);
}

}  // namespace ssmd::kernels::cuda

#endif  // SSMD_TESTS_UNIT_CUDA_SSD_TEST_UTIL_H_
