// ServingEngine: memories of signals. To sessions and the schedule their samples are tokens of a
// turn that samples nothing.
#include <cstring>
#include <utility>

#include "engine/base/status_macros.h"
#include "engine/schedule/prepare.h"
#include "engine/serving_engine.h"

namespace ssmd {
namespace {

// `stored`: of the state that the session holds; null: it holds none, and has consumed nothing.
MemoryReading ReadState(const MemoryReader& reader, const SessionBase& base,
                        const MemoryQuery& query, const StateBytes& stored) {
  std::vector<std::byte> state(reader.state_bytes());
  if (stored != nullptr) std::memcpy(state.data(), stored->data(), state.size());
  std::vector<int32_t> unread;  // after a crash or a rewind: what the next turn feeds again
  for (const LoggedToken token : base.unread) unread.push_back(token.token_id());
  reader.Feed(base.state_position(), unread, state.data());
  MemoryReading reading;
  reading.revision = base.revision;
  reading.samples = base.position / reader.config().channels;
  reading.first_covered = reader.FirstCovered(reading.samples);
  reading.channels = reader.Read(query, reading.samples, state.data());
  return reading;
}

}  // namespace

absl::StatusOr<std::shared_ptr<OutputStream>> ServingEngine::Append(AppendRequest request,
                                                                    std::string request_id) {
  return StartOnSession(std::move(request), std::move(request_id), &ServingEngine::StartAppend);
}

absl::Status ServingEngine::StartAppend(AppendRequest request, std::string request_id,
                                        const std::shared_ptr<OutputStream>& stream) {
  SSMD_ASSIGN_OR_RETURN(const size_t index, ModelOfSession(request.tenant, request.session_id, ""));
  SSMD_RETURN_IF_ERROR(CheckIsMemory(*models_[index]));
  GenerateRequest turn;
  SSMD_ASSIGN_OR_RETURN(turn.prompt, ReadSamples(*models_[index], request.samples));
  turn.tenant = std::move(request.tenant);
  turn.trace_id = std::move(request.trace_id);
  turn.session_id = std::move(request.session_id);
  turn.expected_revision = request.expected_revision;
  turn.when_busy = request.when_busy;
  turn.key = std::move(request.key);
  turn.durability = request.durability;
  turn.deadline = request.deadline;
  turn.max_tokens = 0;
  return StartTurn(index, std::move(turn), std::move(request_id), stream);
}

absl::StatusOr<MemoryConfig> ServingEngine::MemoryOf(const std::string& model) const {
  SSMD_ASSIGN_OR_RETURN(const size_t index, FindModel(model));
  SSMD_RETURN_IF_ERROR(CheckIsMemory(*models_[index]));
  return models_[index]->memory->config();
}

void ServingEngine::ReadMemory(const std::string& tenant, const std::string& session_id,
                               MemoryQuery query,
                               std::function<void(absl::StatusOr<MemoryReading>)> done) {
  WhenHere(tenant, session_id, [=, this](const absl::Status& here) {
    if (here.ok()) {
      ReadMemoryHere(tenant, session_id, query, done);
    } else {
      done(here);
    }
  });
}

void ServingEngine::ReadMemoryHere(const std::string& tenant, const std::string& session_id,
                                   MemoryQuery query,
                                   std::function<void(absl::StatusOr<MemoryReading>)> done) {
  const auto prepare = [&]() -> absl::StatusOr<std::pair<size_t, SessionBase>> {
    SSMD_ASSIGN_OR_RETURN(const size_t index, ModelOfSession(tenant, session_id, ""));
    const ModelInService& model = *models_[index];
    SSMD_RETURN_IF_ERROR(CheckIsMemory(model));
    SSMD_ASSIGN_OR_RETURN(SessionBase base, sessions_->Base(tenant, session_id));
    SSMD_RETURN_IF_ERROR(CheckWholeFrames(model, base.position));
    SSMD_RETURN_IF_ERROR(
        model.memory->Check(query, base.position / model.memory->config().channels));
    return std::pair(index, std::move(base));
  };
  auto prepared = prepare();
  if (!prepared.ok()) {
    done(prepared.status());
    return;
  }
  auto& [index, base] = *prepared;
  const ModelInService& model = *models_[index];
  StateRef state = base.state;
  auto read = [this, reader = model.memory.get(), base = std::move(base), query = std::move(query),
               done = std::move(done)](absl::StatusOr<StateBytes> stored) mutable {
    if (!stored.ok()) {
      done(stored.status());
      return;
    }
    encoder_->Post([reader, base = std::move(base), query = std::move(query),
                    stored = *std::move(stored), done = std::move(done)](bool cancelled) {
      if (cancelled) {
        done(absl::UnavailableError("the server is shutting down"));
      } else {
        done(ReadState(*reader, base, query, stored));
      }
    });
  };
  if (state == nullptr) {
    read(StateBytes());
  } else {
    model.tiers->Fetch(std::move(state), std::move(read));
  }
}

}  // namespace ssmd
