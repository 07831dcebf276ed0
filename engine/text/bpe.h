// Byte-pair merges over the bytes of one piece.
//
// Immutable and thread-safe. A piece costs n log n however long it is; one that is a token by
// itself costs a single look-up.
#ifndef SSMD_ENGINE_TEXT_BPE_H_
#define SSMD_ENGINE_TEXT_BPE_H_

#include <array>
#include <cstdint>
#include <string>
#include <string_view>
#include <utility>
#include <vector>

#include "absl/container/flat_hash_map.h"

namespace ssmd {

class Bpe {
 public:
  struct Merge {
    int32_t left = 0;
    int32_t right = 0;
    int32_t merged = 0;  // the token of both one after the other
  };

  // `byte_ids`: the token of each single byte, -1 where the vocabulary has none (such a byte yields
  // no token, as in Hugging Face's). `merges` by priority; of two for one pair the later counts.
  Bpe(const std::array<int32_t, 256>& byte_ids, const std::vector<Merge>& merges);

  // A token that its piece becomes at once, merges aside (`ignore_merges`).
  void AddWholePiece(const std::string& bytes, int32_t token_id);
  // Adds it where the merges lead to that token anyway: saves the work, changes nothing.
  void AddWholePieceIfEquivalent(const std::string& bytes, int32_t token_id);

  // Appends the tokens of a piece. REQUIRES: piece is not empty and below 2^31 bytes.
  void Encode(std::string_view piece, std::vector<int32_t>* ids) const;

 private:
  static constexpr uint32_t kNoRank = UINT32_MAX;
  struct Ranked {
    uint32_t rank = kNoRank;
    int32_t merged = -1;
  };
  struct Symbol;

  Ranked Find(int32_t left, int32_t right) const;
  void EncodeByMerges(std::string_view piece, std::vector<int32_t>* ids) const;
  void MergeShort(std::vector<int32_t>* ids, size_t first) const;
  void MergeLong(std::vector<int32_t>* ids, size_t first) const;

  std::array<int32_t, 256> byte_ids_;
  absl::flat_hash_map<uint64_t, Ranked> merges_;  // by left << 32 | right
  absl::flat_hash_map<std::string, int32_t> whole_pieces_;
  size_t longest_whole_piece_ = 0;
};

}  // namespace ssmd

#endif  // SSMD_ENGINE_TEXT_BPE_H_
