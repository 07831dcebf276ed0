#include "engine/models/residual_model.h"

#include <cstring>
#include <string>
#include <utility>

#include "absl/strings/str_cat.h"
#include "engine/base/status_macros.h"

namespace ssmd {
namespace {

absl::Status Allocate(kernels::Device* device, int64_t rows, int64_t floats_per_row,
                      kernels::Buffer* buffer) {
  const auto bytes = static_cast<size_t>(rows * floats_per_row) * sizeof(float);
  *buffer = device->Allocate(bytes);
  if (*buffer) return absl::OkStatus();
  return absl::ResourceExhaustedError(absl::StrCat("no memory for activations of ", rows, " rows, ",
                                                   bytes, " bytes: use a smaller token budget"));
}

// Hugging Face writes backbone.embeddings, the original files backbone.embedding; conversions mix
// them, so the checkpoint decides.
std::string EmbeddingName(ConfigSpelling spelling, const std::string& prefix,
                          const TensorBinder& binder) {
  const std::string plural = prefix + "backbone.embeddings.weight";
  const std::string singular = prefix + "backbone.embedding.weight";
  if (spelling == ConfigSpelling::kHuggingFace)
    return binder.Has(plural) || !binder.Has(singular) ? plural : singular;
  return binder.Has(singular) || !binder.Has(plural) ? singular : plural;
}

// Mistral's files wrap the whole model once more.
std::string NamePrefix(const TensorBinder& binder) {
  return binder.Has("model.backbone.norm_f.weight") ? "model." : "";
}

bool SameTensor(const TensorInfo& a, const TensorInfo& b) {
  return a.type == b.type && a.shape == b.shape && std::memcmp(a.data, b.data, a.bytes) == 0;
}

}  // namespace

ResidualModel::ResidualModel(const ModelConfig& config, std::unique_ptr<MixerFamily> family,
                             kernels::StateFormat state, TensorBinder* binder)
    : config_(config), family_(std::move(family)), layout_(state) {
  const std::string root = NamePrefix(*binder);
  embedding_tensor_ = binder->RequireMatrix(EmbeddingName(config_.spelling, root, *binder),
                                            config_.vocabulary, config_.d_model);
  for (int64_t i = 0; i < config_.layers; ++i) {
    const std::string prefix = absl::StrCat(root, "backbone.layers.", i, ".");
    Layer layer;
    layer.norm_tensor = binder->Require(prefix + "norm.weight", {config_.d_model});
    layer.mixer = family_->Bind(prefix + "mixer.", binder);
    layer.mixer->DeclareState(static_cast<int>(i), &layout_);
    layers_.push_back(std::move(layer));
  }
  final_norm_tensor_ = binder->Require(root + "backbone.norm_f.weight", {config_.d_model});
  BindHead(root + "lm_head.weight", binder);
}

// A configuration that does not say whether the head is tied leaves it to the tensors. Some files
// hold the tied matrix twice.
void ResidualModel::BindHead(const std::string& name, TensorBinder* binder) {
  if (!config_.tied_head.value_or(!binder->Has(name))) {
    head_tensor_ = binder->RequireMatrix(name, config_.vocabulary, config_.d_model);
    return;
  }
  const TensorInfo* copy = binder->Find(name);
  if (copy == nullptr) return;
  binder->Ignore(name);
  if (embedding_tensor_ != nullptr && !SameTensor(*copy, *embedding_tensor_)) {
    binder->AddProblem(
        name,
        "differs from the embedding that config.json ties it to; if this head is the "
        "right one, set tie_word_embeddings (tie_embeddings) to false there");
  }
}

absl::Status ResidualModel::Prepare(const ModelLoadOptions& options, kernels::Device* device,
                                    WeightLoader* loader) {
  device_ = device;
  SSMD_RETURN_IF_ERROR(AllocateActivations(options));
  SSMD_ASSIGN_OR_RETURN(embedding_, loader->Matrix(*embedding_tensor_, MatrixRole::kVocabulary));
  for (Layer& layer : layers_) {
    SSMD_ASSIGN_OR_RETURN(layer.norm, loader->Vector(*layer.norm_tensor));
    SSMD_RETURN_IF_ERROR(layer.mixer->Prepare(loader));
    layer.norm_tensor = nullptr;
  }
  SSMD_ASSIGN_OR_RETURN(final_norm_, loader->Vector(*final_norm_tensor_));
  if (head_tensor_ != nullptr) {
    SSMD_ASSIGN_OR_RETURN(own_head_, loader->Matrix(*head_tensor_, MatrixRole::kVocabulary));
  }
  head_ = head_tensor_ != nullptr ? &own_head_ : &embedding_;
  embedding_tensor_ = final_norm_tensor_ = head_tensor_ = nullptr;
  return MakeProgram();
}

absl::Status ResidualModel::MakeProgram() {
  const kernels::StepLimits limits = {max_rows_, max_logit_rows_, config_.vocabulary};
  program_ = device_->MakeProgram(limits);
  if (program_ == nullptr) {
    return absl::ResourceExhaustedError(
        absl::StrCat("no memory for steps of ", max_rows_, " rows: use a smaller token budget"));
  }
  const std::unique_ptr<StatePool> pool = StatePool::WithoutSlots(device_, layout_);
  const bool tried = device_->Rehearse(limits, [&](const kernels::StepIndices& indices) {
    Run(indices, *pool);
    device_->MatMul(HeadProduct(0, static_cast<int>(indices.logit_row_count)));
  });
  if (const std::string failure = device_->failure(); !failure.empty()) {
    return absl::UnavailableError(
        absl::StrCat("the device failed while its kernels were tried: ", failure));
  }
  if (tried) return absl::OkStatus();
  return absl::ResourceExhaustedError(
      "no memory to try the device's kernels in: use a smaller token budget");
}

absl::Status ResidualModel::AllocateActivations(const ModelLoadOptions& options) {
  max_rows_ = options.max_rows;
  max_logit_rows_ = options.max_logit_rows;
  SSMD_RETURN_IF_ERROR(Allocate(device_, max_rows_, config_.d_model, &residual_));
  SSMD_RETURN_IF_ERROR(Allocate(device_, max_rows_, config_.d_model, &normalised_));
  SSMD_RETURN_IF_ERROR(Allocate(device_, max_rows_, family_->scratch_floats_per_row(), &scratch_));
  if (options.prefill == Prefill::kChunked) {
    SSMD_RETURN_IF_ERROR(
        Allocate(device_, max_rows_, family_->chunk_scratch_floats_per_row(), &chunk_scratch_));
  }
  return Allocate(device_, max_logit_rows_, config_.vocabulary, &logits_);
}

void ResidualModel::Forward(const Batch& batch, StatePool& pool) {
  const kernels::StepIndices host = {
      batch.token_ids.data(),  batch.rows(),
      batch.segments.data(),   static_cast<int64_t>(batch.segments.size()),
      batch.logit_rows.data(), static_cast<int64_t>(batch.logit_rows.size())};
  program_->Run(host, [&](const kernels::StepIndices& indices) { Run(indices, pool); });
}

void ResidualModel::Run(const kernels::StepIndices& indices, const StatePool& pool) const {
  kernels::EmbedParams embed;
  embed.table = &embedding_;
  embed.token_ids = indices.token_ids;
  embed.rows = indices.rows;
  embed.out = residual_.as<float>();
  device_->Embed(embed);

  MixerStep step;
  step.device = device_;
  step.pool = &pool;
  step.indices = indices;
  step.residual = residual_.as<float>();
  step.scratch = scratch_.as<float>();
  step.chunk_scratch = chunk_scratch_.as<float>();
  for (const Layer& layer : layers_) {
    step.norm = Norm(layer.norm, nullptr, indices.rows);
    layer.mixer->Forward(step);
  }
  if (indices.logit_row_count > 0) {
    device_->RmsNorm(Norm(final_norm_, indices.logit_rows, indices.logit_row_count));
  }
}

// Of rows of the residual stream, those of `row_index` or all, into normalised_.
kernels::RmsNormParams ResidualModel::Norm(const kernels::Buffer& weight, const int32_t* row_index,
                                           int64_t rows) const {
  kernels::RmsNormParams norm;
  norm.x = residual_.as<float>();
  norm.x_stride = config_.d_model;
  norm.row_index = row_index;
  norm.weight = weight.as<float>();
  norm.eps = static_cast<float>(config_.norm_eps);
  norm.rows = rows;
  norm.cols = config_.d_model;
  norm.out = normalised_.as<float>();
  norm.out_stride = config_.d_model;
  return norm;
}

kernels::MatMulParams ResidualModel::HeadProduct(int first, int count) const {
  kernels::MatMulParams head;
  head.x = normalised_.as<float>() + int64_t{first} * config_.d_model;
  head.x_stride = config_.d_model;
  head.rows = count;
  head.w = head_;
  head.out = logits_.as<float>();
  head.out_stride = config_.vocabulary;
  return head;
}

const float* ResidualModel::Logits(int first, int count) {
  device_->MatMul(HeadProduct(first, count));
  return logits_.as<float>();
}

const float* ResidualModel::Sample(int first, int count, RowDraws* draws) {
  for (size_t i = 0; i < draws->draws.size(); ++i) {
    draws->draws[i].logits = logits_.as<float>() + draws->rows[i] * config_.vocabulary;
  }
  device_->SampleHead({HeadProduct(first, count), draws->keep.data(), draws->draws.data(),
                       static_cast<int64_t>(draws->draws.size())});
  return logits_.as<float>();
}

}  // namespace ssmd
