// Names of instruction sets and number formats, and what devices have in common. The devices
// themselves are in reference/, cpu/ and cuda/.
#include "kernels/device.h"

namespace ssmd::kernels {

std::string_view IsaName(Isa isa) {
  switch (isa) {
    case Isa::kScalar:
      return "scalar";
    case Isa::kAvx2:
      return "avx2";
    case Isa::kAvx512:
      return "avx512";
    case Isa::kAvx512Vnni:
      return "avx512vnni";
    case Isa::kAvx512Bf16:
      return "avx512bf16";
    case Isa::kNeon:
      return "neon";
  }
  return "";
}

std::optional<Isa> ParseIsa(std::string_view name) {
  for (Isa isa :
       {Isa::kScalar, Isa::kAvx2, Isa::kAvx512, Isa::kAvx512Vnni, Isa::kAvx512Bf16, Isa::kNeon}) {
    if (name == IsaName(isa)) return isa;
  }
  return std::nullopt;
}

std::string_view WeightFormatName(WeightFormat format) {
  switch (format) {
    case WeightFormat::kF32:
      return "f32";
    case WeightFormat::kBf16:
      return "bf16";
    case WeightFormat::kQ8:
      return "q8";
    case WeightFormat::kQ4:
      return "q4";
    case WeightFormat::kF16:
      return "f16";
    case WeightFormat::kFp8:
      return "fp8";
  }
  return "";
}

std::optional<WeightFormat> ParseWeightFormat(std::string_view name) {
  for (WeightFormat format : kAllWeightFormats) {
    if (name == WeightFormatName(format)) return format;
  }
  return std::nullopt;
}

namespace {

class PlainProgram final : public StepProgram {
 public:
  void Run(const StepIndices& host, const Ops& ops) override { ops(host); }
};

}  // namespace

std::unique_ptr<StepProgram> Device::MakeProgram(const StepLimits& /*limits*/) {
  return std::make_unique<PlainProgram>();
}

void Device::MambaLayer(const MambaLayerParams& params) {
  if (params.norm.rows > 0) RmsNorm(params.norm);
  MatMul(params.in_proj);
  ConvSilu(params.conv);
  MatMul(params.x_proj);
  for (const RmsNormParams* norm : {&params.dt_norm, &params.b_norm, &params.c_norm}) {
    if (norm->rows > 0) RmsNorm(*norm);
  }
  MatMul(params.dt_proj);
  SelectiveScan(params.scan);
  MatMul(params.out_proj);
}

void Device::Mamba2Layer(const Mamba2LayerParams& params) {
  if (params.norm.rows > 0) RmsNorm(params.norm);
  MatMul(params.in_proj);
  ConvSilu(params.conv);
  SsdScan(params.scan);
  GatedRmsNorm(params.gated_norm);
  MatMul(params.out_proj);
}

}  // namespace ssmd::kernels
