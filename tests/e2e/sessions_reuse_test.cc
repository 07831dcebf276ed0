// Callers without sessions, who send the whole history each time: only what is new is read.
#include <gmock/gmock.h>

#include "tests/e2e/session_fixture.h"

namespace ssmd::test {
namespace {

using SessionsReuseTest = SessionFixture;

TEST_F(SessionsReuseTest, ResentTokensAreNotReadAgain) {
  ASSERT_NO_FATAL_FAILURE(Start());
  const std::vector<int32_t> more = Tokenize(" and then");
  for (const char* start : {"Once", "Once upon a time, there was a little girl named Lily."}) {
    std::vector<int32_t> history = Tokenize(start);
    for (int turn = 0; turn < 4; ++turn) {
      v1::GenerateRequest request = GreedyRequest("", 5);
      SetTokens(history, &request);
      const Turn said = RunTurn(*client_, request);
      ASSERT_FALSE(said.error) << said.Describe();
      if (turn > 0) {
        // All but the last token of the answer before, which was sampled and never read.
        EXPECT_EQ(said.final.usage().computed_tokens(), static_cast<int64_t>(more.size()) + 1)
            << turn;
        EXPECT_EQ(said.final.state_source(), v1::STATE_SOURCE_PREFIX);
        EXPECT_EQ(said.final.reuse_miss(), v1::REUSE_MISS_UNSPECIFIED);
      }
      Append(said.only().ids, &history);
      Append(more, &history);
    }
  }
}

TEST_F(SessionsReuseTest, WhatIsReusedChangesNoToken) {
  ASSERT_NO_FATAL_FAILURE(Start());
  const std::string text = "Once upon a time, there was a dog who";
  const Turn first = RunTurn(*client_, SeededRequest(text, 12, 3));
  // The second leaves a state where it parts from the first's answer; the third goes on from it.
  const Turn second = RunTurn(*client_, SeededRequest(text, 12, 3));
  EXPECT_EQ(second.final.reuse_miss(), v1::REUSE_MISS_NO_STATE);
  EXPECT_EQ(second.only().ids, first.only().ids);
  const Turn third = RunTurn(*client_, SeededRequest(text, 12, 3));
  EXPECT_EQ(third.final.state_source(), v1::STATE_SOURCE_PREFIX);
  EXPECT_EQ(third.final.usage().computed_tokens(), 1);
  EXPECT_EQ(third.only().ids, first.only().ids);
  ASSERT_NO_FATAL_FAILURE(Start({"--prefix-cache-bytes", "0"}));
  const Turn without = RunTurn(*client_, SeededRequest(text, 12, 3));
  EXPECT_EQ(without.only().ids, first.only().ids);
  EXPECT_EQ(without.final.reuse_miss(), v1::REUSE_MISS_DISABLED);
}

}  // namespace
}  // namespace ssmd::test
