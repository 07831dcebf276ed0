#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include "engine/base/errors.h"
#include "tests/unit/schedule/harness.h"
#include "tests/unit/schedule/oracle.h"

namespace ssmd::testing {
namespace {

using ::testing::ElementsAre;
using ::testing::HasSubstr;

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
  Answer RunChecked(GenerateRequest request, OracleSession* session) {
    const auto& prompt = std::get<std::vector<int32_t>>(request.prompt);
    const OracleChoice expected = oracle_.Run(request, *session, prompt, 0);
    Answer answer = RunTurn(engine_.get(), request);
    EXPECT_TRUE(answer.status.ok()) << answer.status;
    const Answer::Choice& choice = answer.choices[0];
    EXPECT_EQ(choice.token_ids, expected.token_ids);
    EXPECT_EQ(choice.text, expected.text);
    EXPECT_EQ(choice.finished, 1);
    EXPECT_EQ(choice.finish.reason, expected.reason);
    EXPECT_EQ(choice.finish.stop_reason, expected.stop_reason);
    EXPECT_EQ(choice.finish.history_token_ids, expected.history_token_ids);
    EXPECT_EQ(choice.finish.usage.generated_tokens, expected.generated);
    const auto consumed = static_cast<int64_t>(session->history.size()) - session->pending;
    EXPECT_EQ(choice.finish.usage.reused_tokens, consumed);
    EXPECT_EQ(choice.finish.usage.computed_tokens,
              session->pending + static_cast<int64_t>(prompt.size()));
    EXPECT_EQ(answer.finals.size(), 1u);
    *session = expected.after;
    return answer;
  }

  FakeProbe probe_;
  Oracle oracle_;
  std::function<void()> wake_;
  std::unique_ptr<Engine> engine_;
};

TEST_F(EngineTest, AnonymousTurnSamplesWhatTheModelSays) {
  Start();
  OracleSession nobody;
  RunChecked(Request({1, 2, 3}, 20), &nobody);
  const ModelStats stats = engine_->Stats().front();
  EXPECT_EQ(stats.slots_used, 0);
  EXPECT_EQ(stats.generated_tokens, 20);
  EXPECT_EQ(stats.prompt_tokens, 3);
}

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

}  // namespace
}  // namespace ssmd::testing
