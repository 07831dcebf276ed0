// Random operations on sessions with a log that fails, compacts and crashes at any point; after
// each crash a fresh table must have exactly what was acknowledged and those unacknowledged records
// that reached the medium, each of them whole. The oracle is the simplest thing that can tell:
// vectors of tokens. States carry their tokens, so that a state of another past is seen.
//
// A seed is a run. SSMD_CRASH_SEEDS=N runs more of them.
#include <gtest/gtest.h>

#include <algorithm>
#include <cstdlib>
#include <deque>
#include <map>
#include <memory>
#include <random>
#include <set>

#include "absl/strings/str_cat.h"
#include "engine/session/lasting_session_log.h"
#include "engine/session/session_recovery.h"
#include "tests/support/fake_commit_log.h"
#include "tests/support/session_table_user.h"

namespace ssmd {
namespace {

using Ids = std::vector<int32_t>;

Ids IdsOf(const TokenLog& tokens) {
  Ids ids;
  for (const LoggedToken token : tokens) ids.push_back(token.token_id());
  return ids;
}

Ids First(const Ids& ids, int64_t count) { return Ids(ids.begin(), ids.begin() + count); }

// --- States, and the files of those that are stored ---

struct Files {
  std::map<std::string, Ids> tokens;  // by stored id
  bool crashed = false;               // nothing is deleted any more
};

class TokensState final : public HeldState {
 public:
  TokensState(Files* files, Ids ids_in, const std::string& stored_id = {})
      : HeldState(static_cast<int64_t>(ids_in.size()), 100, stored_id),
        ids(std::move(ids_in)),
        files_(files) {}
  ~TokensState() override {
    if (!files_->crashed) files_->tokens.erase(stored_id());
  }
  void Store(const std::string& name) {
    files_->tokens[name] = ids;
    set_stored_id(name);
  }
  const Ids ids;

 private:
  Files* const files_;
};

// --- The oracle ---

struct ModelPoint {
  Ids ids;
  int64_t pending = 0;
  bool operator==(const ModelPoint&) const = default;
};

struct ModelSession {
  uint64_t revision = 0;
  ModelPoint present;
  std::vector<ModelPoint> turn_ends;
  std::map<std::string, ModelPoint> checkpoints;
  std::deque<std::string> results;
  std::string parent;
  int64_t stored = 0;  // a state of so many tokens is in the store for sure
};

class Oracle {
 public:
  void Apply(const std::vector<SessionChange>& changes) {
    for (const SessionChange& change : changes) {
      std::visit([this](const auto& c) { On(c); }, change);
    }
  }
  std::map<std::string, ModelSession> sessions;

 private:
  static bool IsPrefix(const Ids& a, const Ids& b) {
    return a.size() <= b.size() && std::equal(a.begin(), a.end(), b.begin());
  }
  static void Extend(ModelPoint* point, const SessionCommit& commit) {
    for (const LoggedToken token : commit.appended) point->ids.push_back(token.token_id());
    point->pending = commit.pending_tokens;
  }
  static void Keep(ModelSession* session, const TurnResult& result) {
    session->results.push_back(result.key.request_id);
    if (session->results.size() > 16) session->results.pop_front();
  }
  void On(const SessionCreated& c) { sessions[c.key.id]; }
  void On(const SessionCommitted& c) {
    ModelSession& session = sessions.at(c.key.id);
    session.revision = c.revision;
    session.turn_ends.push_back(session.present);
    if (session.turn_ends.size() > 64) session.turn_ends.erase(session.turn_ends.begin());
    Extend(&session.present, c.commit);
    if (c.result.has_value()) Keep(&session, *c.result);
  }
  void On(const SessionForked& c) {
    const ModelSession& parent = sessions.at(c.parent_id);
    ModelSession child;
    child.revision = 1;
    child.parent = c.parent_id;
    child.present.ids =
        First(c.checkpoint.empty() ? parent.present.ids : parent.checkpoints.at(c.checkpoint).ids,
              c.position);
    Extend(&child.present, c.commit);
    sessions[c.key.id] = child;
  }
  void On(const ResultKept& c) { Keep(&sessions.at(c.key.id), c.result); }
  void On(const SessionRewound& c) {
    ModelSession& session = sessions.at(c.key.id);
    session.revision = c.revision;
    session.stored = 0;
    ModelPoint point =
        c.checkpoint.empty() ? session.present : session.checkpoints.at(c.checkpoint);
    point.ids = First(point.ids, c.position);
    point.pending = c.pending_tokens;
    session.turn_ends.push_back(session.present);
    std::erase_if(session.turn_ends, [&](const ModelPoint& end) {
      return !IsPrefix(end.ids, point.ids) ||
             (end.ids.size() == point.ids.size() && end.pending <= point.pending);
    });
    session.present = point;
  }
  void On(const SessionCheckpointed& c) {
    ModelSession& session = sessions.at(c.key.id);
    session.checkpoints.erase(c.name);
    if (!c.remove) session.checkpoints[c.name] = session.present;
  }
  void On(const SessionDeleted& c) { sessions.erase(c.key.id); }
  void On(const StateStored& c) {
    ModelSession& session = sessions.at(c.key.id);
    if (c.checkpoint.empty()) session.stored = std::max(session.stored, c.state->position);
  }
  void On(const SessionImage& /*c*/) { FAIL() << "not one of the operations"; }
};

// --- The run ---

class CrashRun {
 public:
  explicit CrashRun(unsigned seed) : random_(seed) { Start(); }
  ~CrashRun() { Stop(); }

  void Go(int operations) {
    for (int i = 0; i < operations && !::testing::Test::HasFailure(); ++i) {
      if (Chance(40)) {
        Crash();
      } else if (Chance(12)) {
        Maintain();
      } else {
        Operate();
      }
    }
    Crash();
  }

 private:
  static constexpr size_t kSessions = 6;  // so few that much happens to each

  bool Chance(unsigned one_in) { return random_() % one_in == 0; }
  int64_t Below(int64_t count) {
    return static_cast<int64_t>(random_() % static_cast<uint64_t>(count));
  }

  void Start() {
    user_ = std::make_unique<test::SessionTableUser>();
    SessionRecovery recovery(
        &user_->table(), [this](const std::string& id, int64_t position, size_t /*bytes*/) {
          const auto file = files_.tokens.find(id);
          if (file == files_.tokens.end()) return StateRef();
          EXPECT_EQ(static_cast<int64_t>(file->second.size()), position);
          return StateRef(std::make_shared<TokensState>(&files_, file->second, id));
        });
    const absl::Status status =
        medium_.ReadAll([&](std::string_view record) { return recovery.Add(record); });
    ASSERT_TRUE(status.ok()) << status;
    auto log = std::make_unique<test::FakeCommitLog>(&medium_);
    fake_ = log.get();
    fake_->set_on_step([this](test::FakeCommitLog::Step /*step*/) { return OnStep(); });
    log_ = std::make_unique<LastingSessionLog>(&user_->table(), std::move(log),
                                               recovery.next_number(), 0);
    Compare();
  }
  void Stop() {
    files_.crashed = true;
    log_.reset();
    user_.reset();
    files_.crashed = false;
  }
  void Crash() {
    const auto survivors =
        static_cast<size_t>(Below(static_cast<int64_t>(outstanding_.size()) + 1));
    ASSERT_EQ(fake_->queued(), outstanding_.size());
    fake_->Crash(survivors);
    for (size_t i = 0; i < survivors; ++i) oracle_.Apply(outstanding_[i]);
    outstanding_.clear();
    busy_.clear();
    ++life_;
    crash_in_compaction_ = false;
    Stop();
    Start();
  }
  void Maintain() {
    const absl::Status status = log_->Maintain();
    fake_->AcknowledgeAtOnce(false);
    if (crash_in_compaction_) {
      Crash();
    } else {
      EXPECT_TRUE(status.ok()) << status;
    }
  }
  absl::Status OnStep() {
    for (int64_t i = Below(Chance(3) ? 30 : 3); i > 0; --i) Operate();
    if (!Chance(30)) return absl::OkStatus();
    crash_in_compaction_ = true;
    return absl::AbortedError("crash");
  }

  void Write(absl::StatusOr<Proposal> proposal, const std::string& id) {
    if (!proposal.ok()) return;  // a limit, or nothing there to go back to
    ASSERT_TRUE(*proposal);
    outstanding_.push_back(proposal->changes());
    busy_.insert(id);
    log_->Write(*std::move(proposal), Durability::kProcess,
                [this, id, life = life_](const absl::StatusOr<std::vector<SessionInfo>>& infos) {
                  if (life != life_) return;
                  if (infos.ok()) {
                    oracle_.Apply(outstanding_.front());
                    for (const SessionInfo& info : *infos) CheckStates(info.session_id);
                  }
                  outstanding_.pop_front();
                  busy_.erase(id);
                });
  }

  void Operate() {
    switch (Below(16)) {
      case 0:
      case 1:
      case 2:
      case 3:
        if (Chance(6)) {
          fake_->Fail(absl::ResourceExhaustedError("full"));
        } else {
          while (fake_->Acknowledge() && Chance(2)) {
          }
        }
        return;
      case 4:
        if (oracle_.sessions.size() < kSessions / 2)
          Write(table().ProposeCreate("ann", "model", {}), "");
        return;
      default:
        break;
    }
    const std::string id = AnySession();
    if (id.empty()) return;
    const bool full = oracle_.sessions.size() >= kSessions;
    switch (Below(11)) {
      case 0:
        if (!full) Write(table().ProposeFork("ann", id, AnyFork(id)), id);
        return;
      case 1:
        Write(table().ProposeRewind("ann", id, AnyRewind(id)), id);
        return;
      case 2:
        Write(table().ProposeCheckpoint("ann", id, {AnyName(), Chance(3), {}}), id);
        return;
      case 3:
        if (full || Chance(3)) Write(table().ProposeDelete("ann", id, {}, nullptr), id);
        return;
      case 4:
      case 5:
        Store();
        return;
      case 6:
        if (!full) Children(id);
        return;
      case 7:
        table().DropTurnEndState();
        return;
      default:
        Turn(id);
    }
  }

  // Sessions are chosen by their age, not by their ids, which no seed determines.
  std::string AnySession() {
    std::vector<std::string> free;
    for (const std::string& id : Aged()) {
      if (busy_.count(id) == 0) free.push_back(id);
    }
    return free.empty() ? std::string()
                        : free[static_cast<size_t>(Below(static_cast<int64_t>(free.size())))];
  }
  std::vector<std::string> Aged() {
    for (const auto& [id, session] : oracle_.sessions) ages_.try_emplace(id, ages_.size());
    std::vector<std::string> ids;
    for (const auto& [id, session] : oracle_.sessions) ids.push_back(id);
    std::sort(ids.begin(), ids.end(),
              [this](const auto& a, const auto& b) { return ages_[a] < ages_[b]; });
    return ids;
  }
  std::string AnyName() { return std::string(1, static_cast<char>('a' + Below(3))); }
  int64_t AnyPosition(const std::string& id) {
    return Below(static_cast<int64_t>(oracle_.sessions[id].present.ids.size()) + 1);
  }
  ForkOptions AnyFork(const std::string& id) {
    ForkOptions options;
    options.count = 1 + static_cast<int>(Below(2));
    if (Chance(3))
      options.checkpoint = AnyName();
    else if (Chance(2))
      options.position = AnyPosition(id);
    return options;
  }
  RewindTarget AnyRewind(const std::string& id) {
    RewindTarget target;
    target.allow_recompute = Chance(2);
    if (Chance(3))
      target.checkpoint = AnyName();
    else if (Chance(2))
      target.position = AnyPosition(id);
    else
      target.turns = 1 + static_cast<int>(Below(4));
    return target;
  }

  // A commit that follows the session's history, with a state of all but what is pending.
  SessionCommit AnyCommit(const std::string& id) {
    Ids ids = oracle_.sessions[id].present.ids;
    const size_t before = ids.size();
    for (int64_t i = Below(8) * (Chance(10) ? 100 : 1); i >= 0; --i) {
      ids.push_back(static_cast<int32_t>(Below(5)));
    }
    const int64_t pending = Below(2);
    const auto consumed = static_cast<int64_t>(ids.size()) - pending;
    return test::MakeCommit(
        Ids(ids.begin() + static_cast<std::ptrdiff_t>(before), ids.end()), pending,
        consumed == 0 ? nullptr : std::make_shared<TokensState>(&files_, First(ids, consumed)));
  }
  std::optional<TurnResult> AnyResult() {
    if (Chance(2)) return std::nullopt;
    TurnResult result = test::MakeResult({absl::StrCat("r", ++requests_), 1});
    result.choices.resize(2);
    return result;
  }
  void Turn(const std::string& id) {
    auto lease = table().Enqueue("ann", id, WhenBusy::kAbort, {}, {});
    ASSERT_TRUE(lease.ok()) << lease.status();
    ASSERT_TRUE(lease->Begin({}, 0).ok());
    SessionCommit commit = AnyCommit(id);
    std::optional<TurnResult> result = AnyResult();
    Write(table().ProposeCommit(&*lease, &commit, &result), id);
  }
  void Children(const std::string& id) {
    auto room = table().Reserve("ann", "model", 2);
    auto lease = table().Enqueue("ann", id, WhenBusy::kAbort, {}, {});
    std::vector<SessionCommit> commits;
    commits.push_back(AnyCommit(id));
    commits.push_back(AnyCommit(id));
    std::optional<TurnResult> result = AnyResult();
    Write(table().ProposeChildren(&*lease, &*room, &commits, &result), id);
  }
  void Store() {
    for (auto& unstored : table().FindUnstored(2)) {
      if (busy_.count(unstored.key.id) > 0) continue;
      auto state = std::static_pointer_cast<TokensState>(unstored.state);
      if (state->stored_id().empty()) state->Store(absl::StrCat("file", ++stores_));
      Write(table().ProposeStored(unstored.key, unstored.checkpoint, state), unstored.key.id);
    }
  }

  // --- Comparing ---
  static void CheckState(const StateRef& state, const Ids& ids, int64_t consumed) {
    if (state == nullptr) return;
    ASSERT_LE(state->position, consumed);
    EXPECT_EQ(std::static_pointer_cast<TokensState>(state)->ids, First(ids, state->position))
        << "a state of another past";
  }
  void CheckStates(const std::string& id) {
    const auto image = table().Image("ann", id, "");
    if (!image.ok()) return;
    const Ids ids = IdsOf(image->history);
    CheckState(image->state, ids, static_cast<int64_t>(ids.size()) - image->pending_tokens);
  }
  ModelPoint PointOf(const std::string& id, const std::string& checkpoint) {
    const auto image = table().Image("ann", id, checkpoint);
    const Ids ids = IdsOf(image->history);
    CheckState(image->state, ids, static_cast<int64_t>(ids.size()) - image->pending_tokens);
    return {ids, image->pending_tokens};
  }
  void Compare() {
    const auto page = table().List("ann", {}, 1000, "");
    std::set<std::string> ids;
    for (const SessionInfo& info : page->sessions) ids.insert(info.session_id);
    ASSERT_EQ(ids.size(), oracle_.sessions.size());
    for (const auto& [id, model] : oracle_.sessions) {
      ASSERT_EQ(ids.count(id), 1u);
      const SessionInfo info = user_->Get(id);
      EXPECT_EQ(info.revision, model.revision);
      EXPECT_EQ(PointOf(id, ""), model.present);
      EXPECT_EQ(info.parent_id, model.parent);
      EXPECT_GE(info.state_position, model.stored) << "what is in the store is found again";
      std::vector<int64_t> turn_ends;
      for (const PointInfo& end : info.turn_ends) turn_ends.push_back(end.position);
      std::vector<int64_t> expected;
      for (const ModelPoint& end : model.turn_ends) {
        expected.push_back(static_cast<int64_t>(end.ids.size()));
      }
      expected.push_back(info.position);
      EXPECT_EQ(turn_ends, expected);
      ASSERT_EQ(info.checkpoints.size(), model.checkpoints.size());
      for (const auto& [name, point] : model.checkpoints) EXPECT_EQ(PointOf(id, name), point);
      for (int request = 1; request <= requests_; ++request) {
        const std::string name = absl::StrCat("r", request);
        const auto retry = table().FindRequest("ann", id, {name, 1});
        EXPECT_EQ(std::holds_alternative<TurnResult>(*retry),
                  std::count(model.results.begin(), model.results.end(), name) == 1);
      }
    }
  }

  SessionTable& table() { return user_->table(); }

  std::mt19937 random_;
  Files files_;
  test::FakeLogMedium medium_;
  Oracle oracle_;
  std::unique_ptr<test::SessionTableUser> user_;
  test::FakeCommitLog* fake_ = nullptr;
  std::unique_ptr<SessionLog> log_;
  std::deque<std::vector<SessionChange>> outstanding_;  // as they wait in the log
  std::set<std::string> busy_;                          // sessions of those
  std::map<std::string, size_t> ages_;
  int life_ = 0;
  int requests_ = 0;
  int stores_ = 0;
  bool crash_in_compaction_ = false;
};

TEST(SessionCrash, WhatWasAcknowledgedIsThereAndNothingIsInvented) {
  const char* seeds = std::getenv("SSMD_CRASH_SEEDS");
  const unsigned count = seeds == nullptr ? 150 : static_cast<unsigned>(std::atoi(seeds));
  for (unsigned seed = 1; seed <= count; ++seed) {
    SCOPED_TRACE(::testing::Message() << "seed " << seed);
    CrashRun(seed).Go(400);
    if (::testing::Test::HasFailure()) break;
  }
}

}  // namespace
}  // namespace ssmd
