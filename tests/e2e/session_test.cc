// Sessions over the wire: a conversation is one state that goes on, token for token.
#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include <algorithm>

#include "tests/e2e/session_fixture.h"

namespace ssmd::test {
namespace {

using ::testing::ElementsAreArray;
using ::testing::IsEmpty;
using ::testing::MatchesRegex;
using ::testing::Not;
using ::testing::SizeIs;

using SessionTest = SessionFixture;

TEST_F(SessionTest, TenTurnsGiveWhatOneRequestWithAllTheTokensGives) {
  ASSERT_NO_FATAL_FAILURE(Start());
  const std::string id = Create();
  std::vector<int32_t> history;
  for (int i = 0; i < 10; ++i) {
    const std::string text =
        i == 0 ? "Once upon a time, there was a dog." : " Then the dog said: \"";
    const int answer = 5 + i;
    const Turn turn = Say(id, text, answer);
    ASSERT_FALSE(turn.error) << turn.Describe();
    const std::vector<int32_t> prompt = Tokenize(text);

    v1::GenerateRequest whole = GreedyRequest("", answer);
    std::vector<int32_t> all = history;
    all.insert(all.end(), prompt.begin(), prompt.end());
    SetTokens(all, &whole);
    EXPECT_EQ(turn.only().ids, RunTurn(*client_, whole).only().ids) << "turn " << i;

    // Nothing of the past was read again but the one token that was still pending.
    const int64_t pending = i == 0 ? 0 : 1;
    const auto past = static_cast<int64_t>(history.size());
    EXPECT_EQ(turn.final.usage().reused_tokens(), past - pending);
    EXPECT_EQ(turn.final.usage().computed_tokens(), static_cast<int64_t>(prompt.size()) + pending);
    EXPECT_EQ(turn.final.usage().recomputed_tokens(), 0);
    EXPECT_EQ(turn.started.state_source(),
              i == 0 ? v1::STATE_SOURCE_FRESH : v1::STATE_SOURCE_RESIDENT);
    EXPECT_EQ(turn.started.base_revision(), static_cast<uint64_t>(i));
    EXPECT_EQ(turn.only().finished.revision(), static_cast<uint64_t>(i + 1));
    EXPECT_EQ(turn.only().finished.session_id(), id);

    history = all;
    history.insert(history.end(), turn.only().ids.begin(), turn.only().ids.end());
    const v1::Session session = Get(id);
    EXPECT_EQ(session.position(), static_cast<int64_t>(history.size()));
    EXPECT_EQ(session.pending_tokens(), 1);
    const size_t last = std::min<size_t>(history.size(), 16);
    EXPECT_THAT(session.last_token_ids(),
                ElementsAreArray(history.end() - static_cast<std::ptrdiff_t>(last), history.end()));
  }
}

TEST_F(SessionTest, ANewSessionIsEmptyAndADeletedOneGone) {
  // Prefixes of other requests would be in slots, too.
  ASSERT_NO_FATAL_FAILURE(Start({"--prefix-cache-bytes", "0"}));
  const std::string id = Create();
  EXPECT_THAT(id, MatchesRegex("[0-9a-f]{32}"));
  const v1::Session session = Get(id);
  EXPECT_EQ(session.revision(), 0u);
  EXPECT_EQ(session.position(), 0);
  EXPECT_EQ(session.tier(), v1::STATE_TIER_UNSPECIFIED);
  EXPECT_FALSE(session.running());
  EXPECT_EQ(session.model(), "tales");
  ASSERT_FALSE(Say(id, "Hello", 3).error);
  EXPECT_EQ(Get(id).tier(), v1::STATE_TIER_DEVICE);
  EXPECT_GT(Get(id).state_bytes(), 0);
  EXPECT_EQ(StatsOf(*client_).slots_used(), 1);
  EXPECT_FALSE(client_->DeleteSession(id).has_value());
  // The step thread gives it back.
  EXPECT_TRUE(Eventually([&] { return StatsOf(*client_).slots_used() == 0; }));
  const auto gone = client_->GetSession(id);
  ASSERT_FALSE(gone.ok());
  EXPECT_EQ(gone.error().code, grpc::StatusCode::NOT_FOUND);
  EXPECT_EQ(gone.error().reason, "SESSION_NOT_FOUND");
  EXPECT_EQ(Say(id, "Hello", 3).code(), grpc::StatusCode::NOT_FOUND);
  const auto again = client_->DeleteSession(id);
  ASSERT_TRUE(again.has_value());
  EXPECT_EQ(again->code, grpc::StatusCode::NOT_FOUND);
}

TEST_F(SessionTest, ATurnCanGoOnWithoutAPromptButNotFromNothing) {
  ASSERT_NO_FATAL_FAILURE(Start());
  const std::string id = Create();
  v1::GenerateRequest request = GreedyRequest("", 5);
  request.clear_prompt();
  request.set_session_id(id);
  EXPECT_EQ(RunTurn(*client_, request).code(), grpc::StatusCode::INVALID_ARGUMENT);
  const Turn first = Say(id, "Once upon a time", 5);
  const Turn second = RunTurn(*client_, request);
  ASSERT_FALSE(second.error) << second.Describe();
  const std::vector<int32_t> ten =
      RunTurn(*client_, GreedyRequest("Once upon a time", 10)).only().ids;
  std::vector<int32_t> both = first.only().ids;
  both.insert(both.end(), second.only().ids.begin(), second.only().ids.end());
  EXPECT_EQ(both, ten);
}

TEST_F(SessionTest, AStopTokenLeavesNothingPending) {
  ASSERT_NO_FATAL_FAILURE(Start());
  const std::string id = Create();
  const Turn probe = RunTurn(*client_, GreedyRequest("Once upon a time", 8));
  v1::GenerateRequest request = GreedyRequest("Once upon a time", 8);
  request.set_session_id(id);
  request.mutable_stop()->add_token_ids(probe.only().ids[7]);
  const Turn turn = RunTurn(*client_, request);
  ASSERT_EQ(turn.only().finished.finish_reason(), v1::FINISH_REASON_STOP);
  const v1::Session session = Get(id);
  EXPECT_EQ(session.pending_tokens(), 0);
  EXPECT_EQ(session.position(),
            static_cast<int64_t>(Tokenize("Once upon a time").size() + turn.only().ids.size()));
  request.clear_prompt();
  EXPECT_EQ(RunTurn(*client_, request).code(), grpc::StatusCode::INVALID_ARGUMENT);
}

TEST_F(SessionTest, AStopStringTrimsHistoryToWhatWasShown) {
  ASSERT_NO_FATAL_FAILURE(Start());
  const std::string text = RunTurn(*client_, GreedyRequest("Once upon a time", 40)).only().text;
  const std::string stop = text.substr(text.size() / 2, 7);
  const std::string shown = text.substr(0, text.find(stop));
  const std::string id = Create();
  v1::GenerateRequest request = GreedyRequest("Once upon a time", 40);
  request.set_session_id(id);
  request.mutable_stop()->add_strings(stop);
  const Turn turn = RunTurn(*client_, request);
  ASSERT_FALSE(turn.error) << turn.Describe();
  EXPECT_EQ(turn.only().text, shown);
  const auto& kept = turn.only().finished.history_token_ids();
  v1::DetokenizeRequest detokenize;
  detokenize.mutable_token_ids()->Assign(kept.begin(), kept.end());
  EXPECT_EQ(client_->Detokenize(detokenize).value().text(), shown);
  EXPECT_EQ(Get(id).position(),
            static_cast<int64_t>(Tokenize("Once upon a time").size()) + kept.size());

  // The next turn follows from exactly that history.
  std::vector<int32_t> all = Tokenize("Once upon a time");
  all.insert(all.end(), kept.begin(), kept.end());
  for (const int32_t token : Tokenize(" And")) all.push_back(token);
  v1::GenerateRequest whole = GreedyRequest("", 20);
  SetTokens(all, &whole);
  EXPECT_EQ(Say(id, " And", 20).only().ids, RunTurn(*client_, whole).only().ids);
}

TEST_F(SessionTest, AnUnexpectedRevisionIsAborted) {
  ASSERT_NO_FATAL_FAILURE(Start());
  const std::string id = Create();
  ASSERT_FALSE(Say(id, "One", 3).error);
  v1::GenerateRequest request = GreedyRequest(" two", 3);
  request.set_session_id(id);
  request.set_expected_revision(0);
  const Turn refused = RunTurn(*client_, request);
  ASSERT_EQ(refused.code(), grpc::StatusCode::ABORTED);
  EXPECT_EQ(refused.error->reason, "REVISION_MISMATCH");
  const auto kept = client_->DeleteSession(id, 7);
  ASSERT_TRUE(kept.has_value());
  EXPECT_EQ(kept->code, grpc::StatusCode::ABORTED);
  request.set_expected_revision(1);
  EXPECT_FALSE(RunTurn(*client_, request).error);
  EXPECT_FALSE(client_->DeleteSession(id, 2).has_value());
}

TEST_F(SessionTest, OneTurnAtATime) {
  ASSERT_NO_FATAL_FAILURE(Start());
  const std::string id = Create();
  v1::GenerateRequest endless = GreedyRequest("Once", 60000);
  endless.set_session_id(id);
  client::Generation running = client_->Generate(endless, {});
  ASSERT_TRUE(running.Next().has_value());
  EXPECT_TRUE(Get(id).running());
  EXPECT_EQ(Get(id).revision(), 0u);  // the last commit, not the turn
  const Turn second = Say(id, "Twice", 3);
  ASSERT_EQ(second.code(), grpc::StatusCode::ABORTED) << second.Describe();
  EXPECT_EQ(second.error->reason, "SESSION_BUSY");
}

TEST_F(SessionTest, ChoicesOfASessionBecomeSessionsOfTheirOwn) {
  ASSERT_NO_FATAL_FAILURE(Start());
  const std::string id = Create();
  ASSERT_FALSE(Say(id, "Once upon a time", 6).error);
  v1::GenerateRequest request = SeededRequest(" the cat", 12, 3);
  request.set_session_id(id);
  request.set_n(3);
  const Turn turn = RunTurn(*client_, request);
  ASSERT_FALSE(turn.error) << turn.Describe();
  ASSERT_THAT(turn.choices, SizeIs(3));
  EXPECT_EQ(Get(id).revision(), 1u);
  for (const auto& [index, choice] : turn.choices) {
    const std::string& child = choice.finished.session_id();
    EXPECT_NE(child, id);
    EXPECT_EQ(Get(child).position(),
              Get(id).position() + 12 + static_cast<int64_t>(Tokenize(" the cat").size()));
    EXPECT_FALSE(Say(child, " And", 4).error);
  }
}

TEST_F(SessionTest, ListsInPagesOrderedById) {
  ASSERT_NO_FATAL_FAILURE(Start());
  std::vector<std::string> ids;
  ids.reserve(7);
  for (int i = 0; i < 7; ++i) ids.push_back(Create());
  std::sort(ids.begin(), ids.end());
  std::vector<std::string> listed;
  v1::ListSessionsRequest request;
  request.set_page_size(3);
  int pages = 0;
  do {
    const auto page = client_->ListSessions(request);
    ASSERT_TRUE(page.ok()) << client::ToString(page.error());
    for (const v1::Session& session : page.value().sessions())
      listed.push_back(session.session_id());
    request.set_page_token(page.value().next_page_token());
    ++pages;
  } while (!request.page_token().empty());
  EXPECT_EQ(listed, ids);
  EXPECT_EQ(pages, 3);
}

TEST_F(SessionTest, ManyMoreSessionsThanSlotsTakeTurnsAndStayExact) {
  ASSERT_NO_FATAL_FAILURE(Start({"--state-slots", "3"}));
  constexpr int kSessions = 12;
  std::vector<std::string> ids;
  std::vector<std::vector<int32_t>> histories(kSessions);
  ids.reserve(kSessions);
  for (int i = 0; i < kSessions; ++i) ids.push_back(Create());
  int from_host = 0;
  for (int round = 0; round < 3; ++round) {
    for (size_t i = 0; i < ids.size(); ++i) {
      const std::string text = "Number " + std::to_string(i) + " says";
      const Turn turn = SayAndCheck(ids[i], text, 4, &histories[i]);
      EXPECT_EQ(turn.final.usage().recomputed_tokens(), 0);
      if (turn.final.state_source() == v1::STATE_SOURCE_HOST) ++from_host;
    }
  }
  EXPECT_GE(from_host, kSessions);
}

TEST_F(SessionTest, ASessionCanStartWithTextThatWasRead) {
  ASSERT_NO_FATAL_FAILURE(Start());
  v1::CreateSessionRequest request;
  request.set_text("Once upon a time");
  const auto session = client_->CreateSession(request);
  ASSERT_TRUE(session.ok()) << client::ToString(session.error());
  std::vector<int32_t> history = Tokenize("Once upon a time");
  EXPECT_EQ(session.value().position(), static_cast<int64_t>(history.size()));
  EXPECT_EQ(session.value().pending_tokens(), 1);
  const Turn turn = SayAndCheck(session.value().session_id(), ", there was", 8, &history);
  EXPECT_EQ(turn.final.usage().recomputed_tokens(), 0);
  EXPECT_GT(turn.final.usage().reused_tokens(), 0);
}

TEST_F(SessionTest, TooManySessionsAreRefused) {
  ASSERT_NO_FATAL_FAILURE(Start({"--max-sessions", "3"}));
  for (int i = 0; i < 3; ++i) ASSERT_THAT(Create(), Not(IsEmpty()));
  const auto fourth = client_->CreateSession("");
  ASSERT_FALSE(fourth.ok());
  EXPECT_EQ(fourth.error().code, grpc::StatusCode::RESOURCE_EXHAUSTED);
  EXPECT_EQ(fourth.error().reason, "TOO_MANY_SESSIONS");
}

TEST_F(SessionTest, AHistoryThatWouldGrowTooLongIsRefused) {
  ASSERT_NO_FATAL_FAILURE(Start({"--max-history-tokens", "40"}));
  const std::string id = Create();
  ASSERT_FALSE(Say(id, "Once", 20).error);
  const Turn refused = Say(id, " and", 30);
  EXPECT_TRUE(refused.error.has_value());
  EXPECT_EQ(refused.error->reason, "HISTORY_TOO_LONG") << refused.Describe();
  EXPECT_EQ(Get(id).revision(), 1u);
}

TEST_F(SessionTest, ChatMessagesAreRenderedAndStopAtTheNextUser) {
  ASSERT_NO_FATAL_FAILURE(Start());
  const std::string id = Create();
  v1::GenerateRequest request = GreedyRequest("", 30);
  request.set_session_id(id);
  request.set_echo(true);
  auto* message = request.mutable_messages()->add_messages();
  message->set_role(v1::CHAT_ROLE_USER);
  message->set_content("Tell me a story");
  const Turn turn = RunTurn(*client_, request);
  ASSERT_FALSE(turn.error) << turn.Describe();
  EXPECT_EQ(turn.only().echo_text, "User: Tell me a story\nAssistant:");
  EXPECT_EQ(turn.only().text.find("\nUser:"), std::string::npos);
}

}  // namespace
}  // namespace ssmd::test
