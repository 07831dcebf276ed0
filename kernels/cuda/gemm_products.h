// Products of prompts by cuBLASLt (`--gemm=fast`): of many rows, with weights in bf16 or f16 whose
// inputs may be rounded. The library wants plain matrices: weights are unpacked into scratch before
// each product, which costs a read and a write of them beside what many rows take.
//
// Bits depend on how many rows a step has, and on the library's version: whoever asks for that
// gives up what product_fast.h promises.
#ifndef SSMD_KERNELS_CUDA_GEMM_PRODUCTS_H_
#define SSMD_KERNELS_CUDA_GEMM_PRODUCTS_H_

#include <atomic>
#include <cstdint>
#include <memory>
#include <string>

#include "kernels/cuda/cublas_lt.h"
#include "kernels/cuda/runtime.h"
#include "kernels/device.h"
#include "kernels/ops.h"

namespace ssmd::kernels::cuda {

class GemmProducts {
 public:
  // `gpu` and `stream` outlive it.
  GemmProducts(std::unique_ptr<CublasLt> library, Gpu& gpu, Stream& stream)
      : library_(std::move(library)), gpu_(gpu), stream_(stream) {}

  static bool TakesWeights(WeightFormat format) {
    return format == WeightFormat::kBf16 || format == WeightFormat::kF16;
  }
  static bool Takes(const MatMulParams& params) {
    return params.rows >= kFastGemmRows && params.w->may_round_inputs &&
           TakesWeights(params.w->format);
  }
  // Makes room for products with such a matrix. False without memory for it.
  bool Reserve(int64_t rows, const PackedMatrix& w);
  // REQUIRES: Takes(params). False, and nothing is done, where there is no room or the library
  // refuses; then it is not asked again, and refusal() says why.
  bool Multiply(const MatMulParams& params);
  // What was refused, or "". Any thread.
  std::string refusal() const { return refused_.load() ? refusal_ : ""; }

 private:
  const std::unique_ptr<CublasLt> library_;
  Gpu& gpu_;
  Stream& stream_;
  Buffer weights_, inputs_, workspace_;
  std::string refusal_;  // written once, before refused_
  std::atomic<bool> refused_ = false;
};

}  // namespace ssmd::kernels::cuda

#endif  // SSMD_KERNELS_CUDA_GEMM_PRODUCTS_H_
