// The Engine that there is: models in service, the sessions with their log and store, and one step
// loop.
//
// The members' order is their order of destruction, last first; where it is not enough the
// destructor says why.
#ifndef SSMD_ENGINE_SERVING_ENGINE_H_
#define SSMD_ENGINE_SERVING_ENGINE_H_

#include <atomic>
#include <functional>
#include <memory>
#include <optional>
#include <string>
#include <vector>

#include "engine/base/worker.h"
#include "engine/engine.h"
#include "engine/engine_internal.h"
#include "engine/schedule/encode_turn.h"
#include "engine/schedule/generate_turn.h"
#include "engine/schedule/model_in_service.h"
#include "engine/schedule/model_runner.h"
#include "engine/schedule/score_turn.h"
#include "engine/schedule/step_loop.h"
#include "engine/schedule/waker.h"
#include "engine/session/session_log.h"
#include "engine/session/session_table.h"
#include "engine/shared/session_sharing.h"
#include "engine/shared/shared_session_log.h"
#include "engine/state/host_budget.h"
#include "engine/state/state_dir.h"
#include "engine/state/state_store.h"

namespace ssmd {

class ServingEngine final : public Engine {
 public:
  static absl::StatusOr<std::unique_ptr<ServingEngine>> Create(EngineParts parts);
  ~ServingEngine() override;

  std::string device_failure() const override { return device_->failure(); }
  uint64_t Pulse() override { return loop_->Pulse(); }
  absl::StatusOr<std::shared_ptr<OutputStream>> Generate(GenerateRequest request,
                                                         std::string request_id) override;
  absl::StatusOr<std::shared_ptr<OutputStream>> Append(AppendRequest request,
                                                       std::string request_id) override;
  absl::StatusOr<MemoryConfig> MemoryOf(const std::string& model) const override;
  void ReadMemory(const std::string& tenant, const std::string& session_id, MemoryQuery query,
                  std::function<void(absl::StatusOr<MemoryReading>)> done) override;
  std::function<void()> Score(ScoreRequest request, std::string request_id,
                              std::function<void(absl::StatusOr<ScoreResult>)> done) override;
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

  void Wake() { waker_->Wake(); }

 private:
  explicit ServingEngine(EngineParts parts);

  // making (serving_engine_create.cc)
  absl::Status OpenStateDir();
  // `models_left`: that are not in service yet, this one included.
  absl::Status PutInService(LoadedModel loaded, size_t models_left);
  absl::Status OpenSessions();
  std::vector<ModelOfSessions> ModelsOfSessions() const;
  void StartLoop();

  // UNAVAILABLE while sessions are being given up to other replicas.
  absl::Status CheckMayMakeSessions(const ModelInService& model) const;
  // A model with its runner, by number in models_.
  absl::StatusOr<size_t> FindModel(const std::string& name) const;
  std::vector<std::string> ModelNames() const;
  absl::StatusOr<size_t> ModelOfSession(const std::string& tenant, const std::string& session_id,
                                        const std::string& asked) const;
  // The one asked for or, where several are served and none is, that which the snapshot names.
  absl::StatusOr<size_t> ModelOfSnapshot(const std::string& asked,
                                         absl::Span<const char> snapshot) const;
  // `stream`: where its events go.
  absl::Status StartTurn(size_t model, GenerateRequest request, std::string request_id,
                         std::shared_ptr<OutputStream> stream);
  absl::Status StartGeneration(GenerateRequest request, std::string request_id,
                               const std::shared_ptr<OutputStream>& stream);
  absl::Status StartAppend(AppendRequest request, std::string request_id,
                           const std::shared_ptr<OutputStream>& stream);
  // Turns that read a prompt once. `request` gives what it has.
  template <typename Request>
  absl::StatusOr<ReadStart> StartRead(const ModelInService& model, Request& request,
                                      std::string request_id);
  absl::StatusOr<std::unique_ptr<Turn>> MakeTurn(const ModelInService& model, ScoreRequest request,
                                                 std::string request_id,
                                                 std::shared_ptr<const std::atomic<bool>> cancelled,
                                                 const ScoreTurn::Done& done);
  absl::StatusOr<std::unique_ptr<Turn>> MakeTurn(const ModelInService& model, EncodeRequest request,
                                                 std::string request_id,
                                                 std::shared_ptr<const std::atomic<bool>> cancelled,
                                                 const EncodeTurn::Done& done);
  template <typename Request, typename Done>
  std::function<void()> Read(Request request, std::string request_id, const Done& done);
  absl::StatusOr<PreparedGeneration> PrepareGeneration(const ModelInService& model,
                                                       GenerateRequest* request, TurnHead* head);
  TurnHead MakeHead(std::string request_id, std::string tenant, std::optional<TimePoint> deadline);
  std::shared_ptr<OutputStream> MakeStream() const;

  // retries (serving_engine_retry.cc)
  absl::StatusOr<bool> FindAnswer(size_t model, const GenerateRequest& request,
                                  const std::string& request_id,
                                  const std::shared_ptr<OutputStream>& stream);
  void PushResult(const ModelInService& model, const SessionKey& session,
                  const std::string& request_id, const TurnResult& result,
                  OutputStream* stream) const;

  // sessions (serving_engine_sessions.cc)
  absl::StatusOr<std::vector<SessionInfo>> Write(absl::StatusOr<Proposal> proposal);
  absl::StatusOr<SessionInfo> WriteOne(absl::StatusOr<Proposal> proposal);

  // sharing (serving_engine_sharing.cc)
  absl::Status OpenSharing();
  SharingHooks MakeHooks();
  absl::Status CheckImageHere(const SessionImage& image) const;
  absl::StatusOr<std::string> EncodeState(const std::string& model, const StateRef& state);
  absl::StatusOr<StateRef> AdoptState(const std::string& model, const SharedState& state,
                                      uint64_t history_hash);
  // Makes sure that the session is here, as long as the hold lasts. May wait.
  absl::StatusOr<SessionHold> HoldSession(const std::string& tenant,
                                          const std::string& session_id) const;
  // Calls `use` now, or when the session is here; it stays while `use` runs.
  void WhenHere(const std::string& tenant, const std::string& session_id,
                std::function<void(const absl::Status&)> use);
  void ExportHere(const std::string& tenant, const std::string& session_id,
                  const std::string& checkpoint,
                  std::function<void(absl::StatusOr<EncodedSnapshot>)> done);
  void ReadMemoryHere(const std::string& tenant, const std::string& session_id, MemoryQuery query,
                      std::function<void(absl::StatusOr<MemoryReading>)> done);
  // Starts a turn on a session by `start`, now or when the session is here.
  template <typename Request>
  using Start = absl::Status (ServingEngine::*)(Request, std::string,
                                                const std::shared_ptr<OutputStream>&);
  template <typename Request>
  absl::StatusOr<std::shared_ptr<OutputStream>> StartOnSession(Request request,
                                                               std::string request_id,
                                                               Start<Request> start);
  void ReportRefused(const SessionKey& session, const std::string& request_id,
                     const absl::Status& status);

  // upkeep (serving_engine_upkeep.cc)
  absl::Status DeleteExpired();
  absl::Status StoreStates(std::vector<SessionTable::Unstored> states, TimePoint deadline);

  EngineLimits limits_;
  const StateDirOptions state_dir_options_;
  const SteadyClock steady_clock_;
  const Clock* const clock_;
  Observer* const observer_;
  const std::shared_ptr<Waker> waker_ = std::make_shared<Waker>();
  const std::shared_ptr<Deliveries> deliveries_ = std::make_shared<Deliveries>();
  std::unique_ptr<kernels::Device> device_;
  std::optional<StateDir> state_dir_;
  HostBudget host_budget_;
  std::unique_ptr<StateStore> store_;  // null: no state directory
  std::vector<std::unique_ptr<ModelInService>> models_;
  std::unique_ptr<SessionTable> sessions_;
  std::unique_ptr<SessionLog> local_log_;
  SharingOptions sharing_options_;
  std::unique_ptr<SessionSharing> sharing_;  // null: sessions are not shared
  std::unique_ptr<SharedSessionLog> shared_log_;
  SessionLog* log_ = nullptr;  // what changes are written to: one of the two
  const Durability durability_;
  std::vector<std::unique_ptr<ModelRunner>> runners_;
  std::optional<Worker> encoder_;  // of exports, which read every byte of a state
  std::atomic<uint64_t> next_sequence_{1};
  std::unique_ptr<StepLoop> loop_;
};

}  // namespace ssmd

#endif  // SSMD_ENGINE_SERVING_ENGINE_H_
