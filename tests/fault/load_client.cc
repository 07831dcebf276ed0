// LoadClient: the load. What comes after the crash is in load_client_settle.cc.
#include "tests/fault/load_client.h"

#include <gtest/gtest.h>

#include <algorithm>

#include "tests/support/eventually.h"

namespace ssmd::test {
namespace {

constexpr size_t kSessionsMin = 4;
constexpr size_t kSessionsMax = 8;
constexpr size_t kHistoryMax = 160;  // tokens; longer sessions are shortened or deleted

}  // namespace

std::vector<int32_t> LoadClient::RandomPrompt() {
  std::vector<int32_t> prompt(1 + Below(OneIn(8) ? 40 : 4));
  for (int32_t& id : prompt) id = 1 + static_cast<int32_t>(Below(2000));
  return prompt;
}

client::Error LoadClient::RunUntilCut(client::Client& client, const std::function<void()>& heard) {
  for (;;) {
    const auto error = Ask(client, heard);
    if (error.has_value()) return *error;
    heard();
  }
}

LoadClient::Change LoadClient::PickChange() {
  if (sessions_.size() < kSessionsMin) return Change::kCreate;
  const size_t draw = Below(100);
  if (draw < 55) return Change::kTurn;
  if (draw < 70) return sessions_.size() < kSessionsMax ? Change::kFork : Change::kDelete;
  if (draw < 82) return Change::kRewind;
  if (draw < 92) return Change::kCheckpoint;
  if (draw < 96) return Change::kCreate;
  return Change::kDelete;
}

std::optional<client::Error> LoadClient::Ask(client::Client& client,
                                             const std::function<void()>& heard) {
  cut_ = Cut();
  cut_.change = PickChange();
  if (cut_.change != Change::kCreate) {
    cut_.session = Below(sessions_.size());
    const size_t tokens = sessions_[cut_.session].history.size();
    if (tokens > kHistoryMax) cut_.change = OneIn(2) ? Change::kRewind : Change::kDelete;
    if (tokens == 0) cut_.change = Change::kTurn;
  }
  switch (cut_.change) {
    case Change::kCreate:
      return AskCreate(client);
    case Change::kTurn:
      return AskTurn(client, heard);
    case Change::kFork:
      return AskFork(client);
    case Change::kRewind:
      return AskRewind(client);
    case Change::kCheckpoint:
      return AskCheckpoint(client);
    case Change::kDelete:
    case Change::kNone:
      return AskDelete(client);
  }
  return std::nullopt;
}

std::optional<client::Error> LoadClient::AskCreate(client::Client& client) {
  const auto created = client.CreateSession("");
  if (!created.ok()) return created.error();
  sessions_.push_back({created.value().session_id(), created.value().revision(), {}, {}});
  cut_ = Cut();
  return std::nullopt;
}

std::optional<client::Error> LoadClient::AskTurn(client::Client& client,
                                                 const std::function<void()>& heard) {
  Ledger& ledger = sessions_[cut_.session];
  const std::vector<int32_t> prompt = RandomPrompt();
  cut_.turn = TurnRequest(ledger.id, prompt, static_cast<int>(1 + Below(8)));
  cut_.turn.set_request_id("turn-" + std::to_string(requests_++));
  cut_.turn.set_durability(OneIn(3) ? v1::DURABILITY_POWER : v1::DURABILITY_PROCESS);
  cut_.turn.set_commit(OneIn(2) ? v1::COMMIT_PARTIAL : v1::COMMIT_ON_COMPLETE);
  if (OneIn(6)) return AskTurnAndLeave(client, heard);
  std::optional<v1::ChoiceFinished> finished;
  bool acknowledged = false;
  auto error = client.Generate(cut_.turn, {}, [&](const v1::GenerateResponse& event) {
    if (event.has_choice_finished()) finished = event.choice_finished();
    if (event.has_final()) acknowledged = true;  // whatever becomes of the status after it
    heard();
  });
  if (acknowledged && finished.has_value()) {
    ledger.revision = finished->revision();
    AppendTurn(prompt, {finished->history_token_ids().begin(), finished->history_token_ids().end()},
               &ledger.history);
    cut_ = Cut();
  }
  return error;
}

std::optional<client::Error> LoadClient::AskTurnAndLeave(client::Client& client,
                                                         const std::function<void()>& heard) {
  Ledger& ledger = sessions_[cut_.session];
  cut_.turn.set_max_tokens(static_cast<int>(20 + Below(20)));
  const auto enough = static_cast<int64_t>(1 + Below(6));
  {
    client::Generation generation = client.Generate(cut_.turn, {});
    while (cut_.read < enough) {
      const auto event = generation.Next();
      if (!event.has_value()) return generation.Finish();
      cut_.read += event->delta().token_ids_size();
      heard();
    }
  }
  std::optional<client::Error> error;
  v1::Session found;
  EXPECT_TRUE(Eventually(
      [&] {
        const auto session = client.GetSession(ledger.id);
        if (!session.ok()) {
          error = session.error();
          return true;
        }
        found = session.value();
        return !found.running();
      },
      std::chrono::minutes(2)));
  if (error.has_value()) return error;
  ++seen_.left;
  if (found.revision() > ledger.revision) {
    const std::vector<int32_t> kept = KeptAnswer(found);
    if (kept.size() < static_cast<size_t>(cut_.turn.max_tokens())) ++seen_.left_partly;
    AppendTurn(PromptOf(cut_.turn), kept, &ledger.history);
    ++ledger.revision;
  } else {
    EXPECT_EQ(cut_.turn.commit(), v1::COMMIT_ON_COMPLETE) << "what was read is not kept";
  }
  EXPECT_EQ(found.revision(), ledger.revision);
  EXPECT_EQ(found.history_hash(), HashOf(ledger.history));
  cut_ = Cut();
  return std::nullopt;
}

std::vector<int32_t> LoadClient::KeptAnswer(const v1::Session& found) {
  const Ledger& ledger = sessions_[cut_.session];
  const std::vector<int32_t> prompt = PromptOf(cut_.turn);
  const int64_t kept = found.position() - static_cast<int64_t>(ledger.history.size()) -
                       static_cast<int64_t>(prompt.size());
  const int64_t most = cut_.turn.max_tokens();
  EXPECT_GE(kept,
            cut_.turn.commit() == v1::COMMIT_PARTIAL ? std::max<int64_t>(cut_.read, 1) : most);
  EXPECT_LE(kept, most);
  const int64_t length = std::clamp<int64_t>(kept, 0, most);
  return Truth(*oracle_, ledger.history, prompt, static_cast<int>(length)).ids;
}

std::optional<client::Error> LoadClient::AskFork(client::Client& client) {
  const Ledger& parent = sessions_[cut_.session];
  v1::ForkSessionRequest request;
  request.set_session_id(parent.id);
  cut_.children = static_cast<int>(1 + Below(3));
  request.set_count(cut_.children);
  cut_.history = parent.history;
  if (parent.mark.has_value() && OneIn(2)) {
    request.set_checkpoint(kMarkName);
    cut_.history = parent.mark->history;
  }
  const auto children = client.ForkSession(request);
  if (!children.ok()) return children.error();
  for (const v1::Session& child : children.value()) {
    sessions_.push_back({child.session_id(), child.revision(), cut_.history, {}});
  }
  cut_ = Cut();
  return std::nullopt;
}

std::optional<client::Error> LoadClient::AskRewind(client::Client& client) {
  Ledger& ledger = sessions_[cut_.session];
  v1::RewindSessionRequest request;
  request.set_session_id(ledger.id);
  request.set_allow_recompute(true);
  if (ledger.mark.has_value() && OneIn(2)) {
    request.set_checkpoint(kMarkName);
    cut_.history = ledger.mark->history;
  } else {
    const size_t position = 1 + Below(ledger.history.size());
    request.set_position(static_cast<int64_t>(position));
    cut_.history.assign(ledger.history.begin(),
                        ledger.history.begin() + static_cast<std::ptrdiff_t>(position));
  }
  const auto rewound = client.RewindSession(request);
  if (!rewound.ok()) return rewound.error();
  ledger.revision = rewound.value().revision();
  ledger.history = std::move(cut_.history);
  cut_ = Cut();
  return std::nullopt;
}

std::optional<client::Error> LoadClient::AskCheckpoint(client::Client& client) {
  Ledger& ledger = sessions_[cut_.session];
  v1::CheckpointSessionRequest request;
  request.set_session_id(ledger.id);
  request.set_name(kMarkName);
  const auto marked = client.CheckpointSession(request);
  if (!marked.ok()) return marked.error();
  ledger.mark = Ledger::Mark{ledger.revision, ledger.history};
  cut_ = Cut();
  return std::nullopt;
}

std::optional<client::Error> LoadClient::AskDelete(client::Client& client) {
  auto error = client.DeleteSession(sessions_[cut_.session].id);
  if (error.has_value()) return error;
  sessions_.erase(sessions_.begin() + static_cast<std::ptrdiff_t>(cut_.session));
  cut_ = Cut();
  return std::nullopt;
}

}  // namespace ssmd::test
