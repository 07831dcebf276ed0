#include "kernels/cuda/gemm_products.h"

#include "kernels/cuda/gemm_rows.h"
#include "kernels/cuda/staging.h"

namespace ssmd::kernels::cuda {
namespace {

bool Grow(Gpu& gpu, size_t bytes, Buffer* buffer) {
  if (buffer->bytes() >= bytes) return true;
  Buffer larger = AllocateOn(gpu, bytes);
  if (!larger) return false;
  gpu.Synchronize();  // what it replaces may be in use
  *buffer = std::move(larger);
  return true;
}

}  // namespace

bool GemmProducts::Reserve(int64_t rows, const PackedMatrix& w) {
  if (rows < kFastGemmRows || !TakesWeights(w.format)) return true;
  const auto bytes = [](int64_t lines, int64_t inputs) {
    return static_cast<size_t>(lines) * static_cast<size_t>(inputs) * sizeof(uint16_t);
  };
  return Grow(gpu_, CublasLt::kWorkspaceBytes, &workspace_) &&
         Grow(gpu_, bytes(w.outputs, w.inputs), &weights_) &&
         Grow(gpu_, bytes(rows, w.inputs), &inputs_);
}

bool GemmProducts::Multiply(const MatMulParams& params) {
  if (refused_.load()) return false;
  const PackedMatrix& w = *params.w;
  if (!Reserve(params.rows, w)) {
    refusal_ = "no GPU memory to unpack weights for cuBLASLt";
    refused_.store(true);
    return false;
  }
  UnpackWeights(stream_, w, weights_.as<uint16_t>());
  RoundInputs(stream_, params, inputs_.as<uint16_t>());
  LibraryProduct product;
  product.outputs = w.outputs;
  product.inputs = w.inputs;
  product.rows = params.rows;
  product.out_stride = params.out_stride;
  product.f16 = w.format == WeightFormat::kF16;
  product.adds = params.add == params.out;
  refusal_ = library_->Multiply(stream_, product, weights_.data(), inputs_.data(), params.out,
                                workspace_.data());
  if (!refusal_.empty()) {
    refused_.store(true);
    return false;
  }
  FinishRows(stream_, params);
  return true;
}

}  // namespace ssmd::kernels::cuda
