// A generation: reads the prompt once, samples every choice of the answer, and leaves the result to
// its session.
//
// It goes on from a held state: the session's, or that of an equal beginning of an earlier prompt.
// The first segment reads that state and writes the turn's own working slot, so that what is
// committed stays untouched until the commit puts the new state in its place. With several choices
// the prompt's state is copied into each one's slot. A session with several choices is left as it
// is; each choice becomes a child session.
//
// Made on the caller's thread, then the step thread's. Holds: the session's lease, room for child
// sessions, one working slot a choice, perhaps a mark each (lane.h), a pin on what it goes on from.
// The output that nobody has read is bounded by the stream's capacity plus what one step yields.
#ifndef SSMD_ENGINE_SCHEDULE_GENERATE_TURN_H_
#define SSMD_ENGINE_SCHEDULE_GENERATE_TURN_H_

#include <cstdint>
#include <memory>
#include <optional>
#include <string>
#include <vector>

#include "engine/schedule/choice.h"
#include "engine/schedule/model_in_service.h"
#include "engine/schedule/output_stream.h"
#include "engine/schedule/prepare.h"
#include "engine/schedule/request.h"
#include "engine/schedule/turn.h"
#include "engine/session/session_table.h"

namespace ssmd {

// What a caller's thread has worked out of a request.
struct PreparedGeneration {
  PromptTokens prompt;
  SamplingParams sampling;  // with a seed
  StopRules stops;
  int32_t choices = 1;
  bool echo = false;
  std::optional<int32_t> top_logprobs;
  CommitMode commit = CommitMode::kOnComplete;
  RequestKey key;
  SessionLease lease;  // empty: anonymous
  std::optional<uint64_t> expected_revision;
  SessionReservation reservation;  // for the children, when there will be some
  std::shared_ptr<OutputStream> stream;
};

class GenerateTurn final : public Turn, private PrefixSource {
 public:
  GenerateTurn(TurnHead head, PreparedGeneration prepared, const ModelInService* model,
               SessionTable* sessions);
  ~GenerateTurn() override { EndWaits(); }

  // On the caller's thread, before the turn is posted: whether its prompt fits what is there, where
  // no turn comes before it.
  absl::Status CheckAtOnce();

  bool cancelled() const override { return stream_->cancelled(); }
  bool held_by_reader() const override;

  absl::StatusOr<Readiness> Prepare(TimePoint now, PrefixesInFlight* in_flight) override;
  bool LetGo() override;
  PrefixSource* prefix_source() override;
  void Start(std::vector<Slot> slots, TimePoint now) override;
  void AppendLanes(std::vector<Lane*>* lanes) override;
  void WantRows(Lane* lane, int count, std::vector<RowJob>* jobs) override;
  int Advance(Lane* lane, TimePoint now, Observer* observer) override;
  std::optional<absl::Status> outcome() const override;
  bool Salvage() override;
  absl::StatusOr<std::optional<Proposal>> Propose() override;
  void Committed(const std::vector<SessionInfo>& sessions) override;
  void Deliver(const absl::Status& status, TimePoint now) override;
  RequestRecord Record(TimePoint now) const override;

  void Pause() override { EndWaits(); }
  bool IsRequest(const SessionKey& session, const std::string& request_id) const override;
  void TakeOver(const std::shared_ptr<OutputStream>& stream) override;
  bool IsOf(const SessionKey& session) const override;

 private:
  bool makes_children() const { return on_session_ && choices_.size() > 1; }
  bool keeps_prefixes() const;
  // Tokens of the prompt that are left pending: without an answer the last one, for a later turn to
  // sample after it. After a memory's nothing is ever sampled.
  size_t left_pending() const {
    return stops_.max_tokens == 0 && model_->memory == nullptr ? 1 : 0;
  }
  Choice& ChoiceOf(const Lane* lane);

  // what it goes on from (generate_turn_start.cc)
  absl::Status TakeBase();
  absl::StatusOr<Readiness> BringBase(TimePoint now);
  bool FindPrefix(PrefixesInFlight* in_flight);
  void GoOnFrom(StateRef state);
  void PushStarted();

  // states of the prompt that others can use (generate_turn_start.cc)
  const std::string& tenant() const override { return head().tenant; }
  absl::Span<const int32_t> prompt() const override { return tokens_; }
  int64_t read() const override { return choices_[0]->lane.position; }
  std::shared_ptr<PrefixWait> WaitFor(int64_t position) override;
  void LimitFeed();
  void KeepPrefixes();
  StateRef HoldPresent(Lane* lane);
  void KeepAnswer(Choice* choice);
  void EndWaits();

  // prompt
  size_t FirstScored() const;
  void WantPromptRows(const Lane& lane, int count, std::vector<RowJob>* jobs);
  void PrepareDraw(const Choice& choice, int64_t position);
  int AdvancePrompt(TimePoint now, Observer* observer);
  void EmitEcho(size_t known);
  void ForkPrompt();

  // answer
  void AcceptDrawn(Choice* choice, TimePoint now, Observer* observer);
  void ContinueDecoding(Choice* choice);
  void EndChoice(Choice* choice, DeltaEvent last);
  void SettleState(Choice* choice);
  ChoiceFinishedEvent FinishedEvent(const Choice& choice) const;

  // end (generate_turn_end.cc)
  SessionCommit MakeCommit(Choice* choice);
  std::optional<TurnResult> MakeResult() const;
  Usage PromptUsage() const;
  void ReleaseHeld() override;

  const ModelInService* const model_;
  SessionTable* const sessions_;
  std::shared_ptr<OutputStream> stream_;
  PromptTokens prompt_;
  const SamplingParams sampling_;
  const StopRules stops_;
  const bool echo_;
  const std::optional<int32_t> top_logprobs_;
  const CommitMode commit_mode_;
  const RequestKey key_;
  const std::optional<uint64_t> expected_revision_;
  const bool on_session_;
  SessionLease lease_;
  SessionReservation reservation_;

  // Since TakeBase:
  bool has_base_ = false;
  SessionBase base_;
  std::vector<int32_t> tokens_;  // what of the history is not in the held state, then the prompt
  size_t echoed_ = 0;            // of those, how many were sent back (or are not of the prompt)
  int64_t lost_tokens_ = 0;      // of them, how many the session's state had consumed once
  StateRef start_;               // goes on from this; null: from the empty state
  int64_t start_position_ = 0;   // tokens that it has consumed
  StatePin start_pin_;
  StateSource source_ = StateSource::kFresh;
  bool prefix_queried_ = false;
  PrefixMiss miss_ = PrefixMiss::kNone;
  std::shared_ptr<PrefixWait> waiting_for_;
  std::vector<std::shared_ptr<PrefixWait>> waits_;  // of others, for states of this prompt
  std::vector<int64_t> wanted_;                     // positions, descending

  std::vector<TokenDetail> echo_details_;  // of the tokens after those that the step feeds
  bool prompt_done_ = false;
  Detokenizer prompt_text_;  // has seen the history and the prompt (or what was echoed of it)
  TokenLog recent_;          // the end of history before the answer, for penalties

  std::vector<std::unique_ptr<Choice>> choices_;
  std::vector<TokenLog> windows_;  // per choice: `recent_` and what was sampled; empty if unused
  std::vector<Draw> draws_;        // per choice
  bool started_ = false;
  bool not_finite_ = false;
  bool salvaged_ = false;
  std::optional<std::vector<SessionCommit>> commits_;  // made once, however often they are proposed
  std::vector<GenerateEvent> closing_events_;  // of a committed session, sent after the commit
};

}  // namespace ssmd

#endif  // SSMD_ENGINE_SCHEDULE_GENERATE_TURN_H_
