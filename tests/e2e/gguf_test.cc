// A GGUF file is all that a model needs: weights, configuration and tokenizer.
#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include <algorithm>
#include <fstream>
#include <iterator>
#include <string>
#include <vector>

#include "tests/support/daemon.h"
#include "tests/support/turn.h"

namespace ssmd::test {
namespace {

using ::testing::ElementsAre;
using ::testing::HasSubstr;
using ::testing::SizeIs;

std::string GoldenFile(const std::string& name) { return std::string(SSMD_GOLDEN) + "/" + name; }

Turn Greedy(client::Client& client, const std::string& model, const std::vector<int32_t>& prompt) {
  v1::GenerateRequest request = GreedyRequest("", 12);
  request.set_model(model);
  SetTokens(prompt, &request);
  return RunTurn(client, request);
}

TEST(Gguf, ServesAFileNamedLikeItself) {
  const auto daemon = Daemon::Start(DaemonOptions{{}, GoldenFile("gguf/mamba_q4_0.gguf")});
  ASSERT_NE(daemon, nullptr);
  const auto client = daemon->Connect();
  const auto model = client->GetModel("mamba_q4_0");
  ASSERT_TRUE(model.ok()) << model.error().message;
  EXPECT_TRUE(model.value().has_tokenizer());
  EXPECT_EQ(model.value().vocabulary_size(), 48);
  v1::TokenizeRequest tokenize;
  tokenize.set_text("ab a");
  const auto tokens = client->Tokenize(tokenize);
  ASSERT_TRUE(tokens.ok()) << tokens.error().message;
  EXPECT_THAT(tokens.value().token_ids(), ElementsAre(4, 3, 1));
  const Turn turn = RunTurn(*client, GreedyRequest("ab a", 5));
  ASSERT_FALSE(turn.error) << turn.Describe();
}

TEST(Gguf, GeneratesWhatTheFolderWithTheSameWeightsGenerates) {
  const auto daemon = Daemon::Start(DaemonOptions{{"--model", GoldenFile("gguf/mamba_odd.gguf")},
                                                  "folder=" + GoldenFile("data/mamba_odd")});
  ASSERT_NE(daemon, nullptr);
  const auto client = daemon->Connect();
  const Turn file = Greedy(*client, "mamba_odd", {1, 2, 3, 50});
  const Turn folder = Greedy(*client, "folder", {1, 2, 3, 50});
  ASSERT_FALSE(file.error) << file.Describe();
  ASSERT_FALSE(folder.error) << folder.Describe();
  EXPECT_THAT(file.only().ids, SizeIs(12));
  EXPECT_EQ(file.only().ids, folder.only().ids);
}

TEST(Gguf, RefusesADamagedFileInOneLine) {
  const TempDir dir;
  std::ifstream in(GoldenFile("gguf/mamba_q4_0.gguf"), std::ios::binary);
  const std::string bytes((std::istreambuf_iterator<char>(in)), std::istreambuf_iterator<char>());
  std::ofstream(dir.File("cut.gguf"), std::ios::binary) << bytes.substr(0, bytes.size() - 100);
  const Finished refused = RunDaemon({"--model", dir.File("cut.gguf")});
  EXPECT_NE(refused.status, 0);
  EXPECT_THAT(refused.errors, HasSubstr("model cut ("));
  EXPECT_THAT(refused.errors, HasSubstr("passes the end of the file"));
  EXPECT_EQ(std::count(refused.errors.begin(), refused.errors.end(), '\n'), 1) << refused.errors;
}

}  // namespace
}  // namespace ssmd::test
