// Encodings by the real daemon.
#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include <cmath>
#include <stop_token>
#include <thread>

#include "tests/support/daemon.h"
#include "tests/support/eventually.h"
#include "tests/support/turn.h"

namespace ssmd::test {
namespace {

using ::testing::SizeIs;

v1::EncodeRequest EncodeTokens(int count, v1::Pooling pooling) {
  v1::EncodeRequest request;
  for (int i = 0; i < count; ++i) {
    request.mutable_token_ids()->add_ids((i % 97 * 7 + count % 11 + i) % 50);
  }
  request.set_pooling(pooling);
  return request;
}

std::vector<float> Encode(client::Client& client, const v1::EncodeRequest& request) {
  const auto response = client.Encode(request);
  EXPECT_TRUE(response.ok()) << client::ToString(response.error());
  if (!response.ok()) return {};
  return {response.value().values().begin(), response.value().values().end()};
}

class EncodeTest : public ::testing::Test {
 protected:
  void SetUp() override {
    daemon_ = Daemon::Start();
    ASSERT_NE(daemon_, nullptr);
    client_ = daemon_->Connect();
  }
  std::vector<float> Of(const std::string& text, bool normalize = false) {
    v1::EncodeRequest request;
    request.set_text(text);
    request.set_normalize(normalize);
    return Encode(*client_, request);
  }

  std::unique_ptr<Daemon> daemon_;
  std::shared_ptr<client::Client> client_;
};

TEST_F(EncodeTest, ATextAndItsTokensHaveTheSameVector) {
  const std::string text = "Lily had a red ball.";
  v1::TokenizeRequest tokenize;
  tokenize.set_text(text);
  const auto ids = client_->Tokenize(tokenize);
  ASSERT_TRUE(ids.ok());
  v1::EncodeRequest request;
  *request.mutable_token_ids()->mutable_ids() = ids.value().token_ids();
  const auto response = client_->Encode(request);
  ASSERT_TRUE(response.ok()) << client::ToString(response.error());
  const auto model = client_->GetModel("tales");
  EXPECT_THAT(response.value().values(), SizeIs(model.value().d_model()));
  EXPECT_EQ(response.value().tokens(), ids.value().token_ids_size());
  EXPECT_EQ(response.value().numerics_profile(), model.value().numerics_profile());
  EXPECT_EQ(Encode(*client_, request), Of(text));
  EXPECT_NE(Of("Lily had a red bird."), Of(text));
}

TEST_F(EncodeTest, ANormalisedVectorHasALengthOfOne) {
  double squares = 0;
  for (const float value : Of("Tom saw a fox.", true)) squares += double{value} * value;
  EXPECT_NEAR(squares, 1, 1e-6);
}

// The model says what a prompt's last token leads to; MEAN is what is meant by default.
TEST_F(EncodeTest, PoolingsDifferAndTheDefaultIsTheMean) {
  const std::vector<float> mean = Encode(*client_, EncodeTokens(9, v1::POOLING_MEAN));
  const std::vector<float> last = Encode(*client_, EncodeTokens(9, v1::POOLING_LAST));
  const std::vector<float> most = Encode(*client_, EncodeTokens(9, v1::POOLING_MAX));
  EXPECT_EQ(Encode(*client_, EncodeTokens(9, v1::POOLING_UNSPECIFIED)), mean);
  EXPECT_NE(mean, last);
  for (size_t i = 0; i < most.size(); ++i) {
    EXPECT_GE(most[i], last[i]);
    EXPECT_GE(most[i], mean[i]);
  }
}

TEST_F(EncodeTest, ItIsCountedAsARequestAndItsTokensAsThoseOfAPrompt) {
  const v1::ModelStats before = StatsOf(*client_);
  Encode(*client_, EncodeTokens(600, v1::POOLING_MEAN));
  const v1::ModelStats after = StatsOf(*client_);
  EXPECT_EQ(after.prompt_tokens() - before.prompt_tokens(), 600);
  EXPECT_EQ(after.sessions(), 0);
  EXPECT_EQ(after.slots_used(), 0);
  EXPECT_THAT(HttpGet(daemon_->http(), "/metrics").body,
              ::testing::HasSubstr("ssmd_prompt_tokens_total{model=\"tales\"} 600"));
}

TEST_F(EncodeTest, ACallThatIsGivenUpEndsAtOnce) {
  client::CallOptions options;
  options.timeout = std::chrono::milliseconds(50);
  v1::EncodeRequest request = EncodeTokens(200000, v1::POOLING_LAST);
  const auto late = client_->Encode(request, options);
  ASSERT_FALSE(late.ok());
  EXPECT_EQ(late.error().code, grpc::StatusCode::DEADLINE_EXCEEDED);
  std::stop_source cancel;
  options = {.cancel = cancel.get_token()};
  std::thread canceller([&] {
    EXPECT_TRUE(Eventually([&] { return StatsOf(*client_).running() == 1; }));
    cancel.request_stop();
  });
  const auto cancelled = client_->Encode(request, options);
  canceller.join();
  ASSERT_FALSE(cancelled.ok());
  EXPECT_EQ(cancelled.error().code, grpc::StatusCode::CANCELLED);
  EXPECT_TRUE(Eventually([&] {
    const v1::ModelStats stats = StatsOf(*client_);
    return stats.running() == 0 && stats.slots_used() == 0;
  }));
  EXPECT_LT(StatsOf(*client_).prompt_tokens(), 400000);
}

}  // namespace
}  // namespace ssmd::test
