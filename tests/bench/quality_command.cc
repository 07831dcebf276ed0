// `ssmd-bench quality`.
#include <algorithm>
#include <cmath>
#include <cstdint>
#include <cstdio>
#include <fstream>
#include <memory>
#include <string>
#include <string_view>
#include <vector>

#include "absl/strings/str_cat.h"
#include "absl/strings/str_format.h"
#include "absl/strings/str_join.h"
#include "engine/base/status_macros.h"
#include "engine/models/language_model.h"
#include "engine/text/tokenizer.h"
#include "kernels/device.h"
#include "tests/bench/commands.h"
#include "tests/bench/json_text.h"
#include "tests/bench/quality_bench.h"

namespace ssmd::bench {
namespace {

struct QualityFlags {
  std::string model = SSMD_TALES_MODEL;
  std::string text;
  std::vector<std::string> formats = {"bf16", "q8", "q4"};
  std::vector<std::string> states = {};
  int tokens = 8192;
  bool json = false;
};

absl::StatusOr<std::string> ReadText(const std::string& path) {
  std::ifstream file(path, std::ios::binary);
  if (!file) return absl::NotFoundError(absl::StrCat("text file ", path, " cannot be opened"));
  std::string text;
  std::string block(size_t{1} << 16, '\0');
  while (file) {  // read() catches what a streambuf throws of a folder
    file.read(block.data(), static_cast<std::streamsize>(block.size()));
    text.append(block, 0, static_cast<size_t>(file.gcount()));
  }
  if (file.bad())
    return absl::UnavailableError(absl::StrCat("text file ", path, " cannot be read"));
  return text;
}

// The start of a text.
struct TextTokens {
  std::vector<int32_t> tokens;
  // Of all tokens but the first, which nothing predicts; a special one counts as one.
  int64_t characters = 0;
};

int64_t CharactersOf(std::string_view bytes) {
  return std::count_if(bytes.begin(), bytes.end(),
                       [](char byte) { return (static_cast<uint8_t>(byte) & 0xC0) != 0x80; });
}

absl::StatusOr<TextTokens> ReadTokens(const QualityFlags& flags) {
  SSMD_ASSIGN_OR_RETURN(const std::string text, ReadText(flags.text));
  SSMD_ASSIGN_OR_RETURN(const std::unique_ptr<Tokenizer> tokenizer, LoadTokenizer(flags.model));
  TextTokens read;
  SSMD_ASSIGN_OR_RETURN(read.tokens,
                        tokenizer->Encode(text, EncodeOptions{/*parse_special=*/true}));
  if (read.tokens.size() > static_cast<size_t>(flags.tokens)) {
    read.tokens.resize(static_cast<size_t>(flags.tokens));
  }
  if (read.tokens.size() < 2) {
    return absl::InvalidArgumentError(
        absl::StrCat("text file ", flags.text, " has fewer than two tokens"));
  }
  for (size_t i = 1; i < read.tokens.size(); ++i) {
    const int32_t id = read.tokens[i];
    read.characters += tokenizer->IsSpecial(id) ? 1 : CharactersOf(tokenizer->TokenBytes(id));
  }
  return read;
}

// What is compared with a model in f32.
struct Formats {
  kernels::WeightFormat weights = kernels::WeightFormat::kF32;
  kernels::StateFormat state = kernels::StateFormat::kF32;
  StateRounding rounding = StateRounding::kKept;
};

// A format of weights.
Formats OfWeights(const std::string& name) {
  Formats formats;
  formats.weights = *kernels::ParseWeightFormat(name);
  return formats;
}

// "bf16", or "bf16-nearest": that a state in f32 is rounded to after each token.
Formats OfState(const std::string& name) {
  Formats formats;
  if (const auto format = kernels::ParseStateFormat(name)) {
    formats.state = *format;
  } else {
    formats.rounding =
        name == "bf16-nearest" ? StateRounding::kNearestBf16 : StateRounding::kNearestF16;
  }
  return formats;
}

absl::StatusOr<std::unique_ptr<LanguageModel>> LoadAs(const std::string& folder,
                                                      const Formats& formats,
                                                      kernels::Device& device) {
  ModelLoadOptions options;
  options.weights = formats.weights;
  options.state = formats.state;
  return LoadLanguageModel(folder, options, &device);
}

std::string QualityJson(const ModelInfo& info, const std::string& state, const Quality& quality) {
  return absl::StrFormat(
      R"({"weights":"%s","state":"%s","weight_bytes":%d,"perplexity":%.5f,"perplexity_change":%.6f,)"
      R"("mean_kl":%.3g,"largest_kl":%.3g,"same_greedy":%.5f})",
      info.weights, state, info.weight_bytes, quality.perplexity,
      quality.perplexity / quality.original_perplexity - 1, quality.mean_kl, quality.largest_kl,
      quality.same_greedy);
}

std::string QualityText(const ModelInfo& info, const std::string& state, const Quality& quality) {
  return absl::StrFormat("%-7s %-12s %9.1f %12.4f %+9.3f%% %10.3g %10.3g %8.2f%%\n", info.weights,
                         state, static_cast<double>(info.weight_bytes) / 1e6, quality.perplexity,
                         100 * (quality.perplexity / quality.original_perplexity - 1),
                         quality.mean_kl, quality.largest_kl, 100 * quality.same_greedy);
}

absl::Status RunQuality(const QualityFlags& flags) {
  SSMD_ASSIGN_OR_RETURN(const TextTokens text, ReadTokens(flags));
  const auto device = kernels::MakeCpuDevice({});
  SSMD_ASSIGN_OR_RETURN(const auto original, LoadAs(flags.model, Formats(), *device));
  std::vector<std::string> rows;
  Quality last;
  const auto measure = [&](const Formats& formats, const std::string& state) -> absl::Status {
    SSMD_ASSIGN_OR_RETURN(const auto other, LoadAs(flags.model, formats, *device));
    SSMD_ASSIGN_OR_RETURN(
        last, MeasureQuality(text.tokens, *original, *other, formats.rounding, *device));
    rows.push_back(flags.json ? QualityJson(other->info(), state, last)
                              : QualityText(other->info(), state, last));
    return absl::OkStatus();
  };
  for (const std::string& format : flags.formats) {
    SSMD_RETURN_IF_ERROR(measure(OfWeights(format), "f32"));
  }
  for (const std::string& state : flags.states) {
    SSMD_RETURN_IF_ERROR(measure(OfState(state), state));
  }
  const double bits = std::log2(last.original_perplexity) * static_cast<double>(last.tokens) /
                      static_cast<double>(text.characters);
  if (flags.json) {
    std::printf(R"({"bench":"quality","model":%s,"tokens":%d,"perplexity_f32":%.5f,)"
                R"("bits_per_character_f32":%.5f,"rows":[%s]})"
                "\n",
                JsonText(flags.model).c_str(), static_cast<int>(last.tokens),
                last.original_perplexity, bits, absl::StrJoin(rows, ",").c_str());
    return absl::OkStatus();
  }
  std::printf("%d tokens; in f32 perplexity %.4f, %.4f bits a character\n",
              static_cast<int>(last.tokens), last.original_perplexity, bits);
  std::printf(
      "weights state               MB   perplexity     change    mean KL largest KL   greedy "
      "same\n%s",
      absl::StrJoin(rows, "").c_str());
  return absl::OkStatus();
}

}  // namespace

void AddQualityCommand(CLI::App& app, int* exit_code) {
  auto flags = std::make_shared<QualityFlags>();  // lives as long as the callback
  CLI::App* command = app.add_subcommand(
      "quality",
      "What a number format of weights or states costs: perplexity, and KL divergence to f32");
  command->add_option("--model", flags->model, "Folder of a model with a tokenizer")
      ->capture_default_str();
  command->add_option("--text", flags->text, "A text that the model was not trained on")
      ->required();
  command->add_option("--weights", flags->formats, "Formats of weights to compare with f32")
      ->delimiter(',')
      ->check(CLI::IsMember({"f32", "bf16", "q8", "q4"}))
      ->capture_default_str();
  command
      ->add_option("--states", flags->states,
                   "Formats of states to compare with f32, weights being f32; -nearest: without "
                   "the stochastic rounding")
      ->delimiter(',')
      ->check(CLI::IsMember({"bf16", "f16", "bf16-nearest", "f16-nearest"}));
  command->add_option("--tokens", flags->tokens, "Most tokens of the text to take")
      ->check(CLI::Range(2, 1 << 24))
      ->capture_default_str();
  command->add_flag("--json", flags->json, "One JSON object on standard output");
  RunAsCallback(command, exit_code, [flags] { return RunQuality(*flags); });
}

}  // namespace ssmd::bench
