// Products of prompts by cuBLASLt (`--gemm=fast`): of many rows, with weights in bf16 or f16 whose
// inputs may be rounded. The library wants plain matrices: weights are unpacked into scratch before
// each product, which costs a read and a write of them beside what many rows take.
//
// Bits depend on how many rows a step has, and on the library's version: whoever asks for that
// gives up what product_fast.h promises.
#ifndef SSMD_KERNELS_CUDA_GEMM_PRODUCTS_H_
#define SSMD_KERNELS_CUDA_GEMM_PRODUCTS_H_

#include <cstdint>
#include <memory>
#include <string>

#include "kernels/cuda/cublas_lt.h"
#include "kernels/cuda/runtime.h"
#include "kernels/ops.h"

namespace ssmd::kernels::cuda {

class GemmProducts {
 public:
  // Rows of a product from which on unpacking the weights is a small part of it.
  static constexpr int64_t kRows = 128;

  // `gpu` and `stream` outlive it.
  GemmProducts(std::unique_ptr<CublasLt> library, Gpu& gpu, Stream& stream)
      : library_(std::move(library)), gpu_(gpu), stream_(stream) {}

  static bool TakesWeights(WeightFormat format) {
    return format == WeightFormat::kBf16 || format == WeightFormat::kF16;
  }
  static bool Takes(const MatMulParams& params) {
    return params.rows >= kRows && params.w->may_round_inputs && TakesWeights(params.w->format);
  }
  // Makes room for products with such a matrix. False without memory for it.
  bool Reserve(int64_t rows, const PackedMatrix& w);
  // REQUIRES: Takes(params), and there is room. Any thread may see it in refusal() if the library
  // refuses.
  void Multiply(const MatMulParams& params);
  // What was refused, or "".
  const std::string& refusal() const { return refusal_; }

 private:
  const std::unique_ptr<CublasLt> library_;
  Gpu& gpu_;
  Stream& stream_;
  Buffer weights_, inputs_, workspace_;
  std::string refusal_;
};

}  // namespace ssmd::kernels::cuda

#endif  // SSMD_KERNELS_CUDA_GEMM_PRODUCTS_H_
