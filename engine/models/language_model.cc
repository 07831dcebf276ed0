// Loading: folder or file → configuration → tensors matched by name and shape → weights on the
// device.
#include "engine/models/language_model.h"

#include <sys/stat.h>

#include <algorithm>
#include <cerrno>
#include <cstring>
#include <map>
#include <string>
#include <utility>
#include <vector>

#include "absl/strings/match.h"
#include "absl/strings/str_cat.h"
#include "absl/strings/str_join.h"
#include "engine/base/fault_point.h"
#include "engine/base/status_macros.h"
#include "engine/formats/checkpoint.h"
#include "engine/formats/gguf.h"
#include "engine/formats/json.h"
#include "engine/formats/mapped_file.h"
#include "engine/formats/quoted.h"
#include "engine/models/config_object.h"
#include "engine/models/gguf_metadata.h"
#include "engine/models/memory_model.h"
#include "engine/models/model_config.h"
#include "engine/models/registry.h"
#include "engine/models/residual_model.h"
#include "engine/models/rwkv_model.h"
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
constexpr char kGgufEmbedding[] = "token_embd.weight";

absl::Status CheckOptions(const ModelLoadOptions& options) {
  for (const int rows : {options.max_rows, options.max_logit_rows}) {
    if (rows < 1 || rows > kMaxRows) {
      return absl::InvalidArgumentError(
          absl::StrCat("max_rows and max_logit_rows must be in [1, ", kMaxRows, "], got ", rows));
    }
  }
  return absl::OkStatus();
}

absl::Status CheckIsFolder(const std::string& path) {
  struct stat info = {};
  if (stat(path.c_str(), &info) != 0) {
    return absl::NotFoundError(
        absl::StrCat("model ", Quoted(path), " cannot be opened: ", std::strerror(errno)));
  }
  if (S_ISDIR(info.st_mode)) return absl::OkStatus();
  return absl::InvalidArgumentError(
      absl::StrCat(Quoted(path),
                   " is neither a folder nor a file; a model is a folder with config.json and "
                   "safetensors, or a GGUF file, or one of rwkv.cpp or a .pth of RWKV"));
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

absl::Status CheckPrefill(const ModelLoadOptions& options, const std::string& architecture,
                          const Stack& stack) {
  if (options.prefill != Prefill::kChunked || stack.chunk_tokens() > 0) return absl::OkStatus();
  return absl::InvalidArgumentError(absl::StrCat(
      "prefill=chunked: the layers of ", architecture,
      " have no chunked form, as those of mamba2, retnet and hippo_legt have; leave it exact, or "
      "say fast, which takes chunks where there are any"));
}

absl::Status CheckState(const ModelLoadOptions& options, const std::string& architecture,
                        const StateLayout& layout) {
  if (options.state == kernels::StateFormat::kF32) return absl::OkStatus();
  for (const StateFieldSpec& field : layout.fields()) {
    if (field.kind == StateKind::kSsm) return absl::OkStatus();
  }
  return absl::InvalidArgumentError(absl::StrCat(
      "state=", std::string(kernels::StateFormatName(options.state)), ": the layers of ",
      architecture, " keep their states as they are, in f32 or f64; leave it f32"));
}

absl::Status CheckKept(const kernels::Device& device, kernels::WeightFormat format) {
  if (device.Keeps(format)) return absl::OkStatus();
  std::vector<std::string> kept;
  for (const kernels::WeightFormat candidate : kernels::kAllWeightFormats) {
    if (device.Keeps(candidate)) kept.emplace_back(kernels::WeightFormatName(candidate));
  }
  return absl::InvalidArgumentError(absl::StrCat("this device (", device.name(), ") keeps no ",
                                                 std::string(kernels::WeightFormatName(format)),
                                                 " weights: use ", absl::StrJoin(kept, ", ")));
}

bool IsModelInOneFile(const std::string& folder, const std::string& name) {
  if (absl::EndsWith(name, ".gguf")) return true;
  if (!absl::EndsWith(name, ".bin")) return false;
  const auto kind = KindOfModelFile(absl::StrCat(folder, "/", name));
  return kind.ok() && *kind == ModelFileKind::kRwkvCpp;
}

// Of a folder without a configuration. Downloads of GGUF files often come as a folder with one for
// each format.
absl::Status NoConfigError(const std::string& folder, const absl::Status& error) {
  const auto entries = PosixFileSystem().List(folder);
  if (!entries.ok()) return error;
  for (const FolderEntry& entry : *entries) {
    if (!IsModelInOneFile(folder, entry.name)) continue;
    return absl::InvalidArgumentError(absl::StrCat("the folder has no ", kConfigFile, ", but ",
                                                   Quoted(entry.name),
                                                   ": give the path of that file"));
  }
  return error;
}

// config.json, or Mistral's params.json where there is none.
absl::StatusOr<NamedDocument> ReadModelConfig(const std::string& directory) {
  absl::StatusOr<JsonDocument> config = ReadConfig(directory, kConfigFile);
  if (config.ok()) return NamedDocument{kConfigFile, *std::move(config)};
  if (!absl::IsNotFound(config.status())) return config.status();
  absl::StatusOr<JsonDocument> params = ReadConfig(directory, kMistralFile);
  if (params.ok()) return NamedDocument{kMistralFile, *std::move(params)};
  return absl::IsNotFound(params.status()) ? NoConfigError(directory, config.status())
                                           : params.status();
}

absl::Status ReadGenerationConfig(const std::string& directory, ModelConfig* config) {
  const absl::StatusOr<JsonDocument> document = ReadConfig(directory, kGenerationFile);
  if (absl::IsNotFound(document.status())) return absl::OkStatus();
  SSMD_RETURN_IF_ERROR(document.status());
  return ParseGenerationConfig(ConfigObject(document->root(), absl::StrCat(kGenerationFile, ": ")),
                               config);
}

// What the files say of a model, its tensors apart.
struct Description {
  ModelConfig config;
  Stack stack;
};

// Of an RWKV model without a configuration, whose tensors say enough.
absl::StatusOr<Description> DescribeRwkv(const Checkpoint& checkpoint, bool rwkv_cpp) {
  SSMD_ASSIGN_OR_RETURN(const JsonDocument document, ReadRwkvMetadata(checkpoint, rwkv_cpp));
  const ConfigObject root(document.root(), absl::StrCat(checkpoint.source(), ": "));
  Description description;
  SSMD_ASSIGN_OR_RETURN(description.config, ParseModelConfig(root));
  SSMD_ASSIGN_OR_RETURN(description.stack, PlanStack(description.config, root));
  return description;
}

absl::StatusOr<Description> DescribeFolder(const std::string& directory, const ConfigObject& root) {
  Description description;
  SSMD_ASSIGN_OR_RETURN(description.config, ParseModelConfig(root));
  SSMD_ASSIGN_OR_RETURN(description.stack, PlanStack(description.config, root));
  SSMD_RETURN_IF_ERROR(ReadGenerationConfig(directory, &description.config));
  return description;
}

absl::StatusOr<Description> DescribeGguf(const std::string& path) {
  SSMD_ASSIGN_OR_RETURN(const Gguf gguf, Gguf::Open(path));
  SSMD_RETURN_IF_ERROR(gguf.Architecture().status());
  const TensorInfo* embedding = gguf.FindTensor(kGgufEmbedding);
  if (embedding == nullptr) {
    return absl::InvalidArgumentError(absl::StrCat(
        gguf.source(), ": has no tensor ", Quoted(kGgufEmbedding), ": a file without weights?"));
  }
  if (embedding->shape[0] > kMaxVocabulary) {
    return absl::InvalidArgumentError(
        absl::StrCat(gguf.source(), ": tensor ", Quoted(kGgufEmbedding), " has ",
                     embedding->shape[0], " rows, more than the ", kMaxVocabulary, " allowed"));
  }
  SSMD_ASSIGN_OR_RETURN(const JsonDocument document, ReadGgufMetadata(gguf));
  const ConfigObject root(document.root(), absl::StrCat(gguf.source(), ": "));
  Description description;
  SSMD_ASSIGN_OR_RETURN(description.config, ParseGgufConfig(root, embedding->shape[0]));
  SSMD_ASSIGN_OR_RETURN(description.stack, PlanStack(description.config, root));
  return description;
}

absl::StatusOr<Description> DescribeFile(const std::string& path) {
  SSMD_ASSIGN_OR_RETURN(const ModelFileKind kind, KindOfModelFile(path));
  if (kind == ModelFileKind::kGguf) return DescribeGguf(path);
  SSMD_ASSIGN_OR_RETURN(const Checkpoint checkpoint, Checkpoint::Open(path));
  return DescribeRwkv(checkpoint, kind == ModelFileKind::kRwkvCpp);
}

FaultPoint load_memory("memory.load_model", FaultPoint::Kind::kAllocation);

// How matrices are kept where nobody says so: bf16 where all are; quantised where most of a file
// is, in four bits where that is its most frequent type; else f32.
kernels::WeightFormat FormatOfFile(const TensorBinder& binder) {
  const std::map<TensorType, int64_t>& elements = binder.matrix_elements();
  const auto most =
      std::max_element(elements.begin(), elements.end(),
                       [](const auto& a, const auto& b) { return a.second < b.second; });
  if (most == elements.end()) return kernels::WeightFormat::kF32;
  switch (most->first) {
    case TensorType::kQ4_0:
    case TensorType::kQ4_K:
      return kernels::WeightFormat::kQ4;
    case TensorType::kQ8_0:
    case TensorType::kQ6_K:
      return kernels::WeightFormat::kQ8;
    case TensorType::kBf16:
      return elements.size() == 1 ? kernels::WeightFormat::kBf16 : kernels::WeightFormat::kF32;
    default:
      return kernels::WeightFormat::kF32;
  }
}

std::string Fingerprint(const ModelConfig& config, const Stack& stack, const TensorBinder& binder,
                        const WeightLoader& loader) {
  Sha256Hasher hasher;
  hasher.AddField("ssmd model 1");
  hasher.AddField(config.Describe());
  hasher.AddField(stack.Describe());
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

ModelInfo MakeInfo(const ModelConfig& config, const Stack& stack, const TensorBinder& binder,
                   const WeightLoader& loader) {
  ModelInfo info;
  info.architecture = config.architecture;
  info.weights = std::string(kernels::WeightFormatName(loader.format()));
  for (const TensorInfo* tensor : binder.bound()) info.parameters += tensor->elements;
  info.weight_bytes = loader.bytes_kept();
  info.matrix_elements = loader.layer_matrix_elements();
  info.scan_operations = stack.scan_operations();
  info.layers = static_cast<int>(config.layers);
  info.d_model = static_cast<int>(config.d_model);
  info.vocabulary = static_cast<int>(config.vocabulary);
  info.bos_token_id = config.bos_token_id;
  info.eos_token_ids = config.eos_token_ids;
  info.warnings = config.warnings;
  info.fingerprint = Fingerprint(config, stack, binder, loader);
  return info;
}

absl::StatusOr<std::unique_ptr<LanguageModel>> LoadDescribed(const std::string& path,
                                                             Description description,
                                                             const ModelLoadOptions& options,
                                                             kernels::Device* device) {
  ModelConfig& config = description.config;
  SSMD_RETURN_IF_ERROR(CheckPrefill(options, config.architecture, description.stack));
  if (options.weights) SSMD_RETURN_IF_ERROR(CheckKept(*device, *options.weights));

  SSMD_ASSIGN_OR_RETURN(const Checkpoint checkpoint, Checkpoint::Open(path));
  TensorBinder binder(&checkpoint);
  auto model =
      std::make_unique<ResidualModel>(config, std::move(description.stack), options.state, &binder);
  SSMD_RETURN_IF_ERROR(binder.Finish());
  SSMD_RETURN_IF_ERROR(CheckState(options, config.architecture, model->state_layout()));

  const kernels::WeightFormat format = options.weights.value_or(FormatOfFile(binder));
  int64_t bytes = 0;
  for (const TensorInfo* tensor : binder.bound()) bytes += static_cast<int64_t>(tensor->bytes);
  WeightLoader loader(device, format, bytes, options.progress);
  loader.set_prepares_chunks(options.prefill != Prefill::kExact);
  const WeightCacheKey key = {config.Describe() + model->stack().Describe(), checkpoint.identity(),
                              format};
  PosixFileSystem files;
  WeightCache cache(options.cache_files != nullptr ? options.cache_files : &files,
                    options.cache_dir, path, key, *device, &loader);
  SSMD_RETURN_IF_ERROR(model->Prepare(options, device, &loader));
  if (const auto problem = cache.Finish()) config.warnings.push_back(*problem);
  ModelInfo info = MakeInfo(config, model->stack(), binder, loader);
  if (options.prefill != Prefill::kExact) info.chunk_tokens = model->stack().chunk_tokens();
  info.state = kernels::StateFormatName(options.state);
  info.weight_cache = cache.file();
  info.weights_from_cache = cache.was_read();
  model->set_info(std::move(info));
  return model;
}

// A folder by its configuration; one of RWKV's may go without.
absl::StatusOr<std::unique_ptr<LanguageModel>> LoadFolder(const std::string& path,
                                                          const ModelLoadOptions& options,
                                                          kernels::Device* device) {
  SSMD_RETURN_IF_ERROR(CheckIsFolder(path));
  const absl::StatusOr<NamedDocument> found = ReadModelConfig(path);
  if (absl::IsNotFound(found.status())) {
    const absl::StatusOr<Checkpoint> checkpoint = Checkpoint::Open(path);
    if (absl::IsInvalidArgument(checkpoint.status())) return checkpoint.status();
    if (checkpoint.ok() && IsRwkv(*checkpoint)) {
      SSMD_ASSIGN_OR_RETURN(Description description, DescribeRwkv(*checkpoint, false));
      return LoadDescribed(path, std::move(description), options, device);
    }
  }
  SSMD_RETURN_IF_ERROR(found.status());
  const ConfigObject root(found->document.root(), absl::StrCat(found->file, ": "));
  if (IsMemoryConfig(root)) {
    SSMD_ASSIGN_OR_RETURN(const MemoryConfig memory, ParseMemoryConfig(root));
    return MakeMemoryModel(memory, options, device);
  }
  SSMD_ASSIGN_OR_RETURN(Description description, DescribeFolder(path, root));
  return LoadDescribed(path, std::move(description), options, device);
}

absl::StatusOr<std::unique_ptr<LanguageModel>> Load(const std::string& path,
                                                    const ModelLoadOptions& options,
                                                    kernels::Device* device) {
  SSMD_RETURN_IF_ERROR(CheckOptions(options));
  if (!IsRegularFile(path)) return LoadFolder(path, options, device);
  SSMD_ASSIGN_OR_RETURN(Description description, DescribeFile(path));
  return LoadDescribed(path, std::move(description), options, device);
}

}  // namespace

std::optional<Prefill> ParsePrefill(absl::string_view name) {
  if (name == "exact") return Prefill::kExact;
  if (name == "chunked") return Prefill::kChunked;
  if (name == "fast") return Prefill::kFast;
  return std::nullopt;
}

absl::StatusOr<std::unique_ptr<LanguageModel>> LoadLanguageModel(const std::string& path,
                                                                 const ModelLoadOptions& options,
                                                                 kernels::Device* device) {
  return UnlessOutOfMemory(load_memory, "load the model",
                           [&] { return Load(path, options, device); });
}

}  // namespace ssmd
