// A generation: reads the prompt once, samples every choice of the answer, and leaves the result to
// its session.
//
// The first segment reads the session's slot and writes the turn's own working slot, so that what
// is committed stays untouched until the commit puts the working slot in its place. With several
// choices the prompt's state is copied into each one's slot. A session with several choices is left
// as it is; each choice becomes a child session.
//
// Made on the caller's thread, then the step thread's. Holds: the session's lease, room for child
// sessions, one working slot a choice, perhaps a mark each (lane.h). The output that nobody has
// read is bounded by the stream's capacity plus what one step yields.
#ifndef SSMD_ENGINE_SCHEDULE_GENERATE_TURN_H_
#define SSMD_ENGINE_SCHEDULE_GENERATE_TURN_H_

#include <cstdint>
#include <memory>
#include <string>
#include <vector>

#include "engine/schedule/choice.h"
#include "engine/schedule/model_in_service.h"
#include "engine/schedule/output_stream.h"
#include "engine/schedule/request.h"
#include "engine/schedule/turn.h"
#include "engine/state/session_table.h"

namespace ssmd {

// What a caller's thread has worked out of a request.
struct PreparedGeneration {
  std::vector<int32_t> prompt;  // new tokens; BOS included where it is added
  SamplingParams sampling;      // with a seed
  StopRules stops;
  int32_t choices = 1;
  bool echo = false;
  std::optional<int32_t> top_logprobs;
  SessionLease lease;              // empty: anonymous
  SessionReservation reservation;  // for the children, when there will be some
  std::shared_ptr<OutputStream> stream;
};

class GenerateTurn final : public Turn {
 public:
  GenerateTurn(TurnHead head, PreparedGeneration prepared, const ModelInService* model,
               SessionTable* sessions);

  bool cancelled() const override { return stream_->cancelled(); }
  bool held_by_reader() const override;
  const Session* session() const override { return lease_.session().get(); }

  void Start(std::vector<Slot> slots, TimePoint now) override;
  void AppendLanes(std::vector<Lane*>* lanes) override;
  void WantRows(Lane* lane, int count, std::vector<RowJob>* jobs) override;
  void Advance(Lane* lane, TimePoint now, Observer* observer) override;
  std::optional<absl::Status> outcome() const override;
  absl::Status Commit() override;
  void Deliver(const absl::Status& status, TimePoint now) override;
  RequestRecord Record(TimePoint now) const override;

 private:
  bool has_session() const { return base_session_; }
  bool makes_children() const { return has_session() && choices_.size() > 1; }
  Choice& ChoiceOf(const Lane* lane);

  // prompt
  void WantPromptRows(const Lane& lane, int count, std::vector<RowJob>* jobs);
  void PrepareDraw(const Choice& choice, int64_t position);
  void AdvancePrompt(TimePoint now, Observer* observer);
  void EmitEcho(size_t known);
  void ForkPrompt();

  // answer
  void AcceptDrawn(Choice* choice, TimePoint now, Observer* observer);
  void ContinueDecoding(Choice* choice);
  void EndChoice(Choice* choice, DeltaEvent last);
  void SettleState(Choice* choice);
  ChoiceFinishedEvent FinishedEvent(const Choice& choice) const;

  // end
  SessionCommit MakeCommit(Choice* choice);
  Usage PromptUsage() const;
  void ReleaseHeld() override;

  const ModelInService* const model_;
  SessionTable* const sessions_;
  const std::shared_ptr<OutputStream> stream_;
  const SamplingParams sampling_;
  const StopRules stops_;
  const bool echo_;
  const std::optional<int32_t> top_logprobs_;
  SessionLease lease_;
  SessionReservation reservation_;
  const bool base_session_;
  const SessionBase base_;

  std::vector<int32_t> tokens_;  // the session's pending ones, then the new prompt
  size_t echoed_ = 0;            // of those, how many were sent back (or are not of the prompt)
  std::vector<TokenDetail> echo_details_;  // of the tokens after those that the step feeds
  bool prompt_done_ = false;
  Detokenizer prompt_text_;  // has seen the history and the prompt (or what was echoed of it)
  TokenLog recent_;          // the end of history before the answer, for penalties

  std::vector<std::unique_ptr<Choice>> choices_;
  std::vector<TokenLog> windows_;  // per choice: `recent_` and what was sampled; empty if unused
  std::vector<Draw> draws_;        // per choice
  bool not_finite_ = false;
  std::optional<TimePoint> first_token_;
  std::vector<GenerateEvent> closing_events_;  // of a committed session, sent after the commit
};

}  // namespace ssmd

#endif  // SSMD_ENGINE_SCHEDULE_GENERATE_TURN_H_
