#include "engine/text/gguf_pretokenizer.h"

#include <cstdint>
#include <utility>

#include "absl/strings/str_cat.h"
#include "engine/base/text_view.h"

namespace ssmd {
namespace {

enum class Scheme : uint8_t { kGpt2, kDigits, kFalcon, kLlama3, kQwen2 };

struct NamedScheme {
  std::string_view name;
  Scheme scheme;
};
// llama.cpp's "default" (also for files without a name) cuts runs of punctuation and digits as
// well, and warns that this degrades what it generates. Files of the Mamba family that say so, or
// say nothing, are conversions from before there were names, of GPT-NeoX's tokenizer: GPT-2's.
constexpr NamedScheme kSchemes[] = {
    {"command-r", Scheme::kDigits},  {"codeshell", Scheme::kDigits}, {"default", Scheme::kGpt2},
    {"exaone", Scheme::kDigits},     {"falcon", Scheme::kFalcon},    {"falcon-h1", Scheme::kLlama3},
    {"falcon3", Scheme::kLlama3},    {"gpt-2", Scheme::kGpt2},       {"jais", Scheme::kGpt2},
    {"llama-bpe", Scheme::kLlama3},  {"llama-v3", Scheme::kLlama3},  {"llama3", Scheme::kLlama3},
    {"minerva-7b", Scheme::kDigits}, {"mpt", Scheme::kGpt2},         {"olmo", Scheme::kGpt2},
    {"phi-2", Scheme::kGpt2},        {"qwen2", Scheme::kQwen2},      {"refact", Scheme::kDigits},
    {"smollm", Scheme::kDigits},     {"stablelm2", Scheme::kQwen2},  {"starcoder", Scheme::kDigits},
    {"trillion", Scheme::kGpt2},
};

constexpr std::string_view kThreeDigits = "[0-9][0-9][0-9]";
// Llama 3's and Qwen 2's patterns differ in how many digits stay together.
constexpr std::string_view kLlama3Pattern =
    R"((?:'[sS]|'[tT]|'[rR][eE]|'[vV][eE]|'[mM]|'[lL][lL]|'[dD])|[^\r\n\p{L}\p{N}]?\p{L}+|\p{N}{1,3}| ?[^\s\p{L}\p{N}]+[\r\n]*|\s*[\r\n]+|\s+(?!\S)|\s+)";
constexpr std::string_view kQwen2Pattern =
    R"((?:'[sS]|'[tT]|'[rR][eE]|'[vV][eE]|'[mM]|'[lL][lL]|'[dD])|[^\r\n\p{L}\p{N}]?\p{L}+|\p{N}| ?[^\s\p{L}\p{N}]+[\r\n]*|\s*[\r\n]+|\s+(?!\S)|\s+)";

// The patterns here are known to be supported.
std::unique_ptr<PreTokenizerStage> MakeRegexStage(std::string_view pattern) {
  return MakeSplitStage(*MakeRegexPattern(pattern), SplitBehavior::kIsolated, /*invert=*/false);
}

std::unique_ptr<PreTokenizerStage> MakeGpt2Stage() {
  return MakeByteLevelStage(/*add_prefix_space=*/false, /*use_regex=*/true);
}

GgufPreTokenizer MakeScheme(Scheme scheme) {
  GgufPreTokenizer made;
  switch (scheme) {
    case Scheme::kGpt2:
      made.stages.push_back(MakeGpt2Stage());
      break;
    case Scheme::kDigits:
      made.stages.push_back(MakeDigitsStage(/*individual_digits=*/true));
      made.stages.push_back(MakeGpt2Stage());
      break;
    case Scheme::kFalcon:
      made.stages.push_back(MakePunctuationStage(SplitBehavior::kContiguous));
      made.stages.push_back(MakeGpt2Stage());
      made.stages.push_back(MakeRegexStage(kThreeDigits));
      break;
    case Scheme::kLlama3:
      made.stages.push_back(MakeRegexStage(kLlama3Pattern));
      made.ignore_merges = true;
      made.add_bos = true;
      break;
    case Scheme::kQwen2:
      made.stages.push_back(MakeRegexStage(kQwen2Pattern));
      break;
  }
  return made;
}

}  // namespace

std::optional<GgufPreTokenizer> MakeGgufPreTokenizer(std::string_view name) {
  for (const NamedScheme& named : kSchemes) {
    if (named.name == name) return MakeScheme(named.scheme);
  }
  return std::nullopt;
}

std::string KnownGgufPreTokenizers() {
  std::string names;
  for (const NamedScheme& named : kSchemes) {
    absl::StrAppend(&names, names.empty() ? "" : ", ", View(named.name));
  }
  return names;
}

}  // namespace ssmd
