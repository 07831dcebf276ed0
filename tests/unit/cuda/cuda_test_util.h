// Shared by the tests of CUDA kernels, which run on the emulated GPU (tests/simt): its memory is
// the host's, so kernels take the tests' tensors as they are.
#ifndef SSMD_TESTS_UNIT_CUDA_CUDA_TEST_UTIL_H_
#define SSMD_TESTS_UNIT_CUDA_CUDA_TEST_UTIL_H_

#include <functional>
#include <vector>

#include "tests/simt/gpu_fixture.h"
#include "tests/unit/kernels/kernel_test_util.h"

namespace ssmd::kernels::cuda {

// An op, whoever computes it.
template <typename Params>
using Op = std::function<void(const Params&)>;

class CudaTest : public simt::GpuTest {
 protected:
  // By a launcher of kernels; done when it returns.
  template <typename Params>
  Op<Params> Cuda(void (*launch)(Stream&, const Params&)) {
    return [this, launch](const Params& params) {
      launch(stream(), params);
      stream().Synchronize();
      ASSERT_EQ(gpu().failure(), "");
    };
  }
  // By plain code on the CPU, whose bits plain kernels give.
  template <typename Params>
  Op<Params> Cpu(void (Device::*op)(const Params&)) {
    return [this, op](const Params& params) { ((*cpu_).*op)(params); };
  }
  // In double precision.
  template <typename Params>
  Op<Params> Reference(void (Device::*op)(const Params&)) {
    return [this, op](const Params& params) { ((*reference_).*op)(params); };
  }

 private:
  std::unique_ptr<Device> cpu_ = MakeCpuDevice({Isa::kScalar, 1});
  std::unique_ptr<Device> reference_ = MakeReferenceDevice();
};

// Rows [first, last) of a tensor.
inline Tensor RowsOf(const Tensor& tensor, int64_t stride, int64_t first, int64_t last) {
  return Tensor(tensor.begin() + first * stride, tensor.begin() + last * stride);
}

}  // namespace ssmd::kernels::cuda

#endif  // SSMD_TESTS_UNIT_CUDA_CUDA_TEST_UTIL_H_
