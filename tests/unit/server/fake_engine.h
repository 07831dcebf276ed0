// An Engine for tests of the server: it accepts turns and does with them what the test says, by the
// producer's end of each stream. It ends cancelled turns at once, as the engine does within two
// steps.
#ifndef SSMD_TESTS_UNIT_SERVER_FAKE_ENGINE_H_
#define SSMD_TESTS_UNIT_SERVER_FAKE_ENGINE_H_

#include <deque>
#include <functional>
#include <map>
#include <memory>
#include <optional>
#include <string>
#include <utility>
#include <vector>

#include "engine/base/mutex.h"
#include "engine/engine.h"

namespace ssmd::server {

class FakeEngine final : public Engine {
 public:
  struct Turn {
    GenerateRequest request;
    std::string request_id;
    std::shared_ptr<OutputStream> stream;
  };
  using ScoreDone = std::function<void(absl::StatusOr<ScoreResult>)>;

  explicit FakeEngine(size_t capacity_events = 4) : capacity_events_(capacity_events) {}
  ~FakeEngine() override;

  // --- For the test ---
  Turn WaitForTurn();                    // the oldest that was not returned yet
  ScoreDone WaitForScore();              // likewise; call it once
  void WaitForScoreCancelled();          // until some score call was cancelled
  void RefuseNext(absl::Status status);  // the next Generate or Score
  bool draining() const;
  std::vector<std::string> session_calls() const;  // "create tenant model", …

  // --- Engine ---
  absl::StatusOr<std::shared_ptr<OutputStream>> Generate(GenerateRequest request,
                                                         std::string request_id) override;
  std::function<void()> Score(ScoreRequest request, std::string request_id,
                              ScoreDone done) override;
  absl::StatusOr<std::vector<int32_t>> Tokenize(const std::string& model, const std::string& text,
                                                bool parse_special) const override;
  absl::StatusOr<std::string> Detokenize(const std::string& model,
                                         const std::vector<int32_t>& token_ids) const override;
  std::string TokenBytes(const std::string& model, int32_t token_id) const override;
  absl::StatusOr<SessionInfo> CreateSession(const std::string& tenant,
                                            const std::string& model) override;
  absl::StatusOr<SessionInfo> GetSession(const std::string& tenant,
                                         const std::string& session_id) const override;
  absl::StatusOr<SessionPage> ListSessions(const std::string& tenant, const std::string& model,
                                           int page_size,
                                           const std::string& page_token) const override;
  absl::Status DeleteSession(const std::string& tenant, const std::string& session_id,
                             std::optional<uint64_t> expected_revision) override;
  std::vector<ServedModel> Models() const override;
  std::vector<ModelStats> Stats() const override;
  void Drain() override;
  bool Drained() const override;

 private:
  void Record(std::string call) const;

  const size_t capacity_events_;
  mutable Mutex mutex_;
  CondVar changed_;
  std::deque<Turn> turns_ ABSL_GUARDED_BY(mutex_);
  std::vector<std::shared_ptr<OutputStream>> streams_ ABSL_GUARDED_BY(mutex_);
  std::deque<ScoreDone> scores_ ABSL_GUARDED_BY(mutex_);
  int scores_cancelled_ ABSL_GUARDED_BY(mutex_) = 0;
  std::optional<absl::Status> refusal_ ABSL_GUARDED_BY(mutex_);
  bool draining_ ABSL_GUARDED_BY(mutex_) = false;
  mutable std::vector<std::string> session_calls_ ABSL_GUARDED_BY(mutex_);
};

}  // namespace ssmd::server

#endif  // SSMD_TESTS_UNIT_SERVER_FAKE_ENGINE_H_
