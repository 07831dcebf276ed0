#include "engine/engine.h"

#include <algorithm>
#include <set>
#include <utility>

#include "absl/strings/str_format.h"
#include "engine/base/errors.h"
#include "engine/base/status_macros.h"
#include "engine/engine_internal.h"
#include "engine/serving_engine.h"

namespace ssmd {
namespace {

constexpr int kSlotsMin = 2;  // one that a session holds, one that its next turn works in
constexpr int kAutomaticSlotsMax = 1024;

absl::Status AtLeast(const char* name, int64_t value, int64_t minimum) {
  if (value >= minimum) return absl::OkStatus();
  return absl::InvalidArgumentError(
      absl::StrFormat("%s must be at least %d, got %d", name, minimum, value));
}

absl::Status CheckLimits(const EngineLimits& limits) {
  if (limits.state_slots != 0) {
    SSMD_RETURN_IF_ERROR(AtLeast("state_slots", limits.state_slots, kSlotsMin));
  }
  SSMD_RETURN_IF_ERROR(AtLeast("state_bytes", limits.state_bytes, 0));
  SSMD_RETURN_IF_ERROR(AtLeast("token_budget", limits.token_budget, 1));
  SSMD_RETURN_IF_ERROR(AtLeast("max_running", limits.max_running, 1));
  SSMD_RETURN_IF_ERROR(AtLeast("max_waiting", limits.max_waiting, 1));
  SSMD_RETURN_IF_ERROR(AtLeast("max_sessions", limits.max_sessions, 0));
  SSMD_RETURN_IF_ERROR(AtLeast("max_history_tokens", limits.max_history_tokens, 1));
  SSMD_RETURN_IF_ERROR(AtLeast("max_choices", limits.max_choices, 1));
  SSMD_RETURN_IF_ERROR(AtLeast("output_events", limits.output_events, 1));
  return absl::OkStatus();
}

int SlotCount(const EngineLimits& limits, size_t bytes_per_slot) {
  if (limits.state_slots != 0) return limits.state_slots;
  const int64_t fit =
      limits.state_bytes / std::max<int64_t>(static_cast<int64_t>(bytes_per_slot), 1);
  return static_cast<int>(std::clamp<int64_t>(fit, kSlotsMin, kAutomaticSlotsMax));
}

absl::StatusOr<std::unique_ptr<ModelInService>> PutInService(LoadedModel loaded,
                                                             const EngineLimits& limits,
                                                             kernels::Device* device) {
  auto service = std::make_unique<ModelInService>();
  service->name = std::move(loaded.name);
  service->model = std::move(loaded.model);
  service->tokenizer = std::move(loaded.tokenizer);
  const StateLayout& layout = service->model->state_layout();
  const int slots = SlotCount(limits, layout.bytes_per_slot());
  SSMD_ASSIGN_OR_RETURN(service->pool, StatePool::Create(device, layout, slots));
  service->admission = std::make_unique<Admission>(service->name, slots, limits.max_waiting);
  service->numerics_profile =
      absl::StrFormat("%s;kernels=%d;weights=%s;state=f32", device->profile(),
                      kernels::kKernelRevision, service->model->info().weights);
  service->token_budget = std::min(limits.token_budget, service->model->max_rows());
  return service;
}

absl::Status CheckModelNames(const std::vector<ModelSpec>& specs) {
  if (specs.empty()) return absl::InvalidArgumentError("no model was given: name at least one");
  std::set<std::string> names;
  for (const ModelSpec& spec : specs) {
    if (spec.name.empty()) return absl::InvalidArgumentError("a model's name must not be empty");
    if (!names.insert(spec.name).second) {
      return absl::InvalidArgumentError(
          absl::StrFormat("the model name %s was given twice", spec.name));
    }
  }
  return absl::OkStatus();
}

// Errors of a model's files name the file; which model's it is, is said here.
absl::Status OfModel(const ModelSpec& spec, const absl::Status& status) {
  return absl::Status(status.code(), absl::StrFormat("model %s (%s): %s", spec.name, spec.directory,
                                                     std::string(status.message())));
}

absl::Status CheckFits(const Tokenizer& tokenizer, int vocabulary) {
  if (tokenizer.size() <= vocabulary) return absl::OkStatus();
  return absl::InvalidArgumentError(absl::StrFormat(
      "tokenizer.json: token ids go up to %d, but the model's vocabulary is %d: the two do not "
      "belong together",
      tokenizer.size() - 1, vocabulary));
}

absl::StatusOr<LoadedModel> Load(const ModelSpec& spec, int token_budget, kernels::Device* device) {
  LoadedModel loaded;
  loaded.name = spec.name;
  ModelLoadOptions options = spec.load;
  options.max_rows = token_budget;
  SSMD_ASSIGN_OR_RETURN(loaded.model, LoadLanguageModel(spec.directory, options, device));
  auto tokenizer = LoadTokenizer(spec.directory);
  if (tokenizer.ok()) {
    loaded.tokenizer = *std::move(tokenizer);
    SSMD_RETURN_IF_ERROR(CheckFits(*loaded.tokenizer, loaded.model->info().vocabulary));
  } else if (!absl::IsNotFound(tokenizer.status())) {
    return tokenizer.status();
  }
  return loaded;
}

}  // namespace

absl::StatusOr<std::unique_ptr<Engine>> MakeEngine(EngineParts parts, std::function<void()>* wake) {
  SSMD_RETURN_IF_ERROR(CheckLimits(parts.limits));
  std::vector<std::unique_ptr<ModelInService>> models;
  for (LoadedModel& loaded : parts.models) {
    SSMD_ASSIGN_OR_RETURN(models.emplace_back(),
                          PutInService(std::move(loaded), parts.limits, parts.device.get()));
  }
  parts.models.clear();
  auto engine = std::make_unique<ServingEngine>(std::move(parts), std::move(models));
  if (wake != nullptr) *wake = [serving = engine.get()] { serving->Wake(); };
  return engine;
}

absl::StatusOr<std::unique_ptr<Engine>> Engine::Create(std::unique_ptr<kernels::Device> device,
                                                       EngineOptions options) {
  SSMD_RETURN_IF_ERROR(CheckModelNames(options.models));
  SSMD_RETURN_IF_ERROR(CheckLimits(options.limits));
  EngineParts parts;
  parts.device = std::move(device);
  parts.limits = options.limits;
  parts.clock = options.clock;
  parts.observer = options.observer;
  for (const ModelSpec& spec : options.models) {
    auto loaded = Load(spec, options.limits.token_budget, parts.device.get());
    if (!loaded.ok()) return OfModel(spec, loaded.status());
    parts.models.push_back(*std::move(loaded));
  }
  return MakeEngine(std::move(parts));
}

}  // namespace ssmd
