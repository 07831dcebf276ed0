// A byte-level BPE tokenizer: added tokens → normalisation → pre-tokenizer → merges over bytes.
//
// Immutable and thread-safe. Files of other formats can build one from the same parts.
#ifndef SSMD_ENGINE_TEXT_BYTE_LEVEL_BPE_H_
#define SSMD_ENGINE_TEXT_BYTE_LEVEL_BPE_H_

#include <cstdint>
#include <memory>
#include <optional>
#include <string>
#include <string_view>
#include <vector>

#include "absl/container/flat_hash_map.h"
#include "absl/status/statusor.h"
#include "engine/text/added_tokens.h"
#include "engine/text/bpe.h"
#include "engine/text/pretokenizer.h"
#include "engine/text/tokenizer.h"

namespace ssmd {

// Ids are below this: bounds the tables that are indexed by them.
inline constexpr int32_t kMaxTokenIds = 1 << 22;
inline constexpr size_t kMaxTextBytes = size_t{16} << 20;

struct ByteLevelBpeParts {
  struct Token {
    int32_t id = 0;
    std::string text;  // as the file writes it: in the byte alphabet
  };
  std::vector<Token> vocabulary;   // distinct ids in [0, kMaxTokenIds), distinct UTF-8 texts
  std::vector<Bpe::Merge> merges;  // by priority
  bool ignore_merges = false;      // a piece that is a token becomes it without merges
  std::vector<AddedToken> added;   // may repeat tokens of the vocabulary, id and text alike
  bool nfc = false;
  std::vector<std::unique_ptr<PreTokenizerStage>> pre_tokenizer;
  std::optional<int32_t> bos_to_add;
};

// INVALID_ARGUMENT when two added tokens match the same text.
absl::StatusOr<std::unique_ptr<Tokenizer>> MakeByteLevelBpe(ByteLevelBpeParts parts);

}  // namespace ssmd

#endif  // SSMD_ENGINE_TEXT_BYTE_LEVEL_BPE_H_
