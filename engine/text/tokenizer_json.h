// Hugging Face's tokenizer.json, of the byte-level BPE kind.
#ifndef SSMD_ENGINE_TEXT_TOKENIZER_JSON_H_
#define SSMD_ENGINE_TEXT_TOKENIZER_JSON_H_

#include <memory>
#include <string_view>
#include <vector>

#include "absl/status/statusor.h"
#include "engine/formats/json.h"
#include "engine/text/byte_level_bpe.h"
#include "engine/text/json_fields.h"
#include "engine/text/pretokenizer.h"

namespace ssmd {

// Limits of the file; the largest published ones have 34 MB.
inline constexpr JsonLimits kTokenizerJsonLimits = {
    .bytes = size_t{64} << 20, .values = size_t{1} << 23, .depth = 64};

// INVALID_ARGUMENT names the field that is malformed or not supported. `truncation` and `padding`
// are not obeyed, as in transformers: a server must not cut a prompt silently.
absl::StatusOr<ByteLevelBpeParts> ReadTokenizerJson(const JsonField& root);

// Its "pre_tokenizer".
absl::StatusOr<std::vector<std::unique_ptr<PreTokenizerStage>>> ReadPreTokenizer(
    const JsonField& field);

}  // namespace ssmd

#endif  // SSMD_ENGINE_TEXT_TOKENIZER_JSON_H_
