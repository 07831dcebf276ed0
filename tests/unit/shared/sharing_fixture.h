// Replicas without a network: each a SessionTable and its sharing, all on one store in memory.
#ifndef SSMD_TESTS_UNIT_SHARED_SHARING_FIXTURE_H_
#define SSMD_TESTS_UNIT_SHARED_SHARING_FIXTURE_H_

#include <gtest/gtest.h>

#include <atomic>
#include <functional>
#include <memory>
#include <optional>
#include <string>
#include <utility>
#include <vector>

#include "absl/strings/numbers.h"
#include "absl/strings/str_cat.h"
#include "absl/strings/str_split.h"
#include "engine/base/errors.h"
#include "engine/base/mutex.h"
#include "engine/base/status_macros.h"
#include "engine/shared/shared_session_log.h"
#include "tests/support/eventually.h"
#include "tests/support/memory_shared_store.h"
#include "tests/support/session_table_user.h"
#include "tests/unit/shared/shared_fixture.h"

namespace ssmd::test {

// What a state is here: what its snapshot says.
inline std::string SnapshotOf(const StateRef& state) {
  return absl::StrCat(state->position, "/", state->history_hash());
}

// In memory, and says that it is not. What `set_when_applied` is given runs between a proposal's
// being applied and its writer's being told, where another log waits for a disk.
class LastingLog final : public SessionLog {
 public:
  explicit LastingLog(SessionTable* table) : log_(SessionLog::InMemory(table)) {}
  void Write(Proposal proposal, Durability durability, Done done) override {
    log_->Write(std::move(proposal), durability, [this, done = std::move(done)](auto result) {
      if (when_applied_ != nullptr) when_applied_();
      done(std::move(result));
    });
  }
  void set_when_applied(std::function<void()> function) { when_applied_ = std::move(function); }
  absl::Status Maintain() override { return log_->Maintain(); }
  bool lasting() const override { return true; }
  CommitLogFigures figures() const override { return log_->figures(); }

 private:
  const std::unique_ptr<SessionLog> log_;
  std::function<void()> when_applied_;
};

class Node {
 public:
  static constexpr int64_t kStateBytes = 100;

  Node(int number, SharedStore* store, const SharingLimits& limits, int process = 0)
      : self_(ReplicaNo(number, process)),
        models_({{"model", "print", kStateBytes}}),
        table_(SessionLimits{}, models_),
        local_(std::make_unique<LastingLog>(&table_)),
        store_(store),
        limits_(limits) {}
  ~Node() {
    if (sharing_ != nullptr) sharing_->Stop();
    local_.reset();
  }

  void Start() {
    SharingHooks hooks;
    hooks.encode_state = [](const std::string&, const StateRef& state) {
      return SnapshotOf(state);
    };
    hooks.adopt_state = [](const std::string&, const SharedState& shared,
                           uint64_t hash) -> absl::StatusOr<StateRef> {
      if (shared.snapshot != absl::StrCat(shared.position, "/", hash)) {
        return absl::DataLossError("the state is of other tokens");
      }
      StateRef state = MakeFakeState(shared.position, kStateBytes);
      state->NoteHistory(hash);
      return state;
    };
    hooks.check_image = [this](const SessionImage&) {
      return full_ ? absl::ResourceExhaustedError("no room") : absl::OkStatus();
    };
    hooks.on_gone = [this](const SessionKey& key, const std::string&) {
      MutexLock lock(&mutex_);
      gone_.push_back(key.id);
    };
    sharing_ = SessionSharing::Make(self_, limits_, store_, &table_, local_.get(), models_, hooks);
    log_ = std::make_unique<SharedSessionLog>(local_.get(), sharing_.get());
    sharing_->Start();
  }

  SessionTable& table() { return table_; }
  SessionSharing& sharing() { return *sharing_; }
  LastingLog& local() { return *local_; }
  const Replica& self() const { return self_; }
  void set_full(bool full) { full_ = full; }
  std::vector<std::string> gone() {
    MutexLock lock(&mutex_);
    return gone_;
  }

  absl::StatusOr<SessionHold> Hold(const std::string& id, const std::string& tenant = "ann") {
    const SessionKey key{tenant, id};
    if (auto hold = sharing_->TryHold(key)) return *std::move(hold);
    return sharing_->Hold(key, std::nullopt);
  }
  absl::StatusOr<SessionInfo> Write(absl::StatusOr<Proposal> proposal,
                                    Durability durability = Durability::kReplicated) {
    SSMD_RETURN_IF_ERROR(proposal.status());
    SSMD_ASSIGN_OR_RETURN(auto infos, log_->WriteAndWait(*std::move(proposal), durability));
    return infos.empty() ? SessionInfo() : infos.front();
  }
  std::string New() {
    return Write(table_.ProposeCreate("ann", "model", {}), Durability::kProcess)->session_id;
  }
  // A whole turn, as the engine takes it: held, queued, committed.
  absl::StatusOr<SessionInfo> Turn(const std::string& id, const std::vector<int32_t>& ids,
                                   Durability durability = Durability::kReplicated,
                                   const RequestKey& key = {}) {
    SessionLease lease;
    {
      SSMD_ASSIGN_OR_RETURN(const SessionHold hold, Hold(id));
      SSMD_ASSIGN_OR_RETURN(lease, table_.Enqueue("ann", id, WhenBusy::kAbort, {}, key));
    }
    SSMD_ASSIGN_OR_RETURN(const SessionBase base, lease.Begin(std::nullopt, 0));
    const int64_t consumed = base.position + static_cast<int64_t>(ids.size()) - 1;
    SessionCommit commit =
        MakeCommit(ids, 1, consumed > 0 ? MakeFakeState(consumed, kStateBytes) : nullptr);
    std::optional<TurnResult> result;
    if (!key.request_id.empty()) result = MakeResult(key, "answer");
    return Write(table_.ProposeCommit(&lease, &commit, &result), durability);
  }
  std::vector<int32_t> History(const std::string& id) {
    std::vector<int32_t> ids;
    const auto image = table_.Image("ann", id, {});
    if (!image.ok()) return ids;
    for (const LoggedToken token : image->history) ids.push_back(token.token_id());
    return ids;
  }
  int64_t StatePosition(const std::string& id) {
    const auto info = table_.Get("ann", id);
    return info.ok() ? info->state_position : -1;
  }
  bool Has(const std::string& id) { return table_.Get("ann", id).ok(); }

 private:
  const Replica self_;
  const std::vector<ModelOfSessions> models_;
  SessionTable table_;
  std::unique_ptr<LastingLog> local_;
  SharedStore* const store_;
  const SharingLimits limits_;
  std::atomic<bool> full_{false};
  Mutex mutex_;
  std::vector<std::string> gone_ ABSL_GUARDED_BY(mutex_);
  std::unique_ptr<SessionSharing> sharing_;
  std::unique_ptr<SharedSessionLog> log_;
};

class SharingTest : public ::testing::Test {
 protected:
  SharingTest() {
    limits_.presence = std::chrono::milliseconds(300);
    limits_.patience = std::chrono::seconds(20);
    limits_.state_after = std::chrono::milliseconds(1);
  }
  std::unique_ptr<Node> Start(int number) {
    auto node = std::make_unique<Node>(number, &store_, limits_);
    node->Start();
    return node;
  }
  // Everything that was done at the node is in the store.
  static bool Settled(Node& node) {
    return Eventually([&] { return node.sharing().figures().unwritten == 0; });
  }

  SharingLimits limits_;
  const SteadyClock clock_;
  MemorySharedStore store_{&clock_, {}};
};

}  // namespace ssmd::test

#endif  // SSMD_TESTS_UNIT_SHARED_SHARING_FIXTURE_H_
