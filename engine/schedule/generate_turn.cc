#include "engine/schedule/generate_turn.h"

#include <algorithm>
#include <utility>

#include "engine/sample/penalties.h"

namespace ssmd {

GenerateTurn::GenerateTurn(TurnHead head, PreparedGeneration prepared, const ModelInService* model,
                           SessionTable* sessions)
    : Turn(std::move(head)),
      model_(model),
      sessions_(sessions),
      stream_(std::move(prepared.stream)),
      prompt_(std::move(prepared.prompt)),
      sampling_(std::move(prepared.sampling)),
      stops_(std::move(prepared.stops)),
      echo_(prepared.echo),
      top_logprobs_(prepared.top_logprobs),
      commit_mode_(prepared.commit),
      key_(std::move(prepared.key)),
      expected_revision_(prepared.expected_revision),
      on_session_(static_cast<bool>(prepared.lease)),
      lease_(std::move(prepared.lease)),
      reservation_(std::move(prepared.reservation)) {
  for (int i = 0; i < prepared.choices; ++i) {
    choices_.push_back(std::make_unique<Choice>(i, &stops_, model_->tokenizer.get()));
  }
  draws_.resize(choices_.size());
  if (!on_session_ && model_->prefixes == nullptr) miss_ = PrefixMiss::kDisabled;
}

bool GenerateTurn::held_by_reader() const {
  // What is fed again at the end has no output of its own.
  const bool speaking = std::any_of(choices_.begin(), choices_.end(),
                                    [](const auto& choice) { return !choice->ended(); });
  return speaking && stream_->full();
}

void GenerateTurn::AppendLanes(std::vector<Lane*>* lanes) {
  for (const auto& choice : choices_) lanes->push_back(&choice->lane);
}

Choice& GenerateTurn::ChoiceOf(const Lane* lane) {
  return **std::find_if(choices_.begin(), choices_.end(),
                        [lane](const auto& choice) { return &choice->lane == lane; });
}

void GenerateTurn::WantRows(Lane* lane, int count, std::vector<RowJob>* jobs) {
  if (!prompt_done_) {
    WantPromptRows(*lane, count, jobs);
    return;
  }
  const Choice& choice = ChoiceOf(lane);
  if (choice.ended()) return;  // fed again: the logits were seen before
  PrepareDraw(choice, lane->position + count);
  RowJob job;
  job.row = count - 1;
  job.draws = absl::MakeSpan(draws_).subspan(static_cast<size_t>(choice.index()), 1);
  job.not_finite = &not_finite_;
  jobs->push_back(job);
}

// The first of tokens_ whose log-probability is told: a first token that nothing precedes has none,
// nor has one after a stop token, whose logits are gone, even where the stop is read again.
size_t GenerateTurn::FirstScored() const {
  return base_.unread.size() + (base_.pending_tokens == 0 ? 1 : 0);
}

void GenerateTurn::WantPromptRows(const Lane& lane, int count, std::vector<RowJob>* jobs) {
  if (model_->memory != nullptr) return;  // it has no logits
  const bool scores_prompt = echo_ && top_logprobs_.has_value();
  if (scores_prompt) echo_details_.assign(static_cast<size_t>(count), TokenDetail());
  for (int i = scores_prompt ? 0 : count - 1; i < count; ++i) {
    const size_t next = lane.fed + static_cast<size_t>(i) + 1;  // the token that this row foretells
    const bool last = next == lane.feed.size();
    const bool scored = scores_prompt && next >= FirstScored() && next < tokens_.size();
    if (!last && !scored) continue;
    RowJob job;
    job.row = i;
    job.not_finite = &not_finite_;
    if (scored) {
      job.target = tokens_[next];
      job.top = *top_logprobs_;
      job.scored = &echo_details_[static_cast<size_t>(i)];
    }
    if (last && stops_.max_tokens > 0) {
      for (const auto& choice : choices_) PrepareDraw(*choice, lane.position + count);
      job.draws = absl::MakeSpan(draws_);
    }
    jobs->push_back(job);
  }
}

void GenerateTurn::PrepareDraw(const Choice& choice, int64_t position) {
  const auto index = static_cast<size_t>(choice.index());
  Draw& draw = draws_[index];
  draw.sampling = &sampling_;
  draw.adjustments =
      LogitAdjustments(sampling_.penalties, windows_.empty() ? recent_ : windows_[index]);
  draw.seed = *sampling_.seed;
  draw.choice = static_cast<uint32_t>(choice.index());
  draw.position = static_cast<uint64_t>(position);
  draw.top_logprobs = top_logprobs_;
}

int GenerateTurn::Advance(Lane* lane, TimePoint now, Observer* observer) {
  if (not_finite_) return 0;
  if (!prompt_done_) return AdvancePrompt(now, observer);
  Choice& choice = ChoiceOf(lane);
  if (choice.ended()) {
    if (lane->ready() == 0) choice.settled = true;
    return 0;
  }
  AcceptDrawn(&choice, now, observer);
  return 1;
}

int GenerateTurn::AdvancePrompt(TimePoint now, Observer* observer) {
  KeepPrefixes();
  const Lane& lane = choices_[0]->lane;
  EmitEcho(std::min(lane.fed + 1, tokens_.size()));
  if (lane.ready() > 0) {
    stream_->Push(
        ProgressEvent{static_cast<int64_t>(lane.fed), static_cast<int64_t>(lane.feed.size())});
    return 0;
  }
  prompt_done_ = true;
  EndWaits();
  ForkPrompt();
  int sampled = 0;
  for (const auto& choice : choices_) {
    if (stops_.max_tokens > 0) {
      AcceptDrawn(choice.get(), now, observer);
      ++sampled;
    } else {
      choice->EndEmpty(static_cast<int64_t>(left_pending()));
      DeltaEvent nothing;
      nothing.choice = choice->index();
      EndChoice(choice.get(), std::move(nothing));
    }
  }
  return sampled;
}

void GenerateTurn::EmitEcho(size_t known) {
  if (!echo_ || echoed_ >= known) return;
  DeltaEvent delta;
  delta.echo = true;
  // The step's rows foretold the tokens from here on.
  const size_t first_detail = choices_[0]->lane.fed - echo_details_.size() + 1;
  for (size_t i = echoed_; i < known; ++i) {
    delta.token_ids.push_back(tokens_[i]);
    if (!echo_details_.empty() && i >= std::max(first_detail, FirstScored())) {
      delta.logprobs.push_back(std::move(echo_details_[i - first_detail]));
    }
    if (model_->tokenizer != nullptr) {
      delta.text += prompt_text_.Push(ShownBytes(*model_->tokenizer, tokens_[i]));
    }
  }
  for (const auto& choice : choices_) {
    delta.choice = choice->index();
    stream_->Push(delta);
  }
  echoed_ = known;
}

void GenerateTurn::ForkPrompt() {
  const Lane& from = choices_[0]->lane;
  for (const auto& choice : choices_) {
    choice->text().StartAfter(prompt_text_);
    if (choice->index() == 0) continue;
    model_->pool->CopyState(from.slot, choice->lane.slot);
    choice->lane.position = from.position;
  }
  if (sampling_.penalties.looks_back()) windows_.assign(choices_.size(), recent_);
}

void GenerateTurn::AcceptDrawn(Choice* choice, TimePoint now, Observer* observer) {
  TokenDetail& drawn = draws_[static_cast<size_t>(choice->index())].drawn;
  const int32_t token_id = drawn.token_id;
  if (observer != nullptr) {
    if (!times().has_spoken()) {
      observer->OnFirstToken(model_->name, now - head().submitted);
    } else if (choice->generated() > 0) {
      observer->OnNextToken(model_->name, now - choice->last_token_at);
    }
  }
  times().NoteFirstToken(now);
  choice->last_token_at = now;

  DeltaEvent delta;
  delta.choice = choice->index();
  if (choice->Accept(token_id)) {
    delta.token_ids.push_back(token_id);
    if (top_logprobs_.has_value()) delta.logprobs.push_back(std::move(drawn));
    if (!windows_.empty()) {
      windows_[static_cast<size_t>(choice->index())].emplace_back(token_id, true);
    }
  }
  if (choice->ended()) {
    EndChoice(choice, std::move(delta));
  } else {
    delta.text = choice->text().TakeText();
    choice->NoteSent(delta);
    stream_->Push(std::move(delta));
    ContinueDecoding(choice);
  }
}

void GenerateTurn::ContinueDecoding(Choice* choice) {
  const std::vector<int32_t>& sampled = choice->sampled();
  choice->lane.Feed(absl::MakeConstSpan(sampled).last(1), true);
  if (!on_session_ || !stops_.may_trim()) return;
  const auto suspect = choice->text().possible_stop_token();
  if (!suspect.has_value()) {
    choice->lane.mark.Release();
  } else if (*suspect + 1 == sampled.size()) {
    choice->lane.mark.Release();
    choice->lane.mark_next = true;
  }
}

// `last` is the choice's last Delta, but for the text that was held back.
void GenerateTurn::EndChoice(Choice* choice, DeltaEvent last) {
  // A session keeps an incomplete character for its next turn; otherwise there is none.
  choice->FinishText(on_session_);
  last.text = choice->text().TakeText();
  if (!last.token_ids.empty() || !last.text.empty()) {
    choice->NoteSent(last);
    stream_->Push(std::move(last));
  }
  if (on_session_) {
    SettleState(choice);
    return;
  }
  choice->settled = true;
  KeepAnswer(choice);
  choice->lane.slot.Release();
  stream_->Push(FinishedEvent(*choice));
}

}  // namespace ssmd
