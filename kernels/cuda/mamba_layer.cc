#include "kernels/cuda/mamba_layer.h"

#include "kernels/cuda/fused_ops.h"

namespace ssmd::kernels::cuda {
namespace {

class Layer {
 public:
  explicit Layer(const LayerTools& tools) : tools_(tools), choice_(tools.choice) {}

  void Run(const MambaLayerParams& params) const;
  void Run(const Mamba2LayerParams& params) const;

 private:
  // Whether the product is a fast one, of an op's output and nothing else.
  bool Fuses(const MatMulParams& product, const float* out, int64_t out_stride) const {
    return choice_.has(FastKernel::kProduct) && product.w->format != WeightFormat::kF32 &&
           product.rows > 0 && product.x == out && product.x_stride == out_stride;
  }
  static bool Rounds(const MatMulParams& product) { return product.rows > fast::kNarrowRows; }
  fast::RoundedRows RowsOf(const MatMulParams& product) const {
    return fast::RoundedRowsIn(tools_.scratch, product.rows, *product.w);
  }
  void MultiplyRounded(const MatMulParams& product) const;

  void NormAndProject(const RmsNormParams& norm, const MatMulParams& product) const;
  void ConvolveAndProject(const ConvSiluParams& conv, const MatMulParams& product) const;
  void ScanAndProject(const MambaLayerParams& params) const;
  void GateAndProject(const GatedRmsNormParams& norm, const MatMulParams& product) const;

  const LayerTools& tools_;
  const KernelChoice& choice_;
};

void Layer::Run(const MambaLayerParams& params) const {
  NormAndProject(params.norm, params.in_proj);
  ConvolveAndProject(params.conv, params.x_proj);
  ScanAndProject(params);
}

void Layer::Run(const Mamba2LayerParams& params) const {
  NormAndProject(params.norm, params.in_proj);
  tools_.ops.ConvSilu(params.conv);
  tools_.ops.SsdScan(params.scan);
  GateAndProject(params.gated_norm, params.out_proj);
}

void Layer::MultiplyRounded(const MatMulParams& product) const {
  fast::ProductOptions options = tools_.product;
  options.rounded = true;
  fast::MatMulWith(options, tools_.stream, product, tools_.scratch);
}

void Layer::NormAndProject(const RmsNormParams& norm, const MatMulParams& product) const {
  const bool fuses = choice_.has(FastKernel::kNorm) && Fuses(product, norm.out, norm.out_stride) &&
                     norm.rows == product.rows && norm.cols == product.w->inputs &&
                     fast::TakesRmsNorm(norm);
  const bool narrow = norm.row_index == nullptr && fast::InputParts(*product.w) == 1;
  if (fuses && Rounds(product)) {
    fast::RmsNormRounded(tools_.stream, norm, RowsOf(product));
    MultiplyRounded(product);
  } else if (fuses && narrow) {
    fast::ProductOptions options = tools_.product;
    options.norm = &norm;
    fast::MatMulWith(options, tools_.stream, product, tools_.scratch);
  } else {
    tools_.ops.RmsNorm(norm);
    tools_.ops.MatMul(product);
  }
}

void Layer::ConvolveAndProject(const ConvSiluParams& conv, const MatMulParams& product) const {
  const bool fuses = choice_.has(FastKernel::kConv) && conv.rows == conv.segment_count &&
                     conv.rows == product.rows && conv.channels == product.w->inputs &&
                     Fuses(product, conv.out, conv.out_stride) && fast::TakesConvStep(conv);
  if (fuses && Rounds(product)) {
    fast::ConvStepRounded(tools_.stream, conv, RowsOf(product));
    MultiplyRounded(product);
  } else {
    tools_.ops.ConvSilu(conv);
    tools_.ops.MatMul(product);
  }
}

void Layer::ScanAndProject(const MambaLayerParams& params) const {
  const SelectiveScanParams& scan = params.scan;
  fast::ScanWithDelta fused = {scan,          params.dt_proj, params.dt_norm,
                               params.b_norm, params.c_norm,  {}};
  const bool fuses = choice_.has(FastKernel::kScan) && choice_.has(FastKernel::kProduct) &&
                     choice_.has(FastKernel::kNorm) && scan.rows == scan.segment_count &&
                     fast::TakesScanWithDelta(fused);
  if (!fuses) {
    for (const RmsNormParams* norm : {&params.dt_norm, &params.b_norm, &params.c_norm}) {
      if (norm->rows > 0) tools_.ops.RmsNorm(*norm);
    }
    tools_.ops.MatMul(params.dt_proj);
    tools_.ops.SelectiveScan(scan);
    tools_.ops.MatMul(params.out_proj);
    return;
  }
  const bool rounds = Fuses(params.out_proj, scan.y, scan.y_stride) && Rounds(params.out_proj) &&
                      scan.rows == params.out_proj.rows &&
                      scan.channels == params.out_proj.w->inputs;
  if (rounds) fused.rounded = RowsOf(params.out_proj);
  fast::ScanStepWithDelta(tools_.stream, fused, tools_.product.unit);
  if (rounds) {
    MultiplyRounded(params.out_proj);
  } else {
    tools_.ops.MatMul(params.out_proj);
  }
}

void Layer::GateAndProject(const GatedRmsNormParams& norm, const MatMulParams& product) const {
  const bool fuses = choice_.has(FastKernel::kNorm) && Fuses(product, norm.out, norm.out_stride) &&
                     norm.rows == product.rows && norm.cols == product.w->inputs &&
                     fast::RoundsGatedRmsNorm(norm);
  if (fuses && Rounds(product)) {
    fast::GatedRmsNormRounded(tools_.stream, norm, RowsOf(product));
    MultiplyRounded(product);
  } else {
    tools_.ops.GatedRmsNorm(norm);
    tools_.ops.MatMul(product);
  }
}

}  // namespace

void RunMambaLayer(const LayerTools& tools, const MambaLayerParams& params) {
  Layer(tools).Run(params);
}

void RunMamba2Layer(const LayerTools& tools, const Mamba2LayerParams& params) {
  Layer(tools).Run(params);
}

}  // namespace ssmd::kernels::cuda
