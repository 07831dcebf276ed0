// Matches the tensors that a model needs with those that a checkpoint holds, and collects every
// mismatch, so that one error names them all.
//
// Layers ask for tensors by name and shape while the model is put together; Finish() reports what
// was missing, mis-shaped, mis-typed or never asked for. One thread, at load time; the Checkpoint
// must outlive the binder and the tensors it hands out.
#ifndef SSMD_ENGINE_MODELS_TENSOR_BINDER_H_
#define SSMD_ENGINE_MODELS_TENSOR_BINDER_H_

#include <cstdint>
#include <map>
#include <string>
#include <string_view>
#include <vector>

#include "absl/container/flat_hash_set.h"
#include "absl/status/status.h"
#include "engine/formats/checkpoint.h"

namespace ssmd {

// Most mismatches that an error spells out; the rest are counted.
inline constexpr size_t kMaxReportedTensors = 100;

class TensorBinder {
 public:
  explicit TensorBinder(const Checkpoint* checkpoint) : checkpoint_(checkpoint) {}

  const TensorInfo* Find(const std::string& name) const { return checkpoint_->Find(name); }
  bool Has(const std::string& name) const { return Find(name) != nullptr; }

  // True where some tensor's name ends so. What one layer has, all must have.
  bool AnyEndsWith(std::string_view suffix) const;

  // The tensor, of a type that weights have: f32, f16, bf16 or quantised blocks. Null after a
  // mismatch was noted; Finish() will then fail.
  const TensorInfo* Require(const std::string& name, const std::vector<int64_t>& shape);

  // The same for a weight matrix (outputs, inputs): one that is packed, and whose type decides in
  // which format matrices are kept.
  const TensorInfo* RequireMatrix(const std::string& name, int64_t outputs, int64_t inputs);

  // A tensor that may be there, and is of no use: not surplus.
  void Ignore(const std::string& name) { wanted_.insert(name); }

  // Notes a mismatch that is not one of names, shapes or types.
  void AddProblem(const std::string& name, std::string_view reason);

  // INVALID_ARGUMENT naming every mismatch; surplus tensors are those never asked for.
  absl::Status Finish();

  const std::vector<const TensorInfo*>& bound() const { return bound_; }
  // Elements of the matrices, by the type in which the file has them.
  const std::map<TensorType, int64_t>& matrix_elements() const { return matrix_elements_; }

 private:
  const Checkpoint* checkpoint_;
  std::vector<const TensorInfo*> bound_;  // in the order of the calls
  absl::flat_hash_set<std::string> wanted_;
  std::vector<std::string> problems_;
  std::map<TensorType, int64_t> matrix_elements_;
};

}  // namespace ssmd

#endif  // SSMD_ENGINE_MODELS_TENSOR_BINDER_H_
