// The token paths of one tenant's prefixes (tenant_prefixes.h): a radix tree whose edges are runs
// of tokens. A node stands where a state is held or was, and where paths part.
//
// Owned by the TenantPrefixes, which decide what stays and keep their notes in the nodes; step
// thread. Counts the bytes of nodes and tokens; whoever adds paths bounds them by removing others.
#ifndef SSMD_ENGINE_STATE_PREFIX_SHAPE_H_
#define SSMD_ENGINE_STATE_PREFIX_SHAPE_H_

#include <cstdint>
#include <map>
#include <memory>
#include <vector>

#include "absl/types/span.h"
#include "engine/state/held_state.h"

namespace ssmd {

struct PrefixNode {
  PrefixNode* parent = nullptr;  // null: the root, which stands for no tokens
  int64_t position = 0;          // tokens from the root to here
  std::vector<int32_t> edge;     // those of them after the parent's; empty at the root alone
  // By the edges' first tokens. Ordered: its memory goes with its nodes, and no choice of tokens
  // makes it slow.
  std::map<int32_t, std::unique_ptr<PrefixNode>> children;

  // The policy's notes.
  StateRef state;
  bool was_held = false;    // a state is or was
  double clock = 0;         // the policy's, when the state was last of use
  double rank = 0;          // (rank, last_use): its place among the held states
  uint64_t last_use = 0;    // 0: holds none
  uint64_t remembered = 0;  // its place among the memories; 0: is none
};

class PrefixShape {
 public:
  // What a node takes without its tokens: itself, and its places in maps.
  static constexpr int64_t kNodeBytes = sizeof(PrefixNode) + 160;

  PrefixShape();
  PrefixShape(const PrefixShape&) = delete;
  PrefixShape& operator=(const PrefixShape&) = delete;
  ~PrefixShape();

  // Where a walk starts.
  PrefixNode* root() const { return root_.get(); }
  // The child to which `tokens`, which lead to `node`, go on; null when they part from every path
  // or end before it. `common` becomes how many of them were on a path, be it up to the middle of
  // an edge. Allocates nothing.
  static PrefixNode* Next(const PrefixNode& node, absl::Span<const int32_t> tokens,
                          int64_t* common);

  // The node at the end of `tokens`, which are not empty; made if it is not there.
  PrefixNode* Reach(absl::Span<const int32_t> tokens);
  // Takes out a node, not the root, that has no state and at most one child, to which its edge then
  // belongs. Returns its parent.
  PrefixNode* Remove(PrefixNode* node);

  bool empty() const { return root_->children.empty(); }
  int64_t bytes() const { return bytes_; }  // the root's, too

 private:
  PrefixNode* AddLeaf(PrefixNode* parent, absl::Span<const int32_t> edge);
  // Puts a node after the first `length` tokens of the edge to `child`, 0 < length < its size.
  PrefixNode* Split(std::unique_ptr<PrefixNode>* child, size_t length);

  std::unique_ptr<PrefixNode> root_;
  int64_t bytes_ = kNodeBytes;
};

}  // namespace ssmd

#endif  // SSMD_ENGINE_STATE_PREFIX_SHAPE_H_
