#include "kernels/cpu/pack.h"

#include <algorithm>

#include "kernels/host_memory.h"
#include "kernels/matrix_source.h"
#include "kernels/number_format.h"

namespace ssmd::kernels::cpu {
namespace {

// Outputs of a cache line: the unit of a panel's width.
int64_t LineOutputs(WeightFormat format) { return format == WeightFormat::kBf16 ? 32 : 16; }

int64_t PaddedOutputs(int64_t outputs, WeightFormat format) {
  const int64_t line = LineOutputs(format);
  return (outputs + line - 1) / line * line;
}

// Where output `column` of a panel lies among the panel's outputs of one input.
int64_t ColumnIndex(int64_t column, WeightFormat format) {
  if (format == WeightFormat::kF32) return column;
  return column / 32 * 32 + column % 16 * 2 + column % 32 / 16;
}

// `row` has room for a row of the source.
void PackPanel(const MatrixSource& source, int64_t panel, float* row, PackedMatrix& matrix) {
  const int64_t first = panel * kPanelOutputs;
  const int64_t last = std::min(first + kPanelOutputs, source.outputs);
  const int64_t width = PanelWidth(source.outputs, panel, matrix.format);
  const int64_t base = first * source.inputs;
  for (int64_t output = first; output < last; ++output) {
    const int64_t column = base + ColumnIndex(output - first, matrix.format);
    ReadSourceRow(source, output, row);
    for (int64_t input = 0; input < source.inputs; ++input) {
      const int64_t index = column + input * width;
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

int64_t PanelWidth(int64_t outputs, int64_t panel, WeightFormat format) {
  return std::min(kPanelOutputs, PaddedOutputs(outputs, format) - panel * kPanelOutputs);
}

int64_t PackedIndex(const PackedMatrix& matrix, int64_t output, int64_t input) {
  const int64_t panel = output / kPanelOutputs;
  return panel * kPanelOutputs * matrix.inputs +
         input * PanelWidth(matrix.outputs, panel, matrix.format) +
         ColumnIndex(output % kPanelOutputs, matrix.format);
}

size_t PanelsSize(int64_t outputs, int64_t inputs, WeightFormat format) {
  const int64_t element_bytes = format == WeightFormat::kBf16 ? 2 : 4;
  return static_cast<size_t>(PaddedOutputs(outputs, format) * inputs * element_bytes);
}

PackedMatrix PackPanels(const MatrixSource& source, WeightFormat format, ThreadPool& pool) {
  PackedMatrix matrix;
  matrix.outputs = source.outputs;
  matrix.inputs = source.inputs;
  matrix.format = format;
  const auto inputs = static_cast<size_t>(source.inputs);
  const Buffer rows = AllocateHost(static_cast<size_t>(pool.threads()) * inputs * sizeof(float));
  if (!rows) return matrix;
  matrix.data = AllocateHost(PanelsSize(source.outputs, source.inputs, format));
  if (!matrix.data) return matrix;
  pool.Run([&](int part) {
    float* row = rows.as<float>() + static_cast<size_t>(part) * inputs;
    const Range panels = ShareOf(PanelCount(source.outputs), part, pool.threads());
    for (int64_t panel = panels.begin; panel < panels.end; ++panel) {
      PackPanel(source, panel, row, matrix);
    }
  });
  return matrix;
}

void UnpackRow(const PackedMatrix& matrix, int64_t output, float* out) {
  const int64_t first = PackedIndex(matrix, output, 0);
  const int64_t stride = PanelWidth(matrix.outputs, output / kPanelOutputs, matrix.format);
  for (int64_t k = 0; k < matrix.inputs; ++k) {
    const int64_t index = first + k * stride;
    out[k] = matrix.format == WeightFormat::kBf16 ? WidenBf16(matrix.data.as<uint16_t>()[index])
                                                  : matrix.data.as<float>()[index];
  }
}

}  // namespace ssmd::kernels::cpu
