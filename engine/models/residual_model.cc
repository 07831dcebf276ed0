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

// The first of these that the file has; the first one where it has none.
std::string EmbeddingName(const std::vector<std::string>& names, const std::string& root,
                          const TensorBinder& binder) {
  for (const std::string& name : names) {
    if (binder.Has(root + name)) return root + name;
  }
  return root + names.front();
}

// Mistral's files wrap the whole model once more.
std::string RootOf(const Stack& stack, const TensorBinder& binder) {
  return binder.Has("model." + stack.final_norm + ".weight") ? "model." : "";
}

absl::Status LoadNorm(const TensorInfo* tensor, WeightLoader* loader, kernels::Buffer* buffer) {
  if (tensor == nullptr) return absl::OkStatus();
  SSMD_ASSIGN_OR_RETURN(*buffer, loader->Vector(*tensor));
  return absl::OkStatus();
}

bool SameTensor(const TensorInfo& a, const TensorInfo& b) {
  return a.type == b.type && a.shape == b.shape && std::memcmp(a.data, b.data, a.bytes) == 0;
}

}  // namespace

ResidualModel::ResidualModel(const ModelConfig& config, Stack stack, kernels::StateFormat state,
                             TensorBinder* binder)
    : config_(config), stack_(std::move(stack)), layout_(state) {
  const std::string root = RootOf(stack_, *binder);
  embedding_tensor_ = binder->RequireMatrix(EmbeddingName(stack_.embedding, root, *binder),
                                            config_.vocabulary, config_.d_model);
  if (!stack_.embedding_norm.empty()) {
    embedding_norm_ = BindNorm(root + stack_.embedding_norm, binder);
  }
  BindBlocks(root, binder);
  final_norm_ = BindNorm(root + stack_.final_norm, binder);
  BindHead(root + stack_.head, binder);
  for (const std::string& name : stack_.ignored) binder->Ignore(root + name);
}

ResidualModel::Norm ResidualModel::BindNorm(const std::string& name, TensorBinder* binder) const {
  Norm norm;
  norm.weight_tensor = binder->Require(name + ".weight", {config_.d_model});
  if (stack_.centred_norms) norm.bias_tensor = binder->Require(name + ".bias", {config_.d_model});
  return norm;
}

void ResidualModel::BindBlocks(const std::string& root, TensorBinder* binder) {
  bool shared = false;
  for (const BlockPlan& plan : stack_.blocks) {
    const bool first = !shared && plan.family->shared_floats_per_row() > 0;
    shared = shared || first;
    Block block;
    block.norm = BindNorm(root + plan.norm, binder);
    block.mixer = plan.family->Bind({root + plan.prefix, plan.layer, first}, binder);
    block.mixer->DeclareState(plan.layer, &layout_);
    blocks_.push_back(std::move(block));
  }
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
  SSMD_RETURN_IF_ERROR(LoadVocabulary(loader));
  const auto load = [&](Norm& norm) -> absl::Status {
    SSMD_RETURN_IF_ERROR(LoadNorm(norm.weight_tensor, loader, &norm.weight));
    SSMD_RETURN_IF_ERROR(LoadNorm(norm.bias_tensor, loader, &norm.bias));
    norm.weight_tensor = norm.bias_tensor = nullptr;
    return absl::OkStatus();
  };
  SSMD_RETURN_IF_ERROR(load(embedding_norm_));
  for (Block& block : blocks_) {
    SSMD_RETURN_IF_ERROR(load(block.norm));
    SSMD_RETURN_IF_ERROR(block.mixer->Prepare(loader));
  }
  SSMD_RETURN_IF_ERROR(load(final_norm_));
  return MakeProgram();
}

// The embedding and the head, which are one where the head is tied and nothing is scaled.
absl::Status ResidualModel::LoadVocabulary(WeightLoader* loader) {
  const bool scaled = stack_.embedding_scale != 1;
  const TensorInfo* head = head_tensor_ == nullptr && scaled ? embedding_tensor_ : head_tensor_;
  if (head != nullptr) {
    SSMD_ASSIGN_OR_RETURN(own_head_, loader->Matrix(*head, MatrixRole::kVocabulary));
  }
  if (scaled) {
    SSMD_ASSIGN_OR_RETURN(std::vector<float> values, loader->Values(*embedding_tensor_));
    const auto scale = static_cast<float>(stack_.embedding_scale);
    for (float& value : values) value *= scale;
    SSMD_ASSIGN_OR_RETURN(
        embedding_, loader->Derived(embedding_tensor_->name, std::move(values), config_.vocabulary,
                                    config_.d_model, MatrixRole::kVocabulary));
  } else {
    SSMD_ASSIGN_OR_RETURN(embedding_, loader->Matrix(*embedding_tensor_, MatrixRole::kVocabulary));
  }
  head_ = head != nullptr ? &own_head_ : &embedding_;
  embedding_tensor_ = head_tensor_ = nullptr;
  return absl::OkStatus();
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
  SSMD_RETURN_IF_ERROR(Allocate(device_, max_rows_, stack_.scratch_floats_per_row(), &scratch_));
  if (stack_.shared_floats_per_row() > 0) {
    SSMD_RETURN_IF_ERROR(Allocate(device_, max_rows_, stack_.shared_floats_per_row(), &shared_));
  }
  if (options.prefill != Prefill::kExact && stack_.chunk_scratch_floats_per_row() > 0) {
    SSMD_RETURN_IF_ERROR(
        Allocate(device_, max_rows_, stack_.chunk_scratch_floats_per_row(), &chunk_scratch_));
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
  if (embedding_norm_.weight) {
    BlockNorm norm = NormOf(embedding_norm_, nullptr, indices.rows);
    norm.rms.out = norm.layer.out = residual_.as<float>();
    norm.Run(device_);
  }

  MixerStep step;
  step.device = device_;
  step.pool = &pool;
  step.indices = indices;
  step.residual = residual_.as<float>();
  step.scratch = scratch_.as<float>();
  step.shared = shared_.as<float>();
  step.chunk_scratch = chunk_scratch_.as<float>();
  for (const Block& block : blocks_) {
    step.norm = NormOf(block.norm, nullptr, indices.rows);
    block.mixer->Forward(step);
  }
  if (indices.logit_row_count > 0) {
    NormOf(final_norm_, indices.logit_rows, indices.logit_row_count).Run(device_);
  }
}

// Of rows of the residual stream, those of `row_index` or all, into normalised_.
BlockNorm ResidualModel::NormOf(const Norm& norm, const int32_t* row_index, int64_t rows) const {
  const auto fill = [&](auto& params) {
    params.x = residual_.as<float>();
    params.x_stride = config_.d_model;
    params.row_index = row_index;
    params.weight = norm.weight.as<float>();
    params.eps = static_cast<float>(config_.norm_eps);
    params.rows = rows;
    params.cols = config_.d_model;
    params.out = normalised_.as<float>();
    params.out_stride = config_.d_model;
  };
  BlockNorm filled;
  filled.centred = stack_.centred_norms;
  fill(filled.rms);
  fill(filled.layer);
  filled.layer.bias = norm.bias.as<float>();
  return filled;
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

void ResidualModel::Hidden(int first, int count, float* hidden) {
  const auto width = static_cast<size_t>(config_.d_model) * sizeof(float);
  device_->Download(reinterpret_cast<std::byte*>(hidden),
                    normalised_.as<const std::byte>() + static_cast<size_t>(first) * width,
                    static_cast<size_t>(count) * width);
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
