// Finds the added tokens of a tokenizer in text, as Hugging Face's AddedVocabulary does.
//
// Immutable and thread-safe. A search costs at most the longest token's length a byte of text, in
// practice little more than one step.
#ifndef SSMD_ENGINE_TEXT_ADDED_TOKENS_H_
#define SSMD_ENGINE_TEXT_ADDED_TOKENS_H_

#include <array>
#include <cstdint>
#include <optional>
#include <string>
#include <string_view>
#include <vector>

#include "absl/container/flat_hash_map.h"
#include "engine/text/tokenizer.h"

namespace ssmd {

inline constexpr size_t kMaxAddedTokenBytes = 1024;

struct AddedToken {
  int32_t id = 0;
  std::string content;
  bool special = false;
  bool normalized = false;   // matched in normalised text, in its normalised form
  bool single_word = false;  // not where a word character touches it
  bool lstrip = false;       // takes the white space before it, too
  bool rstrip = false;       // and behind it
};

class AddedTokenMatcher {
 public:
  struct Segment {
    std::string_view text;
    std::optional<int32_t> token_id;  // absent: text between added tokens
  };

  // Makes `pattern` stand for `token`. False when another token has that pattern. REQUIRES: pattern
  // is UTF-8, not empty and at most kMaxAddedTokenBytes long.
  bool Add(std::string_view pattern, const AddedToken& token);

  bool empty() const { return entries_.empty(); }

  // Appends the segments of `text`. Of overlapping tokens the leftmost counts, of those the
  // longest. Special tokens are text unless options.parse_special, but still hide what they
  // overlap; those that touch options.unparsed (positions in `text`) hide nothing.
  // REQUIRES: text is UTF-8.
  void Split(std::string_view text, const EncodeOptions& options,
             std::vector<Segment>* segments) const;

 private:
  struct Entry {
    int32_t id;
    bool special;
    bool single_word;
    bool lstrip;
    bool rstrip;
  };
  struct Match {
    size_t begin = 0;
    size_t end = 0;
    const Entry* entry = nullptr;
  };

  std::optional<Match> FindFrom(std::string_view text, size_t from,
                                const EncodeOptions& options) const;

  std::vector<Entry> entries_;
  // A trie over bytes: the root's children by byte (0: none), the others' by node << 8 | byte.
  std::array<uint32_t, 256> root_{};
  absl::flat_hash_map<uint64_t, uint32_t> children_;
  std::vector<int32_t> entry_at_ = {-1};  // by node; -1: no token ends there
};

}  // namespace ssmd

#endif  // SSMD_ENGINE_TEXT_ADDED_TOKENS_H_
