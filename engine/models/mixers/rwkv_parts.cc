#include "engine/models/mixers/rwkv_parts.h"

#include <cmath>
#include <cstddef>
#include <utility>

#include "absl/strings/str_cat.h"
#include "engine/base/status_macros.h"
#include "engine/models/mixers/layer_tensors.h"

namespace ssmd {
namespace {

LowRankMatrix Form(const std::string& name, TensorBinder* binder) {
  LowRankMatrix matrix;
  matrix.transposed = !binder->Has(name + ".weight");
  return matrix;
}

std::string NameOf(const LowRankMatrix& matrix, const std::string& name) {
  return matrix.transposed ? name : name + ".weight";
}

const TensorInfo* Require(const LowRankMatrix& matrix, const std::string& name,
                          TensorBinder* binder) {
  return matrix.transposed ? binder->RequireMatrix(name, matrix.inputs, matrix.outputs)
                           : binder->RequireMatrix(name, matrix.outputs, matrix.inputs);
}

}  // namespace

const TensorInfo* BindFlat(const std::string& name, int64_t elements, TensorBinder* binder) {
  const TensorInfo* tensor = binder->Find(name);
  const bool fits = tensor != nullptr && tensor->elements == elements;
  return binder->Require(name, fits ? tensor->shape : std::vector<int64_t>{elements});
}

LowRankMatrix BindToRank(const std::string& name, int64_t d_model, int64_t parts,
                         TensorBinder* binder) {
  LowRankMatrix matrix = Form(name, binder);
  const std::string full = NameOf(matrix, name);
  const TensorInfo* tensor = binder->Find(full);
  matrix.inputs = d_model;
  matrix.outputs = parts;
  if (tensor != nullptr && tensor->shape.size() == 2) {
    matrix.outputs = tensor->shape[matrix.transposed ? 1 : 0];
  }
  if (matrix.outputs < 1 || matrix.outputs > parts * d_model || matrix.outputs % parts != 0) {
    binder->Ignore(full);
    binder->AddProblem(full, absl::StrCat("has rank ", matrix.outputs, ", which is no multiple of ",
                                          parts, " in [1, ", parts * d_model, "]"));
    matrix.outputs = parts;
    return matrix;
  }
  matrix.tensor = Require(matrix, full, binder);
  return matrix;
}

LowRankMatrix BindFromRank(const std::string& name, int64_t rank, int64_t outputs,
                           TensorBinder* binder) {
  LowRankMatrix matrix = Form(name, binder);
  matrix.inputs = rank;
  matrix.outputs = outputs;
  matrix.tensor = Require(matrix, NameOf(matrix, name), binder);
  return matrix;
}

absl::StatusOr<Projection> LoadLowRank(const LowRankMatrix& matrix, const TensorInfo* bias,
                                       MatrixRole role, WeightLoader* loader) {
  if (!matrix.transposed) return Projection::Load(*matrix.tensor, bias, role, loader);
  SSMD_ASSIGN_OR_RETURN(const std::vector<float> values, loader->Values(*matrix.tensor));
  SSMD_ASSIGN_OR_RETURN(
      kernels::PackedMatrix packed,
      loader->Derived(matrix.tensor->name, Transposed(values.data(), matrix.inputs, matrix.outputs),
                      matrix.outputs, matrix.inputs, role));
  return Projection::Of(std::move(packed), bias, loader);
}

std::vector<float> Transposed(const float* values, int64_t rows, int64_t columns) {
  std::vector<float> transposed(static_cast<size_t>(rows * columns));
  for (int64_t r = 0; r < rows; ++r) {
    for (int64_t c = 0; c < columns; ++c) {
      transposed[static_cast<size_t>(c * rows + r)] = values[r * columns + c];
    }
  }
  return transposed;
}

absl::StatusOr<std::vector<float>> LoadMapped(const TensorInfo& tensor, double (*f)(double),
                                              WeightLoader* loader) {
  SSMD_ASSIGN_OR_RETURN(std::vector<float> values, loader->Values(tensor));
  for (size_t i = 0; i < values.size(); ++i) {
    values[i] = static_cast<float>(f(double{values[i]}));
    if (!std::isfinite(values[i])) {
      return WeightLoader::NotFinite("exp of " + tensor.name, static_cast<int64_t>(i));
    }
  }
  return values;
}

absl::StatusOr<kernels::Buffer> LoadShiftWeight(const TensorInfo& tensor, ShiftWeight weight,
                                                WeightLoader* loader) {
  if (weight == ShiftWeight::kOfBefore) return loader->Vector(tensor);
  SSMD_ASSIGN_OR_RETURN(std::vector<float> values, loader->Values(tensor));
  for (float& value : values) value = 1 - value;
  return loader->Upload(values, tensor.name);
}

kernels::TokenShiftParams ShiftOf(const MixerStep& step, int64_t channels, StatePlace previous) {
  kernels::TokenShiftParams shift;
  shift.segments = step.indices.segments;
  shift.segment_count = step.indices.segment_count;
  shift.rows = step.rows();
  shift.channels = channels;
  shift.x = step.norm.out();
  shift.x_stride = step.norm.out_stride();
  shift.previous = step.pool->field(previous);
  shift.delta_stride = channels;
  shift.out_stride = channels;
  return shift;
}

void AddMixture(const kernels::Buffer& mix, const float* delta, float* out,
                kernels::TokenShiftParams* shift) {
  shift->mix[shift->count] = mix.as<float>();
  shift->delta[shift->count] = delta;
  shift->out[shift->count] = out;
  ++shift->count;
}

void ApplyInPlace(const MixerStep& step, kernels::PointwiseFunction function, int64_t cols,
                  float* x) {
  kernels::PointwiseParams params;
  params.function = function;
  params.x = x;
  params.x_stride = cols;
  params.rows = step.rows();
  params.cols = cols;
  params.out = x;
  params.out_stride = cols;
  step.device->Pointwise(params);
}

}  // namespace ssmd
