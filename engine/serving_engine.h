// The Engine that there is: models in service, the table of sessions, and one step loop.
//
// The members' order is their order of destruction: the loop goes first and ends every turn, then
// the sessions with their slots, then the pools, models and the device.
#ifndef SSMD_ENGINE_SERVING_ENGINE_H_
#define SSMD_ENGINE_SERVING_ENGINE_H_

#include <atomic>
#include <functional>
#include <memory>
#include <optional>
#include <string>
#include <vector>

#include "engine/engine.h"
#include "engine/engine_internal.h"
#include "engine/schedule/generate_turn.h"
#include "engine/schedule/model_in_service.h"
#include "engine/schedule/model_runner.h"
#include "engine/schedule/step_loop.h"
#include "engine/state/session_table.h"

namespace ssmd {

class ServingEngine final : public Engine {
 public:
  // `models` were made of `parts.models`.
  ServingEngine(EngineParts parts, std::vector<std::unique_ptr<ModelInService>> models);

  absl::StatusOr<std::shared_ptr<OutputStream>> Generate(GenerateRequest request,
                                                         std::string request_id) override;
  std::function<void()> Score(ScoreRequest request, std::string request_id,
                              std::function<void(absl::StatusOr<ScoreResult>)> done) override;
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

  void Wake() { loop_->waker()->Wake(); }

 private:
  // A model with its runner, by number in models_.
  absl::StatusOr<size_t> FindModel(const std::string& name) const;
  absl::StatusOr<size_t> ModelOfSession(const GenerateRequest& request) const;
  absl::StatusOr<std::unique_ptr<Turn>> MakeScoreTurn(
      size_t model, ScoreRequest request, std::string request_id,
      std::shared_ptr<const std::atomic<bool>> cancelled,
      const std::function<void(absl::StatusOr<ScoreResult>)>& done);
  absl::StatusOr<PreparedGeneration> PrepareGeneration(const ModelInService& model,
                                                       GenerateRequest* request, TurnHead* head);
  TurnHead MakeHead(std::string request_id, std::string tenant, std::optional<TimePoint> deadline);

  const EngineLimits limits_;
  const SteadyClock steady_clock_;
  const Clock* const clock_;
  std::unique_ptr<kernels::Device> device_;
  std::vector<std::unique_ptr<ModelInService>> models_;
  SessionTable sessions_;
  std::vector<std::unique_ptr<ModelRunner>> runners_;
  std::atomic<uint64_t> next_sequence_{1};
  std::unique_ptr<StepLoop> loop_;
};

}  // namespace ssmd

#endif  // SSMD_ENGINE_SERVING_ENGINE_H_
