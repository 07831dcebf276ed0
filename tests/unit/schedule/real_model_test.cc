// The bundled model on the real kernels: what a request gives depends on nothing but the request.
#include <gtest/gtest.h>

#include <random>
#include <tuple>
#include <utility>

#include "tests/unit/schedule/harness.h"

namespace ssmd::testing {
namespace {

constexpr int kStreams = 64;

std::unique_ptr<Engine> MakeTalesEngine(int threads, int token_budget, int slots) {
  EngineOptions options;
  options.models.push_back({"tales", SSMD_TALES_MODEL, {}});
  options.limits.state_slots = slots;
  options.limits.token_budget = token_budget;
  auto engine = Engine::Create(kernels::MakeCpuDevice({std::nullopt, threads}), std::move(options));
  EXPECT_TRUE(engine.ok()) << engine.status();
  return engine.ok() ? *std::move(engine) : nullptr;
}

// Prompts of 1 to 120 tokens, answers of 1 to 40, greedy and seeded, with and without penalties.
std::vector<GenerateRequest> MixedRequests(int32_t vocabulary) {
  std::mt19937 random(7);
  const auto pick = [&](int low, int high) {
    return std::uniform_int_distribution<int>(low, high)(random);
  };
  std::vector<GenerateRequest> requests;
  for (int i = 0; i < kStreams; ++i) {
    std::vector<int32_t> prompt(static_cast<size_t>(i % 4 == 0 ? pick(40, 120) : pick(1, 12)));
    for (int32_t& id : prompt) id = pick(0, vocabulary - 1);
    GenerateRequest request = Request(std::move(prompt), pick(1, 40));
    if (i % 2 == 1) {
      request.sampling.temperature = 0.9f;
      request.sampling.top_p = 0.95f;
      request.sampling.seed = random();
    }
    if (i % 5 == 0) request.sampling.penalties.repetition = 1.2f;
    if (i % 7 == 0) request.top_logprobs = 2;
    requests.push_back(std::move(request));
  }
  return requests;
}

class RealModelTest : public ::testing::Test {
 protected:
  static void SetUpTestSuite() {
    auto engine = MakeTalesEngine(1, 512, 2);
    ASSERT_NE(engine, nullptr);
    requests_ = MixedRequests(engine->Models()[0].info.vocabulary);
    for (const GenerateRequest& request : requests_) {
      solo_.push_back(RunTurn(engine.get(), request).choices[0]);
    }
  }
  static std::vector<GenerateRequest> requests_;
  static std::vector<Answer::Choice> solo_;
};
std::vector<GenerateRequest> RealModelTest::requests_;
std::vector<Answer::Choice> RealModelTest::solo_;

class RealModelTogether : public RealModelTest,
                          public ::testing::WithParamInterface<std::tuple<int, int, int>> {};

TEST_P(RealModelTogether, EveryStreamEqualsItsSoloRun) {
  const auto [threads, token_budget, slots] = GetParam();
  auto engine = MakeTalesEngine(threads, token_budget, slots);
  ASSERT_NE(engine, nullptr);
  std::vector<std::shared_ptr<OutputStream>> streams;
  for (const GenerateRequest& request : requests_) {
    auto stream = engine->Generate(request, "together");
    ASSERT_TRUE(stream.ok()) << stream.status();
    streams.push_back(*stream);
  }
  for (size_t i = 0; i < streams.size(); ++i) {
    const Answer answer = ReadAll(streams[i].get());
    ASSERT_TRUE(answer.status.ok()) << answer.status;
    const Answer::Choice& choice = answer.choices.at(0);
    EXPECT_EQ(choice.token_ids, solo_[i].token_ids) << i;
    EXPECT_EQ(choice.text, solo_[i].text) << i;
    ASSERT_EQ(choice.logprobs.size(), solo_[i].logprobs.size()) << i;
    for (size_t t = 0; t < choice.logprobs.size(); ++t) {
      EXPECT_EQ(choice.logprobs[t].logprob, solo_[i].logprobs[t].logprob) << i;
    }
  }
  const ModelStats stats = engine->Stats()[0];
  EXPECT_EQ(stats.slots_used, stats.device_states) << "what answers left for others, and no more";
}

INSTANTIATE_TEST_SUITE_P(ThreadsBudgetSlots, RealModelTogether,
                         ::testing::Values(std::make_tuple(1, 512, 64), std::make_tuple(2, 512, 64),
                                           std::make_tuple(2, 33, 64), std::make_tuple(3, 5, 20)));

TEST_F(RealModelTest, ASessionInTurnsEqualsOneTurn) {
  auto engine = MakeTalesEngine(2, 64, 4);
  ASSERT_NE(engine, nullptr);
  GenerateRequest whole = Request({}, 48);
  whole.prompt = std::string("Once upon a time there was a dog");
  const Answer::Choice expected = RunTurn(engine.get(), whole).choices[0];
  GenerateRequest turn = whole;
  turn.session_id = CreateSession(engine.get(), "tenant")->session_id;
  std::vector<int32_t> ids;
  std::string text;
  for (int i = 0; i < 6; ++i) {
    turn.max_tokens = 8;
    const Answer answer = RunTurn(engine.get(), turn);
    ASSERT_TRUE(answer.status.ok()) << answer.status;
    const Answer::Choice& choice = answer.choices.at(0);
    ids.insert(ids.end(), choice.token_ids.begin(), choice.token_ids.end());
    text += choice.text;
    turn.prompt = std::vector<int32_t>();
  }
  EXPECT_EQ(ids, expected.token_ids);
  EXPECT_EQ(text, expected.text);
  EXPECT_EQ(engine->Stats()[0].recomputed_tokens, 0);
}

TEST_F(RealModelTest, AStopStringLeavesTheSessionThatItsTextAloneWouldGive) {
  auto engine = MakeTalesEngine(1, 64, 8);
  ASSERT_NE(engine, nullptr);
  GenerateRequest request = Request({}, 200);
  request.prompt = std::string("Tom and his dog went to the park.");
  const std::string text = RunTurn(engine.get(), request).choices[0].text;
  ASSERT_GT(text.size(), 60u);
  // A stop that lies across tokens and begins within one, wherever they end.
  for (size_t begin = 20; begin < 32; ++begin) {
    GenerateRequest stopped = request;
    stopped.session_id = CreateSession(engine.get(), "tenant")->session_id;
    stopped.stop.strings = {text.substr(begin, 9)};
    const Answer answer = RunTurn(engine.get(), stopped);
    ASSERT_TRUE(answer.status.ok()) << answer.status;
    const ChoiceFinishedEvent& finish = answer.choices.at(0).finish;
    EXPECT_EQ(finish.reason, FinishReason::kStop);
    EXPECT_EQ(text.find(answer.choices.at(0).text), 0u);
    EXPECT_EQ(*engine->Detokenize("", finish.history_token_ids), answer.choices.at(0).text);

    // The same history, given as tokens to an anonymous turn, goes on the same way.
    GenerateRequest next = Request(*engine->Tokenize("", " Then", false), 20);
    next.session_id = stopped.session_id;
    const Answer resumed = RunTurn(engine.get(), next);
    std::vector<int32_t> history =
        *engine->Tokenize("", std::get<std::string>(request.prompt), false);
    history.insert(history.end(), finish.history_token_ids.begin(), finish.history_token_ids.end());
    const auto& prompt = std::get<std::vector<int32_t>>(next.prompt);
    history.insert(history.end(), prompt.begin(), prompt.end());
    const Answer fresh = RunTurn(engine.get(), Request(history, 20));
    EXPECT_EQ(resumed.choices.at(0).token_ids, fresh.choices.at(0).token_ids);
    ASSERT_TRUE(engine->DeleteSession("tenant", stopped.session_id, std::nullopt).ok());
  }
}

TEST(EngineCreate, NamesWhatIsWrongWithTheModels) {
  const auto create = [](std::vector<ModelSpec> models) {
    EngineOptions options;
    options.models = std::move(models);
    return Engine::Create(kernels::MakeCpuDevice({std::nullopt, 1}), std::move(options)).status();
  };
  EXPECT_TRUE(absl::IsInvalidArgument(create({})));
  EXPECT_TRUE(absl::IsInvalidArgument(create({{"", SSMD_TALES_MODEL, {}}})));
  EXPECT_TRUE(
      absl::IsInvalidArgument(create({{"a", SSMD_TALES_MODEL, {}}, {"a", SSMD_TALES_MODEL, {}}})));
  EXPECT_FALSE(create({{"a", "/nowhere", {}}}).ok());
}

}  // namespace
}  // namespace ssmd::testing
