// What the versions of RWKV have in common: tensors in the forms that files have them, and the ops
// around the recurrence.
#ifndef SSMD_ENGINE_MODELS_MIXERS_RWKV_PARTS_H_
#define SSMD_ENGINE_MODELS_MIXERS_RWKV_PARTS_H_

#include <cstdint>
#include <string>
#include <vector>

#include "absl/status/statusor.h"
#include "engine/models/mixer.h"
#include "engine/models/mixers/projection.h"

namespace ssmd {

// A tensor of so many elements, whatever its dimensions are.
const TensorInfo* BindFlat(const std::string& name, int64_t elements, TensorBinder* binder);

// A matrix of low rank: `name` as (inputs, outputs), or `name`.weight as (outputs, inputs). The
// rank, at most d_model, is whatever the file has.
struct LowRankMatrix {
  const TensorInfo* tensor = nullptr;  // null after a mismatch, which the binder knows
  bool transposed = false;             // it is (inputs, outputs)
  int64_t outputs = 0;
  int64_t inputs = 0;
};
// From d_model to the rank, which is a multiple of `parts`, and from the rank.
LowRankMatrix BindToRank(const std::string& name, int64_t d_model, int64_t parts,
                         TensorBinder* binder);
LowRankMatrix BindFromRank(const std::string& name, int64_t rank, int64_t outputs,
                           TensorBinder* binder);
absl::StatusOr<Projection> LoadLowRank(const LowRankMatrix& matrix, const TensorInfo* bias,
                                       MatrixRole role, WeightLoader* loader);

// (rows, columns) of a matrix, transposed.
std::vector<float> Transposed(const float* values, int64_t rows, int64_t columns);

// A tensor's values with f applied to each in double precision. What is not finite then is
// INVALID_ARGUMENT.
absl::StatusOr<std::vector<float>> LoadMapped(const TensorInfo& tensor, double (*f)(double),
                                              WeightLoader* loader);

// The weights of a token shift: of the token before, 1 − μ where the file has μ of the token.
enum class ShiftWeight : uint8_t { kOfBefore, kOfToken };
absl::StatusOr<kernels::Buffer> LoadShiftWeight(const TensorInfo& tensor, ShiftWeight weight,
                                                WeightLoader* loader);

// Gives out a step's scratch memory, piece after piece.
class ScratchPieces {
 public:
  explicit ScratchPieces(const MixerStep& step) : next_(step.scratch), rows_(step.rows()) {}
  // (rows, floats_per_row)
  float* Take(int64_t floats_per_row) {
    float* piece = next_;
    next_ += rows_ * floats_per_row;
    return piece;
  }

 private:
  float* next_;
  int64_t rows_;
};

// The shift of the block's normalised input, without mixtures.
kernels::TokenShiftParams ShiftOf(const MixerStep& step, int64_t channels, StatePlace previous);
// Appends one to it. `delta` may be null.
void AddMixture(const kernels::Buffer& mix, const float* delta, float* out,
                kernels::TokenShiftParams* shift);

// function(x), in place, without gaps between the rows.
void ApplyInPlace(const MixerStep& step, kernels::PointwiseFunction function, int64_t cols,
                  float* x);

}  // namespace ssmd

#endif  // SSMD_ENGINE_MODELS_MIXERS_RWKV_PARTS_H_
