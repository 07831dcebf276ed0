#include "kernels/cpu/pack.h"

#include <algorithm>

#include "kernels/host_memory.h"
#include "kernels/matrix_source.h"
#include "kernels/number_format.h"

namespace ssmd::kernels::cpu {
namespace {

// Elements from one input to the next (bf16: from an even one to the next even one).
int64_t LineElements(WeightFormat format) {
  return format == WeightFormat::kBf16 ? 2 * kPanelOutputs : kPanelOutputs;
}

int64_t PanelElements(int64_t inputs, WeightFormat format) {
  const int64_t lines = format == WeightFormat::kBf16 ? (inputs + 1) / 2 : inputs;
  return lines * LineElements(format);
}

// Index of element (output, input) within a panel.
int64_t IndexInPanel(int64_t output, int64_t input, WeightFormat format) {
  if (format == WeightFormat::kBf16) return (input / 2 * kPanelOutputs + output) * 2 + input % 2;
  return input * kPanelOutputs + output;
}

// `row` has room for a row of the source.
void PackPanel(const MatrixSource& source, int64_t panel, float* row, PackedMatrix& matrix) {
  const int64_t base = panel * PanelElements(source.inputs, matrix.format);
  const int64_t first = panel * kPanelOutputs;
  const int64_t outputs = std::min(kPanelOutputs, source.outputs - first);
  for (int64_t output = 0; output < outputs; ++output) {
    ReadSourceRow(source, first + output, row);
    for (int64_t input = 0; input < source.inputs; ++input) {
      const int64_t index = base + IndexInPanel(output, input, matrix.format);
      if (matrix.format == WeightFormat::kBf16) {
        matrix.data.as<uint16_t>()[index] = RoundToBf16(row[input]);
      } else {
        matrix.data.as<float>()[index] = row[input];
      }
    }
  }
}

}  // namespace

int64_t PanelCount(int64_t outputs) { return (outputs + kPanelOutputs - 1) / kPanelOutputs; }

int64_t PanelBytes(int64_t inputs, WeightFormat format) {
  return PanelElements(inputs, format) * (format == WeightFormat::kBf16 ? 2 : 4);
}

int64_t PackedIndex(const PackedMatrix& matrix, int64_t output, int64_t input) {
  return output / kPanelOutputs * PanelElements(matrix.inputs, matrix.format) +
         IndexInPanel(output % kPanelOutputs, input, matrix.format);
}

bool PackPanels(const MatrixSource& source, ThreadPool& pool, PackedMatrix& matrix) {
  const auto inputs = static_cast<size_t>(source.inputs);
  const Buffer rows = AllocateHost(static_cast<size_t>(pool.threads()) * inputs * sizeof(float));
  if (!rows) return false;
  const int64_t panels = PanelCount(source.outputs);
  const int chunks = pool.ChunksFor(panels);
  pool.Run(chunks, [&](int chunk, int thread) {
    float* row = rows.as<float>() + static_cast<size_t>(thread) * inputs;
    const Range share = ShareOf(panels, chunk, chunks);
    for (int64_t panel = share.begin; panel < share.end; ++panel) {
      PackPanel(source, panel, row, matrix);
    }
  });
  return true;
}

void UnpackRow(const PackedMatrix& matrix, int64_t output, float* out) {
  const int64_t first = PackedIndex(matrix, output, 0);
  if (matrix.format == WeightFormat::kBf16) {
    const uint16_t* weights = matrix.data.as<uint16_t>() + first;
    for (int64_t k = 0; k < matrix.inputs; ++k) {
      out[k] = WidenBf16(weights[k / 2 * 2 * kPanelOutputs + k % 2]);
    }
  } else {
    const float* weights = matrix.data.as<float>() + first;
    for (int64_t k = 0; k < matrix.inputs; ++k) out[k] = weights[k * kPanelOutputs];
  }
}

}  // namespace ssmd::kernels::cpu
