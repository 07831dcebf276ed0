// What a load asks: conversations by number, each a function of the seed and its number, so that
// two servers can be asked the same. Immutable, thread-safe.
#ifndef SSMD_CLIENTS_BENCH_WORKLOAD_H_
#define SSMD_CLIENTS_BENCH_WORKLOAD_H_

#include <cstdint>
#include <string>
#include <utility>
#include <vector>

#include "clients/bench/conversations.h"
#include "clients/bench/distribution.h"

namespace ssmd::bench {

struct PlannedTurn {
  std::string text;
  std::vector<int32_t> token_ids;  // instead of the text, where there are any
  int max_tokens = 0;
  uint64_t seed = 0;
  double think_seconds = 0;  // between the answer before and this turn
};

struct PlannedConversation {
  std::string system;  // may be empty
  std::vector<PlannedTurn> turns;
};

struct WorkloadOptions {
  // One of the three: conversations, where there are any; prompts of drawn lengths, where `lengths`
  // is; or always `prompt`.
  std::vector<Conversation> conversations = {};
  bool lengths = false;
  std::string prompt = {};

  // Where text is plain (and not messages of a chat), conversations' turns are written as
  // "User: …\nAssistant:".
  bool chat = false;
  Distribution prompt_tokens{0};
  bool as_words = false;         // where ids cannot be sent: words, about a token each
  int shared_prefix_tokens = 0;  // of each drawn conversation: the same for all
  Distribution max_tokens{0};
  Distribution turns{1};  // of drawn and fixed prompts
  Distribution think_seconds{0};
  uint64_t seed = 1;
};

class Workload {
 public:
  static constexpr int kTokensMax = 1 << 20;
  static constexpr int kTurnsMax = 1024;

  explicit Workload(WorkloadOptions options) : options_(std::move(options)) {}

  // Those of a file come in its order, and again from its start.
  PlannedConversation Make(int64_t number) const;

 private:
  PlannedTurn MakePrompt(bool first, Random* random) const;
  std::string AsPlainText(const Conversation& conversation, size_t turn) const;

  const WorkloadOptions options_;
};

}  // namespace ssmd::bench

#endif  // SSMD_CLIENTS_BENCH_WORKLOAD_H_
