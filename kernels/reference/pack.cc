#include <vector>

#include "kernels/host_memory.h"
#include "kernels/matrix_source.h"
#include "kernels/number_format.h"
#include "kernels/quantise.h"
#include "kernels/reference/ops.h"

namespace ssmd::kernels::reference {
namespace {

// Groups of one output after another.
void PackGroups(const MatrixSource& source, PackedMatrix& matrix) {
  const int64_t groups = GroupCount(source.inputs);
  std::vector<float> row(static_cast<size_t>(source.inputs));
  for (int64_t output = 0; output < source.outputs; ++output) {
    QuantiseSourceRow(source, output, matrix.format, row.data(),
                      matrix.data.as<QuantisedGroup>() + output * groups);
  }
}

}  // namespace

size_t PackedSize(int64_t outputs, int64_t inputs, WeightFormat format) {
  if (outputs < 1 || inputs < 1 || outputs > kMaxMatrixSide || inputs > kMaxMatrixSide) return 0;
  const auto rows = static_cast<size_t>(outputs);
  if (IsQuantised(format)) {
    return rows * static_cast<size_t>(GroupCount(inputs)) * sizeof(QuantisedGroup);
  }
  return rows * static_cast<size_t>(inputs) * (format == WeightFormat::kBf16 ? 2 : 4);
}

PackedMatrix Pack(const MatrixSource& source, WeightFormat format) {
  PackedMatrix matrix;
  matrix.outputs = source.outputs;
  matrix.inputs = source.inputs;
  matrix.format = format;
  matrix.data = AllocateHost(PackedSize(source.outputs, source.inputs, format));
  if (!matrix.data) return matrix;
  if (IsQuantised(format)) {
    PackGroups(source, matrix);
    return matrix;
  }
  std::vector<float> row(static_cast<size_t>(source.inputs));
  for (int64_t output = 0; output < source.outputs; ++output) {
    ReadSourceRow(source, output, row.data());
    for (int64_t input = 0; input < source.inputs; ++input) {
      const int64_t i = output * source.inputs + input;
      const float value = row[static_cast<size_t>(input)];
      if (format == WeightFormat::kBf16) {
        matrix.data.as<uint16_t>()[i] = RoundToBf16(value);
      } else {
        matrix.data.as<float>()[i] = value;
      }
    }
  }
  return matrix;
}

double Weight(const PackedMatrix& matrix, int64_t output, int64_t input) {
  if (IsQuantised(matrix.format)) {
    const int64_t group = output * GroupCount(matrix.inputs) + input / kGroupInputs;
    return DequantisedWeight(matrix.data.as<QuantisedGroup>()[group], input % kGroupInputs,
                             matrix.format);
  }
  const int64_t i = output * matrix.inputs + input;
  if (matrix.format == WeightFormat::kBf16) return WidenBf16(matrix.data.as<uint16_t>()[i]);
  return matrix.data.as<float>()[i];
}

}  // namespace ssmd::kernels::reference
