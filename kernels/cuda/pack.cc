#include "kernels/cuda/pack.h"

#include <algorithm>
#include <cstring>

#include "kernels/cuda/layout.h"
#include "kernels/host_memory.h"
#include "kernels/matrix_source.h"
#include "kernels/number_format.h"
#include "kernels/quantise.h"

namespace ssmd::kernels::cuda {
namespace {

static_assert(kBlockInputs == kBlockGroups * kGroupInputs);

// A panel that is being filled, and an output of it.
struct PanelRow {
  std::byte* panel;
  int64_t inputs;
  int output;

  std::byte* factors(WeightFormat format) const { return panel + FactorOffset(inputs, format); }
};

template <typename T>
void StoreAt(std::byte* to, T value) {
  std::memcpy(to, &value, sizeof(value));
}

template <WeightFormat kFormat>
void StoreGroups(const QuantisedGroup* groups, const PanelRow& to) {
  for (int64_t g = 0; g < GroupCount(to.inputs); ++g) {
    const QuantisedGroup& group = groups[g];
    std::byte* scale = to.factors(kFormat) + PlaceOfScale(kFormat, to.output, g);
    StoreAt(scale, group.scale);
    if (kFormat == WeightFormat::kQ4) StoreAt(scale + kMinimumOffset, group.minimum);
    for (int64_t i = 0; i < kGroupInputs; ++i) {
      const CodePlace place = PlaceOfCode(kFormat, to.output, g * kGroupInputs + i);
      const auto code = static_cast<std::byte>(group.codes[i] << place.shift);
      std::byte& byte = to.panel[place.byte];
      byte = kFormat == WeightFormat::kQ4 ? byte | code : code;
    }
  }
}

void StoreFp8(const float* row, const PanelRow& to) {
  const float scale = E4m3Scale(row, to.inputs);
  StoreAt(to.factors(WeightFormat::kFp8) + to.output * 4, scale);
  for (int64_t k = 0; k < to.inputs; ++k) {
    StoreAt(to.panel + PlaceOfCode(WeightFormat::kFp8, to.output, k).byte, E4m3Code(row[k], scale));
  }
}

// Each weight by itself, as `round` makes it.
template <WeightFormat kFormat, typename Round>
void StoreEach(const float* row, const PanelRow& to, const Round& round) {
  for (int64_t k = 0; k < to.inputs; ++k) {
    StoreAt(to.panel + PlaceOfCode(kFormat, to.output, k).byte, round(row[k]));
  }
}

void StorePlain(const float* row, WeightFormat format, const PanelRow& to) {
  switch (format) {
    case WeightFormat::kBf16:
      return StoreEach<WeightFormat::kBf16>(row, to, RoundToBf16);
    case WeightFormat::kF16:
      return StoreEach<WeightFormat::kF16>(row, to, RoundToF16);
    case WeightFormat::kFp8:
      return StoreFp8(row, to);
    default:
      return StoreEach<WeightFormat::kF32>(row, to, [](float w) { return w; });
  }
}

// Zero throughout. A code of q8 is above kCodeOffset.
void ClearPanel(std::byte* panel, int64_t inputs, WeightFormat format) {
  const auto codes = static_cast<size_t>(FactorOffset(inputs, format));
  const auto bytes = static_cast<size_t>(PanelBytes(inputs, format));
  std::memset(panel, format == WeightFormat::kQ8 ? kCodeOffset : 0, codes);
  std::memset(panel + codes, 0, bytes - codes);
}

}  // namespace

bool PackPanels(const MatrixSource& source, WeightFormat format, int64_t begin, int64_t end,
                std::byte* out) {
  const int64_t inputs = source.inputs;
  const Buffer row = AllocateHost(static_cast<size_t>(inputs) * sizeof(float));
  const Buffer groups =
      AllocateHost(static_cast<size_t>(GroupCount(inputs)) * sizeof(QuantisedGroup));
  if (!row || !groups) return false;
  for (int64_t panel = begin; panel < end; ++panel, out += PanelBytes(inputs, format)) {
    ClearPanel(out, inputs, format);
    const int64_t first = panel * kPanelOutputs;
    const auto outputs = static_cast<int>(std::min<int64_t>(kPanelOutputs, source.outputs - first));
    for (int output = 0; output < outputs; ++output) {
      const PanelRow to = {out, inputs, output};
      if (IsQuantised(format)) {
        auto* quantised = groups.as<QuantisedGroup>();
        QuantiseSourceRow(source, first + output, format, row.as<float>(), quantised);
        if (format == WeightFormat::kQ4) {
          StoreGroups<WeightFormat::kQ4>(quantised, to);
        } else {
          StoreGroups<WeightFormat::kQ8>(quantised, to);
        }
      } else {
        ReadSourceRow(source, first + output, row.as<float>());
        StorePlain(row.as<float>(), format, to);
      }
    }
  }
  return true;
}

}  // namespace ssmd::kernels::cuda
