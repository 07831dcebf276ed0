// The frame around any mixers: embedding → blocks (norm → mixer, added to the residual stream) →
// norm → head. Owns the weights outside of the mixers and the activations of one step.
//
// The residual stream is f32. Weights tied to the head are packed once, and used as a table by the
// embedding and as a matrix by the head. Only rows whose logits are wanted pass the final norm.
#ifndef SSMD_ENGINE_MODELS_RESIDUAL_MODEL_H_
#define SSMD_ENGINE_MODELS_RESIDUAL_MODEL_H_

#include <memory>
#include <string>
#include <vector>

#include "absl/status/status.h"
#include "absl/status/statusor.h"
#include "engine/models/language_model.h"
#include "engine/models/mixer.h"
#include "engine/models/model_config.h"
#include "engine/models/stack.h"
#include "engine/models/tensor_binder.h"
#include "engine/models/weight_loader.h"
#include "kernels/device.h"

namespace ssmd {

class ResidualModel final : public LanguageModel {
 public:
  // Names and shapes only; mismatches go to the binder, and then the model must not be prepared.
  ResidualModel(const ModelConfig& config, Stack stack, kernels::StateFormat state,
                TensorBinder* binder);

  // Reads the weights and allocates the activations. `device` must outlive the model.
  absl::Status Prepare(const ModelLoadOptions& options, kernels::Device* device,
                       WeightLoader* loader);
  void set_info(ModelInfo info) { info_ = std::move(info); }

  const Stack& stack() const { return stack_; }

  const ModelInfo& info() const override { return info_; }
  const StateLayout& state_layout() const override { return layout_; }
  int max_rows() const override { return max_rows_; }
  int max_logit_rows() const override { return max_logit_rows_; }
  void Forward(const Batch& batch, StatePool& pool) override;
  void Hidden(int first, int count, float* hidden) override;
  const float* Logits(int first, int count) override;
  const float* Sample(int first, int count, RowDraws* draws) override;

 private:
  // Weight and, where norms are centred, bias; the tensors until they are loaded.
  struct Norm {
    const TensorInfo* weight_tensor = nullptr;
    const TensorInfo* bias_tensor = nullptr;
    kernels::Buffer weight;
    kernels::Buffer bias;
  };
  struct Block {
    Norm norm;
    std::unique_ptr<Mixer> mixer;
  };

  Norm BindNorm(const std::string& name, TensorBinder* binder) const;
  absl::Status LoadVocabulary(WeightLoader* loader);
  void BindBlocks(const std::string& root, TensorBinder* binder);

  void BindHead(const std::string& name, TensorBinder* binder);
  absl::Status AllocateActivations(const ModelLoadOptions& options);
  absl::Status MakeProgram();
  kernels::MatMulParams HeadProduct(int first, int count) const;
  void Run(const kernels::StepIndices& indices, const StatePool& pool) const;
  BlockNorm NormOf(const Norm& norm, const int32_t* row_index, int64_t rows) const;

  const ModelConfig config_;
  const Stack stack_;  // outlives the blocks
  std::vector<Block> blocks_;
  StateLayout layout_;
  ModelInfo info_;
  kernels::Device* device_ = nullptr;
  int max_rows_ = 0;
  int max_logit_rows_ = 0;

  const TensorInfo* embedding_tensor_ = nullptr;  // the tensors: until Prepare has read them
  const TensorInfo* head_tensor_ = nullptr;       // null where the head is tied to the embedding
  kernels::PackedMatrix embedding_;
  kernels::PackedMatrix own_head_;
  const kernels::PackedMatrix* head_ = nullptr;
  Norm embedding_norm_;  // without weight where the model has none
  Norm final_norm_;

  kernels::Buffer residual_;       // (max_rows, d_model)
  kernels::Buffer normalised_;     // (max_rows, d_model); after a step, what Logits() reads
  kernels::Buffer scratch_;        // (max_rows, scratch_floats_per_row)
  kernels::Buffer shared_;         // (max_rows, shared_floats_per_row); empty where that is 0
  kernels::Buffer chunk_scratch_;  // (max_rows, chunk_scratch_floats_per_row), of a chunked prefill
  kernels::Buffer logits_;         // (max_logit_rows, vocabulary)
  std::unique_ptr<kernels::StepProgram> program_;  // of Run
};

}  // namespace ssmd

#endif  // SSMD_ENGINE_MODELS_RESIDUAL_MODEL_H_
