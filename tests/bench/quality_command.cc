// `ssmd-bench quality`.
#include <cstdio>
#include <fstream>
#include <iterator>
#include <memory>
#include <string>
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
  int tokens = 8192;
  bool json = false;
};

absl::StatusOr<std::string> ReadText(const std::string& path) {
  std::ifstream file(path, std::ios::binary);
  if (!file) return absl::NotFoundError(absl::StrCat("text file ", path, " cannot be opened"));
  return std::string(std::istreambuf_iterator<char>(file), std::istreambuf_iterator<char>());
}

absl::StatusOr<std::vector<int32_t>> ReadTokens(const QualityFlags& flags) {
  SSMD_ASSIGN_OR_RETURN(const std::string text, ReadText(flags.text));
  SSMD_ASSIGN_OR_RETURN(const std::unique_ptr<Tokenizer> tokenizer, LoadTokenizer(flags.model));
  SSMD_ASSIGN_OR_RETURN(std::vector<int32_t> tokens, tokenizer->Encode(text, {}));
  if (tokens.size() > static_cast<size_t>(flags.tokens)) {
    tokens.resize(static_cast<size_t>(flags.tokens));
  }
  if (tokens.size() >= 2) return tokens;
  return absl::InvalidArgumentError(
      absl::StrCat("text file ", flags.text, " has fewer than two tokens"));
}

absl::StatusOr<std::unique_ptr<LanguageModel>> LoadAs(const std::string& folder,
                                                      const std::string& format,
                                                      kernels::Device& device) {
  ModelLoadOptions options;
  options.weights = kernels::ParseWeightFormat(format);
  return LoadLanguageModel(folder, options, &device);
}

std::string QualityJson(const ModelInfo& info, const Quality& quality) {
  return absl::StrFormat(
      R"({"weights":"%s","weight_bytes":%d,"perplexity":%.5f,"perplexity_change":%.6f,)"
      R"("mean_kl":%.3g,"largest_kl":%.3g,"same_greedy":%.5f})",
      info.weights, info.weight_bytes, quality.perplexity,
      quality.perplexity / quality.original_perplexity - 1, quality.mean_kl, quality.largest_kl,
      quality.same_greedy);
}

std::string QualityText(const ModelInfo& info, const Quality& quality) {
  return absl::StrFormat("%-7s %9.1f %12.4f %+9.3f%% %10.3g %10.3g %8.2f%%\n", info.weights,
                         static_cast<double>(info.weight_bytes) / 1e6, quality.perplexity,
                         100 * (quality.perplexity / quality.original_perplexity - 1),
                         quality.mean_kl, quality.largest_kl, 100 * quality.same_greedy);
}

absl::Status RunQuality(const QualityFlags& flags) {
  SSMD_ASSIGN_OR_RETURN(const std::vector<int32_t> tokens, ReadTokens(flags));
  const auto device = kernels::MakeCpuDevice({});
  SSMD_ASSIGN_OR_RETURN(const auto original, LoadAs(flags.model, "f32", *device));
  std::vector<std::string> rows;
  Quality last;
  for (const std::string& format : flags.formats) {
    SSMD_ASSIGN_OR_RETURN(const auto other, LoadAs(flags.model, format, *device));
    SSMD_ASSIGN_OR_RETURN(last, MeasureQuality(tokens, *original, *other, *device));
    rows.push_back(flags.json ? QualityJson(other->info(), last)
                              : QualityText(other->info(), last));
  }
  if (flags.json) {
    std::printf(R"({"bench":"quality","model":%s,"tokens":%d,"perplexity_f32":%.5f,"rows":[%s]})"
                "\n",
                JsonText(flags.model).c_str(), static_cast<int>(last.tokens),
                last.original_perplexity, absl::StrJoin(rows, ",").c_str());
    return absl::OkStatus();
  }
  std::printf("%d tokens; perplexity in f32 %.4f\n", static_cast<int>(last.tokens),
              last.original_perplexity);
  std::printf("weights        MB   perplexity     change    mean KL largest KL   greedy same\n%s",
              absl::StrJoin(rows, "").c_str());
  return absl::OkStatus();
}

}  // namespace

void AddQualityCommand(CLI::App& app, int* exit_code) {
  auto flags = std::make_shared<QualityFlags>();  // lives as long as the callback
  CLI::App* command = app.add_subcommand(
      "quality", "What a number format of the weights costs: perplexity, and KL divergence to f32");
  command->add_option("--model", flags->model, "Folder of a model with a tokenizer")
      ->capture_default_str();
  command->add_option("--text", flags->text, "A text that the model was not trained on")
      ->required();
  command->add_option("--weights", flags->formats, "Formats to compare with f32")
      ->delimiter(',')
      ->check(CLI::IsMember({"f32", "bf16", "q8", "q4"}))
      ->capture_default_str();
  command->add_option("--tokens", flags->tokens, "Most tokens of the text to take")
      ->check(CLI::Range(2, 1 << 24))
      ->capture_default_str();
  command->add_flag("--json", flags->json, "One JSON object on standard output");
  RunAsCallback(command, exit_code, [flags] { return RunQuality(*flags); });
}

}  // namespace ssmd::bench
