// `ssmd-bench engine`.
#include <cstdio>
#include <memory>
#include <optional>
#include <string>
#include <utility>
#include <vector>

#include "absl/strings/str_cat.h"
#include "absl/strings/str_format.h"
#include "absl/strings/str_join.h"
#include "engine/base/status_macros.h"
#include "engine/models/language_model.h"
#include "tests/bench/commands.h"
#include "tests/bench/engine_bench.h"
#include "tests/bench/json_text.h"
#include "tests/bench/random_checkpoint.h"

namespace ssmd::bench {
namespace {

struct EngineFlags {
  std::vector<std::string> models;         // NAME=PATH
  std::vector<std::string> model_options;  // NAME.weights=f32|bf16|q8|q4
  std::vector<std::string> random;         // shapes
  std::string isa;
  int threads = 0;
  int64_t megabytes = 0;
  std::vector<int> batches = {1, 16};
  std::vector<int> prompts = {512};
  int generate = 64;
  bool json = false;
};

struct ModelToMeasure {
  std::string name;
  std::string path;
  std::unique_ptr<RandomCheckpoint> random;  // owns the folder, where it is one
  std::optional<kernels::WeightFormat> weights;
};

absl::StatusOr<std::vector<ModelToMeasure>> ListModels(const EngineFlags& flags) {
  std::vector<ModelToMeasure> models;
  for (const std::string& flag : flags.models) {
    const size_t equals = flag.find('=');
    if (equals == 0 || equals == std::string::npos) {
      return absl::InvalidArgumentError(
          absl::StrCat("--model must be NAME=PATH, got \"", flag, "\""));
    }
    models.push_back({flag.substr(0, equals), flag.substr(equals + 1), nullptr, std::nullopt});
  }
  for (const std::string& shape : flags.random) {
    auto checkpoint = std::make_unique<RandomCheckpoint>(shape);
    SSMD_RETURN_IF_ERROR(checkpoint->status());
    const std::string folder = checkpoint->folder();
    models.push_back({shape, folder, std::move(checkpoint), std::nullopt});
  }
  if (models.empty()) {
    return absl::InvalidArgumentError("name a model: --model=NAME=PATH or --random=SHAPE");
  }
  return models;
}

absl::Status ApplyOption(const std::string& option, std::vector<ModelToMeasure>* models) {
  for (ModelToMeasure& model : *models) {
    const std::string prefix = model.name + ".weights=";
    if (option.rfind(prefix, 0) != 0) continue;
    model.weights = kernels::ParseWeightFormat(option.substr(prefix.size()));
    if (!model.weights.has_value()) break;
    return absl::OkStatus();
  }
  return absl::InvalidArgumentError(absl::StrCat(
      "--model-option must be NAME.weights=f32|bf16|q8|q4 of a model named before, got \"", option,
      "\""));
}

std::string RowJson(const std::string& name, const ModelInfo& info, const Roofline& roofline,
                    const EngineRow& row) {
  return absl::StrFormat(
      R"({"model":%s,"weights":"%s","device":"cpu","isa":"%s","batch":%d,"prompt":%d,)"
      R"("generate":%d,"prefill_tok_s":%.1f,"decode_tok_s":%.1f,"gb_s":%.2f,"gflop_s":%.1f,)"
      R"("fraction_of_floor":%.3f,"prefill_fraction_of_floor":%.3f})",
      JsonText(name), info.weights, std::string(IsaName(roofline.isa)), row.run.batch,
      row.run.prompt, row.run.generate, row.prefill_tok_s, row.decode_tok_s, row.gb_s, row.gflop_s,
      row.fraction_of_floor, row.prefill_fraction_of_floor);
}

std::string RowText(const std::string& name, const ModelInfo& info, const EngineRow& row) {
  return absl::StrFormat("%-16s %-7s %5d %7d %10.1f %8.1f %9.0f%% %10.1f %7.2f %9.0f%%\n", name,
                         info.weights, row.run.batch, row.run.prompt, row.prefill_tok_s,
                         row.gflop_s, 100 * row.prefill_fraction_of_floor, row.decode_tok_s,
                         row.gb_s, 100 * row.fraction_of_floor);
}

constexpr char kTableHead[] =
    "                                        prefill                          decode\n"
    "model            weights batch  prompt      tok/s  GFLOP/s   of floor      tok/s    GB/s   of "
    "floor\n";

absl::Status MeasureModel(const EngineFlags& flags, const ModelToMeasure& to_measure,
                          const Roofline& roofline, kernels::Device& device,
                          std::vector<std::string>* rows) {
  ModelLoadOptions options;
  options.weights = to_measure.weights;
  SSMD_ASSIGN_OR_RETURN(std::unique_ptr<LanguageModel> model,
                        LoadLanguageModel(to_measure.path, options, &device));
  for (const int prompt : flags.prompts) {
    for (const int batch : flags.batches) {
      const EngineRun run = {batch, prompt, flags.generate};
      SSMD_ASSIGN_OR_RETURN(const EngineRow row, MeasureEngine(run, roofline, device, *model));
      rows->push_back(flags.json ? RowJson(to_measure.name, model->info(), roofline, row)
                                 : RowText(to_measure.name, model->info(), row));
    }
  }
  return absl::OkStatus();
}

absl::Status RunEngine(const EngineFlags& flags) {
  SSMD_ASSIGN_OR_RETURN(std::vector<ModelToMeasure> models, ListModels(flags));
  for (const std::string& option : flags.model_options) {
    SSMD_RETURN_IF_ERROR(ApplyOption(option, &models));
  }
  const kernels::Isa isa = kernels::ParseIsa(flags.isa).value_or(kernels::SupportedIsas().back());
  const auto device = kernels::MakeCpuDevice({isa, flags.threads});
  RooflineOptions options;
  options.isa = isa;
  options.threads = device->threads();
  options.megabytes = flags.megabytes;
  const Roofline roofline = MeasureRoofline(options);

  std::vector<std::string> rows;
  for (const ModelToMeasure& model : models) {
    SSMD_RETURN_IF_ERROR(MeasureModel(flags, model, roofline, *device, &rows));
  }
  if (flags.json) {
    std::printf("{\"machine\":%s,\"rows\":[%s]}\n", ToJson(roofline).c_str(),
                absl::StrJoin(rows, ",").c_str());
  } else {
    std::printf("%s\n%s%s", ToText(roofline).c_str(), kTableHead, absl::StrJoin(rows, "").c_str());
  }
  return absl::OkStatus();
}

std::vector<std::string> SupportedIsaNames() {
  std::vector<std::string> names = {"auto"};
  for (const kernels::Isa isa : kernels::SupportedIsas()) names.emplace_back(IsaName(isa));
  return names;
}

}  // namespace

void AddEngineCommand(CLI::App& app, int* exit_code) {
  auto flags = std::make_shared<EngineFlags>();  // lives as long as the callback
  CLI::App* command =
      app.add_subcommand("engine", "Prefill and decode of a model, without network");
  command->add_option("--model", flags->models,
                      "NAME=PATH of a checkpoint folder or a GGUF file (repeatable)");
  command->add_option("--model-option", flags->model_options,
                      "NAME.weights=f32|bf16|q8|q4 (repeatable; default: as the file has them)");
  command->add_option("--random", flags->random, "A shape, with random bf16 weights (repeatable)")
      ->check(CLI::IsMember(RandomShapes()));
  command->add_option("--isa", flags->isa, "Instruction set")
      ->check(CLI::IsMember(SupportedIsaNames()));
  command->add_option("--threads", flags->threads, "Threads (default: one a CPU)")
      ->check(CLI::Range(1, 1024));
  command
      ->add_option("--megabytes", flags->megabytes,
                   "Buffer for the bandwidth (default: twice the caches)")
      ->check(CLI::Range(1, 1 << 20));
  command->add_option("--batch", flags->batches, "Streams, a row for each number")
      ->delimiter(',')
      ->check(CLI::Range(1, 4096));
  command->add_option("--prompt", flags->prompts, "Tokens of each stream's prompt, a row for each")
      ->delimiter(',')
      ->check(CLI::Range(1, 1 << 20))
      ->capture_default_str();
  command->add_option("--generate", flags->generate, "Tokens to generate for each stream")
      ->check(CLI::Range(1, 1 << 20))
      ->capture_default_str();
  command->add_flag("--json", flags->json, "One JSON object on standard output");
  RunAsCallback(command, exit_code, [flags] { return RunEngine(*flags); });
}

}  // namespace ssmd::bench
