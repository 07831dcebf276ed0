// Sessions as the engine's callers see them, and what the engine refuses, over the fake model.
#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include <set>

#include "engine/base/errors.h"
#include "tests/unit/schedule/engine_fixture.h"
#include "tests/unit/schedule/fake_tokenizer.h"

namespace ssmd::testing {
namespace {

using ::testing::HasSubstr;
using ::testing::IsEmpty;

// --- Sessions ---

TEST_F(EngineTest, SessionFeedsEveryTokenOnce) {
  Start();
  OracleSession session;
  const std::string id = NewSession();
  int64_t position = 0;
  for (int turn = 0; turn < 6; ++turn) {
    GenerateRequest request =
        Request(turn == 3 ? std::vector<int32_t>{} : std::vector<int32_t>(1 + turn * 9, turn + 1),
                turn + 1);
    request.session_id = id;
    RunChecked(request, &session);
    const auto info = engine_->GetSession("tenant", id);
    ASSERT_TRUE(info.ok());
    position += static_cast<int64_t>(std::get<1>(request.prompt).size()) + turn + 1;
    EXPECT_EQ(info->position, position);
    EXPECT_EQ(info->pending_tokens, 1);
    EXPECT_EQ(info->revision, static_cast<uint64_t>(turn + 1));
    EXPECT_EQ(info->tier, StateTier::kDevice);
    EXPECT_FALSE(info->running);
    EXPECT_EQ(probe_.tokens_fed, position - 1);
  }
  EXPECT_EQ(engine_->Stats().front().slots_used, 1);
  ASSERT_TRUE(engine_->DeleteSession("tenant", id, std::nullopt).ok());
  AwaitStats(*engine_, [](const ModelStats& stats) { return stats.slots_used == 0; });
}

TEST_F(EngineTest, AfterAStopTokenTheNextTurnMustBringATokenOfItsOwn) {
  Start();
  OracleSession session;
  GenerateRequest request = Request({1, 2}, 30);
  const OracleChoice free_run = oracle_.Run(request, session, {1, 2}, 0);
  request.session_id = NewSession();
  request.stop.token_ids = {free_run.token_ids[4]};
  const Answer answer = RunChecked(request, &session);
  EXPECT_EQ(answer.choices.at(0).finish.reason, FinishReason::kStop);
  EXPECT_EQ(engine_->GetSession("tenant", request.session_id)->pending_tokens, 0);
  request.prompt = std::vector<int32_t>();
  EXPECT_TRUE(absl::IsInvalidArgument(Refusal(request)));
  EXPECT_FALSE(engine_->GetSession("tenant", request.session_id)->running);
  request.prompt = std::vector<int32_t>{5};
  request.echo = true;
  request.top_logprobs = 0;
  RunChecked(request, &session);
}

TEST_F(EngineTest, AfterAStopTokenTheEchoIsTheSameWhetherItIsReadAgainOrNot) {
  Start();
  OracleSession session;
  GenerateRequest request = Request({1, 2}, 30);
  request.session_id = NewSession();
  request.stop.token_ids = {oracle_.Run(request, session, {1, 2}, 0).token_ids[4]};
  RunChecked(request, &session);
  ASSERT_EQ(session.pending, 0);
  OracleSession later = session;
  for (int i = 0; i < 6; ++i) {
    request.prompt = std::vector<int32_t>{5, 6};
    RunChecked(request, &later);
  }
  RewindTarget target;
  target.turns = 6;
  target.allow_recompute = true;
  ASSERT_TRUE(engine_->RewindSession("tenant", request.session_id, target).ok());
  request.echo = true;
  request.top_logprobs = 0;
  const Answer answer = RunChecked(request, &session);
  EXPECT_GT(answer.finals.at(0).usage.recomputed_tokens, 0);
}

TEST_F(EngineTest, NoAnswerLeavesTheLastTokenPending) {
  Start();
  OracleSession session;
  GenerateRequest request = Request({4}, 0);
  request.session_id = NewSession();
  RunChecked(request, &session);
  auto info = engine_->GetSession("tenant", request.session_id);
  EXPECT_EQ(info->position, 1);
  EXPECT_EQ(info->pending_tokens, 1);
  EXPECT_FALSE(info->tier.has_value()) << "nothing was consumed";
  EXPECT_EQ(engine_->Stats()[0].slots_used, 0);
  EXPECT_EQ(probe_.tokens_fed, 0);

  request.prompt = std::vector<int32_t>{5, 6, 7};
  request.echo = true;
  request.top_logprobs = 0;
  RunChecked(request, &session);
  EXPECT_EQ(probe_.tokens_fed, 3);
  request.prompt = std::vector<int32_t>();
  RunChecked(request, &session);  // a turn that does nothing, on a state that is there
  EXPECT_EQ(probe_.tokens_fed, 3);
  EXPECT_EQ(engine_->GetSession("tenant", request.session_id)->tier, StateTier::kDevice);
  request.max_tokens = 5;
  RunChecked(request, &session);
  EXPECT_EQ(probe_.tokens_fed, 8);
}

TEST_F(EngineTest, ACharacterMayBeCompletedByTheNextTurn) {
  Start();
  GenerateRequest request = Request({1}, 1);
  request.session_id = NewSession();
  request.sampling.penalties.logit_bias = {{17, 100}};  // the first byte of the euro sign
  Answer answer = RunTurn(engine_.get(), request);
  EXPECT_EQ(answer.choices[0].text, "");
  request.prompt = std::vector<int32_t>();
  request.sampling.penalties.logit_bias = {{18, 100}};
  EXPECT_EQ(RunTurn(engine_.get(), request).choices[0].text, "");
  request.sampling.penalties.logit_bias = {{19, 100}};
  EXPECT_EQ(RunTurn(engine_.get(), request).choices[0].text, "\xE2\x82\xAC");
}

TEST_F(EngineTest, ARewindAmidACharacterKeepsItsBeginning) {
  Start();
  GenerateRequest request = Request({1, 17, 18, 2}, 0);  // two bytes of the euro sign
  request.session_id = NewSession();
  ASSERT_TRUE(RunTurn(engine_.get(), request).status.ok());
  RewindTarget target;
  target.position = 3;
  target.allow_recompute = true;
  ASSERT_TRUE(engine_->RewindSession("tenant", request.session_id, target).ok());
  request.prompt = std::vector<int32_t>();
  request.max_tokens = 1;
  request.sampling.penalties.logit_bias = {{19, 100}};
  EXPECT_EQ(RunTurn(engine_.get(), request).choices[0].text, "\xE2\x82\xAC");
}

TEST_F(EngineTest, ASessionThatHasToBeReadAgainCanBeExportedAndImported) {
  Start();
  OracleSession session;
  GenerateRequest request = Request({1, 2, 3, 4, 5}, 3);
  request.session_id = NewSession();
  RunChecked(request, &session);
  RewindTarget target;
  target.position = 4;
  target.allow_recompute = true;
  ASSERT_TRUE(engine_->RewindSession("tenant", request.session_id, target).ok());
  std::promise<absl::StatusOr<EncodedSnapshot>> exported;
  engine_->ExportSession("tenant", request.session_id, "",
                         [&](auto snapshot) { exported.set_value(std::move(snapshot)); });
  const auto snapshot = exported.get_future().get();
  ASSERT_TRUE(snapshot.ok()) << snapshot.status();
  ASSERT_EQ(snapshot->state, nullptr) << "none is held of so few tokens";
  const auto imported = engine_->ImportSession("tenant", {}, snapshot->front);
  ASSERT_TRUE(imported.ok()) << imported.status();
  session.history.erase(session.history.begin() + 4, session.history.end());
  request.session_id = imported->session_id;
  EXPECT_EQ(RunChecked(request, &session).finals.at(0).usage.recomputed_tokens, 3);
}

TEST_F(EngineTest, PenaltiesLookBackOverEarlierTurns) {
  Start();
  OracleSession session;
  GenerateRequest request = Request({1, 2, 3, 4, 5}, 12);
  request.session_id = NewSession();
  request.sampling.penalties.repetition = 3;
  request.sampling.penalties.presence = 1;
  request.sampling.penalties.window = 9;
  for (int turn = 0; turn < 4; ++turn) RunChecked(request, &session);
}

TEST_F(EngineTest, SeveralChoicesOnASessionBecomeItsChildren) {
  Start();
  OracleSession session;
  GenerateRequest request = Request({1, 2, 3}, 4);
  request.session_id = NewSession();
  RunChecked(request, &session);
  GenerateRequest fork = Request({6}, 6);
  fork.session_id = request.session_id;
  fork.sampling.temperature = 1;
  fork.choices = 3;
  const Answer answer = RunTurn(engine_.get(), fork);
  const auto expected = CheckAnswer(&oracle_, answer, fork, session);
  EXPECT_EQ(engine_->GetSession("tenant", request.session_id)->revision, 1u);
  std::set<std::string> ids = {request.session_id};
  for (int i = 0; i < 3; ++i) {
    const ChoiceFinishedEvent& finish = answer.choices.at(i).finish;
    EXPECT_TRUE(ids.insert(finish.session_id).second);
    EXPECT_EQ(finish.revision, 1u);
    OracleSession child = expected[static_cast<size_t>(i)].after;
    GenerateRequest on = Request({}, 5);
    on.session_id = finish.session_id;
    RunChecked(on, &child);
  }
  RunChecked(request, &session);
  EXPECT_EQ(engine_->Stats()[0].sessions, 4);
  EXPECT_EQ(engine_->Stats()[0].slots_used, 4);
}

TEST_F(EngineTest, ATurnInProgressKeepsOthersOutAndShowsTheLastCommit) {
  Start();
  GenerateRequest request = Request({1}, 3);
  request.session_id = NewSession();
  ASSERT_TRUE(RunTurn(engine_.get(), request).status.ok());
  Gate gate(&probe_);
  auto stream = engine_->Generate(request, "first");
  gate.AwaitStep();
  const absl::Status busy = Refusal(request);
  EXPECT_TRUE(absl::IsAborted(busy));
  EXPECT_EQ(ReasonOf(busy), reason::kSessionBusy);
  const auto info = engine_->GetSession("tenant", request.session_id);
  EXPECT_TRUE(info->running);
  EXPECT_EQ(info->revision, 1u);
  EXPECT_EQ(info->position, 4);
  gate.Open();
  EXPECT_TRUE(ReadAll(stream->get()).status.ok());
  EXPECT_TRUE(RunTurn(engine_.get(), request).status.ok()) << "the next turn may follow at once";
}

TEST_F(EngineTest, DeletingASessionCancelsItsTurn) {
  Start();
  GenerateRequest request = Request({1}, 1000);
  request.session_id = NewSession();
  Gate gate(&probe_);
  auto stream = engine_->Generate(request, "turn");
  gate.AwaitStep();
  EXPECT_TRUE(engine_->DeleteSession("tenant", request.session_id, 0).ok());
  gate.Open();
  EXPECT_TRUE(absl::IsCancelled(ReadAll(stream->get()).status));
  EXPECT_EQ(engine_->Stats()[0].slots_used, 0);
  EXPECT_TRUE(absl::IsNotFound(engine_->GetSession("tenant", request.session_id).status()));
}

// --- Refusals ---

struct RefusalCase {
  const char* name;
  std::function<void(GenerateRequest*)> change;
  absl::StatusCode code;
  std::string_view reason;
  const char* message;
};

class EngineRefusalTest : public EngineTest, public ::testing::WithParamInterface<RefusalCase> {};

TEST_P(EngineRefusalTest, SaysWhatIsWrongAndHoldsNothing) {
  FakeEngineOptions options;
  options.limits.max_history_tokens = 50;
  options.limits.max_choices = 5;
  options.models = {"fake", "other"};
  Start(options);
  GenerateRequest request = Request({1, 2, 3}, 10);
  request.model = "fake";
  GetParam().change(&request);
  const absl::Status status = Refusal(request);
  EXPECT_EQ(status.code(), GetParam().code) << status;
  EXPECT_EQ(ReasonOf(status), GetParam().reason);
  EXPECT_THAT(std::string(status.message()), HasSubstr(GetParam().message));
  EXPECT_EQ(engine_->Stats()[0].waiting, 0);
  engine_->Drain();
  EXPECT_TRUE(engine_->Drained());
}

INSTANTIATE_TEST_SUITE_P(
    , EngineRefusalTest,
    ::testing::Values(
        RefusalCase{"UnknownModel", [](auto* r) { r->model = "fak"; }, absl::StatusCode::kNotFound,
                    reason::kModelNotFound, "no model named fak is served: list the models"},
        RefusalCase{"NoModelOfSeveral", [](auto* r) { r->model = ""; },
                    absl::StatusCode::kInvalidArgument, reason::kInvalidField,
                    "model must be named where several are served: one of fake, other"},
        RefusalCase{"UnknownSession", [](auto* r) { r->session_id = std::string(32, '0'); },
                    absl::StatusCode::kNotFound, reason::kSessionNotFound, "there is no session"},
        RefusalCase{"MalformedSession", [](auto* r) { r->session_id = "\x01/../x"; },
                    absl::StatusCode::kNotFound, reason::kSessionNotFound, "no such session"},
        RefusalCase{"RevisionWithoutSession", [](auto* r) { r->expected_revision = 1; },
                    absl::StatusCode::kInvalidArgument, reason::kInvalidField, "expected_revision"},
        RefusalCase{"EmptyIds", [](auto* r) { r->prompt = std::vector<int32_t>(); },
                    absl::StatusCode::kInvalidArgument, reason::kInvalidField, "empty"},
        RefusalCase{"EmptyText", [](auto* r) { r->prompt = std::string(); },
                    absl::StatusCode::kInvalidArgument, reason::kInvalidField, "empty"},
        RefusalCase{"EmptyMessages", [](auto* r) { r->prompt = ChatPrompt(); },
                    absl::StatusCode::kInvalidArgument, reason::kInvalidField, "empty"},
        RefusalCase{"TokenPastTheVocabulary", [](auto* r) { r->prompt = std::vector<int32_t>{29}; },
                    absl::StatusCode::kInvalidArgument, reason::kInvalidField, "[0, 29)"},
        RefusalCase{"NegativeToken",
                    [](auto* r) {
                      r->prompt = std::vector<int32_t>{1, -1};
                    },
                    absl::StatusCode::kInvalidArgument, reason::kInvalidField, "-1 (number 1)"},
        RefusalCase{"BiasPastTheVocabulary",
                    [](auto* r) {
                      r->sampling.penalties.logit_bias = {{29, 1.0f}};
                    },
                    absl::StatusCode::kInvalidArgument, reason::kInvalidField, "logit_bias"},
        RefusalCase{"StopPastTheVocabulary", [](auto* r) { r->stop.token_ids = {29}; },
                    absl::StatusCode::kInvalidArgument, reason::kInvalidField, "stop.token_ids"},
        RefusalCase{"NoChoices", [](auto* r) { r->choices = 0; },
                    absl::StatusCode::kInvalidArgument, reason::kInvalidField, "n must be"},
        RefusalCase{"TooManyChoices", [](auto* r) { r->choices = 6; },
                    absl::StatusCode::kInvalidArgument, reason::kInvalidField, "[1, 5]"},
        RefusalCase{"NegativeMaxTokens", [](auto* r) { r->max_tokens = -1; },
                    absl::StatusCode::kInvalidArgument, reason::kInvalidField, "max_tokens"},
        RefusalCase{"TooManyLogprobs", [](auto* r) { r->top_logprobs = 65; },
                    absl::StatusCode::kInvalidArgument, reason::kInvalidField, "logprobs"},
        RefusalCase{"HistoryTooLong", [](auto* r) { r->max_tokens = 48; },
                    absl::StatusCode::kInvalidArgument, reason::kHistoryTooLong, "at most 50"}),
    [](const auto& test) { return std::string(test.param.name); });

TEST_F(EngineTest, HistoryMayBeExactlyAsLongAsTheLimit) {
  FakeEngineOptions options;
  options.limits.max_history_tokens = 20;
  Start(options);
  GenerateRequest request = Request({1, 2, 3}, 7);
  request.session_id = NewSession();
  EXPECT_TRUE(RunTurn(engine_.get(), request).status.ok());
  request.max_tokens = 8;
  EXPECT_EQ(ReasonOf(Refusal(request)), reason::kHistoryTooLong);
  request.max_tokens = 7;
  EXPECT_TRUE(RunTurn(engine_.get(), request).status.ok());
}

TEST_F(EngineTest, ForeignSessionsLookAbsentEverywhere) {
  Start();
  const std::string id = NewSession("ann");
  GenerateRequest request = Request({1}, 1);
  request.session_id = id;
  EXPECT_TRUE(absl::IsNotFound(Refusal(request)));
  EXPECT_TRUE(absl::IsNotFound(engine_->GetSession("bob", id).status()));
  EXPECT_TRUE(absl::IsNotFound(engine_->DeleteSession("bob", id, std::nullopt)));
  EXPECT_THAT(engine_->ListSessions("bob", {"", ""}, 10, "")->sessions, IsEmpty());
  EXPECT_EQ(engine_->ListSessions("ann", {"", ""}, 10, "")->sessions.size(), 1u);
}

TEST_F(EngineTest, SessionsOfAnotherModelAreRefused) {
  FakeEngineOptions options;
  options.models = {"fake", "other"};
  Start(options);
  GenerateRequest request = Request({1}, 3);
  request.session_id = CreateSession(engine_.get(), "tenant", "other")->session_id;
  request.model = "fake";
  EXPECT_TRUE(absl::IsInvalidArgument(Refusal(request)));
  request.model = "";
  EXPECT_EQ(RunTurn(engine_.get(), request).started.at(0).model, "other");
  EXPECT_EQ(engine_->ListSessions("tenant", {"other", ""}, 10, "")->sessions.size(), 1u);
  EXPECT_EQ(engine_->ListSessions("tenant", {"fake", ""}, 10, "")->sessions.size(), 0u);
  EXPECT_TRUE(absl::IsNotFound(engine_->ListSessions("tenant", {"none", ""}, 10, "").status()));
  EXPECT_TRUE(absl::IsInvalidArgument(engine_->ListSessions("tenant", {"", ""}, 0, "").status()));
  EXPECT_TRUE(
      absl::IsInvalidArgument(engine_->ListSessions("tenant", {"", ""}, 1001, "").status()));
}

TEST_F(EngineTest, QueueTakesExactlyItsLimit) {
  FakeEngineOptions options;
  options.limits.state_slots = 2;
  options.limits.max_waiting = 3;
  Start(options);
  Gate gate(&probe_);
  std::vector<std::shared_ptr<OutputStream>> streams;
  streams.push_back(*engine_->Generate(Request({1}, 2), "running"));
  gate.AwaitStep();
  for (int i = 0; i < 3; ++i) {
    auto stream = engine_->Generate(Request({1}, 2), "waiting");
    ASSERT_TRUE(stream.ok()) << i;
    streams.push_back(*stream);
  }
  EXPECT_EQ(engine_->Stats()[0].waiting, 3);
  const absl::Status full = Refusal(Request({1}, 2));
  EXPECT_TRUE(absl::IsResourceExhausted(full));
  EXPECT_EQ(ReasonOf(full), reason::kQueueFull);
  EXPECT_TRUE(RetryAfterOf(full).has_value());
  gate.Open();
  for (const auto& stream : streams) EXPECT_TRUE(ReadAll(stream.get()).status.ok());
}

TEST_F(EngineTest, SessionsHoldWhatFitsAllTiersButOneSlotAndDeletingMakesRoomAtOnce) {
  FakeEngineOptions options;
  options.limits.state_slots = 3;
  Start(options);
  GenerateRequest request = Request({1}, 2);
  std::vector<std::string> ids;
  for (int i = 0; i < 2; ++i) {
    request.session_id = NewSession();
    ids.push_back(request.session_id);
    EXPECT_TRUE(RunTurn(engine_.get(), request).status.ok());
  }
  request.session_id = NewSession();
  const absl::Status refused = Refusal(request);
  EXPECT_EQ(ReasonOf(refused), reason::kSlotsHeld);
  EXPECT_THAT(std::string(refused.message()), HasSubstr("--state-slots"));
  GenerateRequest two = Request({1}, 2);
  two.choices = 2;
  EXPECT_TRUE(RunTurn(engine_.get(), two).status.ok()) << "they make room for a turn";
  for (int i = 0; i < 20; ++i) {
    ASSERT_TRUE(engine_->DeleteSession("tenant", ids.back(), std::nullopt).ok());
    ASSERT_TRUE(RunTurn(engine_.get(), request).status.ok()) << i;
    ids.back() = request.session_id;
    request.session_id = NewSession();
  }
  EXPECT_TRUE(RunTurn(engine_.get(), Request({1}, 2)).status.ok()) << "one slot is always left";
}

TEST_F(EngineTest, ChildrenCountAgainstTheLimitOfSessions) {
  FakeEngineOptions options;
  options.limits.sessions.sessions_per_tenant = 3;
  Start(options);
  GenerateRequest request = Request({1}, 2);
  request.session_id = NewSession();
  request.choices = 3;
  EXPECT_EQ(ReasonOf(Refusal(request)), reason::kTooManySessions);
  request.choices = 2;
  EXPECT_TRUE(RunTurn(engine_.get(), request).status.ok());
  EXPECT_EQ(ReasonOf(CreateSession(engine_.get(), "tenant").status()), reason::kTooManySessions);
}

}  // namespace
}  // namespace ssmd::testing
