#include "engine/sample/stop_matcher.h"

#include <utility>

namespace ssmd {
// A trie of the strings with failure links: each node stands for a prefix of a stop string, the
// longest that the text seen so far ends with. Its size is linear in the strings' bytes.
class StopAutomaton {
 public:
  explicit StopAutomaton(const std::vector<std::string>& stops) {
    for (const std::string& stop : stops) {
      if (!stop.empty()) Insert(stop);
    }
    LinkFailures();
  }

  int32_t Step(int32_t node, unsigned char byte) const {
    for (;; node = at(node).failure) {
      const int32_t child = Child(node, byte);
      if (child >= 0) return child;
      if (node == 0) return 0;
    }
  }
  uint64_t depth(int32_t node) const { return at(node).depth; }
  // The longest stop string that the node's prefix ends with; -1 for none.
  int32_t stop(int32_t node) const { return at(node).stop; }
  const std::string& text(int32_t stop) const { return stops_[static_cast<size_t>(stop)]; }

 private:
  struct Edge {
    unsigned char byte;
    int32_t node;
  };
  struct Node {
    std::vector<Edge> edges;  // few, so a list is both small and quick enough
    int32_t failure = 0;
    int32_t stop = -1;
    uint64_t depth = 0;
  };

  const Node& at(int32_t node) const { return nodes_[static_cast<size_t>(node)]; }
  Node& at(int32_t node) { return nodes_[static_cast<size_t>(node)]; }

  int32_t Child(int32_t node, unsigned char byte) const {
    for (const Edge& edge : at(node).edges) {
      if (edge.byte == byte) return edge.node;
    }
    return -1;
  }

  void Insert(const std::string& stop) {
    int32_t node = 0;
    for (const char c : stop) {
      const auto byte = static_cast<unsigned char>(c);
      int32_t child = Child(node, byte);
      if (child < 0) {
        child = static_cast<int32_t>(nodes_.size());
        nodes_.push_back({{}, 0, -1, at(node).depth + 1});
        at(node).edges.push_back({byte, child});
      }
      node = child;
    }
    if (at(node).stop >= 0) return;
    at(node).stop = static_cast<int32_t>(stops_.size());
    stops_.push_back(stop);
  }

  // Breadth first, so that a node's failure, which is less deep, is complete before it.
  void LinkFailures() {
    std::vector<int32_t> order = {0};
    for (size_t i = 0; i < order.size(); ++i) {
      const int32_t node = order[i];
      for (const Edge& edge : at(node).edges) {
        const int32_t failure = node == 0 ? 0 : Step(at(node).failure, edge.byte);
        at(edge.node).failure = failure;
        if (at(edge.node).stop < 0) at(edge.node).stop = at(failure).stop;
        order.push_back(edge.node);
      }
    }
  }

  std::vector<Node> nodes_ = std::vector<Node>(1);
  std::vector<std::string> stops_;
};

std::shared_ptr<const StopAutomaton> MakeStopAutomaton(const std::vector<std::string>& stops) {
  return std::make_shared<const StopAutomaton>(stops);
}

StopMatcher::StopMatcher(std::shared_ptr<const StopAutomaton> automaton)
    : automaton_(std::move(automaton)) {}

bool StopMatcher::Push(std::string_view bytes) {
  for (const char c : bytes) {
    ++length_;
    node_ = automaton_->Step(node_, static_cast<unsigned char>(c));
    matched_ = automaton_->stop(node_);
    if (matched_ >= 0) {
      safe_length_ = length_ - matched().size();
      return true;
    }
  }
  safe_length_ = length_ - automaton_->depth(node_);
  return false;
}

const std::string& StopMatcher::matched() const { return automaton_->text(matched_); }

}  // namespace ssmd
