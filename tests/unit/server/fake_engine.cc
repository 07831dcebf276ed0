// See fake_engine.h.
#include "tests/unit/server/fake_engine.h"

#include "absl/strings/str_cat.h"
#include "engine/base/errors.h"

namespace ssmd::server {

FakeEngine::~FakeEngine() {
  MutexLock lock(&mutex_);
  for (const auto& stream : streams_) stream->Finish(absl::UnavailableError("the engine ended"));
}

FakeEngine::Turn FakeEngine::WaitForTurn() {
  MutexLock lock(&mutex_);
  while (turns_.empty()) changed_.Wait(&mutex_);
  Turn turn = std::move(turns_.front());
  turns_.pop_front();
  return turn;
}

FakeEngine::ScoreDone FakeEngine::WaitForScore() {
  MutexLock lock(&mutex_);
  while (scores_.empty()) changed_.Wait(&mutex_);
  ScoreDone done = std::move(scores_.front());
  scores_.pop_front();
  return done;
}

FakeEngine::Encoding FakeEngine::WaitForEncoding() {
  MutexLock lock(&mutex_);
  while (encodings_.empty()) changed_.Wait(&mutex_);
  Encoding encoding = std::move(encodings_.front());
  encodings_.pop_front();
  return encoding;
}

void FakeEngine::WaitForReadingCancelled() {
  MutexLock lock(&mutex_);
  while (readings_cancelled_ == 0) changed_.Wait(&mutex_);
}

void FakeEngine::RefuseNext(absl::Status status) {
  MutexLock lock(&mutex_);
  refusal_ = std::move(status);
}

void FakeEngine::HoldPulse(bool held) {
  MutexLock lock(&mutex_);
  pulse_held_ = held;
}

uint64_t FakeEngine::Pulse() {
  MutexLock lock(&mutex_);
  return pulse_held_ ? pulse_ : ++pulse_;
}

bool FakeEngine::draining() const {
  MutexLock lock(&mutex_);
  return draining_;
}

std::vector<std::string> FakeEngine::session_calls() const {
  MutexLock lock(&mutex_);
  return session_calls_;
}

absl::StatusOr<std::shared_ptr<OutputStream>> FakeEngine::Generate(GenerateRequest request,
                                                                   std::string request_id) {
  MutexLock lock(&mutex_);
  if (draining_) {
    return WithReason(absl::UnavailableError("the server is draining"), reason::kDraining);
  }
  if (refusal_.has_value()) return *std::exchange(refusal_, std::nullopt);
  // The stream's own callback must not keep the stream.
  auto self = std::make_shared<std::weak_ptr<OutputStream>>();
  auto stream = std::make_shared<OutputStream>(capacity_events_, [self] {
    const auto locked = self->lock();
    if (locked != nullptr && locked->cancelled()) {
      locked->Finish(absl::CancelledError("the caller gave up"));
    }
  });
  *self = stream;
  streams_.push_back(stream);
  turns_.push_back(Turn{std::move(request), std::move(request_id), stream});
  changed_.NotifyAll();
  return stream;
}

absl::StatusOr<std::shared_ptr<OutputStream>> FakeEngine::Append(AppendRequest /*request*/,
                                                                 std::string /*request_id*/) {
  return absl::FailedPreconditionError("no memory");
}

absl::StatusOr<MemoryConfig> FakeEngine::MemoryOf(const std::string& /*model*/) const {
  return absl::FailedPreconditionError("no memory");
}

void FakeEngine::ReadMemory(const std::string& /*tenant*/, const std::string& /*session_id*/,
                            MemoryQuery /*query*/,
                            std::function<void(absl::StatusOr<MemoryReading>)> done) {
  done(absl::FailedPreconditionError("no memory"));
}

std::function<void()> FakeEngine::Score(ScoreRequest /*request*/, std::string /*request_id*/,
                                        ScoreDone done) {
  MutexLock lock(&mutex_);
  if (refusal_.has_value()) {
    done(*std::exchange(refusal_, std::nullopt));
    return [] {};
  }
  scores_.push_back(std::move(done));
  changed_.NotifyAll();
  return CountCancel();
}

std::function<void()> FakeEngine::Encode(EncodeRequest request, std::string /*request_id*/,
                                         std::function<void(absl::StatusOr<EncodeResult>)> done) {
  MutexLock lock(&mutex_);
  if (refusal_.has_value()) {
    done(*std::exchange(refusal_, std::nullopt));
    return [] {};
  }
  encodings_.push_back({std::move(request), std::move(done)});
  changed_.NotifyAll();
  return CountCancel();
}

std::function<void()> FakeEngine::CountCancel() {
  return [this] {
    MutexLock lock(&mutex_);
    ++readings_cancelled_;
    changed_.NotifyAll();
  };
}

absl::StatusOr<std::vector<int32_t>> FakeEngine::Tokenize(const std::string& /*model*/,
                                                          const std::string& text,
                                                          bool parse_special) const {
  std::vector<int32_t> ids(text.begin(), text.end());
  if (parse_special) ids.push_back(1000);
  return ids;
}

absl::StatusOr<std::string> FakeEngine::Detokenize(const std::string& /*model*/,
                                                   const std::vector<int32_t>& token_ids) const {
  return std::string(token_ids.begin(), token_ids.end());
}

std::string FakeEngine::TokenBytes(const std::string& model, int32_t token_id) const {
  return absl::StrCat(model, ":", token_id);
}

std::vector<ServedModel> FakeEngine::Models() const {
  ServedModel model;
  model.name = std::string("m");
  model.info.architecture = std::string("mamba");
  model.info.vocabulary = 300;
  return {model};
}

std::vector<ModelStats> FakeEngine::Stats() const {
  ModelStats stats;
  stats.model = std::string("m");
  stats.running = 2;
  stats.waiting = 1;
  stats.slots_used = 3;
  stats.slots_free = 5;
  stats.sessions = 4;
  stats.session_tiers = {{StateTier::kHost, 3}};
  return {stats};
}

void FakeEngine::Drain() {
  MutexLock lock(&mutex_);
  draining_ = true;
}

bool FakeEngine::Drained() const { return false; }

void FakeEngine::Record(std::string call) const {
  MutexLock lock(&mutex_);
  session_calls_.push_back(std::move(call));
}

}  // namespace ssmd::server
