// One proposal about a session at a time, sessions that are frozen, and recovery.
#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include <array>
#include <atomic>
#include <random>
#include <thread>

#include "engine/base/errors.h"
#include "engine/session/session_table.h"
#include "tests/support/session_table_user.h"

namespace ssmd {
namespace {

using test::MakeCommit;
using test::MakeFakeState;
using ::testing::ElementsAre;

class SessionProposalsTest : public ::testing::Test {
 protected:
  SessionTable& table() { return user_.table(); }
  absl::StatusOr<Proposal> Checkpoint(const std::string& id) {
    return table().ProposeCheckpoint("ann", id, {"x", false, {}});
  }
  test::SessionTableUser user_;
};

TEST_F(SessionProposalsTest, ASecondProposalWaitsForTheFirstToEnd) {
  const std::string id = user_.New();
  ASSERT_TRUE(user_.Turn(id, {1, 2}).ok());
  auto rewind = table().ProposeRewind("ann", id, {"", {}, 1, false, {}});
  ASSERT_TRUE(rewind.ok());
  absl::StatusOr<Proposal> fork = absl::UnknownError("");
  std::thread waiting([&] { fork = table().ProposeFork("ann", id, {1, "", {}, 2, {}}); });
  table().Apply(*std::move(rewind));
  waiting.join();
  ASSERT_TRUE(fork.ok()) << "it saw revision 2: " << fork.status();
  EXPECT_EQ(table().Apply(*std::move(fork))[0].position, 0);
}

TEST_F(SessionProposalsTest, WhoWaitsForADeletionFindsNothing) {
  const std::string id = user_.New();
  auto deletion = table().ProposeDelete("ann", id, {}, nullptr);
  absl::Status status;
  std::thread waiting([&] { status = Checkpoint(id).status(); });
  table().Apply(*std::move(deletion));
  waiting.join();
  EXPECT_TRUE(absl::IsNotFound(status));
}

TEST_F(SessionProposalsTest, ProposalsAboutOtherSessionsDoNotWait) {
  const std::string a = user_.New();
  const std::string b = user_.New();
  const auto first = Checkpoint(a);
  EXPECT_TRUE(Checkpoint(b).ok());
  EXPECT_TRUE(table().ProposeCreate("ann", "model", {}).ok());
}

TEST_F(SessionProposalsTest, ACommitDoesNotWaitAndComesNext) {
  const std::string id = user_.New();
  int notified = 0;
  table().SetOnAvailable([&] { ++notified; });
  SessionLease lease = user_.Enqueue(id);
  SessionCommit commit = MakeCommit({1, 2}, 1, MakeFakeState(1));
  std::vector<SessionCommit> commits(1);
  std::optional<TurnResult> result;
  SessionReservation room;
  auto first = Checkpoint(id);
  ASSERT_TRUE(first.ok());
  for (int i = 0; i < 2; ++i) {
    auto busy = table().ProposeCommit(&lease, &commit, &result);
    ASSERT_TRUE(busy.ok());
    EXPECT_FALSE(*busy);
    EXPECT_FALSE(*table().ProposeChildren(&lease, &room, &commits, &result));
    EXPECT_TRUE(lease);
    EXPECT_EQ(commit.appended.size(), 2u) << "nothing was taken";
  }
  std::atomic<bool> forked = false;
  std::thread waiting([&] {
    EXPECT_EQ(user_.Fork(id)->position, 2) << "the commit came before";
    forked = true;
  });
  EXPECT_EQ(notified, 0);
  first->Abandon();
  EXPECT_EQ(notified, 1);
  EXPECT_FALSE(forked);
  auto proposal = table().ProposeCommit(&lease, &commit, &result);
  ASSERT_TRUE(proposal.ok());
  ASSERT_TRUE(*proposal);
  EXPECT_FALSE(forked);
  table().Apply(*std::move(proposal));
  waiting.join();
  EXPECT_TRUE(forked);
}

TEST_F(SessionProposalsTest, ACommitThatIsGivenUpLetsOthersOn) {
  const std::string id = user_.New();
  SessionLease lease = user_.Enqueue(id);
  SessionCommit commit;
  std::optional<TurnResult> result;
  auto first = Checkpoint(id);
  EXPECT_FALSE(*table().ProposeCommit(&lease, &commit, &result));
  first->Abandon();
  std::thread waiting([&] { EXPECT_TRUE(Checkpoint(id).ok()); });
  lease.Release();
  waiting.join();
}

// --- Freezing ---

TEST_F(SessionProposalsTest, FrozenSessionsAreOfOneMomentWhateverHappensNext) {
  const std::string a = user_.New();
  const std::string b = user_.New();
  ASSERT_TRUE(user_.Turn(a, {1, 2}, 1, {"r", 1}).ok());
  ASSERT_TRUE(user_.Turn(b, {3, 4}, 0).ok());
  ASSERT_TRUE(user_.Checkpoint(b, "draft").ok());
  auto frozen = table().Freeze();
  ASSERT_EQ(frozen.size(), 2u);
  ASSERT_TRUE(user_.Turn(a, {5}).ok());
  ASSERT_TRUE(user_.Rewind(a, {"", {}, 2, false, {}}).ok());
  ASSERT_TRUE(user_.Checkpoint(b, "draft", true).ok());
  while (table().DropTurnEndState()) {
  }
  ASSERT_TRUE(user_.Delete(b).ok());
  for (const FrozenSession& session : frozen) {
    const SessionImage image = session.Image();
    EXPECT_EQ(image.revision, 1u);
    EXPECT_EQ(image.history.size(), 2u);
    EXPECT_EQ(image.turn_ends.size(), 1u);
    EXPECT_NE(image.state, nullptr);
    if (image.key.id == a) {
      EXPECT_EQ(image.results.at(0).key.request_id, "r");
    } else {
      EXPECT_EQ(image.key.id, b);
      EXPECT_EQ(image.checkpoints.at(0).name, "draft");
      EXPECT_EQ(image.checkpoints.at(0).history.size(), 2u);
    }
  }
}

TEST_F(SessionProposalsTest, AnImageHasAStateThatTheStoreHas) {
  const std::string id = user_.New();
  ASSERT_TRUE(user_.Turn(id, {1, 2}).ok());
  auto stored = std::static_pointer_cast<test::FakeState>(user_.State(id));
  stored->set_stored_id("file");
  ASSERT_TRUE(user_.Apply(table().ProposeStored({"ann", id}, "", stored)).ok());
  ASSERT_TRUE(user_.Turn(id, {3}).ok());
  EXPECT_NE(user_.State(id), stored);
  EXPECT_EQ(table().Freeze().at(0).Image().state, stored);
  // One that was written for want of memory may go before the log has heard of it.
  std::static_pointer_cast<test::FakeState>(user_.State(id))->set_stored_id("not recorded");
  EXPECT_EQ(table().Freeze().at(0).Image().state, stored);
}

// --- Recovery ---

class ReplayTest : public SessionProposalsTest {
 protected:
  ReplayTest() : id_(32, 'a'), key_{"ann", id_} {
    EXPECT_TRUE(table().Replay({SessionCreated{key_, "model", "print", {}, 5}}).ok());
    EXPECT_TRUE(Replay(Commit(1, {1, 2, 3})).ok());
    EXPECT_TRUE(Replay(Commit(2, {4, 5})).ok());
  }
  absl::Status Replay(SessionChange change) { return table().Replay({std::move(change)}); }
  SessionCommitted Commit(uint64_t revision, const std::vector<int32_t>& ids,
                          StateRef state = nullptr) {
    return {key_, revision, MakeCommit(ids, 1, std::move(state)), std::nullopt, 6};
  }
  SessionForked Fork(const std::string& child, const std::string& checkpoint, int64_t position) {
    SessionForked fork;
    fork.key = {"ann", child};
    fork.parent_id = id_;
    fork.checkpoint = checkpoint;
    fork.position = position;
    return fork;
  }
  SessionRewound Rewind(uint64_t revision, const std::string& checkpoint, int64_t position,
                        int64_t pending) {
    return {key_, revision, checkpoint, position, pending, "", nullptr, 7};
  }

  const std::string id_;
  const SessionKey key_;
};

TEST_F(ReplayTest, WhatWasAppliedAlreadyDoesNothing) {
  const std::string child(32, 'b');
  ASSERT_TRUE(Replay(SessionCheckpointed{key_, 2, "draft", false}).ok());
  ASSERT_TRUE(Replay(Fork(child, "", 5)).ok());
  ASSERT_TRUE(Replay(Rewind(3, "", 3, 1)).ok());
  ASSERT_TRUE(Replay(Commit(4, {9})).ok());
  SessionImage image;
  image.key = key_;
  const SessionInfo before = user_.Get(id_);
  for (const SessionChange& change : std::vector<SessionChange>{
           SessionCreated{key_, "other", "x", {}, 9}, Commit(1, {7}), Commit(4, {7, 7}),
           SessionCheckpointed{key_, 2, "again", false},
           SessionCheckpointed{key_, 2, "draft", true}, Fork(child, "", 2), Rewind(3, "", 1, 0),
           image, StateStored{key_, 2, "", MakeFakeState(4, 100, "of the past that was given up")},
           SessionDeleted{{"ann", std::string(32, 'd')}}}) {
    EXPECT_TRUE(Replay(change).ok()) << change.index();
  }
  const SessionInfo after = user_.Get(id_);
  EXPECT_EQ(after.revision, before.revision);
  EXPECT_EQ(after.history_hash, before.history_hash);
  EXPECT_EQ(after.checkpoints.size(), 1u);
  EXPECT_EQ(after.state_position, 0);
  EXPECT_EQ(user_.Get(child).position, 5);
}

TEST_F(ReplayTest, RefusesWhatDoesNotFollow) {
  const std::string child(32, 'b');
  const SessionKey absent{"ann", std::string(32, 'e')};
  SessionImage image;
  image.key = absent;
  const auto image_with = [&](auto change) {
    SessionImage changed = image;
    changed.history = test::Tokens({1, 2});
    change(&changed);
    return changed;
  };
  struct Case {
    SessionChange change;
    absl::StatusCode code;
  };
  using Code = absl::StatusCode;
  for (const Case& c : std::vector<Case>{
           {SessionCreated{{"ann", "no id"}, "model", "", {}, 0}, Code::kDataLoss},
           {Commit(4, {1}), Code::kFailedPrecondition},
           {Commit(UINT64_MAX, {1}), Code::kFailedPrecondition},
           {Commit(3, {1}, MakeFakeState(6)), Code::kDataLoss},
           {SessionCommitted{key_, 3, MakeCommit({1}, 7, nullptr), {}, 0}, Code::kDataLoss},
           {SessionCommitted{absent, 1, {}, {}, 0}, Code::kNotFound},
           {Fork(child, "", 6), Code::kDataLoss},
           {Fork(child, "", -1), Code::kDataLoss},
           {Fork(child, "nil", 5), Code::kNotFound},
           {SessionForked{{"bob", child}, id_, "", 5, {}, {}, 0}, Code::kNotFound},
           {ResultKept{absent, {}}, Code::kNotFound},
           {Rewind(4, "", 3, 0), Code::kFailedPrecondition},
           {Rewind(3, "", 6, 0), Code::kDataLoss},
           {Rewind(3, "", 3, 4), Code::kDataLoss},
           {Rewind(3, "nil", 3, 1), Code::kNotFound},
           {SessionCheckpointed{key_, 3, "x", false}, Code::kFailedPrecondition},
           {SessionCheckpointed{key_, UINT64_MAX, "x", false}, Code::kFailedPrecondition},
           {StateStored{key_, 3, "", MakeFakeState(1)}, Code::kFailedPrecondition},
           {StateStored{key_, 2, "", MakeFakeState(6)}, Code::kDataLoss},
           {StateStored{key_, 2, "nil", MakeFakeState(1)}, Code::kNotFound},
           {image_with([](SessionImage* i) { i->pending_tokens = 3; }), Code::kDataLoss},
           {image_with([](SessionImage* i) { i->key.id = "x"; }), Code::kDataLoss},
           {image_with([](SessionImage* i) { i->state = MakeFakeState(3); }), Code::kDataLoss},
           {image_with([](SessionImage* i) {
              i->turn_ends.push_back({1, 3, 0, "", nullptr});
            }),
            Code::kDataLoss},
           {image_with([](SessionImage* i) {
              i->turn_ends = {{1, 2, 0, "", nullptr}, {1, 1, 0, "", nullptr}};
            }),
            Code::kDataLoss},
           {image_with([](SessionImage* i) {
              i->checkpoints.push_back({"x", test::Tokens({1}), {1, 2, 0, "", nullptr}});
            }),
            Code::kDataLoss},
       }) {
    EXPECT_EQ(Replay(c.change).code(), c.code) << c.change.index() << ": " << Replay(c.change);
  }
  EXPECT_EQ(table().CountOf("model"), 1);
  EXPECT_EQ(user_.Get(id_).revision, 2u);
}

TEST_F(ReplayTest, TheBestStateThatIsLeftIsGoneOnFrom) {
  ASSERT_TRUE(Replay(StateStored{key_, 2, "", MakeFakeState(3, 100, "three")}).ok());
  ASSERT_TRUE(Replay(Commit(3, {6, 7})).ok());
  EXPECT_EQ(user_.Get(id_).state_position, 3);
  ASSERT_TRUE(Replay(StateStored{key_, 3, "", MakeFakeState(2, 100, "two")}).ok());
  EXPECT_EQ(user_.Get(id_).state_position, 3) << "an older one is no better";
  ASSERT_TRUE(Replay(Fork(std::string(32, 'b'), "", 7)).ok());
  EXPECT_EQ(user_.Get(std::string(32, 'b')).state_position, 3);
  SessionForked early = Fork(std::string(32, 'c'), "", 2);
  ASSERT_TRUE(Replay(early).ok());
  EXPECT_EQ(user_.Get(std::string(32, 'c')).state_position, 0);
  ASSERT_TRUE(Replay(Rewind(4, "", 3, 1)).ok());
  EXPECT_EQ(user_.Get(id_).state_position, 0) << "too deep for two consumed tokens";
}

TEST_F(ReplayTest, ARecoveredImageSharesItsCheckpointsBlocks) {
  SessionImage image;
  image.key = {"ann", std::string(32, 'b')};
  image.model = "model";
  const std::vector<int32_t> ids(1000, 7);
  image.history = test::Tokens(ids);
  image.checkpoints.push_back({"same", image.history, {1, 1000, 0, "", nullptr}});
  image.checkpoints.push_back({"shorter", test::Tokens({7, 7, 8}), {1, 3, 0, "", nullptr}});
  ASSERT_TRUE(Replay(image).ok());
  const auto same = table().Image("ann", image.key.id, "same");
  EXPECT_EQ(same->history.size(), 1000u);
  const auto shorter = table().Image("ann", image.key.id, "shorter");
  ASSERT_EQ(shorter->history.size(), 3u);
  EXPECT_EQ(shorter->history[2].token_id(), 8);
}

// --- Many ---

TEST(SessionTableLarge, TenThousandSessionsAreListedByPages) {
  test::SessionTableUser user;
  for (int i = 0; i < 10000; ++i) user.New();
  EXPECT_FALSE(user.table().ProposeCreate("ann", "model", {}).ok());
  std::string token;
  int seen = 0;
  do {
    const auto page = user.table().List("ann", {}, 1000, token);
    seen += static_cast<int>(page->sessions.size());
    token = page->next_page_token;
  } while (!token.empty());
  EXPECT_EQ(seen, 10000);
}

// Threads do everything to a few sessions at once; what adds up at the end is that each commit that
// was applied is there, and sanitizers.
TEST(SessionTableThreads, EveryAppliedCommitIsThereAtTheEnd) {
  test::SessionTableUser user;
  SessionTable& table = user.table();
  std::vector<std::string> ids;
  for (int i = 0; i < 4; ++i) ids.push_back(user.New());
  std::atomic<int> available = 0;
  table.SetOnAvailable([&] { ++available; });
  std::array<std::atomic<int>, 4> commits{};

  const auto turns = [&](unsigned seed) {
    std::mt19937 random(seed);
    for (int i = 0; i < 200; ++i) {
      const size_t session = random() % ids.size();
      auto lease = table.Enqueue("ann", ids[session], WhenBusy::kWait, {}, {});
      if (!lease.ok()) continue;
      while (!lease->AtFront()) std::this_thread::yield();
      const auto base = lease->Begin({}, 4);
      ASSERT_TRUE(base.ok()) << base.status();
      SessionCommit commit = MakeCommit({1, 2, 3}, 1, MakeFakeState(base->position + 2));
      std::optional<TurnResult> result;
      absl::StatusOr<Proposal> proposal;
      while (!*(proposal = table.ProposeCommit(&*lease, &commit, &result))) {
        std::this_thread::yield();
      }
      if (random() % 8 == 0) continue;  // the log failed
      table.Apply(*std::move(proposal));
      ++commits[session];
    }
  };
  const auto others = [&](unsigned seed) {
    std::mt19937 random(seed);
    for (int i = 0; i < 300; ++i) {
      const std::string& id = ids[random() % ids.size()];
      switch (random() % 7) {
        case 0: {
          auto fork = table.ProposeFork("ann", id, {2, "", {}, {}, {}});
          ASSERT_TRUE(fork.ok());
          for (const SessionInfo& child : table.Apply(*std::move(fork))) {
            auto gone = table.ProposeDelete("ann", child.session_id, {}, nullptr);
            ASSERT_TRUE(gone.ok());
            table.Apply(*std::move(gone));
          }
          break;
        }
        case 1: {
          auto checkpoint = table.ProposeCheckpoint("ann", id, {"x", false, {}});
          ASSERT_TRUE(checkpoint.ok());
          table.Apply(*std::move(checkpoint));
          break;
        }
        case 2:
          for (const FrozenSession& session : table.Freeze()) {
            EXPECT_LE(session.Image().revision, 800u);
          }
          break;
        case 3:
          table.DropTurnEndState();
          break;
        case 4:
          for (auto& unstored : table.FindUnstored(2)) {
            std::static_pointer_cast<test::FakeState>(unstored.state)->set_stored_id("x");
            auto stored = table.ProposeStored(unstored.key, unstored.checkpoint, unstored.state);
            if (stored.ok()) table.Apply(*std::move(stored));
          }
          break;
        case 5:
          EXPECT_TRUE(table.Image("ann", id, "").ok());
          break;
        default:
          EXPECT_TRUE(table.List("ann", {}, 10, "").ok());
          table.TiersOf("model");
          table.Expired();
      }
    }
  };
  std::vector<std::thread> threads;
  for (unsigned i = 0; i < 3; ++i) threads.emplace_back(turns, i);
  for (unsigned i = 0; i < 2; ++i) threads.emplace_back(others, 10 + i);
  for (std::thread& thread : threads) thread.join();
  for (size_t i = 0; i < ids.size(); ++i) {
    const SessionInfo info = user.Get(ids[i]);
    EXPECT_EQ(info.revision, static_cast<uint64_t>(commits[i]));
    EXPECT_EQ(info.position, 3 * commits[i]);
    EXPECT_FALSE(info.running);
  }
  EXPECT_EQ(table.CountOf("model"), 4);
}

}  // namespace
}  // namespace ssmd
