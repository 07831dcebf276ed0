// One tenant's part of a prefix tree (prefix_tree.h): which states it holds along its token paths,
// and in which order it would give them up. How much all tenants may hold, and who gives, the tree
// decides.
//
// Eviction is GreedyDual-Size (Cao & Irani, "Cost-Aware WWW Proxy Caching Algorithms", USENIX
// 1997): a state ranks at the clock's reading when it was last of use, plus what it is worth: the
// tokens that it saves, counted from the nearest held state before it, per byte. The lowest rank
// goes, and the clock moves up to it, so that a state that nobody uses any more is passed by all
// others in the end, whatever it is worth. That recurrent states want saved work per byte rather
// than recency alone is from Pan et al., "Marconi: Prefix Caching for the Era of Hybrid LLMs"
// (MLSys 2025).
//
// A state is weighed when it comes, when it is used and when it is about to go, not whenever its
// neighbours change. So one that another has come before may count too much until it is used; one
// that counts too little, because another has gone, is not given up for that.
//
// What is left of evicted states are memories: nodes which say that a state was there, and carry
// the tokens that requests have in common. They go in the order in which they became memories.
#ifndef SSMD_ENGINE_STATE_TENANT_PREFIXES_H_
#define SSMD_ENGINE_STATE_TENANT_PREFIXES_H_

#include <cstdint>
#include <map>
#include <optional>
#include <utility>
#include <vector>

#include "absl/types/span.h"
#include "engine/state/held_state.h"
#include "engine/state/prefix_shape.h"

namespace ssmd {

// What the tenants of a tree have in common, so that their ranks compare.
struct PrefixClock {
  double reading = 0;
  uint64_t uses = 0;
};

class TenantPrefixes {
 public:
  // (rank, last use): the lowest goes first.
  using Rank = std::pair<double, uint64_t>;

  struct Found {
    StateRef state;  // the deepest one held on the way; null: none
    int64_t position = 0;
    int64_t common_tokens = 0;  // how far a path leads on the same way
    bool was_evicted = false;   // a state was held at the end of what is common
  };

  // `clock` outlives it.
  explicit TenantPrefixes(PrefixClock* clock) : clock_(*clock) {}

  // Counts as a use of what is found.
  Found Find(absl::Span<const int32_t> tokens);
  // The same walk without a use: positions of the held states on the way, ascending, and how far a
  // path leads.
  std::vector<int64_t> HeldAlong(absl::Span<const int32_t> tokens, int64_t* common_tokens) const;
  // Where one is held already, the old one stays and null is returned. A new one cannot go before
  // it is given a rank: first those make room that are there, and move the clock.
  PrefixNode* Insert(absl::Span<const int32_t> tokens, StateRef state);
  void GiveRank(PrefixNode* inserted) { Place(inserted, clock_.reading, ++clock_.uses); }

  // Of the state that goes first; none: holds no state. Weighs anew what is about to go.
  std::optional<Rank> Lowest();
  // Gives that one up: Lowest() has just returned its rank.
  void EvictLowest();
  // Takes out the oldest memory: there is one.
  void Forget();

  bool empty() const { return shape_.empty(); }
  bool has_memories() const { return !memories_.empty(); }
  int64_t states() const { return static_cast<int64_t>(held_.size()); }  // with a rank
  int64_t path_bytes() const { return shape_.bytes(); }
  int64_t bytes() const { return state_bytes_ + shape_.bytes(); }

 private:
  void Place(PrefixNode* node, double clock, uint64_t use);
  // Files a node whose state or children have changed: with the memories or not.
  void File(PrefixNode* node);

  PrefixClock& clock_;
  PrefixShape shape_;
  int64_t state_bytes_ = 0;
  std::map<Rank, PrefixNode*> held_;
  std::map<uint64_t, PrefixNode*> memories_;  // by `remembered`
  uint64_t remembered_ = 0;
};

}  // namespace ssmd

#endif  // SSMD_ENGINE_STATE_TENANT_PREFIXES_H_
