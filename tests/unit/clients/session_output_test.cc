#include "clients/ssmctl/session_output.h"

#include <gmock/gmock.h>
#include <gtest/gtest.h>
#include <rapidjson/document.h>

namespace ssmd::ctl {
namespace {

using ::testing::AllOf;
using ::testing::Contains;
using ::testing::ElementsAre;
using ::testing::HasSubstr;
using ::testing::Not;
using ::testing::StartsWith;

constexpr int64_t kNow = 1'700'000'000'000;

v1::Session Session(const std::string& id, const std::string& parent = "") {
  v1::Session session;
  session.set_session_id(id);
  session.set_parent_id(parent);
  session.set_model("tales");
  session.set_position(1204);
  session.set_revision(7);
  session.set_tier(v1::STATE_TIER_HOST);
  session.set_state_bytes(196608);
  session.set_used_unix_ms(kNow - 125'000);
  return session;
}

// The names with their branches, as they stand in the lines.
std::vector<std::string> Names(const std::vector<v1::Session>& sessions) {
  std::vector<std::string> names;
  for (const std::string& line : SessionTree(sessions, kNow)) {
    names.push_back(line.substr(0, line.find("  ", line.find_first_of("abcdefghijkS"))));
  }
  return names;
}

TEST(SessionTree, ShowsWhatMattersOfEach) {
  v1::Session busy = Session("b");
  busy.set_running(true);
  busy.set_waiting_turns(2);
  busy.add_checkpoints();
  busy.set_expires_unix_ms(kNow + 7'200'000);
  busy.set_tier(v1::STATE_TIER_DEVICE);
  v1::Session elsewhere = Session("c");
  elsewhere.clear_tier();
  elsewhere.clear_state_bytes();
  v1::Session fresh = elsewhere;
  fresh.set_session_id("d");
  fresh.set_position(1);
  fresh.set_pending_tokens(1);
  EXPECT_THAT(
      SessionTree({Session("a"), busy, elsewhere, fresh}, kNow),
      ElementsAre("SESSION  MODEL   TOKENS    REV  STATE     BYTES     USED",
                  "a        tales     1204      7  host     197 KB   2m ago",
                  "b        tales     1204      7  device   197 KB   2m ago  running, 2 waiting, 1 "
                  "checkpoint, ends in 2h",
                  "c        tales     1204      7  away          -   2m ago",
                  "d        tales        1      7  none        0 B   2m ago"));
}

TEST(SessionTree, ChildrenStandBelowTheirParents) {
  EXPECT_THAT(Names({Session("a"), Session("b", "a"), Session("c", "b"), Session("d", "a"),
                     Session("e"), Session("f", "d")}),
              ElementsAre("SESSION", "a", "├─ b", "│  └─ c", "└─ d", "   └─ f", "e"));
}

TEST(SessionTree, AChildWhoseParentIsGoneStandsAtTheTop) {
  EXPECT_THAT(Names({Session("a", "gone"), Session("b", "a")}),
              ElementsAre("SESSION", "a", "└─ b"));
}

TEST(SessionTree, AVeryLongChainOfForksIsAList) {
  std::vector<v1::Session> sessions = {Session("s0")};
  for (int i = 1; i < 20000; ++i) {
    sessions.push_back(Session("s" + std::to_string(i), "s" + std::to_string(i - 1)));
  }
  const auto lines = SessionTree(sessions, kNow);
  EXPECT_EQ(lines.size(), sessions.size() + 1);
  EXPECT_LT(lines.back().size(), 250U);
}

TEST(SessionTree, WhatAServerSaysIsUtf8Whatever) {
  EXPECT_THAT(SessionTree({Session("a\xff")}, kNow)[1], StartsWith("a\uFFFD"));
}

TEST(DescribeSession, NamesStateForksAndPlacesToGoBackTo) {
  v1::Session session = Session("child", "parent");
  session.set_parent_position(40);
  session.set_pending_tokens(1);
  session.set_state_position(1000);
  session.add_last_token_ids(5);
  session.add_last_token_ids(6);
  v1::SessionPoint* checkpoint = session.add_checkpoints();
  checkpoint->set_name("storm");
  checkpoint->set_position(30);
  checkpoint->set_held(true);
  session.add_turn_ends()->set_position(20);
  const auto lines = DescribeSession(session, kNow);
  EXPECT_THAT(lines, Contains("session      child"));
  EXPECT_THAT(lines, Contains("history      1204 tokens, 1 of them pending"));
  EXPECT_THAT(lines, Contains("last tokens  5,6"));
  EXPECT_THAT(lines, Contains("state        host, 197 KB, 203 tokens to read again"));
  EXPECT_THAT(lines, Contains("forked from  parent at 40"));
  EXPECT_THAT(lines, Contains("checkpoints  storm at 30"));
  EXPECT_THAT(lines, Contains("turn ends    20 (to recompute)"));
  EXPECT_THAT(lines, Contains(HasSubstr("2m ago")));
  EXPECT_THAT(lines, Not(Contains(StartsWith("ends"))));
}

TEST(DescribeSession, SaysThatAStateIsToBeMadeAgainNotThatSomethingIsLost) {
  v1::Session session = Session("s");
  session.set_tier(v1::STATE_TIER_LOST);
  session.set_state_bytes(0);
  session.set_expires_unix_ms(kNow + 60'000);
  const auto lines = DescribeSession(session, kNow);
  EXPECT_THAT(lines, Contains("state        replay, 1204 tokens to read again"));
  EXPECT_THAT(lines, Contains(AllOf(StartsWith("ends"), HasSubstr("a TTL stays"))));
  EXPECT_THAT(SessionTree({session}, kNow).at(1), HasSubstr(" replay "));
}

TEST(WriteSession, HoldsEverything) {
  v1::Session session = Session("s", "p");
  session.set_history_hash(0xabc);
  session.add_checkpoints()->set_name("c");
  session.add_turn_ends()->set_held(true);
  JsonWriter writer;
  WriteSession(session, &writer);
  rapidjson::Document json;
  json.Parse(writer.Take().c_str());
  ASSERT_FALSE(json.HasParseError());
  EXPECT_STREQ(json["tier"].GetString(), "host");
  EXPECT_STREQ(json["history_hash"].GetString(), "0000000000000abc");
  EXPECT_STREQ(json["parent_id"].GetString(), "p");
  EXPECT_STREQ(json["checkpoints"][0]["name"].GetString(), "c");
  EXPECT_TRUE(json["turn_ends"][0]["held"].GetBool());
  EXPECT_EQ(json["state_bytes"].GetInt64(), 196608);
}

TEST(TierName, HasAWordForEach) {
  EXPECT_EQ(TierName(v1::STATE_TIER_UNSPECIFIED), "none");
  EXPECT_EQ(TierName(v1::STATE_TIER_DISK), "disk");
  EXPECT_EQ(TierName(static_cast<v1::StateTier>(17)), "17");
}

}  // namespace
}  // namespace ssmd::ctl
