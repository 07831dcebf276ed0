#include "engine/state/prefix_shape.h"

#include <algorithm>
#include <utility>

namespace ssmd {
namespace {

int64_t BytesOf(const PrefixNode& node) {
  return PrefixShape::kNodeBytes + static_cast<int64_t>(node.edge.capacity() * sizeof(int32_t));
}

}  // namespace

PrefixShape::PrefixShape() : root_(std::make_unique<PrefixNode>()) {}

PrefixShape::~PrefixShape() {
  // One by one: destructors that call their children's would go as deep as the tree is.
  std::vector<std::unique_ptr<PrefixNode>> nodes;
  nodes.push_back(std::move(root_));
  while (!nodes.empty()) {
    const std::unique_ptr<PrefixNode> node = std::move(nodes.back());
    nodes.pop_back();
    for (auto& [token, child] : node->children) nodes.push_back(std::move(child));
  }
}

PrefixNode* PrefixShape::Next(const PrefixNode& node, absl::Span<const int32_t> tokens,
                              int64_t* common) {
  *common = node.position;
  const absl::Span<const int32_t> rest = tokens.subspan(static_cast<size_t>(node.position));
  if (rest.empty()) return nullptr;
  const auto child = node.children.find(rest.front());
  if (child == node.children.end()) return nullptr;
  const std::vector<int32_t>& edge = child->second->edge;
  const auto end = std::mismatch(rest.begin(), rest.end(), edge.begin(), edge.end());
  *common += end.second - edge.begin();
  return end.second == edge.end() ? child->second.get() : nullptr;
}

PrefixNode* PrefixShape::AddLeaf(PrefixNode* parent, absl::Span<const int32_t> edge) {
  auto leaf = std::make_unique<PrefixNode>();
  leaf->parent = parent;
  leaf->position = parent->position + static_cast<int64_t>(edge.size());
  leaf->edge.assign(edge.begin(), edge.end());
  bytes_ += BytesOf(*leaf);
  return parent->children.emplace(edge.front(), std::move(leaf)).first->second.get();
}

PrefixNode* PrefixShape::Split(std::unique_ptr<PrefixNode>* child, size_t length) {
  const std::vector<int32_t> edge = std::move((*child)->edge);
  const auto cut = edge.begin() + static_cast<std::ptrdiff_t>(length);
  auto middle = std::make_unique<PrefixNode>();
  middle->parent = (*child)->parent;
  middle->position = middle->parent->position + static_cast<int64_t>(length);
  middle->edge.assign(edge.begin(), cut);
  (*child)->parent = middle.get();
  (*child)->edge.assign(cut, edge.end());
  const auto edge_bytes = static_cast<int64_t>(edge.capacity() * sizeof(int32_t));
  bytes_ += BytesOf(*middle) + BytesOf(**child) - kNodeBytes - edge_bytes;
  middle->children.emplace(*cut, std::move(*child));
  *child = std::move(middle);
  return child->get();
}

PrefixNode* PrefixShape::Reach(absl::Span<const int32_t> tokens) {
  int64_t common = 0;
  PrefixNode* node = root_.get();
  while (PrefixNode* next = Next(*node, tokens, &common)) node = next;
  if (common > node->position) {
    const auto child = node->children.find(tokens[static_cast<size_t>(node->position)]);
    node = Split(&child->second, static_cast<size_t>(common - node->position));
  }
  const absl::Span<const int32_t> rest = tokens.subspan(static_cast<size_t>(common));
  return rest.empty() ? node : AddLeaf(node, rest);
}

PrefixNode* PrefixShape::Remove(PrefixNode* node) {
  PrefixNode* parent = node->parent;
  const auto place = parent->children.find(node->edge.front());
  bytes_ -= BytesOf(*node);
  if (node->children.empty()) {
    parent->children.erase(place);
  } else {
    std::unique_ptr<PrefixNode> child = std::move(node->children.begin()->second);
    bytes_ -= BytesOf(*child);
    // Paths lose their states from the front: what grows is the long part, and it grows at its end.
    std::vector<int32_t> edge = std::move(node->edge);
    edge.insert(edge.end(), child->edge.begin(), child->edge.end());
    child->edge = std::move(edge);
    child->parent = parent;
    bytes_ += BytesOf(*child);
    place->second = std::move(child);
  }
  return parent;
}

}  // namespace ssmd
