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

// The scales of kFp8 come before its codes.
size_t ScaleBytes(int64_t outputs, WeightFormat format) {
  return format == WeightFormat::kFp8 ? static_cast<size_t>(outputs) * sizeof(float) : 0;
}

size_t ElementBytes(WeightFormat format) {
  switch (format) {
    case WeightFormat::kF32:
      return 4;
    case WeightFormat::kFp8:
      return 1;
    default:
      return 2;
  }
}

// Of all formats but the group-wise ones.
void PackRow(const std::vector<float>& row, int64_t output, PackedMatrix& matrix) {
  const auto inputs = static_cast<int64_t>(row.size());
  std::byte* elements = matrix.data.data() + ScaleBytes(matrix.outputs, matrix.format);
  float scale = 0;
  if (matrix.format == WeightFormat::kFp8) {
    scale = matrix.data.as<float>()[output] = E4m3Scale(row.data(), inputs);
  }
  for (int64_t input = 0; input < inputs; ++input) {
    const int64_t i = output * inputs + input;
    const float value = row[static_cast<size_t>(input)];
    switch (matrix.format) {
      case WeightFormat::kBf16:
        reinterpret_cast<uint16_t*>(elements)[i] = RoundToBf16(value);
        break;
      case WeightFormat::kF16:
        reinterpret_cast<uint16_t*>(elements)[i] = RoundToF16(value);
        break;
      case WeightFormat::kFp8:
        elements[i] = static_cast<std::byte>(E4m3Code(value, scale));
        break;
      default:
        reinterpret_cast<float*>(elements)[i] = value;
    }
  }
}

}  // namespace

size_t PackedSize(int64_t outputs, int64_t inputs, WeightFormat format) {
  if (outputs < 1 || inputs < 1 || outputs > kMaxMatrixSide || inputs > kMaxMatrixSide) return 0;
  const auto rows = static_cast<size_t>(outputs);
  if (IsQuantised(format)) {
    return rows * static_cast<size_t>(GroupCount(inputs)) * sizeof(QuantisedGroup);
  }
  return ScaleBytes(outputs, format) + rows * static_cast<size_t>(inputs) * ElementBytes(format);
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
    PackRow(row, output, matrix);
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
  switch (matrix.format) {
    case WeightFormat::kBf16:
      return WidenBf16(matrix.data.as<uint16_t>()[i]);
    case WeightFormat::kF16:
      return WidenF16(matrix.data.as<uint16_t>()[i]);
    case WeightFormat::kFp8: {
      const size_t codes = ScaleBytes(matrix.outputs, matrix.format);
      const double scale = matrix.data.as<float>()[output];
      return scale * WidenE4m3(matrix.data.as<uint8_t>()[codes + static_cast<size_t>(i)]);
    }
    default:
      return matrix.data.as<float>()[i];
  }
}

}  // namespace ssmd::kernels::reference
