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
  std::string device_failure() const override { return ""; }
  uint64_t Pulse() override;
  struct Turn {
    GenerateRequest request;
    std::string request_id;
    std::shared_ptr<OutputStream> stream;
  };
  using ScoreDone = std::function<void(absl::StatusOr<ScoreResult>)>;
  struct Encoding {
    EncodeRequest request;
    std::function<void(absl::StatusOr<EncodeResult>)> done;
  };
  // A session to be made whose prompt is being read.
  struct Creation {
    CreateSessionRequest request;
    std::function<void(absl::StatusOr<SessionInfo>)> done;
  };

  explicit FakeEngine(size_t capacity_events = 4) : capacity_events_(capacity_events) {}
  ~FakeEngine() override;

  // --- For the test ---
  void HoldPulse(bool held);             // as if a step did not end
  Turn WaitForTurn();                    // the oldest that was not returned yet
  ScoreDone WaitForScore();              // likewise; call it once
  Encoding WaitForEncoding();            // likewise
  void WaitForReadingCancelled();        // until some score or encoding was cancelled
  void RefuseNext(absl::Status status);  // the next Generate, Score or Encode
  bool draining() const;
  std::vector<std::string> session_calls() const;  // "create tenant model", …
  // Sessions with a prompt wait for the test from now on; others are made at once.
  Creation WaitForCreation();
  void WaitForCreationCancelled();
  // Calls that change sessions wait, as for a write of the log, until they may go on.
  void HoldChanges(bool held);
  void WaitForHeldChanges(int count);
  void SetSnapshot(EncodedSnapshot snapshot);  // what exports give
  void SetSnapshotBytesMax(int64_t bytes);
  std::string imported() const;  // the latest snapshot that came
  Engine::ImportOptions import_options() const;
  void SetMaintenance(absl::Status status);
  // Of the shared store; empty: it is well. `refused`: as another process of the same replica.
  void SetStoreTrouble(std::string why, Duration refused = {});
  int maintained() const;  // how often it was called
  void WaitForMaintenance(int count);
  std::optional<TimePoint> store_all_deadline() const;

  // --- Engine ---
  absl::StatusOr<std::shared_ptr<OutputStream>> Generate(GenerateRequest request,
                                                         std::string request_id) override;
  // It serves no memories.
  absl::StatusOr<std::shared_ptr<OutputStream>> Append(AppendRequest request,
                                                       std::string request_id) override;
  absl::StatusOr<MemoryConfig> MemoryOf(const std::string& model) const override;
  void ReadMemory(const std::string& tenant, const std::string& session_id, MemoryQuery query,
                  std::function<void(absl::StatusOr<MemoryReading>)> done) override;
  std::function<void()> Score(ScoreRequest request, std::string request_id,
                              ScoreDone done) override;
  std::function<void()> Encode(EncodeRequest request, std::string request_id,
                               std::function<void(absl::StatusOr<EncodeResult>)> done) override;
  absl::StatusOr<std::vector<int32_t>> Tokenize(const std::string& model, const std::string& text,
                                                bool parse_special) const override;
  absl::StatusOr<std::string> Detokenize(const std::string& model,
                                         const std::vector<int32_t>& token_ids) const override;
  std::string TokenBytes(const std::string& model, int32_t token_id) const override;
  std::function<void()> CreateSession(
      CreateSessionRequest request, std::string request_id,
      std::function<void(absl::StatusOr<SessionInfo>)> done) override;
  absl::StatusOr<SessionInfo> GetSession(const std::string& tenant,
                                         const std::string& session_id) const override;
  absl::StatusOr<SessionPage> ListSessions(const std::string& tenant, const SessionFilter& filter,
                                           int page_size,
                                           const std::string& page_token) const override;
  absl::StatusOr<std::vector<SessionInfo>> ForkSession(const std::string& tenant,
                                                       const std::string& session_id,
                                                       const ForkOptions& options) override;
  absl::StatusOr<SessionInfo> RewindSession(const std::string& tenant,
                                            const std::string& session_id,
                                            const RewindTarget& target) override;
  absl::StatusOr<SessionInfo> CheckpointSession(const std::string& tenant,
                                                const std::string& session_id,
                                                const CheckpointOptions& options) override;
  absl::Status DeleteSession(const std::string& tenant, const std::string& session_id,
                             std::optional<uint64_t> expected_revision) override;
  void ExportSession(const std::string& tenant, const std::string& session_id,
                     const std::string& checkpoint,
                     std::function<void(absl::StatusOr<EncodedSnapshot>)> done) override;
  absl::StatusOr<SessionInfo> ImportSession(const std::string& tenant, const ImportOptions& options,
                                            absl::Span<const char> snapshot) override;
  absl::StatusOr<int64_t> SnapshotBytesMax(const std::string& model) const override;
  absl::Status Maintain() override;
  absl::Status StoreAll(TimePoint deadline) override;
  absl::Status LeaveReplicas(TimePoint deadline) override;
  EngineFigures Figures() const override;
  std::vector<ServedModel> Models() const override;
  std::vector<ModelStats> Stats() const override;
  void Drain() override;
  bool Drained() const override;

 private:
  void Record(std::string call) const;
  std::function<void()> CountCancel();
  void WaitWhileHeld();

  const size_t capacity_events_;
  mutable Mutex mutex_;
  CondVar changed_;
  std::deque<Turn> turns_ ABSL_GUARDED_BY(mutex_);
  std::vector<std::shared_ptr<OutputStream>> streams_ ABSL_GUARDED_BY(mutex_);
  std::deque<ScoreDone> scores_ ABSL_GUARDED_BY(mutex_);
  std::deque<Encoding> encodings_ ABSL_GUARDED_BY(mutex_);
  int readings_cancelled_ ABSL_GUARDED_BY(mutex_) = 0;
  std::optional<absl::Status> refusal_ ABSL_GUARDED_BY(mutex_);
  bool draining_ ABSL_GUARDED_BY(mutex_) = false;
  bool pulse_held_ ABSL_GUARDED_BY(mutex_) = false;
  uint64_t pulse_ ABSL_GUARDED_BY(mutex_) = 0;
  std::deque<Creation> creations_ ABSL_GUARDED_BY(mutex_);
  int creations_cancelled_ ABSL_GUARDED_BY(mutex_) = 0;
  bool held_ ABSL_GUARDED_BY(mutex_) = false;
  int held_changes_ ABSL_GUARDED_BY(mutex_) = 0;
  EncodedSnapshot snapshot_ ABSL_GUARDED_BY(mutex_);
  int64_t snapshot_bytes_max_ ABSL_GUARDED_BY(mutex_) = 1 << 20;
  std::string imported_ ABSL_GUARDED_BY(mutex_);
  ImportOptions import_options_ ABSL_GUARDED_BY(mutex_);
  absl::Status maintenance_ ABSL_GUARDED_BY(mutex_);
  std::string store_trouble_ ABSL_GUARDED_BY(mutex_);
  Duration store_refuses_ ABSL_GUARDED_BY(mutex_){};
  int maintained_ ABSL_GUARDED_BY(mutex_) = 0;
  std::optional<TimePoint> store_all_deadline_ ABSL_GUARDED_BY(mutex_);
  mutable std::vector<std::string> session_calls_ ABSL_GUARDED_BY(mutex_);
};

}  // namespace ssmd::server

#endif  // SSMD_TESTS_UNIT_SERVER_FAKE_ENGINE_H_
