#include "clients/bench/workload.h"

#include <algorithm>
#include <array>
#include <string_view>

namespace ssmd::bench {
namespace {

constexpr double kThinkSecondsMax = 86400;
// Ids that every vocabulary has; which they are makes no difference to what they cost.
constexpr int kIds = 200;
constexpr std::array<std::string_view, 16> kWords = {
    " the", " man", " day", " way",  " one", " hand", " old",  " house",
    " her", " sun", " and", " long", " we",  " said", " then", " water"};

// Distinct numbers for distinct conversations of distinct seeds (Steele's splitmix64).
uint64_t Mixed(uint64_t seed, uint64_t number) {
  uint64_t z = seed + (number + 1) * 0x9e3779b97f4a7c15;
  z = (z ^ (z >> 30)) * 0xbf58476d1ce4e5b9;
  z = (z ^ (z >> 27)) * 0x94d049bb133111eb;
  return z ^ (z >> 31);
}

}  // namespace

std::string Workload::AsPlainText(const Conversation& conversation, size_t turn) const {
  std::string text = turn == 0 ? "" : "\n";
  if (turn == 0 && !conversation.system.empty()) text = conversation.system + "\n";
  return text + "User: " + conversation.user_turns[turn] + "\nAssistant:";
}

PlannedTurn Workload::MakePrompt(bool first, Random* random) const {
  PlannedTurn turn;
  if (!options_.lengths) {
    turn.text = options_.prompt;
    return turn;
  }
  const int64_t length = options_.prompt_tokens.DrawCount(random, 1, kTokensMax);
  for (int64_t i = 0; i < length; ++i) {
    const bool shared = first && i < options_.shared_prefix_tokens;
    const uint64_t token = shared ? static_cast<uint64_t>(i) : (*random)();
    if (options_.as_words) {
      turn.text += kWords[token % kWords.size()];
    } else {
      turn.token_ids.push_back(static_cast<int32_t>(1 + token % kIds));
    }
  }
  return turn;
}

PlannedConversation Workload::Make(int64_t number) const {
  Random random(Mixed(options_.seed, static_cast<uint64_t>(number)));
  const Conversation* real = nullptr;
  if (!options_.conversations.empty()) {
    real = &options_.conversations[static_cast<size_t>(number) % options_.conversations.size()];
  }
  PlannedConversation planned;
  if (real != nullptr && options_.chat) planned.system = real->system;
  const auto turns = real != nullptr
                         ? real->user_turns.size()
                         : static_cast<size_t>(options_.turns.DrawCount(&random, 1, kTurnsMax));
  for (size_t i = 0; i < turns; ++i) {
    PlannedTurn turn;
    if (real == nullptr) {
      turn = MakePrompt(i == 0, &random);
    } else {
      turn.text = options_.chat ? real->user_turns[i] : AsPlainText(*real, i);
    }
    turn.max_tokens = static_cast<int>(options_.max_tokens.DrawCount(&random, 0, kTokensMax));
    turn.seed = turns == 1 ? options_.seed + static_cast<uint64_t>(number) : random() >> 12;
    if (i > 0) turn.think_seconds = options_.think_seconds.Draw(&random, 0, kThinkSecondsMax);
    planned.turns.push_back(std::move(turn));
  }
  return planned;
}

}  // namespace ssmd::bench
