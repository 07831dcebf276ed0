// What a client knows of one session from the answers that it got, and where to look it up: an
// oracle, a daemon that is never killed and keeps nothing.
//
// Values and free functions; failures are those of the test that calls.
#ifndef SSMD_TESTS_FAULT_LEDGER_H_
#define SSMD_TESTS_FAULT_LEDGER_H_

#include <cstdint>
#include <optional>
#include <string>
#include <vector>

#include "clients/cpp/client.h"
#include "engine/state/token_log.h"
#include "tests/support/turn.h"

namespace ssmd::test {

// A session as of its last acknowledged change.
struct Ledger {
  struct Mark {  // a checkpoint
    uint64_t revision = 0;
    TokenLog history;
  };
  std::string id;
  uint64_t revision = 0;
  TokenLog history;
  std::optional<Mark> mark;
};

inline constexpr char kMarkName[] = "mark";

std::vector<int32_t> IdsOf(const TokenLog& history);
// As the server computes it: History::Hash.
uint64_t HashOf(const TokenLog& history);
void AppendTurn(const std::vector<int32_t>& prompt, const std::vector<int32_t>& answer,
                TokenLog* history);

// What was said: the tokens, and the bits of their log-probabilities.
struct Said {
  std::vector<int32_t> ids;
  std::vector<uint32_t> bits;
  bool operator==(const Said& other) const { return ids == other.ids && bits == other.bits; }
};
Said SaidIn(const Turn& turn);

// A greedy turn on a session by token ids.
v1::GenerateRequest TurnRequest(const std::string& session_id, const std::vector<int32_t>& prompt,
                                int tokens);
std::vector<int32_t> PromptOf(const v1::GenerateRequest& request);

// What is said after `history` and `prompt`, read anew from the first token on.
Said Truth(client::Client& oracle, const TokenLog& history, const std::vector<int32_t>& prompt,
           int tokens);
// A turn on the session that must say the truth. Adds it to the ledger.
v1::Final GoOnTruly(client::Client& client, client::Client& oracle,
                    const std::vector<int32_t>& prompt, int tokens, Ledger* ledger);
// The session is where the ledger says, to the last token.
void ExpectAsKnown(const v1::Session& session, const Ledger& ledger);
// Every token that the model sampled is the one that follows what is before it.
void ExpectHistoryIsGreedy(client::Client& oracle, const TokenLog& history);

}  // namespace ssmd::test

#endif  // SSMD_TESTS_FAULT_LEDGER_H_
