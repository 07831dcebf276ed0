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

void LoadClient::Settle(client::Client& client, client::Client& oracle) {
  SettleCut(client, oracle);
  for (Ledger& ledger : sessions_) {
    ExpectAsKnown(Found(client, ledger.id), ledger);
    if (ledger.mark.has_value()) GoOnFromMark(client, oracle, ledger);
    GoOn(client, oracle, &ledger);
    ExpectAsKnown(Found(client, ledger.id), ledger);
  }
}

void LoadClient::SettleCut(client::Client& client, client::Client& oracle) {
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
    SettleTurn(client, oracle, found.value());
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
void LoadClient::SettleTurn(client::Client& client, client::Client& oracle,
                            const v1::Session& found) {
  Ledger& ledger = sessions_[cut_.session];
  const std::vector<int32_t> prompt = PromptOf(cut_.turn);
  const bool committed = found.revision() > ledger.revision;
  if (committed) ++seen_.cut_committed;
  const bool retry = OneIn(2);
  if (!committed && !retry) return;
  const std::vector<int32_t> truth = Truth(oracle, ledger.history, prompt, cut_.turn.max_tokens());
  if (retry) {
    const Turn again = RunTurn(client, cut_.turn);
    ASSERT_FALSE(again.error) << again.Describe();
    EXPECT_EQ(again.started.replayed(), committed);
    EXPECT_EQ(again.only().ids, truth);
  }
  ++ledger.revision;
  AppendTurn(prompt, truth, &ledger.history);
}

void LoadClient::GoOn(client::Client& client, client::Client& oracle, Ledger* ledger) {
  const std::vector<int32_t> prompt = RandomPrompt();
  const std::vector<int32_t> truth = Truth(oracle, ledger->history, prompt, kTokens);
  const Turn turn = RunTurn(client, TurnRequest(ledger->id, prompt, kTokens));
  ASSERT_FALSE(turn.error) << turn.Describe();
  EXPECT_EQ(turn.only().ids, truth) << "session " << ledger->id << " goes on differently, from "
                                    << v1::StateSource_Name(turn.final.state_source());
  if (turn.final.state_source() == v1::STATE_SOURCE_DISK) ++seen_.from_disk;
  if (turn.final.state_source() == v1::STATE_SOURCE_REPLAYED) ++seen_.replayed;
  ledger->revision = turn.only().finished.revision();
  AppendTurn(prompt, turn.only().ids, &ledger->history);
}

void LoadClient::GoOnFromMark(client::Client& client, client::Client& oracle,
                              const Ledger& ledger) {
  v1::ForkSessionRequest request;
  request.set_session_id(ledger.id);
  request.set_checkpoint(kMarkName);
  const auto children = client.ForkSession(request);
  ASSERT_TRUE(children.ok()) << client::ToString(children.error());
  Ledger child{children.value().at(0).session_id(),
               children.value().at(0).revision(),
               ledger.mark->history,
               {}};
  ExpectAsKnown(children.value().at(0), child);
  GoOn(client, oracle, &child);
  EXPECT_FALSE(client.DeleteSession(child.id).has_value());
}

bool LoadClient::Claims(const v1::Session& session) {
  const bool created = cut_.change == Change::kCreate && session.parent_id().empty() &&
                       session.position() == 0 && session.revision() == 0;
  const bool forked = cut_.change == Change::kFork &&
                      session.parent_id() == sessions_[cut_.session].id &&
                      session.history_hash() == HashOf(cut_.history);
  if (created || forked) cut_ = Cut();
  return created || forked;
}

}  // namespace ssmd::test
