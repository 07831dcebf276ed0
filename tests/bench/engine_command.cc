// `ssmd-bench engine`.
#include <algorithm>
#include <cstdio>
#include <memory>
#include <optional>
#include <string>
#include <utility>
#include <vector>

#include "absl/strings/str_cat.h"
#include "absl/strings/str_format.h"
#include "absl/strings/str_join.h"
#include "absl/strings/strip.h"
#include "engine/base/status_macros.h"
#include "engine/models/language_model.h"
#include "tests/bench/commands.h"
#include "tests/bench/engine_bench.h"
#include "tests/bench/json_text.h"
#include "tests/bench/random_checkpoint.h"
#include "tests/bench/roofline.h"

namespace ssmd::bench {
namespace {

struct EngineFlags {
  std::vector<std::string> models;         // NAME=PATH
  std::vector<std::string> model_options;  // NAME.weights=…, NAME.prefill=…
  std::vector<std::string> random;         // shapes
  std::string isa;
  int threads = 0;
  bool pin_threads = false;
  int64_t megabytes = 0;
  std::vector<int> batches = {1, 16};
  std::vector<int> prompts = {512};
  int generate = 64;
  int rounds = 3;
  bool json = false;
};

struct ModelToMeasure {
  std::string name;
  std::string path;
  std::unique_ptr<RandomCheckpoint> random;  // owns the folder, where it is one
  std::optional<kernels::WeightFormat> weights;
  Prefill prefill = Prefill::kExact;
};

absl::StatusOr<std::vector<ModelToMeasure>> ListModels(const EngineFlags& flags) {
  std::vector<ModelToMeasure> models;
  for (const std::string& flag : flags.models) {
    const size_t equals = flag.find('=');
    if (equals == 0 || equals == std::string::npos) {
      return absl::InvalidArgumentError(
          absl::StrCat("--model must be NAME=PATH, got \"", flag, "\""));
    }
    models.push_back(
        {flag.substr(0, equals), flag.substr(equals + 1), nullptr, std::nullopt, Prefill::kExact});
  }
  for (const std::string& shape : flags.random) {
    auto checkpoint = std::make_unique<RandomCheckpoint>(shape);
    SSMD_RETURN_IF_ERROR(checkpoint->status());
    const std::string folder = checkpoint->folder();
    models.push_back({shape, folder, std::move(checkpoint), std::nullopt, Prefill::kExact});
  }
  if (models.empty()) {
    return absl::InvalidArgumentError("name a model: --model=NAME=PATH or --random=SHAPE");
  }
  return models;
}

absl::Status ApplyOption(const std::string& option, std::vector<ModelToMeasure>* models) {
  for (ModelToMeasure& model : *models) {
    absl::string_view value = option;
    if (!absl::ConsumePrefix(&value, absl::StrCat(model.name, "."))) continue;
    if (absl::ConsumePrefix(&value, "weights=")) {
      model.weights = kernels::ParseWeightFormat(std::string(value));
      if (model.weights.has_value()) return absl::OkStatus();
    } else if (absl::ConsumePrefix(&value, "prefill=")) {
      const std::optional<Prefill> prefill = ParsePrefill(value);
      model.prefill = prefill.value_or(Prefill::kExact);
      if (prefill.has_value()) return absl::OkStatus();
    }
  }
  return absl::InvalidArgumentError(
      absl::StrCat("--model-option must be NAME.weights=f32|bf16|f16|fp8|q8|q4 or "
                   "NAME.prefill=exact|chunked of a model named before, got \"",
                   option, "\""));
}

constexpr auto kPrefill = &EngineRound::prefill;
constexpr auto kDecode = &EngineRound::decode;

std::string PhaseJson(const EnginePhase& phase) {
  return absl::StrFormat(
      R"({"tok_s":%.1f,"read_gb_s":%.2f,"peak_gop_s":%.1f,"fraction_of_floor":%.3f,)"
      R"("fraction_in_turn":%.3f,"cpu_us":%.1f,"others_cpus":%.2f})",
      phase.tok_s, phase.read_gb_s, phase.peak_gop_s, phase.fraction_of_floor,
      phase.fraction_in_turn, phase.cpu_us, phase.others_cpus);
}

std::string PrefillText(const ModelInfo& info) {
  return info.chunk_tokens > 0 ? absl::StrCat("chunked/", info.chunk_tokens) : "exact";
}

// The figures at the top are medians over the rounds, each by itself.
std::string RowJson(const std::string& name, const ModelInfo& info, kernels::Isa isa,
                    const EngineRow& row) {
  const double prefill_tok_s = SpreadOf(row, kPrefill, &EnginePhase::tok_s).median;
  const double decode_tok_s = SpreadOf(row, kDecode, &EnginePhase::tok_s).median;
  std::vector<std::string> rounds;
  rounds.reserve(row.rounds.size());
  for (const EngineRound& round : row.rounds) {
    rounds.push_back(absl::StrFormat(R"({"prefill":%s,"decode":%s})", PhaseJson(round.prefill),
                                     PhaseJson(round.decode)));
  }
  return absl::StrFormat(
      R"({"model":%s,"weights":"%s","prefill":"%s","device":"cpu","isa":"%s","batch":%d,)"
      R"("prompt":%d,"generate":%d,"prefill_tok_s":%.1f,"decode_tok_s":%.1f,"gb_s":%.2f,)"
      R"("gflop_s":%.1f,"fraction_of_floor":%.3f,"prefill_fraction_of_floor":%.3f,"rounds":[%s]})",
      JsonText(name), info.weights, PrefillText(info), std::string(IsaName(isa)), row.run.batch,
      row.run.prompt, row.run.generate, prefill_tok_s, decode_tok_s,
      row.bytes_of_step * decode_tok_s / row.run.batch / 1e9,
      row.flops_of_prompt_token * prefill_tok_s / 1e9,
      SpreadOf(row, kDecode, &EnginePhase::fraction_of_floor).median,
      SpreadOf(row, kPrefill, &EnginePhase::fraction_of_floor).median, absl::StrJoin(rounds, ","));
}

// tok/s and of the floor, each with its ends, and of the floor in turn.
std::string PhaseText(const EngineRow& row, EnginePhase EngineRound::*phase) {
  const Spread speed = SpreadOf(row, phase, &EnginePhase::tok_s);
  const Spread fraction = SpreadOf(row, phase, &EnginePhase::fraction_of_floor);
  return absl::StrFormat(
      " | %8.1f %17s %4.0f%% %9s %4.0f%%", speed.median,
      absl::StrFormat("(%.1f-%.1f)", speed.lowest, speed.highest), 100 * fraction.median,
      absl::StrFormat("(%.0f-%.0f)", 100 * fraction.lowest, 100 * fraction.highest),
      100 * SpreadOf(row, phase, &EnginePhase::fraction_in_turn).median);
}

std::string RowText(const std::string& name, const ModelInfo& info, const EngineRow& row) {
  const double others = std::max(SpreadOf(row, kPrefill, &EnginePhase::others_cpus).highest,
                                 SpreadOf(row, kDecode, &EnginePhase::others_cpus).highest);
  return absl::StrFormat("%-12s %-7s %-10s %5d %6d%s%s %7.1f\n", name, info.weights,
                         PrefillText(info), row.run.batch, row.run.prompt, PhaseText(row, kPrefill),
                         PhaseText(row, kDecode), others);
}

std::string TableHead(int rounds) {
  const std::string phase = "    tok/s (lowest-highest)   of floor  in turn";
  return absl::StrFormat(
      "Medians of %d rounds; floors are what the machine could do in the same seconds: all bytes "
      "and all products at\nonce, or in turn (weights and products at once, then states); others: "
      "the most CPUs that other programs,\nor the machine's host, took of a part of a round\n\n"
      "%-44s | %-45s | decode\n%-12s %-7s %-10s %5s %6s |%s |%s  others\n",
      rounds, "", "prefill", "model", "weights", "prefill", "batch", "prompt", phase, phase);
}

absl::Status MeasureModel(const EngineFlags& flags, const ModelToMeasure& to_measure,
                          kernels::Isa isa, const MachineProbe& probe, kernels::Device& device,
                          std::vector<std::string>* rows) {
  ModelLoadOptions options;
  options.weights = to_measure.weights;
  options.prefill = to_measure.prefill;
  SSMD_ASSIGN_OR_RETURN(std::unique_ptr<LanguageModel> model,
                        LoadLanguageModel(to_measure.path, options, &device));
  for (const int prompt : flags.prompts) {
    for (const int batch : flags.batches) {
      const EngineRun run = {batch, prompt, flags.generate, flags.rounds};
      SSMD_ASSIGN_OR_RETURN(const EngineRow row, MeasureEngine(run, probe, device, *model));
      rows->push_back(flags.json ? RowJson(to_measure.name, model->info(), isa, row)
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
  const auto device = kernels::MakeCpuDevice({isa, flags.threads, flags.pin_threads});
  const MachineProbe probe(isa, flags.megabytes);
  if (probe.megabytes() == 0) {
    return absl::ResourceExhaustedError("no memory for the buffer: give a smaller --megabytes");
  }
  device->AdoptThread();
  const Roofline roofline = MeasureRoofline({isa, device->threads(), 1}, probe);

  std::vector<std::string> rows;
  for (const ModelToMeasure& model : models) {
    SSMD_RETURN_IF_ERROR(MeasureModel(flags, model, isa, probe, *device, &rows));
  }
  if (flags.json) {
    std::printf("{\"machine\":%s,\"rows\":[%s]}\n", ToJson(roofline).c_str(),
                absl::StrJoin(rows, ",").c_str());
  } else {
    std::printf("%s\n%s%s", ToText(roofline).c_str(), TableHead(flags.rounds).c_str(),
                absl::StrJoin(rows, "").c_str());
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
                      "NAME.weights=f32|bf16|f16|fp8|q8|q4 (default: as the file has them) or "
                      "NAME.prefill=exact|chunked, of mamba2 (default: exact); repeatable");
  command->add_option("--random", flags->random, "A shape, with random bf16 weights (repeatable)")
      ->check(CLI::IsMember(RandomShapes()));
  command->add_option("--isa", flags->isa, "Instruction set")
      ->check(CLI::IsMember(SupportedIsaNames()));
  command->add_flag("--pin-threads", flags->pin_threads, "Keep each thread on a CPU of its own");
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
  command->add_option("--rounds", flags->rounds, "Times that each row is measured")
      ->check(CLI::Range(1, 1000))
      ->capture_default_str();
  command->add_flag("--json", flags->json, "One JSON object on standard output");
  RunAsCallback(command, exit_code, [flags] { return RunEngine(*flags); });
}

}  // namespace ssmd::bench
