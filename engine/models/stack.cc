#include "engine/models/stack.h"

#include <algorithm>
#include <utility>

#include "absl/container/flat_hash_map.h"
#include "absl/strings/str_cat.h"
#include "absl/strings/str_format.h"
#include "absl/strings/str_join.h"

namespace ssmd {
namespace {

template <typename Figure>
int64_t Largest(const Stack& stack, const Figure& figure) {
  int64_t largest = 0;
  for (const auto& family : stack.families) largest = std::max(largest, figure(*family));
  return largest;
}

}  // namespace

std::string Stack::Describe() const {
  if (embedding_scale != 1) {
    return absl::StrFormat("embedding_scale=%.17g %s", embedding_scale, DescribeBlocks());
  }
  return DescribeBlocks();
}

std::string Stack::DescribeBlocks() const {
  if (families.size() == 1) return families.front()->Describe();
  absl::flat_hash_map<const MixerFamily*, size_t> numbers;
  std::string text;
  for (const auto& family : families) {
    numbers.emplace(family.get(), numbers.size());
    absl::StrAppend(&text, "[", family->Describe(), "] ");
  }
  std::vector<size_t> order;
  for (const BlockPlan& block : blocks) order.push_back(numbers.at(block.family));
  return absl::StrCat(text, "blocks=", absl::StrJoin(order, ","));
}

int64_t Stack::scratch_floats_per_row() const {
  return Largest(*this, [](const MixerFamily& f) { return f.scratch_floats_per_row(); });
}

int64_t Stack::shared_floats_per_row() const {
  return Largest(*this, [](const MixerFamily& f) { return f.shared_floats_per_row(); });
}

int64_t Stack::chunk_scratch_floats_per_row() const {
  return Largest(*this, [](const MixerFamily& f) { return f.chunk_scratch_floats_per_row(); });
}

int64_t Stack::chunk_tokens() const {
  return Largest(*this, [](const MixerFamily& f) { return f.chunk_tokens(); });
}

int64_t Stack::scan_operations() const {
  int64_t sum = 0;
  for (const BlockPlan& block : blocks) sum += block.family->scan_operations();
  return sum;
}

Stack UniformStack(std::unique_ptr<MixerFamily> family, int64_t layers) {
  Stack stack;
  stack.final_norm = "backbone.norm_f";
  stack.head = "lm_head.weight";
  for (int64_t i = 0; i < layers; ++i) {
    const std::string layer = absl::StrCat("backbone.layers.", i, ".");
    stack.blocks.push_back({layer + "norm", layer + "mixer.", static_cast<int>(i), family.get()});
  }
  stack.families.push_back(std::move(family));
  return stack;
}

}  // namespace ssmd
