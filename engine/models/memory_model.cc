#include "engine/models/memory_model.h"

#include <cstdlib>
#include <string>
#include <utility>

#include "absl/strings/str_cat.h"
#include "engine/base/status_macros.h"
#include "engine/models/fingerprint.h"

namespace ssmd {
namespace {

absl::Status CheckMemoryOptions(const ModelLoadOptions& options) {
  if (options.weights.has_value()) {
    return absl::InvalidArgumentError("weights=: a memory has no weights; leave it out");
  }
  if (options.prefill == Prefill::kChunked) {
    return absl::InvalidArgumentError("prefill=chunked: a memory has no chunked form");
  }
  if (options.state != kernels::StateFormat::kF32) {
    return absl::InvalidArgumentError("state=: a memory keeps its state in f64; leave it out");
  }
  return absl::OkStatus();
}

std::string MemoryFingerprint(const MemoryConfig& config) {
  Sha256Hasher hasher;
  hasher.AddField("ssmd memory 2");
  hasher.AddField(config.Describe());
  return HexOf(hasher.Finish());
}

class MemoryModel final : public LanguageModel {
 public:
  MemoryModel(const MemoryConfig& config, const ModelLoadOptions& options, kernels::Device* device)
      : device_(device), max_rows_(options.max_rows), max_logit_rows_(options.max_logit_rows) {
    coefficients_ = layout_.Add(0, kMemoryCoefficients, StateKind::kMemory,
                                {config.channels, config.state_size});
    energy_ = layout_.Add(0, kMemoryEnergy, StateKind::kMemory, {config.channels, 2});
    info_.architecture = "hippo_memory";
    info_.weights = "none";
    info_.state = kernels::StateFormatName(kernels::StateFormat::kF64);
    info_.layers = 1;
    info_.vocabulary = kernels::kSampleTokens;
    info_.memory = config;
    info_.fingerprint = MemoryFingerprint(config);
  }

  absl::Status Prepare(const MemoryConfig& config) {
    const MemoryTables tables(config);
    const size_t bytes = tables.values().size() * sizeof(double);
    tables_ = device_->Allocate(bytes);
    program_ = device_->MakeProgram({max_rows_, 1, 1});
    if (!tables_ || program_ == nullptr) {
      return absl::ResourceExhaustedError(
          absl::StrCat("no memory for tables of ", bytes, " bytes"));
    }
    device_->Upload(tables_.data(), reinterpret_cast<const std::byte*>(tables.values().data()),
                    bytes);
    scan_ = tables.ParamsAt(tables_.as<double>());
    return absl::OkStatus();
  }

  const ModelInfo& info() const override { return info_; }
  const StateLayout& state_layout() const override { return layout_; }
  int max_rows() const override { return max_rows_; }
  int max_logit_rows() const override { return max_logit_rows_; }

  void Forward(const Batch& batch, StatePool& pool) override {
    const kernels::StepIndices host = {batch.token_ids.data(),
                                       batch.rows(),
                                       batch.segments.data(),
                                       static_cast<int64_t>(batch.segments.size()),
                                       nullptr,
                                       0};
    program_->Run(host, [&](const kernels::StepIndices& indices) {
      kernels::MemoryScanParams scan = scan_;
      scan.token_ids = indices.token_ids;
      scan.segments = indices.segments;
      scan.segment_count = indices.segment_count;
      scan.coefficients = pool.field(coefficients_);
      scan.energy = pool.field(energy_);
      device_->MemoryScan(scan);
    });
  }

  // Nobody asks what comes after a sample: the schedule wants no rows of a memory.
  void Hidden(int /*first*/, int /*count*/, float* /*hidden*/) override { std::abort(); }
  const float* Logits(int /*first*/, int /*count*/) override { std::abort(); }
  const float* Sample(int /*first*/, int /*count*/, RowDraws* /*draws*/) override { std::abort(); }

 private:
  kernels::Device* const device_;
  const int max_rows_;
  const int max_logit_rows_;
  ModelInfo info_;
  StateLayout layout_;
  StatePlace coefficients_;
  StatePlace energy_;
  kernels::Buffer tables_;
  kernels::MemoryScanParams scan_;  // but for a step's tokens and states
  std::unique_ptr<kernels::StepProgram> program_;
};

}  // namespace

absl::StatusOr<std::unique_ptr<LanguageModel>> MakeMemoryModel(const MemoryConfig& config,
                                                               const ModelLoadOptions& options,
                                                               kernels::Device* device) {
  SSMD_RETURN_IF_ERROR(CheckMemoryOptions(options));
  auto model = std::make_unique<MemoryModel>(config, options, device);
  SSMD_RETURN_IF_ERROR(model->Prepare(config));
  return model;
}

}  // namespace ssmd
