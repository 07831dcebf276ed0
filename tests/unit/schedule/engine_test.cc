// The engine as its callers see it: turns, scores, time and limits, over the fake model.
#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include <chrono>
#include <set>
#include <thread>

#include "engine/base/errors.h"
#include "tests/unit/schedule/engine_fixture.h"
#include "tests/unit/schedule/fake_tokenizer.h"

namespace ssmd::testing {
namespace {

using std::chrono::seconds;
using ::testing::ElementsAre;
using ::testing::HasSubstr;

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

// --- Vectors ---

TEST_F(EngineTest, EncodesByTheMeanTheLastAndTheLargest) {
  FakeEngineOptions options;
  options.limits.token_budget = 4;  // several steps
  Start(options);
  const std::vector<int32_t> ids = {1, 5, 9, 2, 2, 14, 3, 3, 8, 21, 4};
  EncodeRequest request;
  request.prompt = ids;
  for (const Pooling pooling : {Pooling::kMean, Pooling::kLast, Pooling::kMax}) {
    request.pooling = pooling;
    const auto result = Encode(request);
    ASSERT_TRUE(result.ok()) << result.status();
    EXPECT_EQ(result->tokens, 11);
    EXPECT_EQ(result->values, oracle_.Encoded(ids, pooling));
  }
  request.normalize = true;
  double square = 0;
  const auto unit = Encode(request);
  for (const float value : unit->values) square += double{value} * value;
  EXPECT_NEAR(square, 1, 1e-6);
  EXPECT_EQ(engine_->Stats()[0].slots_used, 0);
}

// In the same steps as turns that want logits.
TEST_F(EngineTest, EncodesAmongOthers) {
  Start();
  EncodeRequest alone;
  alone.prompt = std::vector<int32_t>{1, 5, 9};
  const std::vector<float> values = Encode(alone)->values;
  Gate gate(&probe_);
  std::vector<std::shared_ptr<OutputStream>> streams;
  streams.push_back(*engine_->Generate(Request({4, 5}, 6), "before"));
  gate.AwaitStep();
  std::promise<absl::StatusOr<EncodeResult>> done;
  engine_->Encode(alone, "encode", [&](auto result) { done.set_value(std::move(result)); });
  streams.push_back(*engine_->Generate(Request({7}, 6), "behind"));
  gate.Open();
  const auto among = done.get_future().get();
  ASSERT_TRUE(among.ok()) << among.status();
  EXPECT_EQ(among->values, values);
  for (const auto& stream : streams) EXPECT_TRUE(ReadAll(stream.get()).status.ok());
}

TEST_F(EngineTest, RefusesWhatCannotBeEncoded) {
  Start();
  EncodeRequest request;
  for (const auto& ids : {std::vector<int32_t>{}, {29}, {-1}}) {
    request.prompt = ids;
    EXPECT_TRUE(absl::IsInvalidArgument(Encode(request).status()));
  }
  request.prompt = std::vector<int32_t>{1};
  EXPECT_TRUE(Encode(request).ok());
  request.model = "none";
  EXPECT_TRUE(absl::IsNotFound(Encode(request).status()));
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

TEST_F(EngineTest, PulseGrowsWhileIdleAndNotWithinAStep) {
  Start();
  // Each call asks for a round more.
  for (uint64_t first = engine_->Pulse(); engine_->Pulse() < first + 3;) std::this_thread::yield();
  Gate gate(&probe_);
  auto stream = engine_->Generate(Request({1}, 3), "held");
  gate.AwaitStep();
  const uint64_t held = engine_->Pulse();
  EXPECT_EQ(engine_->Pulse(), held);
  gate.Open();
  while (engine_->Pulse() == held) std::this_thread::yield();
  EXPECT_TRUE(ReadAll(stream->get()).status.ok());
}

TEST_F(EngineTest, ItsDestructorEndsEveryTurnAndStreamsOutliveIt) {
  FakeEngineOptions options;
  options.limits.state_slots = 2;
  options.limits.output_events = 4;
  Start(options);
  std::vector<std::shared_ptr<OutputStream>> streams(5);
  for (auto& stream : streams) stream = *engine_->Generate(Request({1}, 1000), "turn");
  std::vector<absl::Status> scored;
  ScoreRequest score;
  score.prompt = std::vector<int32_t>{1, 2};
  auto cancel = engine_->Score(score, "score", [&](const absl::StatusOr<ScoreResult>& result) {
    scored.push_back(result.status());
  });
  engine_.reset();
  for (const auto& stream : streams) {
    EXPECT_TRUE(absl::IsUnavailable(ReadAll(stream.get()).status));
    stream->Cancel();
  }
  // Streams that nobody reads give up their slots, so that it may have come to its own end.
  ASSERT_EQ(scored.size(), 1u);
  EXPECT_TRUE(scored[0].ok() || absl::IsUnavailable(scored[0])) << scored[0];
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
    read_tokens += step.read_tokens;
    sampled_tokens += step.sampled_tokens;
  }
  void OnRequestEnd(const RequestRecord& request) override { ends.push_back(request); }

  int first_tokens = 0, next_tokens = 0, steps = 0;
  int64_t tokens = 0, read_tokens = 0, sampled_tokens = 0;
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
  EXPECT_EQ(recorder.read_tokens, 9);
  EXPECT_EQ(recorder.sampled_tokens, 10);
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
           {[](auto* l) { l->prompt_budget = 0; }, "prompt_budget"},
           {[](auto* l) { l->max_running = 0; }, "max_running"},
           {[](auto* l) { l->max_waiting = 0; }, "max_waiting"},
           {[](auto* l) { l->output_events = 0; }, "output_events"},
           {[](auto* l) { l->max_choices = 0; }, "max_choices"}}) {
    EngineParts parts;
    parts.device = kernels::MakeCpuDevice({std::nullopt, 1});
    LoadedModel& model = parts.models.emplace_back();
    model.name = "fake";
    model.model = std::make_unique<FakeModel>(&probe, 8);
    change(&parts.limits);
    const absl::Status status = MakeEngine(std::move(parts)).status();
    EXPECT_TRUE(absl::IsInvalidArgument(status));
    EXPECT_THAT(std::string(status.message()), HasSubstr(name));
  }
}

TEST(MakeEngine, TakesAsManySlotsAsFitItsBytesWithinBounds) {
  FakeProbe probe;
  for (const auto& [bytes, slots] : std::vector<std::pair<int64_t, int>>{
           {1, 2}, {128 * 5 + 1, 5}, {0, 1024}, {int64_t{1} << 30, 1024}}) {
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
