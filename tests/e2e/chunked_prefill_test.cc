// A model with a chunked prefill, over the wire: its replies name it, its states are kept apart
// from exact ones, and its answers are nearly theirs, whatever the steps had to share.
#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include <memory>
#include <string>
#include <utility>
#include <vector>

#include "tests/support/daemon.h"
#include "tests/support/models.h"
#include "tests/support/turn.h"

namespace ssmd::test {
namespace {

using ::testing::EndsWith;
using ::testing::HasSubstr;
using ::testing::Not;

constexpr char kProfileEnd[] = ";state=f32;prefill=chunked/32";

class ChunkedPrefill : public ::testing::Test {
 protected:
  void SetUp() override {
    WriteRandomMamba(dir_.File("m"),
                     {.d_model = 40, .vocabulary = 50, .state = 24, .head_dim = 10, .groups = 4},
                     1);
  }
  std::unique_ptr<Daemon> Start(const std::string& prefill, std::vector<std::string> flags = {}) {
    flags.insert(flags.end(), {"--model-option", "m.prefill=" + prefill});
    return Daemon::Start(DaemonOptions{std::move(flags), "m=" + dir_.File("m")});
  }

  const TempDir dir_;
};

v1::GenerateRequest LongRequest(int tokens, int seed) {
  std::vector<int32_t> prompt;
  for (int i = 0; i < tokens; ++i) prompt.push_back((i * i * 7 + seed * 13 + i) % 50);
  v1::GenerateRequest request = GreedyRequest("", 6);
  SetTokens(prompt, &request);
  request.set_logprobs(0);
  return request;
}

TEST_F(ChunkedPrefill, RepliesNameItAndAreNearlyTheExactOnes) {
  const auto exact = Start("exact");
  const auto chunked = Start("chunked");
  ASSERT_NE(exact, nullptr);
  ASSERT_NE(chunked, nullptr);
  const Turn stepped = RunTurn(*exact->Connect(), LongRequest(300, 1));
  const Turn turn = RunTurn(*chunked->Connect(), LongRequest(300, 1));
  ASSERT_FALSE(turn.error) << turn.Describe();
  EXPECT_THAT(turn.started.numerics_profile(), EndsWith(kProfileEnd));
  EXPECT_THAT(stepped.started.numerics_profile(), Not(HasSubstr("prefill")));
  EXPECT_EQ(turn.only().ids, stepped.only().ids);
  EXPECT_NE(LogprobBits(turn.only().logprobs), LogprobBits(stepped.only().logprobs));
  for (size_t i = 0; i < turn.only().logprobs.size(); ++i) {
    EXPECT_NEAR(turn.only().logprobs[i].token().logprob(),
                stepped.only().logprobs[i].token().logprob(), 1e-3);
  }
  // A prompt of no whole chunk is exact.
  EXPECT_EQ(LogprobBits(RunTurn(*chunked->Connect(), LongRequest(31, 1)).only().logprobs),
            LogprobBits(RunTurn(*exact->Connect(), LongRequest(31, 1)).only().logprobs));
}

TEST_F(ChunkedPrefill, BudgetsAndThreadsDoNotShow) {
  const std::pair<const char*, const char*> kFlags[] = {{"512", "1"}, {"90", "2"}, {"32", "2"}};
  std::vector<uint32_t> first;
  for (const auto& [budget, threads] : kFlags) {
    const auto daemon = Start("chunked", {"--token-budget", budget, "--threads", threads});
    ASSERT_NE(daemon, nullptr);
    const Turn turn = RunTurn(*daemon->Connect(), LongRequest(331, 2));
    ASSERT_FALSE(turn.error) << turn.Describe();
    const std::vector<uint32_t> bits = LogprobBits(turn.only().logprobs);
    if (first.empty()) first = bits;
    EXPECT_EQ(bits, first) << "token budget " << budget;
  }
}

TEST_F(ChunkedPrefill, AnExactStateIsRefused) {
  const std::string snapshot = dir_.File("state");
  {
    const auto exact = Start("exact");
    ASSERT_NE(exact, nullptr);
    const auto client = exact->Connect();
    const std::string id = client->CreateSession("").value().session_id();
    v1::GenerateRequest request = LongRequest(40, 1);
    request.set_session_id(id);
    ASSERT_FALSE(RunTurn(*client, request).error);
    ASSERT_EQ(RunSsmctl(exact->grpc(), {"sessions", "export", id, snapshot}).status, 0);
  }
  const auto chunked = Start("chunked");
  ASSERT_NE(chunked, nullptr);
  const Finished refused = RunSsmctl(chunked->grpc(), {"sessions", "import", snapshot});
  EXPECT_NE(refused.status, 0);
  EXPECT_THAT(refused.errors, HasSubstr(kProfileEnd));
}

}  // namespace
}  // namespace ssmd::test
