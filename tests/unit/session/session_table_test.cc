#include "engine/session/session_table.h"

#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include <set>

#include "engine/base/errors.h"
#include "tests/support/session_table_user.h"

namespace ssmd {
namespace {

using test::MakeCommit;
using test::MakeFakeState;
using ::testing::ElementsAre;
using ::testing::HasSubstr;
using ::testing::IsEmpty;

constexpr char kAbsent[] = "aaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaa";

std::string MessageOf(const absl::Status& status) { return std::string(status.message()); }

class SessionTableTest : public ::testing::Test {
 protected:
  explicit SessionTableTest(const SessionLimits& limits = {}) : user_(limits) {}
  SessionTable& table() { return user_.table(); }
  test::SessionTableUser user_;
};

// --- Looking ---

TEST_F(SessionTableTest, NewSessionIsEmpty) {
  const std::string id = user_.New();
  const SessionInfo info = user_.Get(id);
  EXPECT_EQ(info.session_id, id);
  EXPECT_EQ(info.model, "model");
  EXPECT_EQ(info.revision, 0u);
  EXPECT_EQ(info.position, 0);
  EXPECT_EQ(info.pending_tokens, 0);
  EXPECT_FALSE(info.running);
  EXPECT_EQ(info.tier, std::nullopt);
  EXPECT_EQ(info.state_bytes, 0);
  EXPECT_EQ(info.created_unix_ms, 1700000000000);
  EXPECT_EQ(info.used_unix_ms, 1700000000000);
  EXPECT_EQ(info.expires_unix_ms, 0);
  EXPECT_THAT(info.checkpoints, IsEmpty());
}

TEST_F(SessionTableTest, UnknownModelsHaveNoSessions) {
  const absl::Status status = table().ProposeCreate("ann", "nobody", {}).status();
  EXPECT_TRUE(absl::IsNotFound(status));
  EXPECT_EQ(ReasonOf(status), reason::kModelNotFound);
}

TEST_F(SessionTableTest, IdsAre128BitsInLowerCaseHex) {
  std::set<std::string> ids;
  for (int i = 0; i < 1000; ++i) ids.insert(user_.New());
  EXPECT_EQ(ids.size(), 1000u);
  for (const std::string& id : ids) {
    EXPECT_EQ(id.size(), 32u);
    EXPECT_EQ(id.find_first_not_of("0123456789abcdef"), std::string::npos) << id;
  }
}

TEST_F(SessionTableTest, ForeignSessionsLookExactlyLikeAbsentOnes) {
  const std::string mine = user_.New("ann");
  ASSERT_TRUE(user_.Turn(mine, {1, 2}).ok());
  ASSERT_TRUE(user_.Checkpoint(mine, "draft").ok());
  bool busy = false;
  const std::vector<std::function<absl::Status(const std::string&)>> calls = {
      [&](const std::string& id) { return table().Get("bob", id).status(); },
      [&](const std::string& id) {
        return table().FindRequest("bob", id, {"r", 1}).status();
      },
      [&](const std::string& id) { return table().Image("bob", id, "").status(); },
      [&](const std::string& id) { return table().Image("bob", id, "draft").status(); },
      [&](const std::string& id) {
        return table().Enqueue("bob", id, WhenBusy::kWait, 7, {"r", 1}).status();
      },
      [&](const std::string& id) { return table().ProposeFork("bob", id, {}).status(); },
      [&](const std::string& id) {
        return table().ProposeRewind("bob", id, {"draft", {}, {}, false, 7}).status();
      },
      [&](const std::string& id) {
        return table().ProposeCheckpoint("bob", id, {"draft", false, 7}).status();
      },
      [&](const std::string& id) { return table().ProposeDelete("bob", id, 7, &busy).status(); },
      [&](const std::string& id) {
        return table().ProposeStored({"bob", id}, "draft", MakeFakeState(1)).status();
      },
  };
  for (size_t i = 0; i < calls.size(); ++i) {
    const absl::Status foreign = calls[i](mine);
    const absl::Status absent = calls[i](kAbsent);
    EXPECT_TRUE(absl::IsNotFound(foreign)) << i;
    EXPECT_EQ(ReasonOf(foreign), reason::kSessionNotFound) << i;
    EXPECT_EQ(ReasonOf(absent), reason::kSessionNotFound) << i;
    std::string expected = MessageOf(absent);
    expected.replace(expected.find(kAbsent), 32, mine);
    EXPECT_EQ(MessageOf(foreign), expected) << i;
  }
  EXPECT_THAT(table().List("bob", {}, 10, "")->sessions, IsEmpty());
  EXPECT_EQ(user_.Get(mine).revision, 1u);
}

TEST_F(SessionTableTest, PagesThroughEverySessionOnceInTheOrderOfIds) {
  std::set<std::string> all;
  std::set<std::string> others;
  for (int i = 0; i < 25; ++i) {
    const char* model = i % 5 == 0 ? "other" : "model";
    const std::string id = user_.Apply(table().ProposeCreate("ann", model, {}))->session_id;
    all.insert(id);
    if (i % 5 == 0) others.insert(id);
  }
  user_.New("bob");
  const auto list = [&](const SessionFilter& filter, int page_size) {
    std::vector<std::string> seen;
    std::string token;
    do {
      const auto page = table().List("ann", filter, page_size, token);
      EXPECT_LE(page->sessions.size(), static_cast<size_t>(page_size));
      for (const SessionInfo& session : page->sessions) seen.push_back(session.session_id);
      token = page->next_page_token;
    } while (!token.empty());
    return seen;
  };
  for (const int page_size : {1, 7, 25, 26}) {
    EXPECT_EQ(list({}, page_size), std::vector<std::string>(all.begin(), all.end())) << page_size;
    EXPECT_EQ(list({"other", ""}, page_size),
              std::vector<std::string>(others.begin(), others.end()));
  }
  const std::string child = user_.Fork(*all.begin())->session_id;
  EXPECT_THAT(list({"", *all.begin()}, 3), ElementsAre(child));
  for (const char* bad : {"x", "ABCDEFABCDEFABCDEFABCDEFABCDEFAB", "../etc/passwd"}) {
    EXPECT_TRUE(absl::IsInvalidArgument(table().List("ann", {}, 10, bad).status())) << bad;
  }
}

TEST_F(SessionTableTest, CountsSessionsStatesAndTiersOfAModel) {
  const std::string a = user_.New();
  user_.New();
  ASSERT_TRUE(user_.Turn(a, {1, 2}).ok());
  ASSERT_TRUE(user_.Checkpoint(a, "draft").ok());
  ASSERT_TRUE(user_.Fork(a).ok());
  EXPECT_EQ(table().CountOf("model"), 3);
  EXPECT_EQ(table().StatesOf("model"), 3);
  EXPECT_EQ(table().CountOf("other"), 0);
  const auto tiers = table().TiersOf("model");
  EXPECT_THAT(tiers, ElementsAre(std::pair(StateTier::kDevice, 0), std::pair(StateTier::kHost, 2),
                                 std::pair(StateTier::kDisk, 0), std::pair(StateTier::kLost, 0)));
  ASSERT_TRUE(user_.Delete(a).ok());
  EXPECT_EQ(table().CountOf("model"), 2);
  EXPECT_EQ(table().StatesOf("model"), 1);
}

// --- Commits ---

TEST_F(SessionTableTest, CommitTakesTheSessionOnAndEndsTheTurn) {
  const std::string id = user_.New();
  user_.Advance(5);
  ASSERT_EQ(user_.Turn(id, {1, 2, 3}, 1)->revision, 1u);
  ASSERT_EQ(user_.Turn(id, {4, 5}, 2)->revision, 2u);
  const SessionInfo info = user_.Get(id);
  EXPECT_EQ(info.position, 5);
  EXPECT_EQ(info.pending_tokens, 2);
  EXPECT_THAT(info.last_token_ids, ElementsAre(1, 2, 3, 4, 5));
  EXPECT_EQ(info.tier, StateTier::kHost);
  EXPECT_EQ(info.state_position, 3);
  EXPECT_EQ(info.state_bytes, 100);
  EXPECT_EQ(info.used_unix_ms, 1700000000005);
  EXPECT_FALSE(info.running);

  SessionLease lease = user_.Enqueue(id);
  const auto base = lease.Begin(2, 3);
  ASSERT_TRUE(base.ok());
  EXPECT_EQ(base->consumed(), 3);
  EXPECT_EQ(base->state->position, 3);
  EXPECT_EQ(base->lost_tokens(), 0);
  ASSERT_EQ(base->unread.size(), 2u);
  EXPECT_EQ(base->unread[0].token_id(), 4);
  ASSERT_EQ(base->recent.size(), 3u);
  EXPECT_EQ(base->recent[0].token_id(), 3);
}

TEST_F(SessionTableTest, NothingHappensUntilAProposalIsApplied) {
  const std::string id = user_.New();
  {
    auto create = table().ProposeCreate("ann", "model", {});
    ASSERT_TRUE(create.ok());
    EXPECT_EQ(table().CountOf("model"), 1);
  }
  SessionLease lease = user_.Enqueue(id);
  ASSERT_TRUE(lease.Begin({}, 0).ok());
  SessionCommit commit = MakeCommit({1, 2}, 1, MakeFakeState(1));
  std::optional<TurnResult> result;
  {
    auto proposal = table().ProposeCommit(&lease, &commit, &result);
    ASSERT_TRUE(proposal.ok());
    EXPECT_FALSE(lease);
    EXPECT_EQ(user_.Get(id).revision, 0u);
    EXPECT_TRUE(user_.Get(id).running) << "the turn goes on until its commit is in the log";
  }
  EXPECT_EQ(user_.Get(id).revision, 0u);
  EXPECT_FALSE(user_.Get(id).running) << "the turn ends with its proposal";
  EXPECT_TRUE(user_.Turn(id, {1}).ok());
}

TEST_F(SessionTableTest, RefusesACommitWhoseStateHasConsumedMoreThanThereIs) {
  const std::string id = user_.New();
  SessionLease lease = user_.Enqueue(id);
  std::optional<TurnResult> result;
  for (const auto& [pending, consumed] : {std::pair(1, 2), std::pair(3, 1), std::pair(-1, 1)}) {
    SessionCommit commit = MakeCommit({1, 2}, pending, MakeFakeState(consumed));
    EXPECT_FALSE(table().ProposeCommit(&lease, &commit, &result).ok());
    EXPECT_TRUE(lease);
  }
}

TEST_F(SessionTableTest, ExpectedRevisionGuardsEveryMutation) {
  const std::string id = user_.New();
  ASSERT_TRUE(user_.Turn(id, {1}).ok());
  bool busy = false;
  for (const uint64_t wrong : {uint64_t{0}, uint64_t{2}}) {
    for (const absl::Status& status : {
             table().Enqueue("ann", id, WhenBusy::kWait, wrong, {}).status(),
             table().ProposeFork("ann", id, {1, "", {}, wrong, {}}).status(),
             table().ProposeRewind("ann", id, {"", {}, 1, false, wrong}).status(),
             table().ProposeCheckpoint("ann", id, {"x", false, wrong}).status(),
             table().ProposeDelete("ann", id, wrong, &busy).status(),
         }) {
      EXPECT_TRUE(absl::IsAborted(status)) << status;
      EXPECT_EQ(ReasonOf(status), reason::kRevisionMismatch);
      EXPECT_THAT(MessageOf(status), HasSubstr("is at revision 1"));
    }
  }
  EXPECT_TRUE(table().Enqueue("ann", id, WhenBusy::kWait, 1, {}).ok());
  EXPECT_TRUE(table().ProposeDelete("ann", id, 1, &busy).ok());
}

TEST_F(SessionTableTest, ADeletedSessionTakesNoCommit) {
  const std::string id = user_.New();
  SessionLease first = user_.Enqueue(id);
  SessionLease second = user_.Enqueue(id);
  bool busy = false;
  ASSERT_TRUE(user_.Apply(table().ProposeDelete("ann", id, {}, &busy)).ok());
  EXPECT_TRUE(busy);
  SessionCommit commit = MakeCommit({1}, 1, nullptr);
  std::optional<TurnResult> result;
  EXPECT_TRUE(absl::IsCancelled(table().ProposeCommit(&first, &commit, &result).status()));
  EXPECT_TRUE(second.AtFront());
  EXPECT_TRUE(absl::IsNotFound(second.Begin({}, 0).status()));
  EXPECT_TRUE(absl::IsNotFound(table().Get("ann", id).status()));
}

TEST_F(SessionTableTest, OldStatesAreLetGoUnderNoLock) {
  const std::string id = user_.New();
  int gone = 0;
  // A deleter that looks at the table would wait for itself if it ran under the lock.
  const auto make = [&](int64_t position) {
    return std::make_shared<test::FakeState>(position, 100, "",
                                             [&] { gone += table().Get("ann", id).ok() ? 1 : 1; });
  };
  const auto turn = [&] {
    SessionLease lease = user_.Enqueue(id);
    const int64_t position = lease.Begin({}, 0)->position;
    SessionCommit commit = MakeCommit({1}, 0, make(position + 1));
    std::optional<TurnResult> result;
    return user_.Apply(table().ProposeCommit(&lease, &commit, &result)).ok();
  };
  for (int i = 0; i < 7; ++i) ASSERT_TRUE(turn());
  EXPECT_EQ(gone, 2) << "the present and four turn ends are held";
  ASSERT_TRUE(table().DropTurnEndState());
  EXPECT_EQ(gone, 3);
  ASSERT_TRUE(user_.Checkpoint(id, "x").ok());
  ASSERT_TRUE(user_.Rewind(id, {"", {}, 1, false, {}}).ok());
  EXPECT_EQ(gone, 3) << "the checkpoint holds it";
  ASSERT_TRUE(user_.Checkpoint(id, "x", true).ok());
  EXPECT_EQ(gone, 4);
  ASSERT_TRUE(user_.Delete(id).ok());
  EXPECT_EQ(gone, 7);
}

// --- Queues ---

TEST_F(SessionTableTest, TurnsBeginInTheOrderInWhichTheyCame) {
  const std::string id = user_.New();
  int notified = 0;
  table().SetOnAvailable([&] { ++notified; });
  SessionLease first = user_.Enqueue(id);
  SessionLease second = user_.Enqueue(id);
  SessionLease third = user_.Enqueue(id);
  EXPECT_TRUE(first.AtFront());
  EXPECT_FALSE(second.AtFront());
  EXPECT_EQ(user_.Get(id).waiting_turns, 2);
  second.Release();
  EXPECT_EQ(notified, 0) << "the front is the same";
  EXPECT_FALSE(third.AtFront());
  first.Release();
  EXPECT_EQ(notified, 1);
  EXPECT_TRUE(third.AtFront());
  third.Release();
  EXPECT_FALSE(user_.Get(id).running);
}

TEST_F(SessionTableTest, ACommitMakesWayForTheNextTurnWhichSeesIt) {
  const std::string id = user_.New();
  int notified = 0;
  SessionLease first = user_.Enqueue(id);
  SessionLease second = user_.Enqueue(id);
  SessionCommit commit = MakeCommit({1, 2}, 1, MakeFakeState(1));
  std::optional<TurnResult> result;
  auto proposal = table().ProposeCommit(&first, &commit, &result);
  EXPECT_FALSE(second.AtFront()) << "the commit is not in the log yet";
  table().SetOnAvailable([&] { ++notified; });
  table().Apply(*std::move(proposal));
  EXPECT_EQ(notified, 1);
  EXPECT_TRUE(second.AtFront());
  EXPECT_EQ(second.Begin(1, 0)->position, 2);
}

TEST_F(SessionTableTest, ABusySessionAbortsWhoDoesNotWait) {
  const std::string id = user_.New();
  const SessionLease first = user_.Enqueue(id);
  const absl::Status busy = table().Enqueue("ann", id, WhenBusy::kAbort, std::nullopt, {}).status();
  EXPECT_TRUE(absl::IsAborted(busy));
  EXPECT_EQ(ReasonOf(busy), reason::kSessionBusy);
}

TEST_F(SessionTableTest, TooManyWaitingTurnsAreRefused) {
  const std::string id = user_.New();
  std::vector<SessionLease> leases;
  for (int i = 0; i < 17; ++i) leases.push_back(user_.Enqueue(id));
  const absl::Status refused = table().Enqueue("ann", id, WhenBusy::kWait, {}, {}).status();
  EXPECT_TRUE(absl::IsResourceExhausted(refused));
  EXPECT_EQ(ReasonOf(refused), reason::kTooManyWaiting);
  leases.pop_back();
  EXPECT_TRUE(table().Enqueue("ann", id, WhenBusy::kWait, {}, {}).ok());
}

TEST_F(SessionTableTest, AWaitingTurnsExpectedRevisionIsCheckedWhenItBegins) {
  const std::string id = user_.New();
  SessionLease first = user_.Enqueue(id);
  auto second = table().Enqueue("ann", id, WhenBusy::kWait, 1, {});
  ASSERT_TRUE(second.ok()) << "the turn before it may bring that revision";
  first.Release();
  EXPECT_EQ(ReasonOf(second->Begin(1, 0).status()), reason::kRevisionMismatch);
}

TEST_F(SessionTableTest, ATurnOfAModelThatIsNotServedIsRefused) {
  SessionImage image;
  image.key = {"ann", kAbsent};
  image.model = "model";
  image.model_fingerprint = "another print";
  ASSERT_TRUE(table().Replay({image}).ok());
  const absl::Status refused = table().Enqueue("ann", kAbsent, WhenBusy::kWait, {}, {}).status();
  EXPECT_TRUE(absl::IsFailedPrecondition(refused));
  EXPECT_EQ(ReasonOf(refused), reason::kModelChanged);
}

// --- Retries ---

TEST_F(SessionTableTest, ARetryIsTakenOverWhileItRunsAndReplayedAfterwards) {
  const std::string id = user_.New();
  const RequestKey key{"request", 7};
  const RequestKey other_body{"request", 8};
  using Retry = SessionTable::Retry;
  EXPECT_TRUE(
      std::holds_alternative<SessionTable::NewRequest>(*table().FindRequest("ann", id, key)));
  auto lease = table().Enqueue("ann", id, WhenBusy::kWait, {}, key);
  ASSERT_TRUE(lease.ok());
  EXPECT_TRUE(
      std::holds_alternative<SessionTable::RunningRequest>(*table().FindRequest("ann", id, key)));
  EXPECT_EQ(ReasonOf(table().FindRequest("ann", id, other_body).status()),
            reason::kRequestIdReused);
  EXPECT_EQ(ReasonOf(table().Enqueue("ann", id, WhenBusy::kWait, {}, key).status()),
            reason::kRequestKnown)
      << "of two at once only one is applied";

  SessionCommit commit = MakeCommit({1, 2}, 1, MakeFakeState(1));
  std::optional<TurnResult> result(test::MakeResult(key, "hello"));
  result->seed = 3;
  auto proposal = table().ProposeCommit(&*lease, &commit, &result);
  EXPECT_EQ(result->choices[0].session_id, id);
  EXPECT_EQ(result->choices[0].revision, 1u);
  EXPECT_TRUE(
      std::holds_alternative<SessionTable::RunningRequest>(*table().FindRequest("ann", id, key)));
  table().Apply(*std::move(proposal));

  const absl::StatusOr<Retry> replayed = table().FindRequest("ann", id, key);
  ASSERT_TRUE(std::holds_alternative<TurnResult>(*replayed));
  const auto& kept = std::get<TurnResult>(*replayed);
  EXPECT_EQ(kept.choices[0].text, "hello");
  EXPECT_EQ(kept.choices[0].revision, 1u);
  EXPECT_EQ(kept.seed, 3u);
  EXPECT_TRUE(absl::IsAlreadyExists(table().FindRequest("ann", id, other_body).status()));
  EXPECT_EQ(ReasonOf(table().Enqueue("ann", id, WhenBusy::kWait, {}, key).status()),
            reason::kRequestKnown);
}

TEST_F(SessionTableTest, ARequestThatFailedMayBeTriedAgain) {
  const std::string id = user_.New();
  const RequestKey key{"request", 7};
  table().Enqueue("ann", id, WhenBusy::kWait, {}, key)->Release();
  EXPECT_TRUE(
      std::holds_alternative<SessionTable::NewRequest>(*table().FindRequest("ann", id, key)));
  EXPECT_TRUE(user_.Turn(id, {1}, 1, key).ok());
}

TEST_F(SessionTableTest, KeepsTheLastSixteenResults) {
  const std::string id = user_.New();
  for (int i = 0; i < 20; ++i) {
    ASSERT_TRUE(user_.Turn(id, {i}, 1, {std::to_string(i), 1}).ok());
  }
  for (int i = 0; i < 20; ++i) {
    const auto retry = table().FindRequest("ann", id, {std::to_string(i), 1});
    EXPECT_EQ(std::holds_alternative<TurnResult>(*retry), i >= 4) << i;
  }
}

class SmallResultsTest : public SessionTableTest {
 protected:
  SmallResultsTest() : SessionTableTest(Limits()) {}
  static SessionLimits Limits() {
    SessionLimits limits;
    limits.result_bytes = 2000;
    return limits;
  }
};

TEST_F(SmallResultsTest, ResultsAreBoundedInBytesButForTheNewest) {
  const std::string id = user_.New();
  const auto commit_result = [&](const std::string& request, size_t bytes) {
    auto lease = table().Enqueue("ann", id, WhenBusy::kWait, {}, {request, 1});
    SessionCommit commit = MakeCommit({1}, 1, nullptr);
    commit.state = nullptr;
    std::optional<TurnResult> result(test::MakeResult({request, 1}, std::string(bytes, 'x')));
    table().Apply(*table().ProposeCommit(&*lease, &commit, &result));
  };
  const auto kept = [&](const std::string& request) {
    const auto found = table().FindRequest("ann", id, {request, 1});
    return found.ok() && std::holds_alternative<TurnResult>(*found);
  };
  commit_result("a", 800);
  commit_result("b", 800);
  EXPECT_FALSE(kept("a"));
  EXPECT_TRUE(kept("b"));
  commit_result("c", 5000);
  EXPECT_FALSE(kept("b"));
  EXPECT_TRUE(kept("c"));

  // It is not applied again for all that.
  const absl::Status retry = table().FindRequest("ann", id, {"a", 1}).status();
  EXPECT_EQ(retry.code(), absl::StatusCode::kFailedPrecondition);
  EXPECT_EQ(ReasonOf(retry), reason::kAnswerNotKept);
  EXPECT_THAT(std::string(retry.message()), HasSubstr("\"a\" was committed, on revision 0"));
  EXPECT_EQ(table().FindRequest("ann", id, {"a", 2}).status().code(),
            absl::StatusCode::kAlreadyExists);
}

// --- Limits ---

class SmallTableTest : public SessionTableTest {
 protected:
  SmallTableTest() : SessionTableTest(Limits()) {}
  static SessionLimits Limits() {
    SessionLimits limits;
    limits.sessions_per_tenant = 4;
    limits.state_bytes_per_tenant = 350;
    limits.checkpoints = 2;
    return limits;
  }
};

TEST_F(SmallTableTest, SessionsArePerTenantAndExact) {
  for (int i = 0; i < 3; ++i) user_.New();
  auto proposed = table().ProposeCreate("ann", "model", {});
  ASSERT_TRUE(proposed.ok());
  const absl::Status refused = table().ProposeCreate("ann", "model", {}).status();
  EXPECT_TRUE(absl::IsResourceExhausted(refused));
  EXPECT_EQ(ReasonOf(refused), reason::kTooManySessions);
  EXPECT_TRUE(table().ProposeCreate("bob", "model", {}).ok());
  proposed->Abandon();
  const std::string last = user_.New();
  EXPECT_FALSE(table().ProposeFork("ann", last, {}).ok());
  EXPECT_FALSE(table().ProposeFork("ann", last, {INT32_MAX, "", {}, {}, {}}).ok());
  SessionImage image;
  image.model = "model";
  EXPECT_FALSE(table().ProposeImport("ann", image).ok());
  ASSERT_TRUE(user_.Delete(last).ok());
  EXPECT_TRUE(table().ProposeCreate("ann", "model", {}).ok());
}

TEST_F(SmallTableTest, ReservationsCountUntilTheyAreReleased) {
  auto reservation = table().Reserve("ann", "model", 3);
  ASSERT_TRUE(reservation.ok());
  const std::string id = user_.New();
  EXPECT_EQ(ReasonOf(table().ProposeCreate("ann", "model", {}).status()), reason::kTooManySessions);
  EXPECT_EQ(ReasonOf(table().Reserve("ann", "model", 1).status()), reason::kTooManySessions);
  EXPECT_EQ(ReasonOf(table().Enqueue("ann", id, WhenBusy::kWait, {}, {}).status()),
            reason::kStateQuota)
      << "three states are reserved, too";
  reservation->Release();
  EXPECT_TRUE(table().ProposeCreate("ann", "model", {}).ok());
  EXPECT_TRUE(table().Enqueue("ann", id, WhenBusy::kWait, {}, {}).ok());
}

TEST_F(SmallTableTest, StatesAreCountedFromTheFirstTurnOn) {
  const std::string a = user_.New();
  const std::string b = user_.New();
  const std::string c = user_.New();
  const std::string d = user_.New();
  const SessionLease waiting = user_.Enqueue(a);
  const SessionLease second = user_.Enqueue(a);
  ASSERT_TRUE(user_.Turn(b, {1, 2}).ok());
  ASSERT_TRUE(user_.Turn(c, {1, 2}).ok());
  const absl::Status refused = table().Enqueue("ann", d, WhenBusy::kWait, {}, {}).status();
  EXPECT_TRUE(absl::IsResourceExhausted(refused));
  EXPECT_EQ(ReasonOf(refused), reason::kStateQuota);
  EXPECT_EQ(ReasonOf(user_.Checkpoint(b, "x").status()), reason::kStateQuota);
  EXPECT_TRUE(user_.Turn(b, {3}).ok()) << "a session that has one goes on";
  ASSERT_TRUE(user_.Delete(c).ok());
  EXPECT_TRUE(user_.Checkpoint(b, "x").ok());
  EXPECT_EQ(ReasonOf(user_.Fork(b).status()), reason::kStateQuota);
  EXPECT_EQ(ReasonOf(table().Reserve("ann", "model", 1).status()), reason::kStateQuota);
  ASSERT_TRUE(user_.Checkpoint(b, "x").ok()) << "replaced by one of the same size";
  ASSERT_TRUE(user_.Checkpoint(b, "x", true).ok());
  EXPECT_TRUE(user_.Fork(b).ok());
}

TEST_F(SmallTableTest, CheckpointsAreLimitedPerSession) {
  const std::string id = user_.New();
  ASSERT_TRUE(user_.Checkpoint(id, "a").ok());
  ASSERT_TRUE(user_.Checkpoint(id, "b").ok());
  const absl::Status refused = user_.Checkpoint(id, "c").status();
  EXPECT_TRUE(absl::IsResourceExhausted(refused));
  EXPECT_EQ(ReasonOf(refused), reason::kTooManyCheckpoints);
  EXPECT_TRUE(user_.Checkpoint(id, "a").ok()) << "replaced";
  ASSERT_TRUE(user_.Checkpoint(id, "a", true).ok());
  EXPECT_TRUE(user_.Checkpoint(id, "c").ok());
  EXPECT_TRUE(absl::IsNotFound(user_.Checkpoint(id, "a", true).status()));
}

TEST_F(SessionTableTest, CheckpointNamesAreShortAndPlain) {
  const std::string id = user_.New();
  for (const std::string& bad :
       {std::string(), std::string(65, 'x'), std::string("a b"), std::string("a/b"),
        std::string("\xC3\xA4"), std::string("a\0b", 3)}) {
    EXPECT_TRUE(absl::IsInvalidArgument(user_.Checkpoint(id, bad).status())) << bad;
  }
  EXPECT_TRUE(user_.Checkpoint(id, std::string(64, 'x')).ok());
  EXPECT_TRUE(user_.Checkpoint(id, "A-z_0.9").ok());
}

// --- Lifetimes ---

TEST_F(SessionTableTest, SessionsExpireByAgeAndIdlenessButNotUnderATurn) {
  const std::string aged = user_.New("ann", {100, 0});
  const std::string idle = user_.New("ann", {0, 50});
  const std::string both = user_.New("ann", {70, 50});
  user_.New("ann", {INT64_MAX, INT64_MAX});
  EXPECT_EQ(user_.Get(aged).expires_unix_ms, 1700000000100);
  EXPECT_EQ(user_.Get(idle).expires_unix_ms, 1700000000050);
  user_.Advance(49);
  EXPECT_THAT(table().Expired(), IsEmpty());
  ASSERT_TRUE(user_.Turn(both, {1}).ok());
  EXPECT_EQ(user_.Get(both).expires_unix_ms, 1700000000070);
  user_.Advance(1);
  {
    const SessionLease lease = user_.Enqueue(idle);
    user_.Advance(60);
    const auto expired = table().Expired();
    ASSERT_EQ(expired.size(), 2u);
    EXPECT_EQ((std::set<std::string>{expired[0].id, expired[1].id}),
              (std::set<std::string>{aged, both}));
  }
  EXPECT_EQ(user_.Get(idle).expires_unix_ms, 1700000000160) << "a turn that ended is a use";
  EXPECT_TRUE(absl::IsInvalidArgument(table().ProposeCreate("ann", "model", {-1, 0}).status()));
}

}  // namespace
}  // namespace ssmd
