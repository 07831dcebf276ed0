// The tokens of one session, oldest first. Full blocks are immutable and shared between copies, so
// that a fork of a long conversation copies pointers, not tokens; appending and truncating touch
// the end alone.
//
// A value type; thread-compatible.
#ifndef SSMD_ENGINE_STATE_HISTORY_H_
#define SSMD_ENGINE_STATE_HISTORY_H_

#include <array>
#include <cstddef>
#include <cstdint>
#include <memory>
#include <vector>

#include "absl/types/span.h"
#include "engine/state/token_log.h"

namespace ssmd {

class History {
 public:
  static constexpr int64_t kBlock = 256;  // tokens

  int64_t size() const { return static_cast<int64_t>(blocks_.size()) * kBlock + tail_size(); }
  bool empty() const { return size() == 0; }

  void Append(absl::Span<const LoggedToken> tokens);
  // REQUIRES: 0 <= size <= size().
  void Truncate(int64_t size);
  // Tokens [begin, end). REQUIRES: 0 <= begin <= end <= size().
  TokenLog Range(int64_t begin, int64_t end) const;

  // Of the ids of the first `length` tokens: XXH3 (64 bits) over each whole block and then over
  // what is left, each seeded with the hash before it, 0 at first. Costs at most one block.
  // REQUIRES: 0 <= length <= size().
  uint64_t Hash(int64_t length) const;

  // What this value holds that no copy shares, roughly: for byte budgets.
  size_t bytes() const { return blocks_.size() * sizeof(blocks_[0]) + tail_.size() * 4; }

 private:
  struct Block {
    std::vector<LoggedToken> tokens;  // kBlock of them
    uint64_t hash = 0;                // of everything up to the block's end
  };
  int64_t tail_size() const { return static_cast<int64_t>(tail_.size()); }
  uint64_t HashOfBlocks(size_t count) const { return count == 0 ? 0 : blocks_[count - 1]->hash; }

  std::vector<std::shared_ptr<const Block>> blocks_;
  TokenLog tail_;  // fewer than kBlock
};

}  // namespace ssmd

#endif  // SSMD_ENGINE_STATE_HISTORY_H_
