#include "tests/support/turn.h"

#include <gtest/gtest.h>

#include <cstring>

namespace ssmd::test {
namespace {

template <typename To, typename From>
void Append(To* to, const From& from) {
  to->insert(to->end(), from.begin(), from.end());
}

void AddDelta(const v1::Delta& delta, Choice* choice) {
  if (delta.echo()) {
    choice->echo_text += delta.text();
    Append(&choice->echo_ids, delta.token_ids());
    Append(&choice->echo_logprobs, delta.logprobs());
  } else {
    choice->text += delta.text();
    Append(&choice->ids, delta.token_ids());
    Append(&choice->logprobs, delta.logprobs());
  }
}

}  // namespace

const Choice& Turn::only() const {
  static const Choice kNone;
  return choices.empty() ? kNone : choices.begin()->second;
}

Turn ReadTurn(client::Generation* generation) {
  Turn turn;
  while (const auto event = generation->Next()) {
    turn.events.push_back(*event);
    if (event->has_started()) turn.started = event->started();
    if (event->has_final()) turn.final = event->final();
    if (event->has_delta()) AddDelta(event->delta(), &turn.choices[event->delta().choice_index()]);
    if (event->has_choice_finished()) {
      turn.choices[event->choice_finished().choice_index()].finished = event->choice_finished();
    }
  }
  turn.error = generation->Finish();
  return turn;
}

Turn RunTurn(client::Client& client, const v1::GenerateRequest& request,
             const client::CallOptions& options) {
  client::Generation generation = client.Generate(request, options);
  return ReadTurn(&generation);
}

std::vector<uint32_t> LogprobBits(const std::vector<v1::TokenDetail>& details) {
  std::vector<uint32_t> bits;
  for (const v1::TokenDetail& detail : details) {
    const float value = detail.token().logprob();
    uint32_t word = 0;
    std::memcpy(&word, &value, sizeof(word));
    bits.push_back(word);
  }
  return bits;
}

v1::GenerateRequest GreedyRequest(const std::string& prompt, int max_tokens) {
  v1::GenerateRequest request;
  request.set_text(prompt);
  request.set_max_tokens(max_tokens);
  request.mutable_sampling()->set_temperature(0);
  request.mutable_stop()->set_ignore_eos(true);
  return request;
}

v1::GenerateRequest SeededRequest(const std::string& prompt, int max_tokens, uint64_t seed) {
  v1::GenerateRequest request = GreedyRequest(prompt, max_tokens);
  request.mutable_sampling()->set_temperature(1);
  request.mutable_sampling()->set_seed(seed);
  return request;
}

void SetTokens(const std::vector<int32_t>& ids, v1::GenerateRequest* request) {
  request->mutable_token_ids()->mutable_ids()->Assign(ids.begin(), ids.end());
}

v1::ModelStats StatsOf(client::Client& client) {
  const auto stats = client.GetStats();
  if (!stats.ok() || stats.value().models_size() != 1) {
    ADD_FAILURE() << "no stats of one model";
    return {};
  }
  return stats.value().models(0);
}

}  // namespace ssmd::test
