#include "engine/serving_engine.h"

#include <algorithm>
#include <utility>

#include "absl/strings/str_format.h"
#include "engine/base/errors.h"
#include "engine/base/model_name.h"
#include "engine/base/secure_random.h"
#include "engine/base/status_macros.h"
#include "engine/schedule/prepare.h"

namespace ssmd {
// --- Turns ---

absl::StatusOr<size_t> ServingEngine::FindModel(const std::string& name) const {
  if (name.empty() && models_.size() == 1) return size_t{0};
  for (size_t i = 0; i < models_.size(); ++i) {
    if (models_[i]->name == name) return i;
  }
  if (!name.empty()) return NoSuchModel(name);
  return InvalidField(absl::StrFormat("model must be named where several are served: one of %s",
                                      ListModelNames(ModelNames())));
}

std::vector<std::string> ServingEngine::ModelNames() const {
  std::vector<std::string> names;
  for (const auto& model : models_) names.push_back(model->name);
  return names;
}

absl::StatusOr<size_t> ServingEngine::ModelOfSession(const std::string& tenant,
                                                     const std::string& session_id,
                                                     const std::string& asked) const {
  SSMD_ASSIGN_OR_RETURN(const SessionInfo session, sessions_->Get(tenant, session_id));
  if (!asked.empty() && asked != session.model) {
    return InvalidField(absl::StrFormat("session %s is of model %s, not of the one asked for",
                                        session.session_id, session.model));
  }
  return FindModel(session.model);
}

std::shared_ptr<OutputStream> ServingEngine::MakeStream() const {
  return std::make_shared<OutputStream>(
      static_cast<size_t>(limits_.output_events), [waker = waker_] { waker->Wake(); }, deliveries_);
}

TurnHead ServingEngine::MakeHead(std::string request_id, std::string tenant,
                                 std::optional<TimePoint> deadline) {
  TurnHead head;
  head.request_id = std::move(request_id);
  head.tenant = std::move(tenant);
  head.deadline = deadline;
  head.submitted = clock_->Now();
  head.sequence = next_sequence_.fetch_add(1);
  return head;
}

absl::StatusOr<PreparedGeneration> ServingEngine::PrepareGeneration(const ModelInService& model,
                                                                    GenerateRequest* request,
                                                                    TurnHead* head) {
  if (request->choices < 1 || request->choices > limits_.max_choices) {
    return InvalidField(
        absl::StrFormat("n must be in [1, %d], got %d", limits_.max_choices, request->choices));
  }
  SSMD_RETURN_IF_ERROR(CheckAgainstModel(model, *request));
  PreparedGeneration prepared;
  int new_states = 0;
  const bool on_session = !request->session_id.empty();
  if (on_session) {
    SSMD_ASSIGN_OR_RETURN(
        prepared.lease, sessions_->Enqueue(request->tenant, request->session_id, request->when_busy,
                                           request->expected_revision, request->key));
    SSMD_ASSIGN_OR_RETURN(const SessionInfo session,
                          sessions_->Get(request->tenant, request->session_id));
    new_states = request->choices > 1 ? request->choices : session.position == 0 ? 1 : 0;
  } else if (request->expected_revision.has_value()) {
    return InvalidField("expected_revision is given without a session");
  }
  // Before the work of reading the prompt, so that an overloaded server refuses cheaply.
  head->working_slots = request->choices;
  std::optional<Duration> time_left;
  if (head->deadline.has_value()) time_left = *head->deadline - head->submitted;
  SSMD_ASSIGN_OR_RETURN(head->ticket,
                        model.admission->Admit(request->choices, new_states, time_left));
  if (on_session && request->choices > 1) {
    SSMD_ASSIGN_OR_RETURN(prepared.reservation,
                          sessions_->Reserve(request->tenant, model.name, request->choices));
  }
  SSMD_ASSIGN_OR_RETURN(prepared.prompt,
                        ReadPrompt(model, request->prompt, request->parse_special, on_session));
  head->prompt_tokens = static_cast<int64_t>(prepared.prompt.longest());
  prepared.sampling = std::move(request->sampling);
  if (!prepared.sampling.seed.has_value()) prepared.sampling.seed = SecureRandom64();
  prepared.stops = MakeStopRules(model, request->stop, request->max_tokens,
                                 std::holds_alternative<ChatPrompt>(request->prompt));
  prepared.choices = request->choices;
  prepared.echo = request->echo;
  prepared.top_logprobs = request->top_logprobs;
  prepared.commit = request->commit;
  prepared.key = std::move(request->key);
  prepared.expected_revision = request->expected_revision;
  return prepared;
}

absl::StatusOr<std::shared_ptr<OutputStream>> ServingEngine::Generate(GenerateRequest request,
                                                                      std::string request_id) {
  return StartOnSession(std::move(request), std::move(request_id), &ServingEngine::StartGeneration);
}

absl::Status ServingEngine::StartGeneration(GenerateRequest request, std::string request_id,
                                            const std::shared_ptr<OutputStream>& stream) {
  SSMD_ASSIGN_OR_RETURN(const size_t index,
                        request.session_id.empty()
                            ? FindModel(request.model)
                            : ModelOfSession(request.tenant, request.session_id, request.model));
  SSMD_RETURN_IF_ERROR(CheckIsLanguageModel(*models_[index]));
  return StartTurn(index, std::move(request), std::move(request_id), stream);
}

absl::Status ServingEngine::StartTurn(size_t index, GenerateRequest request, std::string request_id,
                                      std::shared_ptr<OutputStream> stream) {
  SSMD_ASSIGN_OR_RETURN(const bool answered, FindAnswer(index, request, request_id, stream));
  if (answered) return absl::OkStatus();
  const ModelInService& model = *models_[index];
  TurnHead head = MakeHead(std::move(request_id), request.tenant, request.deadline);
  head.trace_id = request.trace_id;
  head.session_id = request.session_id;
  head.priority = request.priority;
  head.durability = request.durability;
  SSMD_ASSIGN_OR_RETURN(PreparedGeneration prepared, PrepareGeneration(model, &request, &head));
  prepared.stream = std::move(stream);
  auto turn =
      std::make_unique<GenerateTurn>(std::move(head), std::move(prepared), &model, sessions_.get());
  SSMD_RETURN_IF_ERROR(turn->CheckAtOnce());
  loop_->Post(runners_[index].get(), std::move(turn));
  return absl::OkStatus();
}

template <typename Request>
absl::StatusOr<ReadStart> ServingEngine::StartRead(const ModelInService& model, Request& request,
                                                   std::string request_id) {
  SSMD_RETURN_IF_ERROR(CheckIsLanguageModel(model));
  ReadStart start;
  start.head = MakeHead(std::move(request_id), std::move(request.tenant), request.deadline);
  SSMD_ASSIGN_OR_RETURN(start.head.ticket, model.admission->Admit(1, 0, std::nullopt));
  Prompt prompt = std::visit([](auto& value) { return Prompt(std::move(value)); }, request.prompt);
  SSMD_ASSIGN_OR_RETURN(PromptTokens read,
                        ReadPrompt(model, prompt, request.parse_special, /*on_session=*/false));
  start.token_ids = std::move(read.at_start);
  const auto tokens = static_cast<int64_t>(start.token_ids.size());
  SSMD_RETURN_IF_ERROR(CheckHistoryLength(0, tokens, 0, limits_.max_history_tokens));
  start.head.prompt_tokens = tokens;
  start.numerics_profile = model.identity.numerics_profile;
  return start;
}

absl::StatusOr<std::unique_ptr<Turn>> ServingEngine::MakeTurn(
    const ModelInService& model, ScoreRequest request, std::string request_id,
    std::shared_ptr<const std::atomic<bool>> cancelled, const ScoreTurn::Done& done) {
  if (request.top_logprobs < 0 || request.top_logprobs > kernels::kMaxTopLogprobs) {
    return InvalidField(absl::StrFormat("top_logprobs must be in [0, %d], got %d",
                                        kernels::kMaxTopLogprobs, request.top_logprobs));
  }
  SSMD_ASSIGN_OR_RETURN(ReadStart start, StartRead(model, request, std::move(request_id)));
  if (start.token_ids.size() < 2) {
    return InvalidField(absl::StrFormat(
        "the prompt must have at least 2 tokens to be scored, got %d", start.token_ids.size()));
  }
  start.cancelled = std::move(cancelled);
  return std::make_unique<ScoreTurn>(std::move(start), request.top_logprobs, done);
}

absl::StatusOr<std::unique_ptr<Turn>> ServingEngine::MakeTurn(
    const ModelInService& model, EncodeRequest request, std::string request_id,
    std::shared_ptr<const std::atomic<bool>> cancelled, const EncodeTurn::Done& done) {
  SSMD_ASSIGN_OR_RETURN(ReadStart start, StartRead(model, request, std::move(request_id)));
  if (start.token_ids.empty()) {
    return InvalidField("the prompt has no token: give at least one to encode");
  }
  start.cancelled = std::move(cancelled);
  return std::make_unique<EncodeTurn>(std::move(start), request.pooling, request.normalize,
                                      model.model->info().d_model, done);
}

template <typename Request, typename Done>
std::function<void()> ServingEngine::Read(Request request, std::string request_id,
                                          const Done& done) {
  const auto index = FindModel(request.model);
  if (!index.ok()) {
    done(index.status());
    return [] {};
  }
  // Shared by the turn and by the caller who may cancel it, whichever is there longer.
  const auto cancelled = std::make_shared<std::atomic<bool>>(false);
  auto turn =
      MakeTurn(*models_[*index], std::move(request), std::move(request_id), cancelled, done);
  if (!turn.ok()) {
    done(turn.status());
    return [] {};
  }
  loop_->Post(runners_[*index].get(), *std::move(turn));
  return [cancelled, waker = waker_] {
    *cancelled = true;
    waker->Wake();
  };
}

std::function<void()> ServingEngine::Score(ScoreRequest request, std::string request_id,
                                           std::function<void(absl::StatusOr<ScoreResult>)> done) {
  return Read(std::move(request), std::move(request_id), done);
}

std::function<void()> ServingEngine::Encode(
    EncodeRequest request, std::string request_id,
    std::function<void(absl::StatusOr<EncodeResult>)> done) {
  return Read(std::move(request), std::move(request_id), done);
}

// --- Text ---

absl::StatusOr<std::vector<int32_t>> ServingEngine::Tokenize(const std::string& model,
                                                             const std::string& text,
                                                             bool parse_special) const {
  SSMD_ASSIGN_OR_RETURN(const size_t index, FindModel(model));
  SSMD_RETURN_IF_ERROR(CheckIsLanguageModel(*models_[index]));
  const Tokenizer* tokenizer = models_[index]->tokenizer.get();
  if (tokenizer == nullptr) {
    return InvalidField(absl::StrFormat("model %s has no tokenizer", models_[index]->name));
  }
  return tokenizer->Encode(text, EncodeOptions{parse_special});
}

absl::StatusOr<std::string> ServingEngine::Detokenize(const std::string& model,
                                                      const std::vector<int32_t>& token_ids) const {
  SSMD_ASSIGN_OR_RETURN(const size_t index, FindModel(model));
  SSMD_RETURN_IF_ERROR(CheckIsLanguageModel(*models_[index]));
  const Tokenizer* tokenizer = models_[index]->tokenizer.get();
  if (tokenizer == nullptr) {
    return InvalidField(absl::StrFormat("model %s has no tokenizer", models_[index]->name));
  }
  SSMD_RETURN_IF_ERROR(CheckTokenIds(*models_[index], "token_ids", token_ids));
  // Here special tokens are shown: the caller asks what these ids are.
  Detokenizer detokenizer;
  std::string text;
  for (const int32_t id : token_ids) text += detokenizer.Push(tokenizer->TokenBytes(id));
  return text + detokenizer.Flush();
}

std::string ServingEngine::TokenBytes(const std::string& model, int32_t token_id) const {
  const auto index = FindModel(model);
  if (!index.ok() || models_[*index]->tokenizer == nullptr) return {};
  return std::string(models_[*index]->tokenizer->TokenBytes(token_id));
}

// --- Figures and the end ---

std::vector<ServedModel> ServingEngine::Models() const {
  std::vector<ServedModel> served;
  for (const auto& model : models_) {
    ServedModel& entry = served.emplace_back();
    entry.name = model->name;
    entry.info = model->model->info();
    entry.info.warnings.insert(entry.info.warnings.end(), model->warnings.begin(),
                               model->warnings.end());
    entry.has_tokenizer = model->tokenizer != nullptr;
    entry.chat_format = model->chat != nullptr ? model->chat->name() : kChatNone;
    entry.device = device_->name();
    entry.numerics_profile = model->identity.numerics_profile;
    entry.state_slots = model->pool->slots();
    entry.state_bytes_per_session = static_cast<int64_t>(model->pool->bytes_per_slot());
    entry.token_budget = model->token_budget;
    entry.max_history_tokens = limits_.max_history_tokens;
  }
  return served;
}

std::vector<ModelStats> ServingEngine::Stats() const {
  std::vector<ModelStats> all;
  for (size_t i = 0; i < models_.size(); ++i) {
    ModelStats stats = runners_[i]->stats();
    stats.waiting = models_[i]->admission->waiting();
    stats.waiting_limit = limits_.max_waiting;
    stats.sessions = sessions_->CountOf(stats.model);
    stats.session_tiers = sessions_->TiersOf(stats.model);
    stats.host_bytes_limit = host_budget_.limit();
    all.push_back(std::move(stats));
  }
  return all;
}

void ServingEngine::Drain() {
  for (const auto& model : models_) model->admission->Drain();
}

bool ServingEngine::Drained() const {
  return std::all_of(models_.begin(), models_.end(),
                     [](const auto& model) { return model->admission->drained(); });
}

}  // namespace ssmd
