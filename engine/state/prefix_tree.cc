// Which states a prefix tree holds and which it gives up. Eviction is GreedyDual-Size (Cao & Irani,
// "Cost-Aware WWW Proxy Caching Algorithms", USENIX 1997): a state ranks at the clock's reading
// when it was last of use, plus what it is worth: the tokens that it saves, counted from the
// nearest held state before it, per byte. The lowest rank goes, and the clock moves up to it, so
// that a state that nobody uses any more is passed by all others in the end, whatever it is worth.
// That recurrent states want saved work per byte rather than recency alone is from Pan et al.,
// "Marconi: Prefix Caching for the Era of Hybrid LLMs" (MLSys 2025).
//
// A state is weighed when it comes, when it is used and when it is about to go, not whenever its
// neighbours change. So one that another has come before may count too much until it is used; one
// that counts too little, because another has gone, is not given up for that.
//
// What is left of evicted states are memories: nodes which say that a state was there, and carry
// the tokens that requests have in common. They go in the order in which they became memories, as
// soon as the budget is full and all token paths together take more than a part of it, or no state
// is left to evict.
#include "engine/state/prefix_tree.h"

#include <algorithm>
#include <cstdio>
#include <cstdlib>
#include <iterator>
#include <utility>

#include "engine/state/prefix_shape.h"

namespace ssmd {
namespace {

constexpr int64_t kPathsPart = 8;  // paths may crowd out states up to one part in eight

// The tokens of which a lookup can make use.
absl::Span<const int32_t> AllButLast(absl::Span<const int32_t> tokens) {
  return tokens.first(std::max<size_t>(tokens.size(), 1) - 1);
}

// For our own bugs only: a state on the wrong tokens would be served as that of others.
void CheckConsumed(const StateRef& state, absl::Span<const int32_t> tokens) {
  if (state != nullptr && !tokens.empty() &&
      state->position == static_cast<int64_t>(tokens.size())) {
    return;
  }
  std::fputs("PrefixTree: a state that has not consumed exactly its tokens\n", stderr);
  std::abort();
}

int64_t StateBytes(const PrefixNode& node) { return static_cast<int64_t>(node.state->bytes); }

double Worth(const PrefixNode& node) {
  const PrefixNode* before = node.parent;
  while (before->parent != nullptr && before->state == nullptr) before = before->parent;
  return static_cast<double>(node.position - before->position) /
         static_cast<double>(StateBytes(node) + PrefixShape::kNodeBytes);
}

}  // namespace

class PrefixTree::Impl {
 public:
  explicit Impl(const PrefixTreeOptions& options) : options_(options) {}

  PrefixHit Lookup(const std::string& tenant, absl::Span<const int32_t> tokens);
  std::vector<int64_t> WantedPositions(const std::string& tenant, absl::Span<const int32_t> tokens,
                                       int64_t from) const;
  void Insert(const std::string& tenant, absl::Span<const int32_t> tokens, StateRef state);
  bool EvictOne();
  PrefixFigures figures() const;

 private:
  bool disabled() const { return options_.bytes_limit <= 0; }
  int64_t bytes() const { return state_bytes_ + shape_.bytes(); }
  // Ranks a state that was last of use at `clock`.
  void Rank(PrefixNode* node, double clock, uint64_t use);
  // Files a node whose state or children have changed: with the memories or not.
  void File(PrefixNode* node);
  void Forget(PrefixNode* memory);
  void MakeRoom();

  const PrefixTreeOptions options_;
  PrefixShape shape_;
  int64_t state_bytes_ = 0;
  std::map<std::pair<double, uint64_t>, PrefixNode*> held_;  // by (rank, last_use)
  std::map<uint64_t, PrefixNode*> memories_;                 // by `remembered`
  double clock_ = 0;
  uint64_t uses_ = 0;
  uint64_t remembered_ = 0;
  PrefixFigures counts_;
};

PrefixHit PrefixTree::Impl::Lookup(const std::string& tenant, absl::Span<const int32_t> tokens) {
  PrefixHit hit;
  if (disabled()) {
    hit.miss = PrefixMiss::kDisabled;
    return hit;
  }
  const absl::Span<const int32_t> usable = AllButLast(tokens);
  const PrefixNode* last = nullptr;
  PrefixNode* held = nullptr;
  for (PrefixNode* node = shape_.Root(tenant); node != nullptr;
       node = PrefixShape::Next(*node, usable, &hit.common_tokens)) {
    last = node;
    if (node->state != nullptr) held = node;
  }
  if (held != nullptr) {
    hit.state = held->state;
    hit.position = held->position;
    Rank(held, clock_, ++uses_);
  }
  if (hit.position < hit.common_tokens) {
    const bool was_held = last->position == hit.common_tokens && last->was_held;
    hit.miss = was_held ? PrefixMiss::kEvicted : PrefixMiss::kNoState;
  }
  ++counts_.queries;
  counts_.hits += held != nullptr ? 1 : 0;
  counts_.queried_tokens += static_cast<int64_t>(usable.size());
  counts_.hit_tokens += hit.position;
  return hit;
}

std::vector<int64_t> PrefixTree::Impl::WantedPositions(const std::string& tenant,
                                                       absl::Span<const int32_t> tokens,
                                                       int64_t from) const {
  std::vector<int64_t> wanted;
  if (disabled()) return wanted;
  std::vector<int64_t> held;
  int64_t common = 0;
  for (const PrefixNode* node = shape_.Root(tenant); node != nullptr;
       node = PrefixShape::Next(*node, AllButLast(tokens), &common)) {
    if (node->state != nullptr) held.push_back(node->position);
  }
  std::vector<int64_t> places;
  const int64_t grid = options_.grid_tokens;
  const auto end = static_cast<int64_t>(tokens.size());
  for (int64_t place = (from / grid + 1) * grid; place < end; place += grid) {
    places.push_back(place);
  }
  const auto parting = std::lower_bound(places.begin(), places.end(), common);
  if (common > from && (parting == places.end() || *parting != common)) {
    places.insert(parting, common);
  }
  std::set_difference(places.begin(), places.end(), held.begin(), held.end(),
                      std::back_inserter(wanted));
  return wanted;
}

void PrefixTree::Impl::Insert(const std::string& tenant, absl::Span<const int32_t> tokens,
                              StateRef state) {
  CheckConsumed(state, tokens);
  if (disabled()) return;
  const size_t bytes_least =
      state->bytes + tokens.size() * sizeof(int32_t) + size_t{PrefixShape::kNodeBytes};
  if (bytes_least > static_cast<size_t>(options_.bytes_limit)) return;
  PrefixNode* node = shape_.Reach(tenant, tokens);
  if (node->state == nullptr) {
    node->state = std::move(state);
    node->was_held = true;
    state_bytes_ += StateBytes(*node);
    Rank(node, clock_, ++uses_);
  }
  File(node);
  File(node->parent);
  MakeRoom();
}

void PrefixTree::Impl::Rank(PrefixNode* node, double clock, uint64_t use) {
  held_.erase({node->rank, node->last_use});
  node->clock = clock;
  node->rank = clock + Worth(*node);
  node->last_use = use;
  held_.emplace(std::pair(node->rank, use), node);
}

bool PrefixTree::Impl::EvictOne() {
  while (!held_.empty()) {
    PrefixNode* node = held_.begin()->second;
    if (node->clock + Worth(*node) > node->rank) {  // one before it has gone since
      Rank(node, node->clock, node->last_use);
      continue;
    }
    held_.erase(held_.begin());
    clock_ = node->rank;
    node->rank = 0;
    node->last_use = 0;
    state_bytes_ -= StateBytes(*node);
    node->state.reset();
    ++counts_.evictions;
    File(node);
    return true;
  }
  return false;
}

void PrefixTree::Impl::File(PrefixNode* node) {
  if (node->parent == nullptr) return;
  const bool is_needed = node->state != nullptr || node->children.size() > 1;
  if (is_needed) {
    memories_.erase(std::exchange(node->remembered, 0));
  } else if (node->remembered == 0) {
    node->remembered = ++remembered_;
    memories_.emplace(node->remembered, node);
  }
}

void PrefixTree::Impl::Forget(PrefixNode* memory) {
  memories_.erase(memory->remembered);
  if (PrefixNode* parent = shape_.Remove(memory)) File(parent);
}

void PrefixTree::Impl::MakeRoom() {
  while (bytes() > options_.bytes_limit) {
    const bool crowded = shape_.bytes() > options_.bytes_limit / kPathsPart;
    if (!memories_.empty() && (crowded || held_.empty())) {
      Forget(memories_.begin()->second);
    } else {
      EvictOne();  // there is one: every leaf holds a state or is a memory
    }
  }
}

PrefixFigures PrefixTree::Impl::figures() const {
  PrefixFigures figures = counts_;
  figures.states = static_cast<int64_t>(held_.size());
  figures.bytes = bytes();
  figures.bytes_limit = options_.bytes_limit;
  return figures;
}

PrefixTree::PrefixTree(const PrefixTreeOptions& options) : impl_(std::make_unique<Impl>(options)) {}
PrefixTree::~PrefixTree() = default;

PrefixHit PrefixTree::Lookup(const std::string& tenant, absl::Span<const int32_t> tokens) {
  return impl_->Lookup(tenant, tokens);
}
std::vector<int64_t> PrefixTree::WantedPositions(const std::string& tenant,
                                                 absl::Span<const int32_t> tokens,
                                                 int64_t from) const {
  return impl_->WantedPositions(tenant, tokens, from);
}
void PrefixTree::Insert(const std::string& tenant, absl::Span<const int32_t> tokens,
                        StateRef state) {
  impl_->Insert(tenant, tokens, std::move(state));
}
bool PrefixTree::EvictOne() { return impl_->EvictOne(); }
PrefixFigures PrefixTree::figures() const { return impl_->figures(); }

}  // namespace ssmd
