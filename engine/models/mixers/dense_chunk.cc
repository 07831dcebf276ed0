#include "engine/models/mixers/dense_chunk.h"

#include "engine/models/matrix_math.h"
#include "kernels/ops.h"

namespace ssmd {
namespace {

using Eigen::Index;
using Eigen::MatrixXd;
using Eigen::VectorXd;
using RowMajor = Eigen::Matrix<float, Eigen::Dynamic, Eigen::Dynamic, Eigen::RowMajor>;

// [a^tokens | a^{tokens−1} b … b].
std::vector<float> StepOfChunk(const MatrixXd& a, const VectorXd& b, int64_t tokens) {
  const Index size = a.rows();
  RowMajor step(size, size + tokens);
  step.leftCols(size) = Power(a, tokens).cast<float>();
  VectorXd reached = b;
  for (Index column = size + tokens - 1; column >= size; --column) {
    step.col(column) = reached.cast<float>();
    reached = a * reached;
  }
  return {step.data(), step.data() + step.size()};
}

// Column `column` of `values` (channels, …) into row `row` of lane blocks of `rows` rows.
void PutLanes(const MatrixXd& values, Index column, int64_t rows, int64_t row,
              std::vector<float>* blocks) {
  for (Index c = 0; c < values.rows(); ++c) {
    const int64_t line = c / kernels::kVectorLanes * rows + row;
    (*blocks)[static_cast<size_t>(line * kernels::kVectorLanes + c % kernels::kVectorLanes)] =
        static_cast<float>(values(c, column));
  }
}

}  // namespace

DenseChunk MakeDenseChunk(const std::vector<float>& a, const std::vector<float>& b,
                          const std::vector<float>& output, int64_t tokens) {
  const auto size = static_cast<Index>(b.size());
  const auto channels = static_cast<Index>(output.size() / b.size());
  const MatrixXd decay = Eigen::Map<const RowMajor>(a.data(), size, size).cast<double>();
  const VectorXd input = Eigen::Map<const Eigen::VectorXf>(b.data(), size).cast<double>();
  MatrixXd read = Eigen::Map<const RowMajor>(output.data(), channels, size).cast<double>();
  const auto lanes = static_cast<size_t>(kernels::PaddedLanes(channels) * tokens);
  DenseChunk chunk;
  chunk.step = StepOfChunk(decay, input, tokens);
  chunk.readout.resize(lanes * b.size());
  chunk.taps.resize(lanes);
  for (int64_t t = 0; t < tokens; ++t) {
    PutLanes(read * input, 0, tokens, t, &chunk.taps);
    read = read * decay;
    for (Index n = 0; n < size; ++n) {
      PutLanes(read, n, tokens * size, t * size + n, &chunk.readout);
    }
  }
  return chunk;
}

}  // namespace ssmd
