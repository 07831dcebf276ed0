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
  prompt_tokens = std::min(prompt_tokens, prompt_budget_);
  const int64_t reserved = std::min(prompt_credit_ / kPromptShare, prompt_tokens);
  const int64_t unclaimed = std::max<int64_t>(budget_ - reserved - decoding, 0);
  const int64_t given = std::min(reserved + unclaimed, prompt_tokens);
  // What a plan gives beyond the reserve is not held against later ones, nor is a reserve that
  // nothing was there to use saved up.
  prompt_credit_ = (prompt_credit_ - reserved * kPromptShare) % kPromptShare;
  return given;
}

void Scheduler::ShareAmongTenants(int64_t tokens, Tenants* tenants) {
  std::vector<int64_t> needs;
  for (const auto& [tenant, prompts] : *tenants) needs.push_back(prompts.feedable);
  std::sort(needs.begin(), needs.end());
  // Whoever needs less than an equal part leaves the rest of it to the others.
  int64_t equal_part = 0;
  int64_t unshared = tokens;
  for (size_t i = 0; i < needs.size(); ++i) {
    equal_part = unshared / static_cast<int64_t>(needs.size() - i);
    if (needs[i] > equal_part) break;
    unshared -= needs[i];
  }
  for (auto& [tenant, prompts] : *tenants) {
    prompts.share = std::min(prompts.feedable, equal_part);
    tokens -= prompts.share;
  }
  for (auto next = tenants->upper_bound(last_odd_tenant_); tokens > 0; ++next) {
    if (next == tenants->end()) next = tenants->begin();
    if (next->second.share == next->second.feedable) continue;
    ++next->second.share;
    --tokens;
    last_odd_tenant_ = next->first;
  }
}

void Scheduler::ShareAmongPrompts(absl::Span<const LaneView> lanes, int32_t tenant,
                                  TenantPrompts prompts, std::vector<int64_t>* shares) {
  const auto give = [&](int64_t amount) {
    for (const size_t lane : prompts.lanes) {
      const int64_t share = std::min(amount, lanes[lane].feedable() - (*shares)[lane]);
      (*shares)[lane] += share;
      amount -= share;
    }
  };
  int64_t for_oldest = prompts.share / 2;
  if (prompts.share % 2 == 1 && odd_to_shortest_.erase(tenant) == 0) {
    ++for_oldest;
    odd_to_shortest_.insert(tenant);
  }
  std::sort(prompts.lanes.begin(), prompts.lanes.end(),
            [&](size_t a, size_t b) { return lanes[a].order < lanes[b].order; });
  give(for_oldest);
  std::stable_sort(prompts.lanes.begin(), prompts.lanes.end(),
                   [&](size_t a, size_t b) { return lanes[a].ready < lanes[b].ready; });
  give(prompts.share - for_oldest);
}

std::vector<LaneShare> Scheduler::Plan(absl::Span<const LaneView> lanes) {
  std::vector<size_t> decoding;
  Tenants prompting;
  int64_t prompt_tokens = 0;
  for (size_t i = 0; i < lanes.size(); ++i) {
    if (lanes[i].decoding) {
      decoding.push_back(i);
      continue;
    }
    TenantPrompts& prompts = prompting[lanes[i].tenant];
    prompts.lanes.push_back(i);
    prompts.feedable += lanes[i].feedable();
    prompt_tokens += lanes[i].feedable();
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

  std::erase_if(odd_to_shortest_, [&](int32_t tenant) { return prompting.count(tenant) == 0; });
  ShareAmongTenants(for_prompts, &prompting);
  for (auto& [tenant, prompts] : prompting) {
    ShareAmongPrompts(lanes, tenant, std::move(prompts), &shares);
  }

  std::vector<LaneShare> plan;
  for (size_t i = 0; i < shares.size(); ++i) {
    if (shares[i] > 0) plan.push_back({i, shares[i]});
  }
  return plan;
}

int64_t CutAtChunk(int64_t position, int64_t tokens, int64_t feedable, int64_t chunk) {
  if (chunk == 0 || tokens == feedable) return tokens;
  const int64_t beyond = (position + tokens) % chunk;
  return beyond < tokens ? tokens - beyond : tokens;
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
