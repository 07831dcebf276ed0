// Loading: folder → configuration → tensors matched by name and shape → weights on the device.
#include "engine/models/language_model.h"

#include <sys/stat.h>

#include <new>
#include <utility>

#include "absl/strings/str_cat.h"
#include "engine/base/status_macros.h"
#include "engine/formats/checkpoint.h"
#include "engine/formats/json.h"
#include "engine/formats/quoted.h"
#include "engine/models/config_object.h"
#include "engine/models/model_config.h"
#include "engine/models/registry.h"
#include "engine/models/residual_model.h"
#include "engine/models/tensor_binder.h"
#include "engine/models/weight_cache.h"
#include "engine/models/weight_loader.h"

namespace ssmd {
namespace {

constexpr int kMaxRows = 1 << 20;
constexpr int64_t kMaxConfigBytes = 1 << 20;

constexpr char kConfigFile[] = "config.json";
constexpr char kMistralFile[] = "params.json";
constexpr char kGenerationFile[] = "generation_config.json";

absl::Status CheckOptions(const ModelLoadOptions& options) {
  for (const int rows : {options.max_rows, options.max_logit_rows}) {
    if (rows < 1 || rows > kMaxRows) {
      return absl::InvalidArgumentError(
          absl::StrCat("max_rows and max_logit_rows must be in [1, ", kMaxRows, "], got ", rows));
    }
  }
  return absl::OkStatus();
}

absl::Status CheckIsFolder(const std::string& directory) {
  struct stat info = {};
  if (stat(directory.c_str(), &info) != 0) {
    return absl::NotFoundError(
        absl::StrCat("model folder ", Quoted(directory), " cannot be opened"));
  }
  if (S_ISDIR(info.st_mode)) return absl::OkStatus();
  return absl::InvalidArgumentError(absl::StrCat(
      Quoted(directory), " is not a folder; a model is a folder with config.json and safetensors"));
}

absl::StatusOr<JsonDocument> ReadConfig(const std::string& directory, const char* file) {
  JsonLimits limits;
  limits.bytes = kMaxConfigBytes;
  limits.allow_non_finite = true;
  SSMD_ASSIGN_OR_RETURN(JsonDocument document,
                        JsonDocument::ParseFile(absl::StrCat(directory, "/", file), limits));
  if (document.root().is_object()) return document;
  return absl::InvalidArgumentError(absl::StrCat(file, ": is not a JSON object"));
}

struct NamedDocument {
  const char* file;
  JsonDocument document;
};

// config.json, or Mistral's params.json where there is none.
absl::StatusOr<NamedDocument> ReadModelConfig(const std::string& directory) {
  absl::StatusOr<JsonDocument> config = ReadConfig(directory, kConfigFile);
  if (config.ok()) return NamedDocument{kConfigFile, *std::move(config)};
  if (!absl::IsNotFound(config.status())) return config.status();
  absl::StatusOr<JsonDocument> params = ReadConfig(directory, kMistralFile);
  if (params.ok()) return NamedDocument{kMistralFile, *std::move(params)};
  return absl::IsNotFound(params.status()) ? config.status() : params.status();
}

absl::Status ReadGenerationConfig(const std::string& directory, ModelConfig* config) {
  const absl::StatusOr<JsonDocument> document = ReadConfig(directory, kGenerationFile);
  if (absl::IsNotFound(document.status())) return absl::OkStatus();
  SSMD_RETURN_IF_ERROR(document.status());
  return ParseGenerationConfig(ConfigObject(document->root(), absl::StrCat(kGenerationFile, ": ")),
                               config);
}

std::string Fingerprint(const ModelConfig& config, const MixerFamily& family,
                        const TensorBinder& binder, const WeightLoader& loader) {
  Sha256Hasher hasher;
  hasher.AddField("ssmd model 1");
  hasher.AddField(config.Describe());
  hasher.AddField(family.Describe());
  hasher.AddField(kernels::WeightFormatName(loader.format()));
  for (const TensorInfo* tensor : binder.bound()) {
    hasher.AddField(tensor->name);
    hasher.AddField(TensorTypeName(tensor->type));
    hasher.AddField(DescribeShape(tensor->shape));
    const Sha256& digest = loader.digests().at(tensor->name);
    hasher.Add(digest.data(), digest.size());
  }
  return HexOf(hasher.Finish());
}

ModelInfo MakeInfo(const ModelConfig& config, const MixerFamily& family, const TensorBinder& binder,
                   const WeightLoader& loader) {
  ModelInfo info;
  info.architecture = config.architecture;
  info.weights = std::string(kernels::WeightFormatName(loader.format()));
  for (const TensorInfo* tensor : binder.bound()) info.parameters += tensor->elements;
  info.weight_bytes = loader.bytes_kept();
  info.layers = static_cast<int>(config.layers);
  info.d_model = static_cast<int>(config.d_model);
  info.vocabulary = static_cast<int>(config.vocabulary);
  info.bos_token_id = config.bos_token_id;
  info.eos_token_ids = config.eos_token_ids;
  info.warnings = config.warnings;
  info.fingerprint = Fingerprint(config, family, binder, loader);
  return info;
}

absl::StatusOr<std::unique_ptr<LanguageModel>> Load(const std::string& directory,
                                                    const ModelLoadOptions& options,
                                                    kernels::Device* device) {
  SSMD_RETURN_IF_ERROR(CheckOptions(options));
  SSMD_RETURN_IF_ERROR(CheckIsFolder(directory));
  SSMD_ASSIGN_OR_RETURN(const NamedDocument named, ReadModelConfig(directory));
  const ConfigObject root(named.document.root(), absl::StrCat(named.file, ": "));
  SSMD_ASSIGN_OR_RETURN(ModelConfig config, ParseModelConfig(root));
  SSMD_ASSIGN_OR_RETURN(std::unique_ptr<MixerFamily> family, MakeMixerFamily(config, root));
  SSMD_RETURN_IF_ERROR(ReadGenerationConfig(directory, &config));

  SSMD_ASSIGN_OR_RETURN(const Checkpoint checkpoint, Checkpoint::Open(directory));
  TensorBinder binder(&checkpoint);
  auto model = std::make_unique<ResidualModel>(config, std::move(family), &binder);
  SSMD_RETURN_IF_ERROR(binder.Finish());

  const kernels::WeightFormat format = options.weights.value_or(
      binder.all_matrices_bf16() ? kernels::WeightFormat::kBf16 : kernels::WeightFormat::kF32);
  int64_t bytes = 0;
  for (const TensorInfo* tensor : binder.bound()) bytes += static_cast<int64_t>(tensor->bytes);
  WeightLoader loader(device, format, bytes, options.progress);
  const WeightCacheKey key = {config.Describe() + model->family().Describe(), checkpoint.identity(),
                              format};
  WeightCache cache(options.cache_dir, directory, key, *device, &loader);
  SSMD_RETURN_IF_ERROR(model->Prepare(options, device, &loader));
  if (const auto problem = cache.Finish()) config.warnings.push_back(*problem);
  model->set_info(MakeInfo(config, model->family(), binder, loader));
  return model;
}

}  // namespace

absl::StatusOr<std::unique_ptr<LanguageModel>> LoadLanguageModel(const std::string& directory,
                                                                 const ModelLoadOptions& options,
                                                                 kernels::Device* device) {
  try {
    return Load(directory, options, device);
  } catch (const std::bad_alloc&) {
    return absl::ResourceExhaustedError("no memory to load the model");
  }
}

}  // namespace ssmd
