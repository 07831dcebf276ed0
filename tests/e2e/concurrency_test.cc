// A stream's tokens are a function of its request: never of its neighbours, of the number of
// threads, or of how its prompt was cut into steps.
#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include <iterator>
#include <map>
#include <thread>

#include "absl/strings/str_cat.h"
#include "absl/strings/str_format.h"
#include "tests/support/daemon.h"
#include "tests/support/turn.h"

namespace ssmd::test {
namespace {

constexpr int kConcurrentStreams = 64;

// Prompts of 1 to about 300 tokens, answers of 1 to 64; every other one greedy.
v1::GenerateRequest RequestOf(int stream) {
  static constexpr const char* kWords[] = {"Once", " upon", " a",   " time", ",", " there", " was",
                                           " a",   " big",  " red", " dog",  ".", "\n",     " The"};
  std::string prompt = "Lily";
  const int words = (stream * stream * 7) % 300;
  for (int i = 0; i < words; ++i) prompt += kWords[(i * (stream + 3)) % std::size(kWords)];
  const int tokens = 1 + (stream * 37) % 64;
  if (stream % 2 == 0) return GreedyRequest(prompt, tokens);
  v1::GenerateRequest request = SeededRequest(prompt, tokens, static_cast<uint64_t>(stream));
  if (stream % 4 == 1) request.mutable_sampling()->set_top_p(0.9f);
  if (stream % 4 == 3) request.mutable_sampling()->set_top_k(40);
  if (stream % 8 == 5) request.mutable_sampling()->set_repetition_penalty(1.2f);
  return request;
}

using Answers = std::vector<std::vector<int32_t>>;

Answers RunSolo(client::Client& client) {
  Answers answers;
  for (int i = 0; i < kConcurrentStreams; ++i) {
    const Turn turn = RunTurn(client, RequestOf(i));
    EXPECT_FALSE(turn.error) << turn.Describe();
    answers.push_back(turn.only().ids);
  }
  return answers;
}

Answers RunTogether(client::Client& client) {
  Answers answers(kConcurrentStreams);
  std::vector<std::thread> threads;
  threads.reserve(kConcurrentStreams);
  for (int i = 0; i < kConcurrentStreams; ++i) {
    threads.emplace_back([&, i] {
      const Turn turn = RunTurn(client, RequestOf(i));
      EXPECT_FALSE(turn.error) << turn.Describe();
      answers[static_cast<size_t>(i)] = turn.only().ids;
    });
  }
  for (std::thread& thread : threads) thread.join();
  return answers;
}

void ExpectTogetherAsSolo(client::Client& client, const Answers& solo) {
  const Answers together = RunTogether(client);
  for (size_t i = 0; i < solo.size(); ++i) EXPECT_EQ(together[i], solo[i]) << "stream " << i;
}

TEST(Concurrency, SixtyFourStreamsEachEqualTheirSoloRunWhateverThreadsAndBudget) {
  Answers solo;
  for (const int threads : {1, 2}) {
    for (const int budget : {512, 64, 7}) {
      SCOPED_TRACE(absl::StrFormat("--threads %d --token-budget %d", threads, budget));
      const auto daemon = Daemon::Start({"--threads", std::to_string(threads), "--token-budget",
                                         std::to_string(budget), "--state-slots", "72"});
      ASSERT_NE(daemon, nullptr);
      const auto client = daemon->Connect();
      if (solo.empty()) solo = RunSolo(*client);
      ExpectTogetherAsSolo(*client, solo);
      const v1::ModelStats stats = StatsOf(*client);
      EXPECT_EQ(stats.slots_used(), stats.device_states()) << "states for others, and no more";
    }
  }
}

TEST(Concurrency, SixtyFourStreamsEachEqualTheirSoloRunWithQuantisedWeights) {
  for (const std::string weights : {"q8", "q4"}) {
    SCOPED_TRACE(weights);
    const auto daemon = Daemon::Start(
        {"--state-slots", "72", "--model-option", absl::StrCat("tales.weights=", weights)});
    ASSERT_NE(daemon, nullptr);
    const auto client = daemon->Connect();
    EXPECT_EQ(client->GetModel("tales").value().weights(), weights);
    ExpectTogetherAsSolo(*client, RunSolo(*client));
  }
}

TEST(Concurrency, StreamsThatWaitForSlotsAreServedInTheEnd) {
  const auto daemon = Daemon::Start({"--state-slots", "3"});
  ASSERT_NE(daemon, nullptr);
  const auto client = daemon->Connect();
  const Answers together = RunTogether(*client);
  for (size_t i = 0; i < together.size(); ++i) {
    EXPECT_EQ(static_cast<int>(together[i].size()), RequestOf(static_cast<int>(i)).max_tokens());
  }
}

// The profile says what the bits depend on: the same profile, the same tokens.
TEST(Concurrency, InstructionSetsOfAProfileGiveTheSameTokens) {
  std::map<std::string, std::vector<int32_t>> by_profile;
  for (const std::string isa :
       {"scalar", "avx2", "avx512", "avx512vnni", "avx512bf16", "neon", "auto"}) {
    if (isa != "scalar" && isa != "auto") {
      const Finished probe = RunDaemon({"--isa", isa, "--model", "none=/nonexistent"});
      if (probe.errors.find("this CPU has only") != std::string::npos) continue;
    }
    for (const std::string weights : {"f32", "bf16"}) {
      DaemonOptions options;
      options.flags = {"--isa", isa, "--model-option", "tales.weights=" + weights};
      const auto daemon = Daemon::Start(options);
      ASSERT_NE(daemon, nullptr);
      const auto client = daemon->Connect();
      const Turn greedy = RunTurn(*client, GreedyRequest("Once upon a time", 60));
      const Turn seeded = RunTurn(*client, SeededRequest("Once upon a time", 60, 3));
      ASSERT_FALSE(greedy.error) << greedy.Describe();
      std::vector<int32_t> ids = greedy.only().ids;
      ids.insert(ids.end(), seeded.only().ids.begin(), seeded.only().ids.end());
      const std::string& profile = greedy.started.numerics_profile();
      EXPECT_EQ(by_profile.emplace(profile, ids).first->second, ids) << isa << ' ' << weights;
      EXPECT_EQ(RunTurn(*client, GreedyRequest("Once upon a time", 60)).only().ids,
                greedy.only().ids);
    }
  }
  // One of f32; of bf16 the same levels', and that of the level that rounds activations.
  EXPECT_GE(by_profile.size(), 2u);
  EXPECT_LE(by_profile.size(), 3u);
}

TEST(Concurrency, ARestartChangesNothing) {
  std::vector<int32_t> before;
  std::string profile;
  std::string fingerprint;
  for (int start = 0; start < 2; ++start) {
    const auto daemon = Daemon::Start();
    ASSERT_NE(daemon, nullptr);
    const auto client = daemon->Connect();
    const Turn turn = RunTurn(*client, SeededRequest("The dragon", 100, 11));
    const auto model = client->GetModel("tales");
    ASSERT_TRUE(model.ok());
    if (start == 0) {
      before = turn.only().ids;
      profile = turn.started.numerics_profile();
      fingerprint = model.value().fingerprint();
    }
    EXPECT_EQ(turn.only().ids, before);
    EXPECT_EQ(turn.started.numerics_profile(), profile);
    EXPECT_EQ(model.value().fingerprint(), fingerprint);
  }
}

}  // namespace
}  // namespace ssmd::test
