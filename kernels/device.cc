// Names of instruction sets and number formats. The devices themselves are in reference/ and cpu/.
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
  }
  return "";
}

std::optional<WeightFormat> ParseWeightFormat(std::string_view name) {
  for (WeightFormat format :
       {WeightFormat::kF32, WeightFormat::kBf16, WeightFormat::kQ8, WeightFormat::kQ4}) {
    if (name == WeightFormatName(format)) return format;
  }
  return std::nullopt;
}

}  // namespace ssmd::kernels
