// The tokenizer inside a GGUF file, of the byte-level BPE kind (tokenizer.ggml.model "gpt2").
#ifndef SSMD_ENGINE_TEXT_GGUF_TOKENIZER_H_
#define SSMD_ENGINE_TEXT_GGUF_TOKENIZER_H_

#include "absl/status/statusor.h"
#include "engine/formats/gguf.h"
#include "engine/text/byte_level_bpe.h"

namespace ssmd {

// NOT_FOUND where the file holds none; INVALID_ARGUMENT names the key that is malformed or not
// supported.
//
// Control tokens (and the unknown one) are special, user-defined ones are matched in any text, as
// llama.cpp does. Nothing is normalised: GGUF does not say that a model wants NFC, and llama.cpp
// never applies it, so text that is not in NFC may become other tokens than with tokenizer.json.
absl::StatusOr<ByteLevelBpeParts> ReadGgufTokenizer(const Gguf& gguf);

}  // namespace ssmd

#endif  // SSMD_ENGINE_TEXT_GGUF_TOKENIZER_H_
