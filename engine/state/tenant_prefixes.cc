#include "engine/state/tenant_prefixes.h"

#include <utility>

namespace ssmd {
namespace {

int64_t BytesOfState(const PrefixNode& node) { return static_cast<int64_t>(node.state->bytes); }

double Worth(const PrefixNode& node) {
  const PrefixNode* before = node.parent;
  while (before->parent != nullptr && before->state == nullptr) before = before->parent;
  return static_cast<double>(node.position - before->position) /
         static_cast<double>(BytesOfState(node) + PrefixShape::kNodeBytes);
}

}  // namespace

TenantPrefixes::Found TenantPrefixes::Find(absl::Span<const int32_t> tokens) {
  Found found;
  const PrefixNode* last = nullptr;
  PrefixNode* held = nullptr;
  for (PrefixNode* node = shape_.root(); node != nullptr;
       node = PrefixShape::Next(*node, tokens, &found.common_tokens)) {
    last = node;
    if (node->state != nullptr) held = node;
  }
  if (held != nullptr) {
    found.state = held->state;
    found.position = held->position;
    Place(held, clock_.reading, ++clock_.uses);
  }
  found.was_evicted = found.position < found.common_tokens &&
                      last->position == found.common_tokens && last->was_held;
  return found;
}

std::vector<int64_t> TenantPrefixes::HeldAlong(absl::Span<const int32_t> tokens,
                                               int64_t* common_tokens) const {
  std::vector<int64_t> held;
  for (const PrefixNode* node = shape_.root(); node != nullptr;
       node = PrefixShape::Next(*node, tokens, common_tokens)) {
    if (node->state != nullptr) held.push_back(node->position);
  }
  return held;
}

PrefixNode* TenantPrefixes::Insert(absl::Span<const int32_t> tokens, StateRef state) {
  PrefixNode* node = shape_.Reach(tokens);
  const bool is_new = node->state == nullptr;
  if (is_new) {
    node->state = std::move(state);
    node->was_held = true;
    state_bytes_ += BytesOfState(*node);
  }
  File(node);
  File(node->parent);
  return is_new ? node : nullptr;
}

void TenantPrefixes::Place(PrefixNode* node, double clock, uint64_t use) {
  held_.erase({node->rank, node->last_use});
  node->clock = clock;
  node->rank = clock + Worth(*node);
  node->last_use = use;
  held_.emplace(Rank(node->rank, use), node);
}

std::optional<TenantPrefixes::Rank> TenantPrefixes::Lowest() {
  while (!held_.empty()) {
    PrefixNode* node = held_.begin()->second;
    if (node->clock + Worth(*node) <= node->rank) return held_.begin()->first;
    Place(node, node->clock, node->last_use);  // one before it has gone since
  }
  return std::nullopt;
}

void TenantPrefixes::EvictLowest() {
  PrefixNode* node = held_.begin()->second;
  held_.erase(held_.begin());
  clock_.reading = node->rank;
  node->rank = 0;
  node->last_use = 0;
  state_bytes_ -= BytesOfState(*node);
  node->state.reset();
  File(node);
}

void TenantPrefixes::File(PrefixNode* node) {
  if (node->parent == nullptr) return;
  const bool is_needed = node->state != nullptr || node->children.size() > 1;
  if (is_needed) {
    memories_.erase(std::exchange(node->remembered, 0));
  } else if (node->remembered == 0) {
    node->remembered = ++remembered_;
    memories_.emplace(node->remembered, node);
  }
}

void TenantPrefixes::Forget() {
  PrefixNode* memory = memories_.begin()->second;
  memories_.erase(memories_.begin());
  File(shape_.Remove(memory));
}

}  // namespace ssmd
