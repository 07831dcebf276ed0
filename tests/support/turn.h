// One turn over the wire, put together: what most tests want to know of it.
#ifndef SSMD_TESTS_SUPPORT_TURN_H_
#define SSMD_TESTS_SUPPORT_TURN_H_

#include <cstdint>
#include <map>
#include <optional>
#include <string>
#include <vector>

#include "clients/cpp/client.h"

namespace ssmd::test {

struct Choice {
  std::string text;
  std::vector<int32_t> ids;
  std::vector<v1::TokenDetail> logprobs;
  std::string echo_text;
  std::vector<int32_t> echo_ids;
  std::vector<v1::TokenDetail> echo_logprobs;
  v1::ChoiceFinished finished;
};

struct Turn {
  std::optional<client::Error> error;
  std::vector<v1::GenerateResponse> events;
  v1::Started started;
  std::map<int32_t, Choice> choices;
  v1::Final final;

  // Of a turn with one choice; empty where there is none.
  const Choice& only() const;
  grpc::StatusCode code() const { return error ? error->code : grpc::StatusCode::OK; }
  std::string Describe() const { return error ? client::ToString(*error) : "OK"; }
};

// What is left of a generation, to its end.
Turn ReadTurn(client::Generation* generation);
Turn RunTurn(client::Client& client, const v1::GenerateRequest& request,
             const client::CallOptions& options = {});

// The bits of the tokens' log-probabilities, which say far more than the tokens whether two turns
// computed the same.
std::vector<uint32_t> LogprobBits(const std::vector<v1::TokenDetail>& details);

// Greedy, of exactly `max_tokens` tokens.
v1::GenerateRequest GreedyRequest(const std::string& prompt, int max_tokens);
// The same, drawn at temperature 1.
v1::GenerateRequest SeededRequest(const std::string& prompt, int max_tokens, uint64_t seed);
void SetTokens(const std::vector<int32_t>& ids, v1::GenerateRequest* request);

// Of the only model that `client` sees.
v1::ModelStats StatsOf(client::Client& client);

}  // namespace ssmd::test

#endif  // SSMD_TESTS_SUPPORT_TURN_H_
