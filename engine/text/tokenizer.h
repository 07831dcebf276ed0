// Text to token ids and back.
//
// A Tokenizer is immutable and thread-safe once loaded.
#ifndef SSMD_ENGINE_TEXT_TOKENIZER_H_
#define SSMD_ENGINE_TEXT_TOKENIZER_H_

#include <cstdint>
#include <memory>
#include <optional>
#include <string>
#include <string_view>
#include <vector>

#include "absl/container/flat_hash_set.h"
#include "absl/status/status.h"
#include "absl/status/statusor.h"
#include "absl/types/span.h"

namespace ssmd {

struct ByteSpan {
  size_t begin = 0;
  size_t end = 0;
};

struct EncodeOptions {
  // Recognise special tokens written out in the text (<|endoftext|>). Off for what users type:
  // there they are text like any other.
  bool parse_special = false;
  // Where they are not recognised all the same: parts of the text that users typed, in order. No
  // special token lies in one, nor partly in one.
  absl::Span<const ByteSpan> unparsed = {};
  // Added tokens that count as special there, too. May be null.
  const absl::flat_hash_set<int32_t>* also_special = nullptr;
};

struct AddedTokenText {
  int32_t id = 0;
  std::string text;
};

class Tokenizer {
 public:
  virtual ~Tokenizer() = default;

  // Token ids of `text`. No BOS is added. INVALID_ARGUMENT when `text` is not UTF-8 (names the
  // byte).
  virtual absl::StatusOr<std::vector<int32_t>> Encode(std::string_view text,
                                                      const EncodeOptions& options) const = 0;

  // The bytes that a token stands for: possibly part of a UTF-8 character; empty for an id that
  // the vocabulary does not name (padded heads have such ids). Special tokens yield their text.
  virtual std::string_view TokenBytes(int32_t token_id) const = 0;
  virtual bool IsSpecial(int32_t token_id) const = 0;
  virtual std::optional<int32_t> TokenId(std::string_view token) const = 0;  // e.g. "<|endoftext|>"
  // Tokens that are found in the text before it is cut into pieces, special or not.
  virtual std::vector<AddedTokenText> added_tokens() const = 0;

  virtual int32_t size() const = 0;  // largest id + 1
  // True where the tokenizer's files say that every text starts with BOS, and which it is.
  virtual std::optional<int32_t> bos_to_add() const = 0;
};

// Of a folder, reads tokenizer.json (byte-level BPE as Hugging Face writes it) and, where present,
// tokenizer_config.json, or RWKV's World vocabulary (rwkv_vocab_v20230424.txt); of a GGUF file, the
// tokenizer inside. RWKV models with 256 tokens read bytes, those of other files have their
// tokenizer beside them. NOT_FOUND when there is none; INVALID_ARGUMENT names the field that is
// malformed or not supported.
absl::StatusOr<std::unique_ptr<Tokenizer>> LoadTokenizer(const std::string& path);

}  // namespace ssmd

#endif  // SSMD_ENGINE_TEXT_TOKENIZER_H_
