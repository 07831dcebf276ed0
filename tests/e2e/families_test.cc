// What holds for every family of layers, over the wire: a stream's bits depend on its request
// alone, however its prompt is cut, whoever its neighbours are, and whether it came in one turn or
// several.
#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include <memory>
#include <optional>
#include <string>
#include <thread>
#include <vector>

#include "tests/support/daemon.h"
#include "tests/support/models.h"
#include "tests/support/turn.h"

namespace ssmd::test {
namespace {

using ::testing::SizeIs;

struct Family {
  const char* name;
  std::optional<MambaShape> shape = std::nullopt;  // random weights; without: of the golden tests
};

const Family kFamilies[] = {
    {"mamba", MambaShape{.d_model = 24, .vocabulary = 50, .state = 16}},
    {"falcon_mamba", MambaShape{.d_model = 24, .vocabulary = 50, .state = 16, .falcon = true}},
    {"mamba2", MambaShape{.d_model = 24, .vocabulary = 50, .state = 32, .head_dim = 16}},
    {"mamba2_groups",
     MambaShape{
         .d_model = 40, .vocabulary = 50, .state = 9, .conv = 3, .head_dim = 10, .groups = 4}},
    {"s4"},
    {"s4d"},
    {"s5"},
    {"lru"},
    {"rtf"},
    {"legs"},
    {"legt"},
    {"retnet"},
    {"rwkv4"},
    {"rwkv5"},
    {"rwkv6_f16"},
    {"rwkv7"},
    {"hybrid_f16"},
};

// Token ids and, to the bit, their log-probabilities.
struct Answer {
  std::vector<int32_t> ids;
  std::vector<uint32_t> bits;
  bool operator==(const Answer& other) const { return ids == other.ids && bits == other.bits; }
};

v1::GenerateRequest TokensRequest(const std::vector<int32_t>& prompt, int tokens) {
  v1::GenerateRequest request = GreedyRequest("", tokens);
  SetTokens(prompt, &request);
  request.set_logprobs(0);
  return request;
}

Answer Ask(client::Client& client, const v1::GenerateRequest& request) {
  const Turn turn = RunTurn(client, request);
  EXPECT_FALSE(turn.error) << turn.Describe();
  return {turn.only().ids, LogprobBits(turn.only().logprobs)};
}

// Prompts of 1 to 97 tokens, answers of 3 to 14.
constexpr int kStreams = 12;
v1::GenerateRequest StreamRequest(int stream) {
  std::vector<int32_t> prompt;
  for (int i = 0; i <= stream * 8; ++i) prompt.push_back((i * i * 7 + stream * 13 + i) % 50);
  return TokensRequest(prompt, 3 + stream);
}

std::vector<Answer> AskTogether(client::Client& client) {
  std::vector<Answer> answers(kStreams);
  std::vector<std::thread> threads;
  for (int i = 0; i < kStreams; ++i) {
    threads.emplace_back(
        [&, i] { answers[static_cast<size_t>(i)] = Ask(client, StreamRequest(i)); });
  }
  for (std::thread& thread : threads) thread.join();
  return answers;
}

class Families : public ::testing::TestWithParam<Family> {
 protected:
  void SetUp() override {
    if (GetParam().shape) WriteRandomMamba(dir_.File("m"), *GetParam().shape, 1);
  }

  std::string Model() const {
    if (GetParam().shape) return dir_.File("m");
    return std::string(SSMD_GOLDEN "/data/family_") + GetParam().name;
  }

  std::unique_ptr<Daemon> Start(int threads, int budget) {
    return Daemon::Start(DaemonOptions{
        {"--threads", std::to_string(threads), "--token-budget", std::to_string(budget)},
        "m=" + Model()});
  }

  const TempDir dir_;
};

TEST_P(Families, ABatchOfPromptsInPiecesEqualsSoloRuns) {
  std::vector<Answer> solo;
  for (const int budget : {512, 7}) {
    const auto daemon = Start(budget == 512 ? 2 : 1, budget);
    ASSERT_NE(daemon, nullptr);
    const auto client = daemon->Connect();
    for (int i = 0; solo.size() < kStreams; ++i) solo.push_back(Ask(*client, StreamRequest(i)));
    const std::vector<Answer> together = AskTogether(*client);
    for (size_t i = 0; i < solo.size(); ++i) {
      EXPECT_TRUE(together[i] == solo[i]) << "stream " << i << ", token budget " << budget;
    }
  }
}

// However the text is cut into steps, by however many threads, beside whatever else.
TEST_P(Families, AVectorIsThatOfItsTextAlone) {
  v1::EncodeRequest request;
  for (int i = 0; i < 77; ++i) request.mutable_token_ids()->add_ids((i * i + 3 * i) % 50);
  std::vector<std::string> seen;
  for (const int budget : {512, 7}) {
    const auto daemon = Start(budget == 512 ? 2 : 1, budget);
    ASSERT_NE(daemon, nullptr);
    const auto client = daemon->Connect();
    std::thread others([&] { AskTogether(*client); });
    for (const v1::Pooling pooling : {v1::POOLING_MEAN, v1::POOLING_LAST, v1::POOLING_MAX}) {
      request.set_pooling(pooling);
      const auto answer = client->Encode(request);
      EXPECT_TRUE(answer.ok()) << client::ToString(answer.error());
      if (answer.ok()) seen.push_back(answer.value().SerializeAsString());
    }
    others.join();
  }
  ASSERT_THAT(seen, SizeIs(6));
  for (size_t i = 0; i < 3; ++i) EXPECT_EQ(seen[i], seen[i + 3]) << "pooling " << i;
}

TEST_P(Families, TurnsOfASessionEqualOneRequest) {
  const auto daemon = Start(2, 512);
  ASSERT_NE(daemon, nullptr);
  const auto client = daemon->Connect();
  const auto session = client->CreateSession("");
  ASSERT_TRUE(session.ok());
  std::vector<int32_t> history;
  for (int turn = 0; turn < 4; ++turn) {
    std::vector<int32_t> prompt;
    for (int i = 0; i < 1 + 6 * turn; ++i) prompt.push_back((turn * 11 + i * 3) % 50);
    v1::GenerateRequest request = TokensRequest(prompt, 5);
    request.set_session_id(session.value().session_id());
    const Answer said = Ask(*client, request);
    history.insert(history.end(), prompt.begin(), prompt.end());
    EXPECT_THAT(said.ids, SizeIs(5));
    EXPECT_TRUE(said == Ask(*client, TokensRequest(history, 5))) << "turn " << turn;
    history.insert(history.end(), said.ids.begin(), said.ids.end());
  }
}

TEST_P(Families, AnExportedSessionGoesOnInAnotherDaemon) {
  const std::vector<int32_t> prompt = {3, 1, 4, 1, 5, 9, 2, 6};
  Answer here;
  {
    const auto daemon = Start(2, 512);
    ASSERT_NE(daemon, nullptr);
    const auto client = daemon->Connect();
    const std::string id = client->CreateSession("").value().session_id();
    v1::GenerateRequest request = TokensRequest(prompt, 5);
    request.set_session_id(id);
    Ask(*client, request);
    const std::string file = dir_.File("state");
    ASSERT_EQ(RunSsmctl(daemon->grpc(), {"sessions", "export", id, file}).status, 0);
    request = TokensRequest({7, 8}, 9);
    request.set_session_id(id);
    here = Ask(*client, request);
  }
  const auto daemon = Start(1, 5);
  ASSERT_NE(daemon, nullptr);
  const Finished imported = RunSsmctl(daemon->grpc(), {"sessions", "import", dir_.File("state")});
  ASSERT_EQ(imported.status, 0) << imported.errors;
  v1::GenerateRequest request = TokensRequest({7, 8}, 9);
  request.set_session_id(imported.output.substr(0, imported.output.find('\n')));
  EXPECT_TRUE(Ask(*daemon->Connect(), request) == here);
}

INSTANTIATE_TEST_SUITE_P(All, Families, ::testing::ValuesIn(kFamilies),
                         [](const auto& test) { return std::string(test.param.name); });

}  // namespace
}  // namespace ssmd::test
