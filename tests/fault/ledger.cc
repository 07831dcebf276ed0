#include "tests/fault/ledger.h"

#include <gtest/gtest.h>

#include "engine/state/history.h"

namespace ssmd::test {

std::vector<int32_t> IdsOf(const TokenLog& history) {
  std::vector<int32_t> ids;
  ids.reserve(history.size());
  for (const LoggedToken token : history) ids.push_back(token.token_id());
  return ids;
}

uint64_t HashOf(const TokenLog& history) {
  History hashed;
  hashed.Append(history);
  return hashed.Hash(hashed.size());
}

void AppendTurn(const std::vector<int32_t>& prompt, const std::vector<int32_t>& answer,
                TokenLog* history) {
  for (const int32_t id : prompt) history->emplace_back(id, false);
  for (const int32_t id : answer) history->emplace_back(id, true);
}

v1::GenerateRequest TurnRequest(const std::string& session_id, const std::vector<int32_t>& prompt,
                                int tokens) {
  v1::GenerateRequest request = GreedyRequest("", tokens);
  request.set_session_id(session_id);
  SetTokens(prompt, &request);
  return request;
}

std::vector<int32_t> PromptOf(const v1::GenerateRequest& request) {
  return {request.token_ids().ids().begin(), request.token_ids().ids().end()};
}

Said SaidIn(const Turn& turn) { return {turn.only().ids, LogprobBits(turn.only().logprobs)}; }

Said Truth(client::Client& oracle, const TokenLog& history, const std::vector<int32_t>& prompt,
           int tokens) {
  std::vector<int32_t> ids = IdsOf(history);
  ids.insert(ids.end(), prompt.begin(), prompt.end());
  v1::GenerateRequest request = TurnRequest("", ids, tokens);
  request.set_logprobs(0);
  const Turn turn = RunTurn(oracle, request);
  EXPECT_FALSE(turn.error) << turn.Describe();
  EXPECT_EQ(turn.final.usage().reused_tokens(), 0) << "the oracle must not know anything";
  return SaidIn(turn);
}

v1::Final GoOnTruly(client::Client& client, client::Client& oracle,
                    const std::vector<int32_t>& prompt, int tokens, Ledger* ledger) {
  const Said truth = Truth(oracle, ledger->history, prompt, tokens);
  v1::GenerateRequest request = TurnRequest(ledger->id, prompt, tokens);
  request.set_logprobs(0);
  const Turn turn = RunTurn(client, request);
  EXPECT_FALSE(turn.error) << turn.Describe();
  if (turn.error) return turn.final;
  EXPECT_TRUE(SaidIn(turn) == truth) << "session " << ledger->id << " goes on differently, from "
                                     << v1::StateSource_Name(turn.final.state_source());
  AppendTurn(prompt, turn.only().ids, &ledger->history);
  ++ledger->revision;
  EXPECT_EQ(turn.only().finished.revision(), ledger->revision);
  return turn.final;
}

void ExpectAsKnown(const v1::Session& session, const Ledger& ledger) {
  EXPECT_EQ(session.session_id(), ledger.id);
  EXPECT_EQ(session.revision(), ledger.revision) << ledger.id;
  EXPECT_EQ(session.position(), static_cast<int64_t>(ledger.history.size())) << ledger.id;
  EXPECT_EQ(session.history_hash(), HashOf(ledger.history)) << ledger.id;
}

void ExpectHistoryIsGreedy(client::Client& oracle, const TokenLog& history) {
  if (history.size() < 2) return;
  v1::ScoreRequest request;
  const std::vector<int32_t> ids = IdsOf(history);
  request.mutable_token_ids()->mutable_ids()->Assign(ids.begin(), ids.end());
  request.set_top_logprobs(1);
  const auto scored = oracle.Score(request);
  ASSERT_TRUE(scored.ok()) << client::ToString(scored.error());
  ASSERT_EQ(scored.value().logprobs_size() + 1, static_cast<int>(ids.size()));
  for (size_t i = 1; i < ids.size(); ++i) {
    if (!history[i].sampled()) continue;
    const v1::TokenDetail& detail = scored.value().logprobs(static_cast<int>(i) - 1);
    EXPECT_EQ(detail.top(0).token_id(), ids[i]) << "token " << i << " of " << ids.size();
  }
}

}  // namespace ssmd::test
