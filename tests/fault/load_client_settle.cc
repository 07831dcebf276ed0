// LoadClient: what must be there after a crash.
#include <gtest/gtest.h>

#include <algorithm>

#include "tests/fault/load_client.h"

namespace ssmd::test {
namespace {

constexpr int kTokens = 3;  // of the turns that prove that a session goes on

v1::Session Found(client::Client& client, const std::string& id) {
  const auto session = client.GetSession(id);
  if (session.ok()) return session.value();
  ADD_FAILURE() << "session " << id << " is lost: " << client::ToString(session.error());
  return {};
}

}  // namespace

void LoadClient::Settle(client::Client& client) {
  SettleCut(client);
  for (Ledger& ledger : sessions_) {
    ExpectAsKnown(Found(client, ledger.id), ledger);
    if (ledger.mark.has_value()) GoOnFromMark(client, ledger);
    GoOn(client, &ledger);
    ExpectAsKnown(Found(client, ledger.id), ledger);
  }
}

void LoadClient::SettleCut(client::Client& client) {
  if (cut_.change == Change::kNone || cut_.change == Change::kCreate ||
      cut_.change == Change::kFork) {
    return;  // no session of the ledger was to change
  }
  ++seen_.cut;
  Ledger& ledger = sessions_[cut_.session];
  const auto found = client.GetSession(ledger.id);
  if (!found.ok()) {
    ++seen_.cut_committed;
    EXPECT_EQ(cut_.change, Change::kDelete)
        << "session " << ledger.id << " is lost: " << client::ToString(found.error());
    sessions_.erase(sessions_.begin() + static_cast<std::ptrdiff_t>(cut_.session));
  } else if (cut_.change == Change::kTurn) {
    SettleTurn(client, found.value());
  } else if (cut_.change == Change::kRewind && found.value().revision() > ledger.revision) {
    ++seen_.cut_committed;
    ++ledger.revision;
    ledger.history = std::move(cut_.history);
  } else if (cut_.change == Change::kCheckpoint && found.value().checkpoints_size() == 1 &&
             found.value().checkpoints(0).revision() == ledger.revision) {
    ++seen_.cut_committed;
    ledger.mark = Ledger::Mark{ledger.revision, ledger.history};
  }
  cut_ = Cut();
}

// Half of these turns are tried again, and must be applied once in all.
void LoadClient::SettleTurn(client::Client& client, const v1::Session& found) {
  Ledger& ledger = sessions_[cut_.session];
  const std::vector<int32_t> prompt = PromptOf(cut_.turn);
  const bool committed = found.revision() > ledger.revision;
  if (committed) ++seen_.cut_committed;
  const bool retry = OneIn(2);
  if (!committed && !retry) return;
  const std::vector<int32_t> truth =
      committed ? KeptAnswer(found)
                : Truth(*oracle_, ledger.history, prompt, cut_.turn.max_tokens()).ids;
  if (retry) {
    const Turn again = RunTurn(client, cut_.turn);
    ASSERT_FALSE(again.error) << again.Describe();
    EXPECT_EQ(again.started.replayed(), committed);
    EXPECT_EQ(again.only().ids, truth);
  }
  ++ledger.revision;
  AppendTurn(prompt, truth, &ledger.history);
}

void LoadClient::GoOn(client::Client& client, Ledger* ledger) {
  const v1::Final final = GoOnTruly(client, *oracle_, RandomPrompt(), kTokens, ledger);
  if (final.state_source() == v1::STATE_SOURCE_DISK) ++seen_.from_disk;
  if (final.state_source() == v1::STATE_SOURCE_REPLAYED) ++seen_.replayed;
}

void LoadClient::GoOnFromMark(client::Client& client, const Ledger& ledger) {
  v1::ForkSessionRequest request;
  request.set_session_id(ledger.id);
  request.set_checkpoint(kMarkName);
  const auto children = client.ForkSession(request);
  ASSERT_TRUE(children.ok()) << client::ToString(children.error());
  const v1::Session& forked = children.value().at(0);
  Ledger child{forked.session_id(), forked.revision(), ledger.mark->history, {}};
  ExpectAsKnown(forked, child);
  GoOn(client, &child);
  EXPECT_FALSE(client.DeleteSession(child.id).has_value());
}

std::vector<v1::Session> LoadClient::Claim(const std::vector<v1::Session>& strangers) {
  std::vector<v1::Session> others;
  int claimed = 0;
  for (const v1::Session& session : strangers) {
    const bool created = cut_.change == Change::kCreate && claimed == 0 &&
                         session.parent_id().empty() && session.position() == 0 &&
                         session.revision() == 0;
    const bool forked = cut_.change == Change::kFork &&
                        session.parent_id() == sessions_[cut_.session].id &&
                        session.history_hash() == HashOf(cut_.history);
    if (created || forked) {
      ++claimed;
    } else {
      others.push_back(session);
    }
  }
  EXPECT_TRUE(claimed == 0 || cut_.change != Change::kFork || claimed == cut_.children)
      << claimed << " children of " << cut_.children;
  cut_ = Cut();
  return others;
}

}  // namespace ssmd::test
