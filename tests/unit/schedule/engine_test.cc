// The engine as its callers see it, over the fake model.
#include "engine/engine.h"

#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include <future>
#include <set>
#include <thread>

#include "engine/base/errors.h"
#include "tests/unit/schedule/check_answer.h"
#include "tests/unit/schedule/fake_tokenizer.h"

namespace ssmd::testing {
namespace {

using std::chrono::seconds;
using ::testing::ElementsAre;
using ::testing::HasSubstr;
using ::testing::IsEmpty;

// Holds the step thread before its next step until it is opened.
class Gate {
 public:
  explicit Gate(FakeProbe* probe) {
    probe->before_forward = [this] {
      if (closed_.exchange(false)) {
        reached_.set_value();
        opened_.get_future().wait();
      }
    };
  }
  void AwaitStep() { reached_.get_future().wait(); }
  void Open() { opened_.set_value(); }

 private:
  std::atomic<bool> closed_{true};
  std::promise<void> reached_;
  std::promise<void> opened_;
};

class EngineTest : public ::testing::Test {
 protected:
  void TearDown() override {
    engine_.reset();
    EXPECT_EQ(probe_.violations, 0);
  }
  void Start(FakeEngineOptions options = FakeEngineOptions()) {
    engine_ = MakeFakeEngine(&probe_, std::move(options), &wake_);
  }
  std::string NewSession(const std::string& tenant = "tenant") {
    auto session = engine_->CreateSession(tenant, "");
    EXPECT_TRUE(session.ok()) << session.status();
    return session.ok() ? session->session_id : "";
  }
  // Runs a turn and checks all of it against the oracle, which takes the session on.
  Answer RunChecked(const GenerateRequest& request, OracleSession* session) {
    Answer answer = RunTurn(engine_.get(), request);
    *session = CheckAnswer(&oracle_, answer, request, *session)[0].after;
    return answer;
  }
  absl::Status Refusal(const GenerateRequest& request) {
    return engine_->Generate(request, "refused").status();
  }
  absl::StatusOr<ScoreResult> Score(ScoreRequest request) {
    std::promise<absl::StatusOr<ScoreResult>> done;
    request.tenant = "tenant";
    engine_->Score(std::move(request), "score",
                   [&](absl::StatusOr<ScoreResult> result) { done.set_value(std::move(result)); });
    return done.get_future().get();
  }

  FakeProbe probe_;
  Oracle oracle_;
  std::function<void()> wake_;
  std::unique_ptr<Engine> engine_;
};

// --- Turns ---

TEST_F(EngineTest, AnonymousTurnSamplesWhatTheModelSays) {
  Start();
  OracleSession nobody;
  RunChecked(Request({1, 2, 3}, 20), &nobody);
  const ModelStats stats = engine_->Stats().front();
  EXPECT_EQ(stats.slots_used, 0);
  EXPECT_EQ(stats.generated_tokens, 20);
  EXPECT_EQ(stats.prompt_tokens, 3);
}

TEST_F(EngineTest, StartedSaysWhatTheTurnBuildsOn) {
  Start();
  GenerateRequest request = Request({1}, 2);
  request.session_id = NewSession();
  request.sampling.seed = 0;
  Answer answer = RunTurn(engine_.get(), request, "name");
  ASSERT_EQ(answer.started.size(), 1u);
  EXPECT_EQ(answer.started[0].request_id, "name");
  EXPECT_EQ(answer.started[0].model, "fake");
  EXPECT_EQ(answer.started[0].session_id, request.session_id);
  EXPECT_EQ(answer.started[0].state_source, StateSource::kFresh);
  EXPECT_EQ(answer.started[0].seed, 0u);
  EXPECT_THAT(answer.started[0].numerics_profile, HasSubstr("cpu/"));
  EXPECT_THAT(answer.started[0].numerics_profile, HasSubstr("weights=f32;state=f32"));
  answer = RunTurn(engine_.get(), request);
  EXPECT_EQ(answer.started[0].base_revision, 1u);
  EXPECT_EQ(answer.started[0].state_source, StateSource::kResident);
  EXPECT_EQ(answer.choices[0].finish.revision, 2u);
}

TEST_F(EngineTest, ARequestWithoutASeedGetsARandomOneThatReproducesIt) {
  Start();
  GenerateRequest request = Request({1}, 30);
  request.sampling.temperature = 1;
  request.sampling.seed.reset();
  std::set<uint64_t> seeds;
  for (int i = 0; i < 5; ++i) {
    Answer answer = RunTurn(engine_.get(), request);
    GenerateRequest again = request;
    again.sampling.seed = answer.started[0].seed;
    seeds.insert(answer.started[0].seed);
    CheckAnswer(&oracle_, answer, again, OracleSession());
  }
  EXPECT_EQ(seeds.size(), 5u);
}

TEST_F(EngineTest, ALongPromptReportsItsProgress) {
  Start();
  const Answer answer = RunTurn(engine_.get(), Request(std::vector<int32_t>(20, 3), 1));
  ASSERT_EQ(answer.progress.size(), 2u);
  EXPECT_EQ(answer.progress[0].done_tokens, 7);
  EXPECT_EQ(answer.progress[1].done_tokens, 14);
  EXPECT_EQ(answer.progress[1].total_tokens, 20);
}

TEST_F(EngineTest, SeveralChoicesReadThePromptOnce) {
  Start();
  GenerateRequest request = Request({1, 2, 3, 4, 5, 6, 7, 8, 9}, 12);
  request.sampling.temperature = 1;
  request.choices = 3;
  const Answer answer = RunTurn(engine_.get(), request);
  CheckAnswer(&oracle_, answer, request, OracleSession());
  EXPECT_NE(answer.choices.at(0).token_ids, answer.choices.at(1).token_ids);
  EXPECT_EQ(probe_.tokens_fed, 9 + 3 * 11);
}

TEST_F(EngineTest, EchoAndLogprobsCoverThePromptInTilesOfEverySize) {
  for (const int tile : {1, 2, 7, 64}) {
    FakeEngineOptions options;
    options.max_logit_rows = tile;
    Start(options);
    GenerateRequest request = Request({1, 2, 3, 4, 5, 6, 7, 8, 9, 10, 11}, 5);
    request.echo = true;
    request.top_logprobs = 3;
    const Answer answer = RunTurn(engine_.get(), request);
    CheckAnswer(&oracle_, answer, request, OracleSession());
    EXPECT_EQ(answer.choices.at(0).echo_text, "abcdefgabbccada");
    const auto& details = answer.choices.at(0).logprobs;
    ASSERT_EQ(details.size(), 5u);
    for (const TokenDetail& detail : details) {
      ASSERT_EQ(detail.top.size(), 3u);
      EXPECT_EQ(detail.top[0].token_id, detail.token_id) << "greedy takes the most likely";
      EXPECT_GE(detail.top[0].logprob, detail.top[1].logprob);
    }
  }
}

TEST_F(EngineTest, MoreTopLogprobsThanTokensAreTheWholeVocabulary) {
  Start();
  GenerateRequest request = Request({1}, 1);
  request.top_logprobs = kernels::kMaxTopLogprobs;
  const Answer answer = RunTurn(engine_.get(), request);
  EXPECT_EQ(answer.choices.at(0).logprobs.at(0).top.size(),
            static_cast<size_t>(FakeModel::kVocabulary));
}

TEST_F(EngineTest, BosIsAddedToTextAtTheStartOfHistoryOnly) {
  FakeEngineOptions options;
  options.bos = 27;
  Start(options);
  GenerateRequest request = Request({}, 2);
  request.prompt = std::string("abc");
  request.echo = true;
  request.session_id = NewSession();
  EXPECT_THAT(RunTurn(engine_.get(), request).choices[0].echo_ids, ElementsAre(27, 12));
  EXPECT_THAT(RunTurn(engine_.get(), request).choices[0].echo_ids, ElementsAre(12));
  request.session_id = "";
  request.prompt = std::vector<int32_t>{12};
  EXPECT_THAT(RunTurn(engine_.get(), request).choices[0].echo_ids, ElementsAre(12));
  request.prompt = std::string();
  EXPECT_TRUE(absl::IsInvalidArgument(Refusal(request)));
  EXPECT_THAT(*engine_->Tokenize("", "abc", false), ElementsAre(12));
}

TEST_F(EngineTest, AModelWithoutATokenizerServesIds) {
  FakeEngineOptions options;
  options.tokenizer = false;
  Start(options);
  GenerateRequest request = Request({1}, 4);
  const OracleChoice expected = oracle_.Run(request, OracleSession(), {1}, 0);
  request.stop.token_ids = {expected.token_ids[2]};
  const Answer answer = RunTurn(engine_.get(), request);
  EXPECT_EQ(answer.choices.at(0).text, "");
  EXPECT_EQ(answer.choices.at(0).finish.stop_reason, std::to_string(expected.token_ids[2]));
  request.stop.strings = {"a"};
  EXPECT_THAT(std::string(Refusal(request).message()), HasSubstr("stop token ids"));
  request.stop.strings.clear();
  request.prompt = std::string("a");
  EXPECT_THAT(std::string(Refusal(request).message()), HasSubstr("token ids"));
  EXPECT_TRUE(absl::IsInvalidArgument(engine_->Tokenize("", "a", false).status()));
  EXPECT_TRUE(absl::IsInvalidArgument(engine_->Detokenize("", {1}).status()));
}

TEST_F(EngineTest, AStopTokenThatIsHalfACharacterIsReportedAsText) {
  Start();
  GenerateRequest request = Request({1}, 4);
  request.sampling.penalties.logit_bias = {{17, 100}};
  request.stop.token_ids = {17};
  EXPECT_EQ(RunTurn(engine_.get(), request).choices[0].finish.stop_reason, "\xEF\xBF\xBD");
}

TEST_F(EngineTest, DetokenizeShowsSpecialTokensAndMendsBrokenCharacters) {
  Start();
  EXPECT_EQ(*engine_->Detokenize("", {0, 1, 17, 18, 19, 15}), "<end>a\xE2\x82\xAC\xEF\xBF\xBD");
  EXPECT_TRUE(absl::IsInvalidArgument(engine_->Detokenize("", {29}).status()));
}

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
    EXPECT_TRUE(info->resident);
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

TEST_F(EngineTest, NoAnswerLeavesTheLastTokenPending) {
  Start();
  OracleSession session;
  GenerateRequest request = Request({4}, 0);
  request.session_id = NewSession();
  RunChecked(request, &session);
  auto info = engine_->GetSession("tenant", request.session_id);
  EXPECT_EQ(info->position, 1);
  EXPECT_EQ(info->pending_tokens, 1);
  EXPECT_FALSE(info->resident) << "nothing was consumed";
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
  EXPECT_TRUE(engine_->GetSession("tenant", request.session_id)->resident);
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
                    reason::kModelNotFound, "list the models"},
        RefusalCase{"NoModelOfSeveral", [](auto* r) { r->model = ""; }, absl::StatusCode::kNotFound,
                    reason::kModelNotFound, "name one"},
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
        RefusalCase{"EmptyMessages", [](auto* r) { r->prompt = std::vector<ChatMessage>(); },
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
  EXPECT_THAT(engine_->ListSessions("bob", "", 10, "")->sessions, IsEmpty());
  EXPECT_EQ(engine_->ListSessions("ann", "", 10, "")->sessions.size(), 1u);
}

TEST_F(EngineTest, SessionsOfAnotherModelAreRefused) {
  FakeEngineOptions options;
  options.models = {"fake", "other"};
  Start(options);
  GenerateRequest request = Request({1}, 3);
  request.session_id = engine_->CreateSession("tenant", "other")->session_id;
  request.model = "fake";
  EXPECT_TRUE(absl::IsInvalidArgument(Refusal(request)));
  request.model = "";
  EXPECT_EQ(RunTurn(engine_.get(), request).started.at(0).model, "other");
  EXPECT_EQ(engine_->ListSessions("tenant", "other", 10, "")->sessions.size(), 1u);
  EXPECT_EQ(engine_->ListSessions("tenant", "fake", 10, "")->sessions.size(), 0u);
  EXPECT_TRUE(absl::IsNotFound(engine_->ListSessions("tenant", "none", 10, "").status()));
  EXPECT_TRUE(absl::IsInvalidArgument(engine_->ListSessions("tenant", "", 0, "").status()));
  EXPECT_TRUE(absl::IsInvalidArgument(engine_->ListSessions("tenant", "", 1001, "").status()));
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

TEST_F(EngineTest, SessionsHoldAllSlotsButOneAndDeletingMakesRoomAtOnce) {
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
  EXPECT_EQ(ReasonOf(Refusal(two)), reason::kSlotsHeld);
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
  options.limits.max_sessions = 3;
  Start(options);
  GenerateRequest request = Request({1}, 2);
  request.session_id = NewSession();
  request.choices = 3;
  EXPECT_EQ(ReasonOf(Refusal(request)), reason::kTooManySessions);
  request.choices = 2;
  EXPECT_TRUE(RunTurn(engine_.get(), request).status.ok());
  EXPECT_EQ(ReasonOf(engine_->CreateSession("tenant", "").status()), reason::kTooManySessions);
}

// --- Scores ---

TEST_F(EngineTest, ScoresEveryTokenAfterTheFirst) {
  Start();
  ScoreRequest request;
  const std::vector<int32_t> ids = {1, 5, 9, 2, 2, 14, 3, 3, 8, 21, 4};
  request.prompt = ids;
  request.top_logprobs = 2;
  const auto result = Score(request);
  ASSERT_TRUE(result.ok()) << result.status();
  EXPECT_EQ(result->token_ids, ids);
  ASSERT_EQ(result->logprobs.size(), ids.size() - 1);
  TokenLog history;
  for (size_t i = 0; i + 1 < ids.size(); ++i) {
    history.emplace_back(ids[i], false);
    EXPECT_EQ(result->logprobs[i].token_id, ids[i + 1]);
    EXPECT_EQ(result->logprobs[i].logprob, oracle_.Logprob(history, ids[i + 1]));
    EXPECT_EQ(result->logprobs[i].top.size(), 2u);
  }
  EXPECT_EQ(engine_->Stats()[0].slots_used, 0);
}

TEST_F(EngineTest, RefusesWhatCannotBeScored) {
  Start();
  ScoreRequest request;
  for (const auto& ids : {std::vector<int32_t>{}, {1}, {1, 29}}) {
    request.prompt = ids;
    EXPECT_TRUE(absl::IsInvalidArgument(Score(request).status()));
  }
  request.prompt = std::string("abc");  // one token
  EXPECT_TRUE(absl::IsInvalidArgument(Score(request).status()));
  request.prompt = std::string("zz");
  EXPECT_TRUE(Score(request).ok());
  request.model = "none";
  EXPECT_TRUE(absl::IsNotFound(Score(request).status()));
}

// --- Time and the end ---

TEST_F(EngineTest, ADeadlineFiresThoughTheLoopSleeps) {
  FakeClock clock;
  FakeEngineOptions options;
  options.limits.output_events = 1;
  options.clock = &clock;
  Start(options);
  GenerateRequest request = Request({1}, 100);
  request.deadline = clock.Now() + seconds(1000);
  auto stream = engine_->Generate(request, "late");
  AwaitStats(*engine_, [](const ModelStats& stats) { return stats.paused == 1; });
  clock.Advance(seconds(1000));
  wake_();
  AwaitStats(*engine_, [](const ModelStats& stats) { return stats.running == 0; });
  EXPECT_TRUE(absl::IsDeadlineExceeded(ReadAll(stream->get()).status));
}

TEST_F(EngineTest, TheLoopWakesForADeadlineByItself) {
  FakeEngineOptions options;
  options.limits.output_events = 1;
  Start(options);
  GenerateRequest request = Request({1}, 100);
  request.deadline = std::chrono::steady_clock::now() + std::chrono::milliseconds(20);
  auto stream = engine_->Generate(request, "late");
  AwaitStats(*engine_, [](const ModelStats& stats) { return stats.early_ends.size() == 1; });
  EXPECT_TRUE(absl::IsDeadlineExceeded(ReadAll(stream->get()).status));
}

TEST_F(EngineTest, DrainFinishesWhatWasAccepted) {
  Start();
  Gate gate(&probe_);
  auto stream = engine_->Generate(Request({1}, 30), "accepted");
  gate.AwaitStep();
  engine_->Drain();
  EXPECT_EQ(ReasonOf(Refusal(Request({1}, 1))), reason::kDraining);
  EXPECT_FALSE(engine_->Drained());
  gate.Open();
  CheckAnswer(&oracle_, ReadAll(stream->get()), Request({1}, 30), OracleSession());
  EXPECT_TRUE(engine_->Drained()) << "when the caller knows of the end, so does everyone";
}

TEST_F(EngineTest, ItsDestructorEndsEveryTurnAndStreamsOutliveIt) {
  FakeEngineOptions options;
  options.limits.state_slots = 2;
  options.limits.output_events = 4;
  Start(options);
  std::vector<std::shared_ptr<OutputStream>> streams;
  for (int i = 0; i < 5; ++i) streams.push_back(*engine_->Generate(Request({1}, 1000), "turn"));
  absl::Status scored;
  ScoreRequest score;
  score.prompt = std::vector<int32_t>{1, 2};
  auto cancel = engine_->Score(
      score, "score", [&](absl::StatusOr<ScoreResult> result) { scored = result.status(); });
  engine_.reset();
  for (const auto& stream : streams) {
    EXPECT_TRUE(absl::IsUnavailable(ReadAll(stream.get()).status));
    stream->Cancel();
  }
  EXPECT_TRUE(absl::IsUnavailable(scored));
  cancel();
}

// --- What the world is told ---

class Recorder final : public Observer {
 public:
  void OnFirstToken(const std::string&, Duration) override { ++first_tokens; }
  void OnNextToken(const std::string&, Duration) override { ++next_tokens; }
  void OnStep(const StepRecord& step) override {
    ++steps;
    tokens += step.tokens;
  }
  void OnRequestEnd(const RequestRecord& request) override { ends.push_back(request); }

  int first_tokens = 0, next_tokens = 0, steps = 0;
  int64_t tokens = 0;
  std::vector<RequestRecord> ends;
};

TEST_F(EngineTest, TheObserverHearsOfEveryStepTokenAndEnd) {
  Recorder recorder;
  FakeEngineOptions options;
  options.observer = &recorder;
  Start(options);
  GenerateRequest request = Request({1, 2, 3, 4, 5, 6, 7, 8, 9}, 5);
  request.choices = 2;
  ASSERT_TRUE(RunTurn(engine_.get(), request, "both").status.ok());
  engine_.reset();
  EXPECT_EQ(recorder.first_tokens, 1);
  EXPECT_EQ(recorder.next_tokens, 2 * 4);
  EXPECT_EQ(recorder.tokens, probe_.tokens_fed);
  EXPECT_EQ(recorder.steps, 2 + 4);
  ASSERT_EQ(recorder.ends.size(), 1u);
  EXPECT_EQ(recorder.ends[0].request_id, "both");
  EXPECT_EQ(recorder.ends[0].tenant, "tenant");
  EXPECT_EQ(recorder.ends[0].model, "fake");
  EXPECT_TRUE(recorder.ends[0].status.ok());
  EXPECT_EQ(recorder.ends[0].usage.generated_tokens, 10);
  EXPECT_GE(recorder.ends[0].total, recorder.ends[0].prefill + recorder.ends[0].decode);
}

TEST(MakeEngine, NamesTheLimitThatIsOutOfRange) {
  FakeProbe probe;
  for (const auto& [change, name] :
       std::vector<std::pair<std::function<void(EngineLimits*)>, std::string>>{
           {[](auto* l) { l->state_slots = 1; }, "state_slots"},
           {[](auto* l) { l->token_budget = 0; }, "token_budget"},
           {[](auto* l) { l->max_running = 0; }, "max_running"},
           {[](auto* l) { l->max_waiting = 0; }, "max_waiting"},
           {[](auto* l) { l->output_events = 0; }, "output_events"},
           {[](auto* l) { l->max_choices = 0; }, "max_choices"}}) {
    EngineParts parts;
    parts.device = kernels::MakeCpuDevice({std::nullopt, 1});
    parts.models.push_back({"fake", std::make_unique<FakeModel>(&probe, 8), nullptr});
    change(&parts.limits);
    const absl::Status status = MakeEngine(std::move(parts)).status();
    EXPECT_TRUE(absl::IsInvalidArgument(status));
    EXPECT_THAT(std::string(status.message()), HasSubstr(name));
  }
}

TEST(MakeEngine, TakesAsManySlotsAsFitItsBytesWithinBounds) {
  FakeProbe probe;
  for (const auto& [bytes, slots] :
       std::vector<std::pair<int64_t, int>>{{0, 2}, {128 * 5 + 1, 5}, {int64_t{1} << 30, 1024}}) {
    FakeEngineOptions options;
    options.limits.state_slots = 0;
    options.limits.state_bytes = bytes;
    const auto models = MakeFakeEngine(&probe, options)->Models();
    ASSERT_EQ(models.size(), 1u);
    EXPECT_EQ(models[0].state_bytes_per_session, 128);
    EXPECT_EQ(models[0].state_slots, slots);
    EXPECT_EQ(models[0].token_budget, 7);
    EXPECT_TRUE(models[0].has_tokenizer);
  }
}

}  // namespace
}  // namespace ssmd::testing
