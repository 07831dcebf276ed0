#include "engine/session/session_log.h"

#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include <thread>

#include "engine/session/lasting_session_log.h"
#include "engine/session/log_record.h"
#include "engine/session/session_recovery.h"
#include "tests/support/fake_commit_log.h"
#include "tests/support/session_table_user.h"

namespace ssmd {
namespace {

using test::FakeCommitLog;
using test::FakeLogMedium;
using ::testing::ElementsAre;

StateRef NoState(const std::string& /*id*/, int64_t /*position*/, size_t /*bytes*/) {
  return nullptr;
}

TEST(InMemorySessionLog, AppliesAtOnce) {
  test::SessionTableUser user;
  const auto log = SessionLog::InMemory(&user.table());
  EXPECT_FALSE(log->lasting());
  int called = 0;
  log->Write(*user.table().ProposeCreate("ann", "model", {}), Durability::kPower,
             [&](absl::StatusOr<std::vector<SessionInfo>> infos) {
               ASSERT_TRUE(infos.ok());
               EXPECT_TRUE(user.table().Get("ann", infos->at(0).session_id).ok());
               ++called;
             });
  EXPECT_EQ(called, 1);
  const auto infos =
      log->WriteAndWait(*user.table().ProposeCreate("ann", "model", {}), Durability::kProcess);
  EXPECT_EQ(infos->size(), 1u);
  EXPECT_TRUE(log->Maintain().ok());
  EXPECT_EQ(log->figures().bytes, 0);
}

class SessionLogTest : public ::testing::Test {
 protected:
  SessionLogTest() {
    auto log = std::make_unique<FakeCommitLog>(&medium_);
    fake_ = log.get();
    log_ = std::make_unique<LastingSessionLog>(&user_.table(), std::move(log), 1, 0);
  }
  SessionTable& table() { return user_.table(); }
  void Write(absl::StatusOr<Proposal> proposal) {
    ASSERT_TRUE(proposal.ok()) << proposal.status();
    log_->Write(*std::move(proposal), Durability::kProcess, [this](auto result) {
      last_ = result.status();
      if (result.ok() && !result->empty()) last_id_ = result->front().session_id;
      ++done_;
    });
  }
  std::string New() {
    Write(table().ProposeCreate("ann", "model", {}));
    EXPECT_TRUE(fake_->Acknowledge());
    return last_id_;
  }
  absl::Status Recover(test::SessionTableUser* user) {
    SessionRecovery recovery(&user->table(), NoState);
    return medium_.ReadAll([&](std::string_view record) { return recovery.Add(record); });
  }

  test::SessionTableUser user_;
  FakeLogMedium medium_;
  FakeCommitLog* fake_;
  std::unique_ptr<SessionLog> log_;
  absl::Status last_ = absl::UnknownError("none yet");
  std::string last_id_;
  int done_ = 0;
};

TEST_F(SessionLogTest, AppliesWhenTheLogHasIt) {
  EXPECT_TRUE(log_->lasting());
  Write(table().ProposeCreate("ann", "model", {}));
  EXPECT_EQ(done_, 0);
  EXPECT_EQ(table().CountOf("model"), 0);
  EXPECT_TRUE(fake_->Acknowledge());
  EXPECT_EQ(done_, 1);
  EXPECT_TRUE(last_.ok());
  EXPECT_EQ(table().CountOf("model"), 1);
}

TEST_F(SessionLogTest, AFailedWriteChangesNothingAndLetsOthersOn) {
  const std::string id = New();
  Write(table().ProposeCheckpoint("ann", id, {"x", false, {}}));
  EXPECT_TRUE(fake_->Fail(absl::ResourceExhaustedError("the disk is full")));
  EXPECT_TRUE(absl::IsResourceExhausted(last_));
  EXPECT_TRUE(user_.Get(id).checkpoints.empty());
  Write(table().ProposeCheckpoint("ann", id, {"x", false, {}}));
  EXPECT_TRUE(fake_->Acknowledge());
  EXPECT_EQ(user_.Get(id).checkpoints.size(), 1u);
}

TEST_F(SessionLogTest, WhatIsOutWhenTheLogGoesIsCalledBack) {
  Write(table().ProposeCreate("ann", "model", {}));
  log_.reset();
  EXPECT_EQ(done_, 1);
  EXPECT_TRUE(absl::IsCancelled(last_));
  EXPECT_EQ(table().CountOf("model"), 0);
}

TEST_F(SessionLogTest, TheCallerSaysHowSafeARecordIs) {
  fake_->AcknowledgeAtOnce(true);
  ASSERT_TRUE(
      log_->WriteAndWait(*table().ProposeCreate("ann", "model", {}), Durability::kPower).ok());
  EXPECT_EQ(fake_->powers(), 1);
}

TEST_F(SessionLogTest, WaitsForTheAcknowledgementOnAnotherThread) {
  absl::StatusOr<std::vector<SessionInfo>> infos = absl::UnknownError("");
  std::thread writer([&] {
    infos = log_->WriteAndWait(*table().ProposeCreate("ann", "model", {}), Durability::kProcess);
  });
  while (!fake_->Acknowledge()) std::this_thread::yield();
  writer.join();
  EXPECT_EQ(infos->at(0).model, "model");
  std::thread failing([&] {
    infos = log_->WriteAndWait(*table().ProposeCreate("ann", "model", {}), Durability::kProcess);
  });
  while (!fake_->Fail(absl::InternalError("broken"))) std::this_thread::yield();
  failing.join();
  EXPECT_TRUE(absl::IsInternal(infos.status()));
}

TEST_F(SessionLogTest, CompactsWhenTheLogIsLargeAndTwiceItsImage) {
  const std::string id = New();
  fake_->AcknowledgeAtOnce(true);
  const auto grow = [&] { Write(table().ProposeCheckpoint("ann", id, {"x", false, {}})); };
  ASSERT_TRUE(log_->Maintain().ok());
  const int64_t image_bytes = medium_.image_bytes();
  EXPECT_GT(image_bytes, 0);
  fake_->AcknowledgeAtOnce(true);
  int64_t largest = 0;
  for (int i = 0; i < 100; ++i) {
    grow();
    ASSERT_TRUE(log_->Maintain().ok());
    fake_->AcknowledgeAtOnce(true);
    largest = std::max(largest, medium_.bytes());
  }
  EXPECT_LT(largest, 4 * medium_.image_bytes());
}

TEST_F(SessionLogTest, AnImageOfNothingStandsForWhatWasBeforeIt) {
  const std::string id = New();
  Write(table().ProposeFork("ann", id, {1, "", {}, {}, {}}));
  fake_->Acknowledge();
  Write(table().ProposeDelete("ann", last_id_, {}, nullptr));
  fake_->set_on_step([&](FakeCommitLog::Step step) {
    // In the new segment, and in the image: the session that was forked from, and its child, go.
    if (step == FakeCommitLog::Step::kAfterSegment) {
      Write(table().ProposeFork("ann", id, {1, "", {}, {}, {}}));
      fake_->Acknowledge();
      Write(table().ProposeDelete("ann", last_id_, {}, nullptr));
      fake_->Acknowledge();
      Write(table().ProposeDelete("ann", id, {}, nullptr));
    }
    return absl::OkStatus();
  });
  ASSERT_TRUE(log_->Maintain().ok());
  test::SessionTableUser recovered;
  const absl::Status status = Recover(&recovered);
  ASSERT_TRUE(status.ok()) << status;
  EXPECT_EQ(recovered.table().CountOf("model"), 0);
}

TEST_F(SessionLogTest, AChildOutlivesAParentThatWasRewoundWhileTheImageWasTaken) {
  const std::string id = New();
  fake_->AcknowledgeAtOnce(true);
  SessionLease lease = user_.Enqueue(id);
  SessionCommit commit = test::MakeCommit({1, 2, 3}, 1, nullptr);
  std::optional<TurnResult> result;
  Write(table().ProposeCommit(&lease, &commit, &result));
  fake_->AcknowledgeAtOnce(false);
  std::string child;
  fake_->set_on_step([&](FakeCommitLog::Step step) {
    if (step == FakeCommitLog::Step::kAfterSegment) {
      Write(table().ProposeFork("ann", id, {1, "", {}, {}, {}}));
      fake_->Acknowledge();
      child = last_id_;
      Write(table().ProposeRewind("ann", id, {"", 1, {}, true, {}}));
      fake_->Acknowledge();
    }
    return absl::OkStatus();
  });
  ASSERT_TRUE(log_->Maintain().ok());
  test::SessionTableUser recovered;
  const absl::Status status = Recover(&recovered);
  ASSERT_TRUE(status.ok()) << status;
  EXPECT_THAT(recovered.History(id), ElementsAre(1));
  EXPECT_THAT(recovered.History(child), ElementsAre(1, 2, 3));
}

TEST_F(SessionLogTest, OneCompactionAtATime) {
  New();
  int steps = 0;
  fake_->set_on_step([&](FakeCommitLog::Step step) {
    ++steps;
    if (step == FakeCommitLog::Step::kBeforeSegment) {
      EXPECT_TRUE(log_->Maintain().ok());
    }
    return absl::OkStatus();
  });
  ASSERT_TRUE(log_->Maintain().ok());
  EXPECT_EQ(steps, 5) << "one pass: two image records and three other steps";
}

TEST_F(SessionLogTest, AFailedCompactionIsToldAndMayBeTriedAgain) {
  const std::string id = New();
  using Step = FakeCommitLog::Step;
  for (const Step step :
       {Step::kBeforeSegment, Step::kAfterSegment, Step::kImageRecord, Step::kBeforeRemoval}) {
    fake_->set_on_step(
        [&](Step at) { return at == step ? absl::UnavailableError("no") : absl::OkStatus(); });
    EXPECT_TRUE(absl::IsUnavailable(log_->Maintain()));
    fake_->AcknowledgeAtOnce(false);
    test::SessionTableUser recovered;
    ASSERT_TRUE(Recover(&recovered).ok());
    EXPECT_EQ(recovered.Get(id).revision, 0u);
  }
  fake_->set_on_step(nullptr);
  EXPECT_TRUE(log_->Maintain().ok());
}

// --- Reading ---

class SessionRecoveryTest : public ::testing::Test {
 protected:
  SessionRecoveryTest()
      : recovery_(&user_.table(), [this](const auto& id, int64_t p, size_t b) {
          ++resolved_;
          return test::MakeFakeState(p, b, id);
        }) {}
  SessionCreated Created(char digit) {
    return {{"ann", std::string(32, digit)}, "model", "print", {}, 0};
  }
  absl::Status Add(LogRecordKind kind, uint64_t number, std::vector<SessionChange> changes = {}) {
    return recovery_.Add(EncodeLogRecord(kind, number, changes));
  }
  test::SessionTableUser user_;
  int resolved_ = 0;
  SessionRecovery recovery_;
};

TEST_F(SessionRecoveryTest, NumbersGoOnAfterWhatWasRead) {
  EXPECT_EQ(recovery_.next_number(), 1u);
  ASSERT_TRUE(Add(LogRecordKind::kChanges, 3).ok());
  ASSERT_TRUE(Add(LogRecordKind::kChanges, 7, {Created('a')}).ok());
  EXPECT_EQ(recovery_.next_number(), 8u);
  EXPECT_EQ(user_.table().CountOf("model"), 1);
}

TEST_F(SessionRecoveryTest, RecordsThatTheImageStandsForAreLeftOut) {
  SessionImage image;
  image.key = {"ann", std::string(32, 'a')};
  image.model = "model";
  ASSERT_TRUE(Add(LogRecordKind::kImageStart, 9).ok());
  ASSERT_TRUE(Add(LogRecordKind::kImagePart, 9, {image}).ok());
  ASSERT_TRUE(Add(LogRecordKind::kChanges, 8, {Created('b')}).ok());
  ASSERT_TRUE(Add(LogRecordKind::kChanges, 9, {Created('c')}).ok());
  EXPECT_EQ(recovery_.next_number(), 10u) << "though the medium may have lost number 9";
  ASSERT_TRUE(Add(LogRecordKind::kChanges, 10, {Created('d')}).ok());
  EXPECT_EQ(user_.table().CountOf("model"), 2);
}

TEST_F(SessionRecoveryTest, RefusesRecordsThatAreNoneOrOutOfOrder) {
  EXPECT_TRUE(absl::IsDataLoss(recovery_.Add("")));
  EXPECT_TRUE(absl::IsDataLoss(recovery_.Add("\1234")));
  EXPECT_TRUE(absl::IsDataLoss(Add(LogRecordKind::kImagePart, 1)));
  ASSERT_TRUE(Add(LogRecordKind::kChanges, 5).ok());
  EXPECT_TRUE(absl::IsDataLoss(Add(LogRecordKind::kChanges, 5)));
  EXPECT_TRUE(absl::IsDataLoss(Add(LogRecordKind::kChanges, 4)));
  EXPECT_TRUE(absl::IsDataLoss(Add(LogRecordKind::kImageStart, 6)));
  EXPECT_TRUE(absl::IsDataLoss(Add(LogRecordKind::kImagePart, 6)));
  EXPECT_TRUE(absl::IsNotFound(Add(LogRecordKind::kChanges, 6,
                                   {SessionCheckpointed{{"ann", std::string(32, 'a')}, 0, "x"}})));
  EXPECT_TRUE(absl::IsDataLoss(recovery_.Add(std::string(30, '\x01'))));
}

TEST_F(SessionRecoveryTest, ANameStandsForOneState) {
  const SessionKey key{"ann", std::string(32, 'a')};
  const auto commit = [&](uint64_t revision, int64_t consumed) {
    return SessionCommitted{key, revision,
                            test::MakeCommit({1, 2}, 0, test::MakeFakeState(consumed, 9, "file")),
                            std::nullopt, 0};
  };
  ASSERT_TRUE(Add(LogRecordKind::kChanges, 1, {Created('a'), commit(1, 2)}).ok());
  SessionForked fork;
  fork.key = {"ann", std::string(32, 'b')};
  fork.parent_id = key.id;
  fork.position = 2;
  fork.commit.state = test::MakeFakeState(2, 9, "file");
  ASSERT_TRUE(Add(LogRecordKind::kChanges, 2, {fork}).ok());
  EXPECT_EQ(resolved_, 1);
  EXPECT_EQ(user_.State(key.id), user_.State(fork.key.id));
  ASSERT_TRUE(Add(LogRecordKind::kChanges, 3, {commit(2, 4)}).ok());
  EXPECT_EQ(user_.Get(key.id).state_position, 2) << "the file is of two tokens, not of four";
}

}  // namespace
}  // namespace ssmd
