#include "kernels/host_memory.h"
#include "kernels/number_format.h"
#include "kernels/reference/ops.h"

namespace ssmd::kernels::reference {

PackedMatrix Pack(const MatrixSource& source, WeightFormat format) {
  PackedMatrix matrix;
  matrix.outputs = source.outputs;
  matrix.inputs = source.inputs;
  matrix.format = format;
  const int64_t elements = source.outputs * source.inputs;
  const size_t element_bytes = format == WeightFormat::kBf16 ? 2 : 4;
  matrix.data = AllocateHost(static_cast<size_t>(elements) * element_bytes);
  if (!matrix.data) return matrix;
  for (int64_t i = 0; i < elements; ++i) {
    const float value = SourceElement(source, i);
    if (format == WeightFormat::kBf16) {
      matrix.data.as<uint16_t>()[i] = RoundToBf16(value);
    } else {
      matrix.data.as<float>()[i] = value;
    }
  }
  return matrix;
}

double Weight(const PackedMatrix& matrix, int64_t output, int64_t input) {
  const int64_t i = output * matrix.inputs + input;
  if (matrix.format == WeightFormat::kBf16) return WidenBf16(matrix.data.as<uint16_t>()[i]);
  return matrix.data.as<float>()[i];
}

}  // namespace ssmd::kernels::reference
