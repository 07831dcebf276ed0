#include "engine/state/history.h"

#include <xxhash.h>

#include <algorithm>

namespace ssmd {
namespace {

uint64_t HashIds(absl::Span<const LoggedToken> tokens, uint64_t seed) {
  std::array<int32_t, History::kBlock> ids;
  std::transform(tokens.begin(), tokens.end(), ids.begin(),
                 [](LoggedToken token) { return token.token_id(); });
  return XXH3_64bits_withSeed(ids.data(), tokens.size() * sizeof(int32_t), seed);
}

}  // namespace

void History::Append(absl::Span<const LoggedToken> tokens) {
  while (!tokens.empty()) {
    const size_t count = std::min(tokens.size(), static_cast<size_t>(kBlock) - tail_.size());
    tail_.insert(tail_.end(), tokens.begin(), tokens.begin() + static_cast<std::ptrdiff_t>(count));
    tokens.remove_prefix(count);
    if (tail_size() < kBlock) return;
    auto block = std::make_shared<Block>();
    block->hash = HashIds(tail_, HashOfBlocks(blocks_.size()));
    block->tokens = std::move(tail_);
    blocks_.push_back(std::move(block));
    tail_.clear();
  }
}

void History::Truncate(int64_t size) {
  const auto whole = static_cast<size_t>(size / kBlock);
  const auto rest = static_cast<size_t>(size % kBlock);
  if (whole < blocks_.size()) {
    const auto& cut = blocks_[whole]->tokens;
    tail_.assign(cut.begin(), cut.begin() + static_cast<std::ptrdiff_t>(rest));
    blocks_.resize(whole);
  } else {
    tail_.erase(tail_.begin() + static_cast<std::ptrdiff_t>(rest), tail_.end());
  }
}

TokenLog History::Range(int64_t begin, int64_t end) const {
  TokenLog range;
  range.reserve(static_cast<size_t>(end - begin));
  while (begin < end) {
    const auto number = static_cast<size_t>(begin / kBlock);
    const TokenLog& tokens = number < blocks_.size() ? blocks_[number]->tokens : tail_;
    const int64_t first = begin % kBlock;
    const int64_t count = std::min(end - begin, kBlock - first);
    range.insert(range.end(), tokens.begin() + first, tokens.begin() + first + count);
    begin += count;
  }
  return range;
}

uint64_t History::Hash(int64_t length) const {
  const auto whole = static_cast<size_t>(length / kBlock);
  const auto rest = static_cast<size_t>(length % kBlock);
  const uint64_t hash = HashOfBlocks(whole);
  if (rest == 0) return hash;
  const TokenLog& tokens = whole < blocks_.size() ? blocks_[whole]->tokens : tail_;
  return HashIds(absl::MakeConstSpan(tokens).first(rest), hash);
}

}  // namespace ssmd
