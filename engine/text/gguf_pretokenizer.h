// The pre-tokenizers that GGUF files name (tokenizer.ggml.pre), as llama.cpp defines them.
#ifndef SSMD_ENGINE_TEXT_GGUF_PRETOKENIZER_H_
#define SSMD_ENGINE_TEXT_GGUF_PRETOKENIZER_H_

#include <memory>
#include <optional>
#include <string>
#include <string_view>
#include <vector>

#include "engine/text/pretokenizer.h"

namespace ssmd {

struct GgufPreTokenizer {
  std::vector<std::unique_ptr<PreTokenizerStage>> stages;
  bool ignore_merges = false;  // a piece that is a token becomes it without merges
  bool add_bos = false;        // where the file does not say
};

// Absent for a name that is not known.
std::optional<GgufPreTokenizer> MakeGgufPreTokenizer(std::string_view name);

// "command-r, default, …": for errors.
std::string KnownGgufPreTokenizers();

}  // namespace ssmd

#endif  // SSMD_ENGINE_TEXT_GGUF_PRETOKENIZER_H_
