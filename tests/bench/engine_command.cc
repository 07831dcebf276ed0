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
#include "tests/bench/device_flag.h"
#include "tests/bench/engine_bench.h"
#include "tests/bench/json_text.h"
#include "tests/bench/opened_gpu.h"
#include "tests/bench/random_checkpoint.h"
#include "tests/bench/roofline.h"

namespace ssmd::bench {
namespace {

struct EngineFlags {
  std::vector<std::string> models;         // NAME=PATH
  std::vector<std::string> model_options;  // NAME.weights=… and the like
  std::vector<std::string> random;         // shapes
  std::string weights;                     // of models that have no option of their own
  std::string device = "cpu";
  std::string isa;
  int threads = 0;
  bool pin_threads = false;
  int64_t megabytes = 0;
  std::vector<int> batches = {1, 16};
  std::vector<int> prompts = {512};
  int generate = 64;
  int rounds = 3;
  bool fast_prefill = false;  // of models that have no option of their own
  bool stepping = false;
  bool json = false;
};

struct ModelToMeasure {
  std::string name;
  std::string path;
  std::unique_ptr<RandomCheckpoint> random;  // owns the folder, where it is one
  std::optional<kernels::WeightFormat> weights;
  Prefill prefill = Prefill::kExact;
  kernels::StateFormat state = kernels::StateFormat::kF32;
};

absl::StatusOr<std::vector<ModelToMeasure>> ListModels(const EngineFlags& flags) {
  std::vector<ModelToMeasure> models;
  for (const std::string& flag : flags.models) {
    const size_t equals = flag.find('=');
    if (equals == 0 || equals == std::string::npos) {
      return absl::InvalidArgumentError(
          absl::StrCat("--model must be NAME=PATH, got \"", flag, "\""));
    }
    models.push_back({flag.substr(0, equals), flag.substr(equals + 1), nullptr, {}});
  }
  for (const std::string& shape : flags.random) {
    auto checkpoint = std::make_unique<RandomCheckpoint>(shape);
    SSMD_RETURN_IF_ERROR(checkpoint->status());
    const std::string folder = checkpoint->folder();
    models.push_back({shape, folder, std::move(checkpoint), {}});
  }
  for (ModelToMeasure& model : models) {
    if (flags.fast_prefill) model.prefill = Prefill::kFast;
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
    } else if (absl::ConsumePrefix(&value, "state=")) {
      const auto state = kernels::ParseStateFormat(std::string(value));
      model.state = state.value_or(kernels::StateFormat::kF32);
      if (state.has_value()) return absl::OkStatus();
    }
  }
  return absl::InvalidArgumentError(absl::StrCat(
      "--model-option must be NAME.weights=f32|bf16|q8|q4, "
      "NAME.prefill=exact|chunked|fast or NAME.state=f32|bf16|f16 of a model named before, "
      "got \"",
      option, "\""));
}

// Where models are measured, and what it can do.
struct Bench {
  std::unique_ptr<MachineProbe> machine;  // of the CPU
  std::unique_ptr<FloorProbe> probe;
  std::unique_ptr<kernels::Device> device;
  std::string device_json;   // members of an object
  std::string machine_json;  // likewise: what a result begins with
  std::string machine_text;
};

absl::StatusOr<Bench> MakeCpuBench(const EngineFlags& flags) {
  const kernels::Isa isa = kernels::ParseIsa(flags.isa).value_or(kernels::SupportedIsas().back());
  Bench bench;
  bench.device = kernels::MakeCpuDevice({isa, flags.threads, flags.pin_threads});
  bench.machine = std::make_unique<MachineProbe>(isa, flags.megabytes);
  if (bench.machine->megabytes() == 0) {
    return absl::ResourceExhaustedError("no memory for the buffer: give a smaller --megabytes");
  }
  const int threads = bench.device->threads();
  bench.probe = MakeCpuFloorProbe(*bench.machine, threads);
  bench.device->AdoptThread();
  const Roofline roofline = MeasureRoofline({isa, threads, 1}, *bench.machine);
  bench.device_json = absl::StrCat(R"("device":"cpu","isa":")", std::string(IsaName(isa)), "\"");
  bench.machine_json = absl::StrCat(R"("machine":)", ToJson(roofline));
  bench.machine_text = ToText(roofline);
  return bench;
}

absl::StatusOr<Bench> MakeGpuBench(const EngineFlags& flags, int gpu) {
  Bench bench;
  SSMD_ASSIGN_OR_RETURN(bench.device, MakeDevice(flags.device, {}));
  bench.device->AdoptThread();
  SSMD_ASSIGN_OR_RETURN(OpenedGpu opened, OpenGpuForBench(gpu, flags.megabytes));
  bench.device_json = absl::StrCat(R"("device":)", JsonText(bench.device->name()));
  bench.machine_json = absl::StrCat(R"("gpu":)", gpu_bench::ToJson(opened.ceilings));
  bench.machine_text = gpu_bench::ToText(opened.ceilings);
  bench.probe = MakeGpuFloorProbe(std::move(opened.probe), opened.ceilings);
  return bench;
}

constexpr auto kPrefill = &EngineRound::prefill;
constexpr auto kDecode = &EngineRound::decode;

std::string FractionJson(double fraction) {
  return fraction > 0 ? absl::StrFormat("%.3f", fraction) : "null";
}

std::string PhaseJson(const EnginePhase& phase) {
  return absl::StrFormat(
      R"({"tok_s":%.1f,"read_gb_s":%.2f,"peak_gop_s":%.1f,"fraction_of_floor":%s,)"
      R"("fraction_in_turn":%s,"cpu_us":%.1f,"others_cpus":%.2f})",
      phase.tok_s, phase.read_gb_s, phase.peak_gop_s, FractionJson(phase.fraction_of_floor),
      FractionJson(phase.fraction_in_turn), phase.cpu_us, phase.others_cpus);
}

std::string PrefillText(const ModelInfo& info) {
  return info.chunk_tokens > 0 ? absl::StrCat("chunked/", info.chunk_tokens) : "exact";
}

// A member of an object; empty where it was not measured.
std::string SteppingJson(const EngineRow& row) {
  if (!row.stepping) return "";
  return absl::StrFormat(
      R"("stepping":{"prefill_tok_s":%.1f,"tok_s":%.1f,"equal_tokens":%d,"distinct_tokens":%d},)",
      row.stepping->prefill_tok_s, row.stepping->tok_s, row.stepping->equal_tokens,
      row.stepping->distinct_tokens);
}

std::string SteppingText(const EngineRow& row) {
  if (!row.stepping) return "";
  const Stepping& s = *row.stepping;
  return absl::StrFormat(
      "  a prompt of %d: %.1f tok/s, %.1f by single tokens: %.1f times as fast; %d of %d tokens "
      "after it equal, %d distinct\n",
      row.run.prompt, s.prefill_tok_s, s.tok_s, s.prefill_tok_s / s.tok_s, s.equal_tokens,
      row.run.generate, s.distinct_tokens);
}

// The figures at the top are medians over the rounds, each by itself.
std::string RowJson(const std::string& name, const LanguageModel& model, const Bench& bench,
                    const EngineRow& row) {
  const ModelInfo& info = model.info();
  const double prefill_tok_s = SpreadOf(row, kPrefill, &EnginePhase::tok_s).median;
  const double decode_tok_s = SpreadOf(row, kDecode, &EnginePhase::tok_s).median;
  std::vector<std::string> rounds;
  rounds.reserve(row.rounds.size());
  for (const EngineRound& round : row.rounds) {
    rounds.push_back(absl::StrFormat(R"({"prefill":%s,"decode":%s})", PhaseJson(round.prefill),
                                     PhaseJson(round.decode)));
  }
  return absl::StrFormat(
      R"({"model":%s,"parameters":%d,"weights":"%s","weight_bytes":%d,"prefill":"%s","state":"%s",)"
      R"("state_bytes":%d,%s,"batch":%d,)"
      R"("prompt":%d,"generate":%d,"prefill_tok_s":%.1f,"decode_tok_s":%.1f,"gb_s":%.2f,)"
      R"("gflop_s":%.1f,"fraction_of_floor":%s,"prefill_fraction_of_floor":%s,%s"rounds":[%s]})",
      JsonText(name), info.parameters, info.weights, info.weight_bytes, PrefillText(info),
      info.state, model.state_layout().bytes_per_slot(), bench.device_json, row.run.batch,
      row.run.prompt, row.run.generate, prefill_tok_s, decode_tok_s,
      row.bytes_of_step * decode_tok_s / row.run.batch / 1e9,
      row.flops_of_prompt_token * prefill_tok_s / 1e9,
      FractionJson(SpreadOf(row, kDecode, &EnginePhase::fraction_of_floor).median),
      FractionJson(SpreadOf(row, kPrefill, &EnginePhase::fraction_of_floor).median),
      SteppingJson(row), absl::StrJoin(rounds, ","));
}

// tok/s and of the floor, each with its ends, and of the floor in turn.
std::string PhaseText(const EngineRow& row, EnginePhase EngineRound::*phase) {
  const Spread speed = SpreadOf(row, phase, &EnginePhase::tok_s);
  const Spread fraction = SpreadOf(row, phase, &EnginePhase::fraction_of_floor);
  if (fraction.median <= 0) {
    return absl::StrFormat(" | %8.1f %17s %5s %9s %5s", speed.median,
                           absl::StrFormat("(%.1f-%.1f)", speed.lowest, speed.highest), "-", "",
                           "-");
  }
  return absl::StrFormat(
      " | %8.1f %17s %4.0f%% %9s %4.0f%%", speed.median,
      absl::StrFormat("(%.1f-%.1f)", speed.lowest, speed.highest), 100 * fraction.median,
      absl::StrFormat("(%.0f-%.0f)", 100 * fraction.lowest, 100 * fraction.highest),
      100 * SpreadOf(row, phase, &EnginePhase::fraction_in_turn).median);
}

std::string RowText(const std::string& name, const ModelInfo& info, const EngineRow& row) {
  const double others = std::max(SpreadOf(row, kPrefill, &EnginePhase::others_cpus).highest,
                                 SpreadOf(row, kDecode, &EnginePhase::others_cpus).highest);
  return absl::StrFormat("%-22s %-9s %-10s %5d %6d%s%s %7.1f\n%s", name,
                         info.weights + "/" + info.state, PrefillText(info), row.run.batch,
                         row.run.prompt, PhaseText(row, kPrefill), PhaseText(row, kDecode), others,
                         SteppingText(row));
}

std::string TableHead(int rounds) {
  const std::string phase = "    tok/s (lowest-highest)   of floor  in turn";
  return absl::StrFormat(
      "Medians of %d rounds; floors are what the machine could do in the same seconds: all bytes "
      "and all arithmetic at\nonce, or in turn (weights and arithmetic at once, then states); "
      "others: "
      "the most CPUs that other programs,\nor the machine's host, took of a part of a round; "
      "formats: of weights and states\n\n"
      "%-56s | %-45s | decode\n%-22s %-9s %-10s %5s %6s |%s |%s  others\n",
      rounds, "", "prefill", "model", "formats", "prefill", "batch", "prompt", phase, phase);
}

absl::Status MeasureModel(const EngineFlags& flags, const ModelToMeasure& to_measure,
                          const Bench& bench, std::vector<std::string>* rows) {
  ModelLoadOptions options;
  options.weights = to_measure.weights;
  if (!options.weights) options.weights = kernels::ParseWeightFormat(flags.weights);
  options.prefill = to_measure.prefill;
  options.state = to_measure.state;
  SSMD_ASSIGN_OR_RETURN(std::unique_ptr<LanguageModel> model,
                        LoadLanguageModel(to_measure.path, options, bench.device.get()));
  if (model->info().memory) {
    return absl::InvalidArgumentError(
        absl::StrCat("--model ", to_measure.name, "=", to_measure.path,
                     ": a memory does not generate; use ssmd-bench memory"));
  }
  for (const int prompt : flags.prompts) {
    for (const int batch : flags.batches) {
      const EngineRun run = {batch, prompt, flags.generate, flags.rounds, flags.stepping};
      SSMD_ASSIGN_OR_RETURN(const EngineRow row,
                            MeasureEngine(run, *bench.probe, *bench.device, *model));
      rows->push_back(flags.json ? RowJson(to_measure.name, *model, bench, row)
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
  const std::optional<int> gpu = GpuOf(flags.device);
  SSMD_ASSIGN_OR_RETURN(const Bench bench, gpu ? MakeGpuBench(flags, *gpu) : MakeCpuBench(flags));

  std::vector<std::string> rows;
  for (const ModelToMeasure& model : models) {
    SSMD_RETURN_IF_ERROR(MeasureModel(flags, model, bench, &rows));
  }
  if (flags.json) {
    std::printf("{%s,\"rows\":[%s]}\n", bench.machine_json.c_str(),
                absl::StrJoin(rows, ",").c_str());
  } else {
    std::printf("%s\n%s%s", bench.machine_text.c_str(), TableHead(flags.rounds).c_str(),
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
                      "NAME.weights=f32|bf16|q8|q4, on a GPU f16 and fp8 too (default: as the "
                      "file has them), "
                      "NAME.prefill=exact|chunked|fast, chunked of mamba2, retnet and hippo_legt "
                      "(default: exact), or "
                      "NAME.state=f32|bf16|f16 (default: f32); repeatable");
  command
      ->add_option("--random", flags->random,
                   "Shapes, with random bf16 weights (repeatable). MIXER-768x24 have a vocabulary "
                   "of 1,024, as a larger head would hide what layers cost")
      ->delimiter(',')
      ->check(CLI::IsMember(RandomShapes()));
  command->add_option("--weights", flags->weights, "Of models that no --model-option says it of")
      ->check(CLI::IsMember({"f32", "bf16", "f16", "fp8", "q8", "q4"}));
  command->add_flag("--fast-prefill", flags->fast_prefill,
                    "prefill=fast, of models that no --model-option says it of: in chunks where "
                    "their layers have them");
  AddDeviceFlag(command, &flags->device);
  command->add_option("--isa", flags->isa, "Instruction set of the CPU")
      ->check(CLI::IsMember(SupportedIsaNames()));
  command->add_flag("--pin-threads", flags->pin_threads, "Keep each thread on a CPU of its own");
  command->add_option("--threads", flags->threads, "Threads (default: one a CPU)")
      ->check(CLI::Range(1, 1024));
  command
      ->add_option("--megabytes", flags->megabytes,
                   "Buffer for the bandwidth (default: twice the caches, of a GPU 2048)")
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
  command->add_flag("--stepping", flags->stepping,
                    "Take a prompt by single tokens as well, and compare the tokens after it");
  command->add_flag("--json", flags->json, "One JSON object on standard output");
  RunAsCallback(command, exit_code, [flags] { return RunEngine(*flags); });
}

}  // namespace ssmd::bench
