#include "engine/shared/session_summary.h"

#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include <random>

#include "engine/session/session_errors.h"
#include "engine/shared/shared_limits.h"

namespace ssmd {
namespace {

using ::testing::ElementsAre;
using ::testing::IsEmpty;

const std::string& Id() {
  static const std::string id(32, 'a');
  return id;
}

SessionInfo Example() {
  SessionInfo session;
  session.session_id = Id();
  session.model = "model-1.5";
  session.revision = 7;
  session.position = 1'000'000;
  session.pending_tokens = 1;
  session.last_token_ids = {1, 2, 65535, 2'000'000'000};
  session.history_hash = 0xFEDCBA9876543210;
  session.parent_id = std::string(32, 'b');
  session.parent_position = 12;
  session.created_unix_ms = 1'700'000'000'000;
  session.used_unix_ms = 1'700'000'000'001;
  session.expires_unix_ms = 1'800'000'000'000;
  return session;
}

absl::StatusCode CodeOf(const std::string& id, std::string_view bytes) {
  return DecodeSessionSummary(id, bytes).status().code();
}

TEST(SessionSummary, SaysWhatListsSayAndNoMore) {
  SessionInfo session = Example();
  session.running = true;
  session.waiting_turns = 3;
  session.tier = StateTier::kDevice;
  session.state_position = 9;
  session.state_bytes = 10;
  session.checkpoints = {{"secret", 1, 2, true}};
  session.turn_ends = {{"", 1, 2, true}};
  const auto read = DecodeSessionSummary(Id(), EncodeSessionSummary(session));
  ASSERT_TRUE(read.ok()) << read.status();
  EXPECT_EQ(read->session_id, Id());
  EXPECT_EQ(read->model, "model-1.5");
  EXPECT_EQ(read->revision, 7U);
  EXPECT_EQ(read->position, 1'000'000);
  EXPECT_EQ(read->pending_tokens, 1);
  EXPECT_THAT(read->last_token_ids, ElementsAre(1, 2, 65535, 2'000'000'000));
  EXPECT_EQ(read->history_hash, 0xFEDCBA9876543210);
  EXPECT_EQ(read->parent_id, std::string(32, 'b'));
  EXPECT_EQ(read->parent_position, 12);
  EXPECT_EQ(read->created_unix_ms, 1'700'000'000'000);
  EXPECT_EQ(read->used_unix_ms, 1'700'000'000'001);
  EXPECT_EQ(read->expires_unix_ms, 1'800'000'000'000);
  EXPECT_FALSE(read->running);
  EXPECT_EQ(read->waiting_turns, 0);
  EXPECT_FALSE(read->tier.has_value());
  EXPECT_EQ(read->state_position, 0);
  EXPECT_EQ(read->state_bytes, 0);
  EXPECT_THAT(read->checkpoints, IsEmpty());
  EXPECT_THAT(read->turn_ends, IsEmpty());
}

TEST(SessionSummary, TheLargestFits) {
  SessionInfo session = Example();
  session.model = std::string(128, 'm');
  session.last_token_ids.assign(16, -1);
  const std::string bytes = EncodeSessionSummary(session);
  EXPECT_LE(bytes.size(), kSharedSummaryBytes);
  EXPECT_TRUE(DecodeSessionSummary(Id(), bytes).ok());
}

TEST(SessionSummary, WhatCannotBeIsDataLoss) {
  const std::string good = EncodeSessionSummary(Example());
  for (const std::string& id : {std::string(), std::string("id"), std::string(32, 'A'),
                                std::string(32, '\xff'), std::string(33, 'a')}) {
    EXPECT_EQ(CodeOf(id, good), absl::StatusCode::kDataLoss) << id;
  }
  const std::function<void(SessionInfo*)> changes[] = {
      [](SessionInfo* s) { s->model = ""; },
      [](SessionInfo* s) { s->model = "\xff"; },
      [](SessionInfo* s) { s->model = std::string(900, 'm'); },
      [](SessionInfo* s) { s->position = -1; },
      [](SessionInfo* s) { s->pending_tokens = s->position + 1; },
      [](SessionInfo* s) { s->last_token_ids.assign(17, 1); },
      [](SessionInfo* s) { s->last_token_ids.assign(1000, 1); },
      [](SessionInfo* s) { s->parent_id = "\xff"; },
      [](SessionInfo* s) { s->expires_unix_ms = -1; },
  };
  int number = 0;
  for (const auto& change : changes) {
    SessionInfo session = Example();
    change(&session);
    EXPECT_EQ(CodeOf(Id(), EncodeSessionSummary(session)), absl::StatusCode::kDataLoss) << number;
    ++number;
  }
}

TEST(SessionSummary, CutOrLongerIsDataLoss) {
  const std::string good = EncodeSessionSummary(Example());
  for (size_t size = 0; size < good.size(); ++size) {
    EXPECT_EQ(CodeOf(Id(), good.substr(0, size)), absl::StatusCode::kDataLoss) << size;
  }
  EXPECT_EQ(CodeOf(Id(), good + '\0'), absl::StatusCode::kDataLoss);
  EXPECT_EQ(CodeOf(Id(), good + std::string(kSharedSummaryBytes, '\0')),
            absl::StatusCode::kDataLoss);
  for (const char version : {'\0', '\2', '\xff'}) {
    EXPECT_EQ(CodeOf(Id(), version + good.substr(1)), absl::StatusCode::kDataLoss);
  }
}

// Every bit flipped, and many bytes at once: what is read all the same may be sent to anybody.
TEST(SessionSummary, OtherBytesAreRefusedOrCouldHaveBeenWritten) {
  const std::string good = EncodeSessionSummary(Example());
  int read = 0, refused = 0;
  const auto check = [&](const std::string& bytes) {
    const auto session = DecodeSessionSummary(Id(), bytes);
    if (!session.ok()) {
      EXPECT_TRUE(absl::IsDataLoss(session.status()));
      ++refused;
      return;
    }
    ++read;
    EXPECT_EQ(EncodeSessionSummary(*session), bytes);
    EXPECT_TRUE(session->parent_id.empty() || IsSessionId(session->parent_id));
    EXPECT_GE(session->position, session->pending_tokens);
  };
  for (size_t bit = 0; bit < 8 * good.size(); ++bit) {
    std::string bytes = good;
    bytes[bit / 8] = static_cast<char>(bytes[bit / 8] ^ (1 << bit % 8));
    check(bytes);
  }
  EXPECT_GT(read, 0);
  std::mt19937 random(5);
  for (int i = 0; i < 20'000; ++i) {
    std::string bytes = good;
    for (int j = i % 7; j >= 0; --j) bytes[random() % bytes.size()] = static_cast<char>(random());
    check(bytes);
  }
  EXPECT_GT(refused, 1000);
}

}  // namespace
}  // namespace ssmd
