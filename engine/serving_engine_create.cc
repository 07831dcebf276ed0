// ServingEngine: its making and its end.
#include <algorithm>
#include <utility>

#include "absl/strings/str_format.h"
#include "engine/base/status_macros.h"
#include "engine/engine_limits.h"
#include "engine/schedule/answer_text.h"
#include "engine/serving_engine.h"
#include "engine/session/recovered_states.h"
#include "engine/state/disk_store.h"
#include "kernels/device.h"

namespace ssmd {
namespace {

std::string NumericsProfile(const kernels::Device& device, const ModelInfo& info) {
  const auto format = kernels::ParseWeightFormat(info.weights);
  std::string profile =
      absl::StrFormat("%s;kernels=%d;weights=%s;state=%s",
                      device.profile(format.value_or(kernels::WeightFormat::kF32)),
                      kernels::kKernelRevision, info.weights, info.state);
  if (info.chunk_tokens > 0)
    absl::StrAppendFormat(&profile, ";prefill=chunked/%d", info.chunk_tokens);
  return profile;
}

}  // namespace

ServingEngine::ServingEngine(EngineParts parts)
    : limits_(parts.limits),
      state_dir_options_(std::move(parts.state_dir)),
      clock_(parts.clock != nullptr ? parts.clock : &steady_clock_),
      observer_(parts.observer),
      device_(std::move(parts.device)),
      host_budget_(parts.limits.host_state_bytes),
      sharing_options_(std::move(parts.sharing)),
      durability_(parts.durability) {}

absl::StatusOr<std::unique_ptr<ServingEngine>> ServingEngine::Create(EngineParts parts) {
  SSMD_RETURN_IF_ERROR(CheckEngineLimits(parts.limits));
  std::vector<LoadedModel> models = std::move(parts.models);
  auto engine = std::unique_ptr<ServingEngine>(new ServingEngine(std::move(parts)));
  SSMD_RETURN_IF_ERROR(engine->OpenStateDir());
  for (size_t i = 0; i < models.size(); ++i) {
    SSMD_RETURN_IF_ERROR(engine->PutInService(std::move(models[i]), models.size() - i));
  }
  SSMD_RETURN_IF_ERROR(engine->OpenSessions());
  SSMD_RETURN_IF_ERROR(engine->OpenSharing());
  engine->StartLoop();
  if (engine->sharing_ != nullptr) engine->sharing_->Start();
  return engine;
}

ServingEngine::~ServingEngine() {
  // Nobody else's sessions come, while there is still a step thread to read states. Then turns end,
  // then what they wrote is applied, then whatever the store still does comes to an end, so that
  // nothing calls back when the sessions let go of their states. Those in the store stay.
  if (sharing_ != nullptr) sharing_->Stop();
  loop_.reset();
  runners_.clear();
  local_log_.reset();
  shared_log_.reset();
  sharing_.reset();
  for (const auto& model : models_) model->tiers->CloseStore();
  store_.reset();
  encoder_.reset();
  if (sessions_ != nullptr) sessions_->SetOnAvailable(nullptr);
  sessions_.reset();
}

absl::Status ServingEngine::OpenStateDir() {
  if (state_dir_options_.path.empty()) return absl::OkStatus();
  SSMD_ASSIGN_OR_RETURN(state_dir_, StateDir::Lock(state_dir_options_.path));
  SSMD_ASSIGN_OR_RETURN(store_,
                        OpenDiskStore({state_dir_->states_path(), state_dir_options_.disk_bytes}));
  return absl::OkStatus();
}

absl::Status ServingEngine::PutInService(LoadedModel loaded, size_t models_left) {
  auto service = std::make_unique<ModelInService>();
  service->name = std::move(loaded.name);
  service->model = std::move(loaded.model);
  service->tokenizer = std::move(loaded.tokenizer);
  if (const auto& memory = service->model->info().memory; memory.has_value()) {
    service->memory = std::make_unique<MemoryReader>(*memory, service->model->state_layout());
  }
  service->chat = std::move(loaded.chat);
  service->no_chat = std::move(loaded.no_chat);
  service->warnings = std::move(loaded.warnings);
  service->token_budget = std::min(limits_.token_budget, service->model->max_rows());
  service->prompt_budget = limits_.prompt_budget;
  service->max_history_tokens = limits_.max_history_tokens;
  const StateLayout& layout = service->model->state_layout();
  std::optional<size_t> free_bytes = device_->free_bytes();
  if (free_bytes) *free_bytes /= models_left;
  const int slots = SlotCount(limits_, layout.bytes_per_slot(), free_bytes);
  auto pool = StatePool::Create(device_.get(), layout, slots);
  if (!pool.ok()) return WithDeviceFailure(*device_, pool.status());
  service->pool = *std::move(pool);
  service->identity.fingerprint = service->model->info().fingerprint;
  service->identity.layout = layout.Describe();
  service->identity.numerics_profile = NumericsProfile(*device_, service->model->info());

  const ModelInService* model = service.get();
  StateTiers::Options tiers;
  tiers.pool = service->pool.get();
  tiers.host = &host_budget_;
  tiers.store = store_.get();
  tiers.identity = service->identity;
  tiers.wake = [waker = waker_] { waker->Wake(); };
  tiers.relief = [this, model] {
    return (sessions_ != nullptr && sessions_->DropTurnEndState()) ||
           (model->prefixes != nullptr && model->prefixes->EvictOne());
  };
  tiers.on_eviction = [this, model](StateTier left) {
    if (observer_ != nullptr) observer_->OnEviction(model->name, left);
  };
  tiers.on_unreadable = [this, model](const std::string& stored_id, const absl::Status& why) {
    if (observer_ != nullptr) observer_->OnUnreadableState(model->name, stored_id, why);
  };
  service->tiers = std::make_unique<StateTiers>(std::move(tiers));
  if (limits_.prefix_cache_bytes > 0) {
    service->prefixes = std::make_unique<PrefixTree>(
        PrefixTreeOptions{limits_.prefix_cache_bytes, limits_.prefix_grid_tokens, clock_});
  }

  AdmissionOptions admission;
  admission.model = service->name;
  admission.slots = slots;
  admission.max_waiting = limits_.max_waiting;
  admission.max_queue_time = limits_.max_queue_time;
  admission.states_max =
      StatesMax(limits_, state_dir_options_, slots, service->pool->bytes_per_slot());
  admission.states_held = [this, model] { return sessions_->StatesOf(model->name); };
  service->admission = std::make_unique<Admission>(std::move(admission));
  models_.push_back(std::move(service));
  return absl::OkStatus();
}

std::vector<ModelOfSessions> ServingEngine::ModelsOfSessions() const {
  std::vector<ModelOfSessions> models;
  for (const auto& model : models_) {
    ModelOfSessions& served = models.emplace_back();
    served.name = model->name;
    served.fingerprint = model->identity.fingerprint;
    served.state_bytes = static_cast<int64_t>(model->pool->bytes_per_slot());
    if (model->tokenizer == nullptr) continue;
    served.text_remainder = [tokenizer = model->tokenizer.get()](const History& history,
                                                                 int64_t length) {
      return TextRemainder(*tokenizer, history, length);
    };
  }
  return models;
}

absl::Status ServingEngine::OpenSessions() {
  sessions_ = std::make_unique<SessionTable>(limits_.sessions, ModelsOfSessions());
  if (state_dir_.has_value()) {
    SessionLogOptions options;
    options.compact_bytes = state_dir_options_.compact_bytes;
    options.log.directory = state_dir_->log_path();
    SSMD_ASSIGN_OR_RETURN(const std::vector<std::string> stored, store_->List());
    options.log.must_exist = !stored.empty();  // a log is there before the first state is
    SSMD_ASSIGN_OR_RETURN(local_log_,
                          SessionLog::Open(options, sessions_.get(), NameStates(stored)));
    RecoveryRecord recovery;
    for (const auto& model : models_) recovery.sessions += sessions_->CountOf(model->name);
    recovery.torn_bytes = local_log_->figures().torn_bytes;
    recovery.removed_states =
        BindStates(sessions_.get(), store_.get(), stored, [this](const std::string& name) {
          const auto model = FindModel(name);
          return model.ok() ? models_[*model]->tiers.get() : nullptr;
        });
    if (observer_ != nullptr) observer_->OnRecovered(recovery);
  } else {
    local_log_ = SessionLog::InMemory(sessions_.get());
  }
  log_ = local_log_.get();
  sessions_->SetOnAvailable([waker = waker_] { waker->Wake(); });
  return absl::OkStatus();
}

void ServingEngine::StartLoop() {
  encoder_.emplace();
  std::vector<ModelRunner*> runners;
  for (const auto& model : models_) {
    ModelRunner::Context context;
    context.model = model.get();
    context.device = device_.get();
    context.log = log_;
    context.clock = clock_;
    context.observer = observer_;
    context.wake = [waker = waker_] { waker->Wake(); };
    context.deliveries = deliveries_.get();
    runners_.push_back(std::make_unique<ModelRunner>(
        std::move(context),
        RunnerLimits{limits_.max_running, limits_.slow_reader_timeout, limits_.ageing}));
    runners.push_back(runners_.back().get());
  }
  loop_ = std::make_unique<StepLoop>(std::move(runners), clock_, waker_, deliveries_);
  loop_->Post([device = device_.get(), deliveries = deliveries_] {
    device->AdoptThread();
    if (device->runs_ahead()) deliveries->PutOff();
  });
}

}  // namespace ssmd
