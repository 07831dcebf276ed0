// States of prompts and answers that stateless callers have sent, by their token ids: a radix tree
// whose nodes hold states at exact positions (semantics 16). What a lookup returns depends on what
// is held; what a request computes never does.
//
// Each tenant has a tree of its own. A budget of bytes (states and tokens) holds for all of them;
// past it the states that save the least work per byte, given when they were last of use, go first
// (tenant_prefixes.h). Of those, the ones go that are not protected: a tenant that sent a prompt
// within the last kPrefixProtection and holds less than the average of such tenants keeps its
// states, however many prompts others send.
//
// Step thread. It owns references to states and knows nothing of where their bytes are.
#ifndef SSMD_ENGINE_STATE_PREFIX_TREE_H_
#define SSMD_ENGINE_STATE_PREFIX_TREE_H_

#include <chrono>
#include <cstdint>
#include <memory>
#include <string>
#include <vector>

#include "absl/types/span.h"
#include "engine/base/clock.h"
#include "engine/state/held_state.h"

namespace ssmd {

// For how long a tenant's share is kept from others after its last prompt.
inline constexpr Duration kPrefixProtection = std::chrono::minutes(10);

// Why less was reused than the tokens have in common with what was seen before.
enum class PrefixMiss : uint8_t {
  kNone,      // everything in common (up to the last token but one) was held
  kNoState,   // no state was ever held at the end of what is common (its next visit finds one)
  kEvicted,   // one was, and made room for others
  kDisabled,  // the cache is off
};

struct PrefixHit {
  StateRef state;             // the deepest one held; null: none
  int64_t position = 0;       // its position: tokens that need not be computed
  int64_t common_tokens = 0;  // how long a prefix was seen before, at most tokens.size() − 1
  PrefixMiss miss = PrefixMiss::kNone;
};

struct PrefixTreeOptions {
  int64_t bytes_limit = 0;       // 0: holds nothing
  int64_t grid_tokens = 512;     // >= 1; states are wanted at its multiples
  const Clock* clock = nullptr;  // never null where something is held; outlives the tree
};

struct PrefixFigures {
  int64_t queries = 0;
  int64_t hits = 0;            // queries that reused at least a token
  int64_t queried_tokens = 0;  // that could have been reused: size − 1, summed
  int64_t hit_tokens = 0;
  int64_t evictions = 0;
  int64_t states = 0;
  int64_t bytes = 0;
  int64_t bytes_limit = 0;
};

class PrefixTree {
 public:
  explicit PrefixTree(const PrefixTreeOptions& options);
  ~PrefixTree();

  // The deepest state that is held on the way along `tokens`, at most at size() − 1: the last token
  // is always computed, for its logits. Counts as a use of that state.
  PrefixHit Lookup(const std::string& tenant, absl::Span<const int32_t> tokens);

  // Where states are worth keeping while `tokens` are fed from `from` on: ascending, in (from,
  // size()). They are the multiples of the grid, and the end of what is common with earlier
  // requests where no state is held (a branch point).
  std::vector<int64_t> WantedPositions(const std::string& tenant, absl::Span<const int32_t> tokens,
                                       int64_t from) const;

  // Holds `state`, which has consumed `tokens` exactly (state->position == tokens.size() > 0).
  // Where one is held already, the old one stays. May evict, this one too.
  void Insert(const std::string& tenant, absl::Span<const int32_t> tokens, StateRef state);

  // Gives up the one state that is worth the least of those that are not protected, or of all where
  // all are. False when none is held.
  bool EvictOne();

  PrefixFigures figures() const;

 private:
  class Impl;
  std::unique_ptr<Impl> impl_;
};

}  // namespace ssmd

#endif  // SSMD_ENGINE_STATE_PREFIX_TREE_H_
