#include "engine/schedule/scheduler.h"

#include <algorithm>
#include <tuple>
#include <utility>

namespace ssmd {
namespace {

constexpr int64_t kPromptShare = 4;  // prompts keep one part in four

}  // namespace

int64_t Scheduler::ReserveForPrompts(int64_t decoding, int64_t prompt_tokens) {
  if (decoding == 0 || prompt_tokens == 0) {
    prompt_credit_ = 0;
    return std::min(prompt_tokens, budget_);
  }
  prompt_credit_ += budget_;
  const int64_t reserved = std::min(prompt_credit_ / kPromptShare, prompt_tokens);
  const int64_t unclaimed = std::max<int64_t>(budget_ - reserved - decoding, 0);
  const int64_t given = std::min(reserved + unclaimed, prompt_tokens);
  // What a plan gives beyond the reserve is not held against later ones, nor is a reserve that
  // nothing was there to use saved up.
  prompt_credit_ = (prompt_credit_ - reserved * kPromptShare) % kPromptShare;
  return given;
}

void Scheduler::ShareAmongPrompts(absl::Span<const LaneView> lanes, std::vector<size_t> prompts,
                                  int64_t tokens, std::vector<int64_t>* shares) {
  const auto give = [&](int64_t amount) {
    for (const size_t lane : prompts) {
      const int64_t share = std::min(amount, lanes[lane].ready - (*shares)[lane]);
      (*shares)[lane] += share;
      amount -= share;
    }
  };
  const int64_t for_oldest = (tokens + (oldest_rounds_up_ ? 1 : 0)) / 2;
  if (tokens % 2 == 1) oldest_rounds_up_ = !oldest_rounds_up_;
  std::sort(prompts.begin(), prompts.end(),
            [&](size_t a, size_t b) { return lanes[a].order < lanes[b].order; });
  give(for_oldest);
  std::stable_sort(prompts.begin(), prompts.end(),
                   [&](size_t a, size_t b) { return lanes[a].ready < lanes[b].ready; });
  give(tokens - for_oldest);
}

std::vector<LaneShare> Scheduler::Plan(absl::Span<const LaneView> lanes) {
  std::vector<size_t> decoding;
  std::vector<size_t> prompts;
  int64_t prompt_tokens = 0;
  for (size_t i = 0; i < lanes.size(); ++i) {
    (lanes[i].decoding ? decoding : prompts).push_back(i);
    if (!lanes[i].decoding) prompt_tokens += lanes[i].ready;
  }
  const int64_t for_prompts =
      ReserveForPrompts(static_cast<int64_t>(decoding.size()), prompt_tokens);

  std::vector<int64_t> shares(lanes.size(), 0);
  std::sort(decoding.begin(), decoding.end(), [&](size_t a, size_t b) {
    return std::tie(lanes[a].last_step, lanes[a].order) <
           std::tie(lanes[b].last_step, lanes[b].order);
  });
  const auto served = std::min(decoding.size(), static_cast<size_t>(budget_ - for_prompts));
  for (size_t i = 0; i < served; ++i) shares[decoding[i]] = 1;
  ShareAmongPrompts(lanes, std::move(prompts), for_prompts, &shares);

  std::vector<LaneShare> plan;
  for (size_t i = 0; i < shares.size(); ++i) {
    if (shares[i] > 0) plan.push_back({i, shares[i]});
  }
  return plan;
}

size_t CountToStart(absl::Span<const int> slots_needed, int free_slots, int running,
                    int max_running) {
  size_t count = 0;
  for (const int slots : slots_needed) {
    if (running >= max_running || slots > free_slots) break;
    free_slots -= slots;
    ++running;
    ++count;
  }
  return count;
}

}  // namespace ssmd
