// Both algorithms below do the same: again and again, of all adjacent pairs that have a merge, the
// one of the lowest rank, the leftmost of equals, is merged.
#include "engine/text/bpe.h"

#include <algorithm>
#include <queue>

#include "absl/strings/string_view.h"

namespace ssmd {
namespace {

// Up to here a linear search for the next merge is faster than a heap.
constexpr size_t kShortPiece = 32;

uint64_t PairKey(int32_t left, int32_t right) {
  return uint64_t{static_cast<uint32_t>(left)} << 32 | static_cast<uint32_t>(right);
}

}  // namespace

// A token of a long piece, in a doubly linked list by index.
struct Bpe::Symbol {
  int32_t token_id = 0;
  int32_t previous = -1;
  int32_t next = -1;
  bool merged_away = false;
};

Bpe::Bpe(const std::array<int32_t, 256>& byte_ids, const std::vector<Merge>& merges)
    : byte_ids_(byte_ids) {
  merges_.reserve(merges.size());
  uint32_t rank = 0;
  for (const Merge& merge : merges) {
    merges_[PairKey(merge.left, merge.right)] = {rank++, merge.merged};
  }
}

void Bpe::AddWholePiece(const std::string& bytes, int32_t token_id) {
  longest_whole_piece_ = std::max(longest_whole_piece_, bytes.size());
  whole_pieces_[bytes] = token_id;
}

void Bpe::AddWholePieceIfEquivalent(const std::string& bytes, int32_t token_id) {
  std::vector<int32_t> ids;
  EncodeByMerges(bytes, &ids);
  if (ids.size() == 1 && ids[0] == token_id) AddWholePiece(bytes, token_id);
}

Bpe::Ranked Bpe::Find(int32_t left, int32_t right) const {
  const auto found = merges_.find(PairKey(left, right));
  return found == merges_.end() ? Ranked() : found->second;
}

void Bpe::Encode(std::string_view piece, std::vector<int32_t>* ids) const {
  if (piece.size() <= longest_whole_piece_) {
    const auto found = whole_pieces_.find(absl::string_view(piece.data(), piece.size()));
    if (found != whole_pieces_.end()) {
      ids->push_back(found->second);
      return;
    }
  }
  EncodeByMerges(piece, ids);
}

void Bpe::EncodeByMerges(std::string_view piece, std::vector<int32_t>* ids) const {
  const size_t first = ids->size();
  for (const char byte : piece) {
    const int32_t token_id = byte_ids_[static_cast<unsigned char>(byte)];
    if (token_id >= 0) ids->push_back(token_id);
  }
  if (ids->size() - first <= kShortPiece) {
    MergeShort(ids, first);
  } else {
    MergeLong(ids, first);
  }
}

void Bpe::MergeShort(std::vector<int32_t>* ids, size_t first) const {
  std::array<Ranked, kShortPiece> pairs;  // pairs[i]: of tokens i and i + 1
  int32_t* const tokens = ids->data() + first;
  size_t count = ids->size() - first;
  for (size_t i = 0; i + 1 < count; ++i) pairs[i] = Find(tokens[i], tokens[i + 1]);
  while (count > 1) {
    const auto end = pairs.begin() + static_cast<std::ptrdiff_t>(count - 1);
    const auto best = std::min_element(
        pairs.begin(), end, [](const Ranked& a, const Ranked& b) { return a.rank < b.rank; });
    if (best->rank == kNoRank) break;
    const auto at = static_cast<size_t>(best - pairs.begin());
    tokens[at] = best->merged;
    std::copy(tokens + at + 2, tokens + count, tokens + at + 1);
    std::copy(best + 1, end, best);
    --count;
    if (at > 0) pairs[at - 1] = Find(tokens[at - 1], tokens[at]);
    if (at + 1 < count) pairs[at] = Find(tokens[at], tokens[at + 1]);
  }
  ids->resize(first + count);
}

void Bpe::MergeLong(std::vector<int32_t>* ids, size_t first) const {
  const auto count = static_cast<int32_t>(ids->size() - first);
  std::vector<Symbol> symbols(static_cast<size_t>(count));
  const auto symbol = [&](int32_t i) -> Symbol& { return symbols[static_cast<size_t>(i)]; };
  struct Candidate {
    uint32_t rank;
    int32_t at;
    int32_t merged;
    bool operator<(const Candidate& other) const {  // the heap's top is the largest
      return rank != other.rank ? rank > other.rank : at > other.at;
    }
  };
  std::priority_queue<Candidate> queue;
  const auto consider = [&](int32_t at) {
    if (at < 0 || symbol(at).next < 0) return;
    const Ranked found = Find(symbol(at).token_id, symbol(symbol(at).next).token_id);
    if (found.rank != kNoRank) queue.push({found.rank, at, found.merged});
  };

  for (int32_t i = 0; i < count; ++i) {
    symbol(i) = {(*ids)[first + static_cast<size_t>(i)], i - 1, i + 1 < count ? i + 1 : -1, false};
  }
  for (int32_t i = 0; i < count; ++i) consider(i);
  while (!queue.empty()) {
    const Candidate candidate = queue.top();
    queue.pop();
    Symbol& left = symbol(candidate.at);
    if (left.merged_away || left.next < 0) continue;
    Symbol& right = symbol(left.next);
    if (Find(left.token_id, right.token_id).rank != candidate.rank) continue;  // out of date
    left.token_id = candidate.merged;
    left.next = right.next;
    right.merged_away = true;
    if (left.next >= 0) symbol(left.next).previous = candidate.at;
    consider(left.previous);
    consider(candidate.at);
  }

  ids->resize(first);
  for (int32_t i = 0; i >= 0; i = symbol(i).next) ids->push_back(symbol(i).token_id);
}

}  // namespace ssmd
