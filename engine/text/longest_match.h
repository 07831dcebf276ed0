// A tokenizer without merges: from left to right, each token is the longest that the text goes on
// with. RWKV's World vocabulary is used so, and a vocabulary of single bytes needs no more.
//
// Immutable and thread-safe. Encoding costs at most the longest token's length a byte of text.
#ifndef SSMD_ENGINE_TEXT_LONGEST_MATCH_H_
#define SSMD_ENGINE_TEXT_LONGEST_MATCH_H_

#include <cstdint>
#include <memory>
#include <optional>
#include <string>
#include <string_view>
#include <vector>

#include "absl/status/statusor.h"
#include "engine/text/tokenizer.h"

namespace ssmd {

struct LongestMatchParts {
  struct Token {
    int32_t id = 0;
    std::string bytes;
  };
  // Distinct ids in [0, kMaxTokenIds) of distinct bytes, not empty; each byte alone is a token.
  std::vector<Token> vocabulary;
  // Its bytes are its text, which is recognised where special tokens are.
  std::optional<Token> special;
};

// INVALID_ARGUMENT says which token breaks these rules.
absl::StatusOr<std::unique_ptr<Tokenizer>> MakeLongestMatch(LongestMatchParts parts);

// Token ids are bytes.
std::unique_ptr<Tokenizer> MakeByteTokenizer();

// The lines of rwkv_vocab_v20230424.txt, "<id> <Python literal of str or bytes> <bytes>", with
// token 0 for the end of a text. INVALID_ARGUMENT opens with `source` and names the line.
absl::StatusOr<LongestMatchParts> ReadRwkvVocabulary(std::string_view lines,
                                                     std::string_view source);

}  // namespace ssmd

#endif  // SSMD_ENGINE_TEXT_LONGEST_MATCH_H_
