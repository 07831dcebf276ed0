// World: callers who generate, and what they are told.
#include <gtest/gtest.h>

#include <algorithm>
#include <atomic>
#include <utility>
#include <variant>

#include "engine/base/errors.h"
#include "engine/base/status_macros.h"
#include "engine/schedule/encode_turn.h"
#include "engine/schedule/generate_turn.h"
#include "engine/schedule/prepare.h"
#include "engine/schedule/score_turn.h"
#include "tests/sim/world.h"

namespace ssmd::sim {
namespace {

using std::chrono::milliseconds;

std::vector<int32_t> RandomTokens(Dice* dice, int count) {
  std::vector<int32_t> ids(static_cast<size_t>(count));
  for (int32_t& id : ids) id = dice->Pick(1, 26);
  return ids;
}

}  // namespace

// --- Asking ---

GenerateRequest World::RandomRequest() {
  const int prompt = dice_.Chance(15) ? 0 : dice_.Pick(1, dice_.Chance(15) ? 40 : 8);
  GenerateRequest request =
      testing::Request(RandomTokens(&dice_, prompt), dice_.Pick(0, dice_.Chance(80) ? 10 : 30));
  request.tenant = dice_.One({"ann", "bob"});
  request.sampling.temperature = dice_.Chance(40) ? 0 : 1;
  request.sampling.seed = dice_.Next();
  if (dice_.Chance(20)) request.sampling.top_k = dice_.Pick(1, 10);
  if (dice_.Chance(20)) {
    request.sampling.penalties.repetition = 1.3F;
    request.sampling.penalties.window = dice_.Pick(0, 30);
  }
  for (int stops = dice_.Chance(40) ? dice_.Pick(1, 3) : 0; stops > 0; --stops) {
    request.stop.strings.emplace_back(
        dice_.One({"ab", "bc", "abc", "ca", "d", "\xC3\xA9", "bb", "z", "dda"}));
  }
  if (dice_.Chance(20)) request.stop.token_ids = {dice_.Pick(1, 26)};
  request.stop.ignore_eos = dice_.Chance(70);
  request.stop.history = dice_.Chance(70) ? StopHistory::kTrim : StopHistory::kKeep;
  if (dice_.Chance(15)) request.choices = dice_.Pick(2, 3);
  request.echo = dice_.Chance(10);
  if (dice_.Chance(15)) request.top_logprobs = dice_.Pick(0, 3);
  request.priority = static_cast<Priority>(dice_.Pick(-1, 1));
  if (dice_.Chance(8)) request.deadline = clock_.Now() + milliseconds(dice_.Pick(0, 300));
  if (dice_.Chance(3) && request.max_tokens > 0) {
    std::get<1>(request.prompt).push_back(testing::FakeModel::kPoison);
  }
  return request;
}

void World::CallWithoutSession() {
  GenerateRequest request = RandomRequest();
  // Prompts that begin alike.
  if (dice_.Chance(60)) {
    std::vector<int32_t> prompt(static_cast<size_t>(dice_.Pick(1, 24)), 3);
    auto& rest = std::get<1>(request.prompt);
    prompt.insert(prompt.end(), rest.begin(), rest.end());
    rest = std::move(prompt);
  }
  CheckRefusal(Submit(request), request);
}

void World::CallOnSession() {
  const TrueSession* session = AnySession();
  if (session == nullptr) return;
  GenerateRequest request = RandomRequest();
  request.tenant = session->tenant;
  request.session_id = session->id;
  request.when_busy = dice_.Chance(50) ? WhenBusy::kWait : WhenBusy::kAbort;
  if (dice_.Chance(40)) request.commit = CommitMode::kPartial;
  request.expected_revision = SomeRevision(*session, 15);
  if (request.commit == CommitMode::kPartial) request.choices = 1;
  // Without an id, a turn is known by being the only such one of its session.
  const bool alone = std::none_of(calls_.begin(), calls_.end(), [&](const auto& call) {
    return call->request.session_id == session->id && call->request.key.request_id.empty();
  });
  if (!alone || dice_.Chance(70))
    request.key = {"r" + std::to_string(next_request_++), dice_.Next()};
  if (!request.key.request_id.empty() && dice_.Chance(70)) {
    request.echo = false;  // which a stream that is taken over does not repeat
    request.top_logprobs.reset();
  }
  CheckRefusal(Submit(request), request);
}

// As ServingEngine::Generate.
absl::Status World::Submit(const GenerateRequest& request) {
  SessionTable& sessions = *machine_->sessions;
  Admission& admission = *machine_->service.admission;
  PreparedGeneration prepared;
  TurnHead head;
  head.sequence = next_request_++;
  head.request_id = "call" + std::to_string(head.sequence);
  head.tenant = request.tenant;
  head.session_id = request.session_id;
  head.priority = request.priority;
  head.deadline = request.deadline;
  head.submitted = clock_.Now();
  head.working_slots = request.choices;
  int new_states = 0;
  if (!request.session_id.empty()) {
    SSMD_ASSIGN_OR_RETURN(prepared.lease,
                          sessions.Enqueue(request.tenant, request.session_id, request.when_busy,
                                           request.expected_revision, request.key));
    const auto info = sessions.Get(request.tenant, request.session_id);
    new_states = request.choices > 1 ? request.choices : info->position == 0 ? 1 : 0;
  }
  SSMD_ASSIGN_OR_RETURN(head.ticket, admission.Admit(request.choices, new_states, std::nullopt));
  if (prepared.lease && request.choices > 1) {
    SSMD_ASSIGN_OR_RETURN(prepared.reservation,
                          sessions.Reserve(request.tenant, "fake", request.choices));
  }
  prepared.prompt.at_start = prepared.prompt.later = std::get<1>(request.prompt);
  head.prompt_tokens = static_cast<int64_t>(prepared.prompt.at_start.size());
  prepared.sampling = request.sampling;
  prepared.stops = MakeStopRules(machine_->service, request.stop, request.max_tokens, false);
  prepared.choices = request.choices;
  prepared.echo = request.echo;
  prepared.top_logprobs = request.top_logprobs;
  prepared.commit = request.commit;
  prepared.key = request.key;
  prepared.expected_revision = request.expected_revision;
  auto call = std::make_shared<Call>();
  call->request = request;
  call->stream =
      std::make_shared<OutputStream>(static_cast<size_t>(machine_->options.output_events), [] {});
  call->eagerness = dice_.Chance(70) ? 100 : dice_.Pick(0, 40);
  call->poisoned = !call->prompt().empty() && call->prompt().back() == testing::FakeModel::kPoison;
  prepared.stream = call->stream;
  auto turn = std::make_unique<GenerateTurn>(std::move(head), std::move(prepared),
                                             &machine_->service, &sessions);
  SSMD_RETURN_IF_ERROR(turn->CheckAtOnce());
  machine_->runner->Submit(std::move(turn));
  calls_.push_back(call);
  if (!request.key.request_id.empty()) made_.push_back(call);
  return absl::OkStatus();
}

void World::CheckRefusal(const absl::Status& status, const GenerateRequest& request) {
  if (status.ok()) return;
  const std::string reason = ReasonOf(status);
  Note(testing::Mix(reason.size(), static_cast<uint64_t>(status.code())));
  if (reason == reason::kSessionBusy) {
    EXPECT_EQ(request.when_busy, WhenBusy::kAbort);
    EXPECT_TRUE(machine_->sessions->Get(request.tenant, request.session_id)->running);
  } else if (reason == reason::kRevisionMismatch) {
    EXPECT_NE(request.expected_revision, truth_.at(request.session_id).revision);
  } else if (reason == reason::kInvalidField) {
    const bool nothing_to_read =
        request.session_id.empty() || truth_.at(request.session_id).present.pending == 0;
    EXPECT_TRUE(request.choices > machine_->options.slots ||
                (std::get<1>(request.prompt).empty() && nothing_to_read))
        << status;
  } else if (reason == reason::kSlotsHeld) {
    EXPECT_FALSE(lasting_) << status;
  } else {
    EXPECT_TRUE(reason == reason::kTooManyWaiting || reason == reason::kQueueFull) << status;
  }
}

// --- Reading ---

void World::Read(int percent) {
  for (const auto& call : Calls(calls_)) {
    if (dice_.Chance(std::max(call->eagerness, percent))) ReadOne(call.get(), dice_.Pick(1, 8));
  }
}

void World::ReadOne(Call* call, int events) {
  for (; events > 0; --events) {
    auto event = call->stream->Pop();
    if (!event.has_value()) break;
    const auto* delta = std::get_if<DeltaEvent>(&*event);
    const auto tokens = delta != nullptr && delta->choice == 0 && !delta->echo
                            ? static_cast<int64_t>(delta->token_ids.size())
                            : 0;
    call->answer.Add(*std::move(event));
    call->hangs_up = call->hangs_up || dice_.Chance(2);
    if (call->hangs_up) continue;
    call->stream->NoteAccepted();
    call->accepted += tokens;
  }
  const auto status = call->stream->status();
  if (!status.has_value()) return;
  call->answer.status = *status;
  CheckEnd(*call);
  calls_.erase(std::find_if(calls_.begin(), calls_.end(),
                            [call](const auto& each) { return each.get() == call; }));
}

void World::CheckEnd(const Call& call) {
  const absl::Status& status = call.answer.status;
  Note(static_cast<uint64_t>(status.code()));
  if (!status.ok()) {
    EXPECT_TRUE(MayEndWith(call, status)) << status;
    CheckCutShort(call);
    return;
  }
  EXPECT_FALSE(call.poisoned);
  EXPECT_EQ(call.on_session(), call.committed) << "what it is told is not what the log has";
  EXPECT_FALSE(call.partial);
  if (call.request.expected_revision.has_value()) {
    EXPECT_EQ(call.answer.started.at(0).base_revision, *call.request.expected_revision);
  }
  CheckAnswer(&oracle_, call.answer, call.request, call.before);
  for (const auto& [index, choice] : call.answer.choices) {
    for (const int32_t id : choice.token_ids) Note(static_cast<uint64_t>(id));
    if (!call.on_session()) continue;
    EXPECT_EQ(call.request.choices == 1, choice.finish.session_id == call.request.session_id);
  }
}

bool World::MayEndWith(const Call& call, const absl::Status& status) {
  const std::string reason = ReasonOf(status);
  if (call.session_deleted && (absl::IsCancelled(status) || absl::IsNotFound(status))) return true;
  if (absl::IsCancelled(status)) return call.cancelled;
  if (absl::IsDeadlineExceeded(status)) return call.request.deadline.has_value();
  if (reason == reason::kSlowReader) return true;
  if (reason == reason::kNumerical) return call.poisoned;
  if (reason == reason::kSlotsHeld) return !lasting_ || puts_fail_;
  if (reason == reason::kInvalidField) return call.prompt().empty();
  if (reason == reason::kRevisionMismatch) return call.request.expected_revision.has_value();
  if (absl::IsUnavailable(status)) return off_;
  return absl::IsResourceExhausted(status) && log_fails_ && call.proposed;
}

// What was sent of an answer that came to nothing is the beginning of the true one all the same.
void World::CheckCutShort(const Call& call) {
  EXPECT_TRUE(call.answer.finals.empty());
  if (call.committed) {
    EXPECT_EQ(call.request.commit, CommitMode::kPartial);
  } else if (call.request.commit == CommitMode::kPartial && call.accepted > 0) {
    EXPECT_TRUE(call.session_deleted || call.poisoned || (log_fails_ && call.proposed))
        << "what its caller has got is not its session's";
  }
  if (call.answer.started.empty() || call.poisoned) return;
  OracleSession before;
  if (call.on_session()) {
    const auto session = truth_.find(call.request.session_id);
    const auto& past =
        session == truth_.end() ? past_[call.request.session_id] : session->second.past;
    before = past.at(call.answer.started.front().base_revision);
  }
  for (const auto& [index, choice] : call.answer.choices) {
    const OracleChoice expected = oracle_.Run(call.request, before, call.prompt(), index);
    ASSERT_LE(choice.token_ids.size(), expected.token_ids.size());
    EXPECT_TRUE(
        std::equal(choice.token_ids.begin(), choice.token_ids.end(), expected.token_ids.begin()));
    // Of one that its session keeps, the text goes to its last token, past where a stop may begin.
    const size_t length =
        call.partial ? std::min(choice.text.size(), expected.text.size()) : choice.text.size();
    EXPECT_EQ(choice.text.substr(0, length), expected.text.substr(0, length));
  }
}

void World::CancelOne() {
  if (calls_.empty()) return;
  Call& call = *dice_.Of(calls_);
  call.stream->Cancel();
  call.cancelled = true;
}

// --- Asking again ---

void World::Retry() {
  if (made_.empty()) return;
  const auto made = dice_.Of(made_);
  const auto session = truth_.find(made->request.session_id);
  if (session == truth_.end()) return;
  const SessionTable& sessions = *machine_->sessions;
  const RequestKey& key = made->request.key;
  const std::string& tenant = made->request.tenant;
  const auto& results = session->second.results;
  const auto known = std::find_if(results.begin(), results.end(), [&](const TrueResult& result) {
    return result.key.request_id == key.request_id;
  });
  const auto found = sessions.FindRequest(tenant, session->first, key);
  ASSERT_TRUE(found.ok()) << found.status();
  if (!std::holds_alternative<SessionTable::NewRequest>(*found)) {
    const auto other =
        sessions.FindRequest(tenant, session->first, {key.request_id, key.body_hash + 1});
    EXPECT_EQ(ReasonOf(other.status()), reason::kRequestIdReused);
  }
  if (known != results.end()) {
    const auto* result = std::get_if<TurnResult>(&*found);
    ASSERT_NE(result, nullptr) << "an answer that was committed is forgotten";
    CheckResult(*result, *known);
    return;
  }
  ASSERT_EQ(std::get_if<TurnResult>(&*found), nullptr) << "a turn is known that never was";
  if (std::holds_alternative<SessionTable::NewRequest>(*found)) {
    // Forgotten, for there were many since, or it came to nothing: it is a new one.
    GenerateRequest again = made->request;
    again.expected_revision.reset();
    again.deadline.reset();
    CheckRefusal(Submit(again), again);
    return;
  }
  const auto running = std::find_if(calls_.rbegin(), calls_.rend(), [&](const auto& call) {
    return call->request.key.request_id == key.request_id &&
           call->request.session_id == session->first;
  });
  ASSERT_NE(running, calls_.rend());
  Call& call = **running;
  if (call.request.echo || call.request.top_logprobs.has_value()) return;
  const auto old = std::exchange(
      call.stream,
      std::make_shared<OutputStream>(static_cast<size_t>(machine_->options.output_events), [] {}));
  ASSERT_TRUE(machine_->runner->TakeOver({tenant, session->first}, key.request_id, call.stream));
  while (old->Pop().has_value()) {
  }
  EXPECT_EQ(ReasonOf(old->status().value_or(absl::OkStatus())), reason::kTakenOver);
  call.answer = {};
  const int64_t accepted = std::exchange(call.accepted, 0);
  call.accepted_by_earlier = std::max(call.accepted_by_earlier, accepted);
  call.hangs_up = false;
}

void World::CheckResult(const TurnResult& result, const TrueResult& expected) {
  ASSERT_EQ(result.choices.size(), expected.choices.size());
  for (size_t i = 0; i < result.choices.size(); ++i) {
    const ChoiceResult& got = result.choices[i];
    const OracleChoice& want = expected.choices[i];
    EXPECT_EQ(got.history_token_ids, want.history_token_ids);
    if (expected.partial) continue;
    EXPECT_EQ(got.token_ids, want.token_ids);
    EXPECT_EQ(got.text, want.text);
    EXPECT_EQ(got.reason, want.reason);
    EXPECT_EQ(got.stop_reason, want.stop_reason);
  }
}

// --- Scores and vectors ---

// Nothing where it is refused.
std::optional<ReadStart> World::Reads(const std::vector<int32_t>& ids) {
  auto ticket = machine_->service.admission->Admit(1, 0, std::nullopt);
  if (!ticket.ok()) return std::nullopt;
  ReadStart start;
  start.head.sequence = next_request_++;
  start.head.tenant = "ann";
  start.head.submitted = clock_.Now();
  start.head.prompt_tokens = static_cast<int64_t>(ids.size());
  start.head.ticket = *std::move(ticket);
  start.token_ids = ids;
  start.numerics_profile = "profile";
  start.cancelled = std::make_shared<std::atomic<bool>>(false);
  return start;
}

void World::Score() {
  const std::vector<int32_t> ids = RandomTokens(&dice_, dice_.Pick(2, 20));
  std::optional<ReadStart> start = Reads(ids);
  if (!start) return;
  machine_->runner->Submit(std::make_unique<ScoreTurn>(
      *std::move(start), 0, [this, ids](const absl::StatusOr<ScoreResult>& result) {
        if (!result.ok()) {
          EXPECT_TRUE(off_ || ReasonOf(result.status()) == reason::kSlotsHeld) << result.status();
          return;
        }
        TokenLog history;
        for (size_t i = 0; i + 1 < ids.size(); ++i) {
          history.emplace_back(ids[i], false);
          EXPECT_EQ(result->logprobs.at(i).logprob, oracle_.Logprob(history, ids[i + 1]));
        }
      }));
}

void World::Encode() {
  const std::vector<int32_t> ids = RandomTokens(&dice_, dice_.Pick(1, 20));
  const auto pooling = static_cast<Pooling>(dice_.Pick(0, 2));
  std::optional<ReadStart> start = Reads(ids);
  if (!start) return;
  machine_->runner->Submit(std::make_unique<EncodeTurn>(
      *std::move(start), pooling, false, testing::FakeModel::kWidth,
      [this, ids, pooling](const absl::StatusOr<EncodeResult>& result) {
        if (!result.ok()) {
          EXPECT_TRUE(off_ || ReasonOf(result.status()) == reason::kSlotsHeld) << result.status();
          return;
        }
        EXPECT_EQ(result->values, oracle_.Encoded(ids, pooling));
      }));
}

}  // namespace ssmd::sim
