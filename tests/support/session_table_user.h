// A SessionTable's caller, for tests: whole turns and changes in a line, with a clock of its own.
#ifndef SSMD_TESTS_SUPPORT_SESSION_TABLE_USER_H_
#define SSMD_TESTS_SUPPORT_SESSION_TABLE_USER_H_

#include <memory>
#include <optional>
#include <string>
#include <utility>
#include <vector>

#include "engine/base/status_macros.h"
#include "engine/session/session_table.h"
#include "tests/support/fake_state.h"

namespace ssmd::test {

inline TokenLog Tokens(const std::vector<int32_t>& ids) {
  TokenLog tokens;
  for (const int32_t id : ids) tokens.emplace_back(id, true);
  return tokens;
}

inline SessionCommit MakeCommit(const std::vector<int32_t>& ids, int64_t pending, StateRef state) {
  SessionCommit commit;
  commit.appended = Tokens(ids);
  commit.pending_tokens = pending;
  commit.state = std::move(state);
  return commit;
}

// Of one choice.
inline TurnResult MakeResult(const RequestKey& key, const std::string& text = "") {
  TurnResult result;
  result.key = key;
  result.choices.emplace_back().text = text;
  return result;
}

class SessionTableUser {
 public:
  static constexpr int64_t kStateBytes = 100;

  explicit SessionTableUser(const SessionLimits& limits = {})
      : table_(std::make_unique<SessionTable>(
            limits,
            std::vector<ModelOfSessions>{{"model", "print", kStateBytes}, {"other", "op", 7}},
            [this] { return now_ms_; })) {}

  SessionTable& table() { return *table_; }
  void Advance(int64_t ms) { now_ms_ += ms; }

  absl::StatusOr<SessionInfo> Apply(absl::StatusOr<Proposal> proposal) {
    SSMD_RETURN_IF_ERROR(proposal.status());
    auto infos = table_->Apply(*std::move(proposal));
    return infos.empty() ? SessionInfo() : infos.front();
  }
  std::string New(const std::string& tenant = "ann", const SessionLifetime& lifetime = {}) {
    return Apply(table_->ProposeCreate(tenant, "model", lifetime))->session_id;
  }
  SessionInfo Get(const std::string& id) { return *table_->Get("ann", id); }

  // A whole turn of ann's: appends the tokens and has a state of all but the pending ones.
  absl::StatusOr<SessionInfo> Turn(const std::string& id, const std::vector<int32_t>& ids,
                                   int64_t pending = 1, const RequestKey& key = {}) {
    SSMD_ASSIGN_OR_RETURN(SessionLease lease,
                          table_->Enqueue("ann", id, WhenBusy::kAbort, std::nullopt, key));
    SSMD_ASSIGN_OR_RETURN(const SessionBase base, lease.Begin(std::nullopt, 0));
    const int64_t consumed = base.position + static_cast<int64_t>(ids.size()) - pending;
    SessionCommit commit =
        MakeCommit(ids, pending, consumed > 0 ? MakeFakeState(consumed, kStateBytes) : nullptr);
    std::optional<TurnResult> result;
    if (!key.request_id.empty()) result = MakeResult(key);
    return Apply(table_->ProposeCommit(&lease, &commit, &result));
  }
  absl::StatusOr<SessionInfo> Rewind(const std::string& id, const RewindTarget& target) {
    return Apply(table_->ProposeRewind("ann", id, target));
  }
  absl::StatusOr<SessionInfo> Checkpoint(const std::string& id, const std::string& name,
                                         bool remove = false) {
    return Apply(table_->ProposeCheckpoint("ann", id, {name, remove, std::nullopt}));
  }
  absl::StatusOr<SessionInfo> Fork(const std::string& id, const ForkOptions& options = {}) {
    return Apply(table_->ProposeFork("ann", id, options));
  }
  absl::Status Delete(const std::string& id) {
    return Apply(table_->ProposeDelete("ann", id, std::nullopt, nullptr)).status();
  }
  SessionLease Enqueue(const std::string& id, WhenBusy busy = WhenBusy::kWait) {
    return *table_->Enqueue("ann", id, busy, std::nullopt, {});
  }
  // The present's ids and its state's.
  std::vector<int32_t> History(const std::string& id) {
    std::vector<int32_t> ids;
    const auto image = table_->Image("ann", id, {});
    for (const LoggedToken token : image->history) ids.push_back(token.token_id());
    return ids;
  }
  StateRef State(const std::string& id) { return table_->Image("ann", id, {})->state; }

 private:
  int64_t now_ms_ = 1700000000000;
  std::unique_ptr<SessionTable> table_;
};

}  // namespace ssmd::test

#endif  // SSMD_TESTS_SUPPORT_SESSION_TABLE_USER_H_
