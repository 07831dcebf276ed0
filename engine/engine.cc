#include "engine/engine.h"

#include <set>
#include <utility>

#include "absl/strings/str_format.h"
#include "engine/base/errors.h"
#include "engine/base/fault_point.h"
#include "engine/base/status_macros.h"
#include "engine/engine_internal.h"
#include "engine/engine_limits.h"
#include "engine/serving_engine.h"

namespace ssmd {
namespace {

FaultPoint text_memory("memory.load_text", FaultPoint::Kind::kAllocation);

absl::Status CheckModels(const std::vector<ModelSpec>& specs) {
  if (specs.empty()) return absl::InvalidArgumentError("no model was given: name at least one");
  std::set<std::string> names;
  for (const ModelSpec& spec : specs) {
    if (spec.name.empty()) return absl::InvalidArgumentError("a model's name must not be empty");
    if (!names.insert(spec.name).second) {
      return absl::InvalidArgumentError(
          absl::StrFormat("the model name %s was given twice", spec.name));
    }
    if (!IsChatChoice(spec.chat)) {
      return absl::InvalidArgumentError(
          absl::StrFormat("the chat format of model %s must be one of %s, got %s", spec.name,
                          ChatChoices(), spec.chat));
    }
  }
  return absl::OkStatus();
}

// Errors of a model's files name the file; which model's it is, is said here.
absl::Status OfModel(const ModelSpec& spec, const absl::Status& status) {
  return absl::Status(status.code(), absl::StrFormat("model %s (%s): %s", spec.name, spec.path,
                                                     std::string(status.message())));
}

absl::Status CheckFits(const Tokenizer& tokenizer, int vocabulary) {
  if (tokenizer.size() <= vocabulary) return absl::OkStatus();
  return absl::InvalidArgumentError(absl::StrFormat(
      "the tokenizer's token ids go up to %d, but the model's vocabulary is %d: the two do not "
      "belong together",
      tokenizer.size() - 1, vocabulary));
}

// Heads are padded to round sizes, so that this is no error; it is one's only sign of a tokenizer
// that is another model's.
void WarnOfIdsWithoutText(LoadedModel* loaded) {
  const int vocabulary = loaded->model->info().vocabulary;
  const int named = loaded->tokenizer->size();
  if (loaded->model->info().memory.has_value() || named >= vocabulary) return;
  loaded->warnings.push_back(absl::StrFormat(
      "the tokenizer has token ids up to %d, and the model's vocabulary is %d: ids from %d to %d "
      "may "
      "be sampled and have no text; they count as tokens, and the model goes on from them. That is "
      "as it should be where they are padding; else the tokenizer is of another model",
      named - 1, vocabulary, named, vocabulary - 1));
}

absl::Status CheckChat(const ModelSpec& spec, const LoadedModel& loaded) {
  if (spec.chat == kChatAuto) return absl::OkStatus();
  const char* why = nullptr;
  if (loaded.model->info().memory.has_value()) {
    why = "a memory has no text";
  } else if (loaded.tokenizer == nullptr) {
    why = "the model has no tokenizer";
  }
  if (why == nullptr) return absl::OkStatus();
  return absl::InvalidArgumentError(
      absl::StrFormat("chat=%s: %s, and so no chats; leave it out", spec.chat, why));
}

// A template that cannot be used is no reason not to serve the model.
void LoadChat(const ModelSpec& spec, LoadedModel* loaded) {
  if (loaded->tokenizer == nullptr) return;
  if (spec.chat == kChatNone) {
    loaded->no_chat = "chats are turned off for it";
    return;
  }
  auto chat = UnlessOutOfMemory(text_memory, "load it", [&] {
    return LoadChatFormat(spec.path, spec.chat, loaded->tokenizer.get());
  });
  if (chat.ok()) {
    loaded->chat = *std::move(chat);
    return;
  }
  loaded->no_chat =
      absl::StrFormat("its chat template cannot be used: %s", std::string(chat.status().message()));
  loaded->warnings.push_back(absl::StrFormat(
      "%s; chats are refused, unless a built-in format is chosen with --model-option %s.chat=…",
      loaded->no_chat, spec.name));
}

absl::StatusOr<LoadedModel> Load(const ModelSpec& spec, int token_budget, kernels::Device* device) {
  LoadedModel loaded;
  loaded.name = spec.name;
  ModelLoadOptions options = spec.load;
  options.max_rows = token_budget;
  SSMD_ASSIGN_OR_RETURN(loaded.model, LoadLanguageModel(spec.path, options, device));
  auto tokenizer = UnlessOutOfMemory(text_memory, "load the tokenizer",
                                     [&] { return LoadTokenizer(spec.path); });
  if (tokenizer.ok()) {
    loaded.tokenizer = *std::move(tokenizer);
    SSMD_RETURN_IF_ERROR(CheckFits(*loaded.tokenizer, loaded.model->info().vocabulary));
    WarnOfIdsWithoutText(&loaded);
  } else if (!absl::IsNotFound(tokenizer.status())) {
    return tokenizer.status();
  }
  SSMD_RETURN_IF_ERROR(CheckChat(spec, loaded));
  LoadChat(spec, &loaded);
  return loaded;
}

}  // namespace

absl::Status WithDeviceFailure(const kernels::Device& device, const absl::Status& status) {
  const std::string failure = device.failure();
  if (failure.empty()) return status;
  return absl::UnavailableError(absl::StrFormat("the device failed: %s", failure));
}

absl::StatusOr<std::unique_ptr<Engine>> MakeEngine(EngineParts parts, std::function<void()>* wake) {
  SSMD_ASSIGN_OR_RETURN(std::unique_ptr<ServingEngine> engine,
                        ServingEngine::Create(std::move(parts)));
  if (wake != nullptr) *wake = [serving = engine.get()] { serving->Wake(); };
  return std::unique_ptr<Engine>(std::move(engine));
}

absl::StatusOr<std::unique_ptr<Engine>> Engine::Create(std::unique_ptr<kernels::Device> device,
                                                       EngineOptions options) {
  SSMD_RETURN_IF_ERROR(CheckModels(options.models));
  SSMD_RETURN_IF_ERROR(CheckEngineLimits(options.limits));
  EngineParts parts;
  parts.device = std::move(device);
  parts.limits = options.limits;
  parts.state_dir = std::move(options.state_dir);
  parts.sharing = std::move(options.sharing);
  parts.durability = options.durability;
  parts.clock = options.clock;
  parts.observer = options.observer;
  for (const ModelSpec& spec : options.models) {
    auto loaded = Load(spec, options.limits.token_budget, parts.device.get());
    if (!loaded.ok()) return OfModel(spec, WithDeviceFailure(*parts.device, loaded.status()));
    parts.models.push_back(*std::move(loaded));
  }
  return MakeEngine(std::move(parts));
}

}  // namespace ssmd
