#include "tests/bench/overhead_bench.h"

#include <memory>

#include "absl/strings/str_cat.h"
#include "absl/strings/str_format.h"
#include "clients/bench/async_calls.h"
#include "engine/base/status_macros.h"
#include "engine/models/language_model.h"
#include "tests/bench/device_flag.h"
#include "tests/bench/engine_bench.h"
#include "tests/bench/measured_turn.h"
#include "tests/bench/seconds.h"

namespace ssmd::bench {
namespace {

constexpr int kClientConnections = 4;
constexpr int kWarmUpTokens = 4;
constexpr int kSpareSlots = 2;
// The floors are not looked at here.
constexpr int64_t kProbeMegabytes = 1;

class OverheadBench {
 public:
  OverheadBench(const OverheadOptions& options, ServerUnderTest* server, kernels::Device* device,
                std::unique_ptr<LanguageModel> model)
      : options_(options),
        server_(*server),
        device_(*device),
        model_(std::move(model)),
        machine_(kernels::SupportedIsas().back(), kProbeMegabytes),
        probe_(MakeCpuFloorProbe(machine_, 1)),
        calls_(server->address(), kClientConnections) {}

  absl::StatusOr<std::vector<OverheadRound>> Run();

 private:
  absl::Status MeasureAlone(OverheadRound* round);
  absl::Status MeasureServed(OverheadRound* round);
  // All streams at once, to their ends.
  absl::Status Serve(int tokens);

  const OverheadOptions options_;
  ServerUnderTest& server_;
  kernels::Device& device_;
  const std::unique_ptr<LanguageModel> model_;
  const MachineProbe machine_;
  const std::unique_ptr<FloorProbe> probe_;
  AsyncCalls calls_;
};

absl::Status OverheadBench::MeasureAlone(OverheadRound* round) {
  const EngineRun run = {options_.streams, 1, options_.generate, 1};
  SSMD_ASSIGN_OR_RETURN(const EngineRow row, MeasureEngine(run, *probe_, device_, *model_));
  round->engine_tok_s = row.rounds[0].decode.tok_s;
  round->engine_cpu_us = row.rounds[0].decode.cpu_us;
  return absl::OkStatus();
}

absl::Status OverheadBench::Serve(int tokens) {
  for (int stream = 0; stream < options_.streams; ++stream) {
    calls_.Start(TurnRequest(
        "", AnyTokens(1, server_.model().vocabulary_size(), static_cast<uint32_t>(stream)),
        tokens));
  }
  calls_.WaitForAll();
  const CallReport report = calls_.TakeReport();
  if (report.tokens == int64_t{1} * options_.streams * tokens) return absl::OkStatus();
  return absl::InternalError(absl::StrFormat(
      "of %d streams of %d tokens, %d were served, with %d tokens%s", options_.streams, tokens,
      report.succeeded, report.tokens,
      report.errors.empty() ? "" : absl::StrCat("; ", report.errors.begin()->first)));
}

absl::Status OverheadBench::MeasureServed(OverheadRound* round) {
  SSMD_RETURN_IF_ERROR(Serve(kWarmUpTokens));
  const double daemon_start = CpuSeconds(server_.pid());
  const double clients_start = CpuSeconds();
  const double start = Seconds();
  SSMD_RETURN_IF_ERROR(Serve(options_.generate));
  const double tokens = 1.0 * options_.streams * options_.generate;
  round->daemon_tok_s = tokens / (Seconds() - start);
  round->clients_cpu_us = 1e6 * (CpuSeconds() - clients_start) / tokens;
  round->daemon_cpu_us = 1e6 * (CpuSeconds(server_.pid()) - daemon_start) / tokens;
  return absl::OkStatus();
}

absl::StatusOr<std::vector<OverheadRound>> OverheadBench::Run() {
  std::vector<OverheadRound> rounds;
  for (int i = 0; i < options_.rounds; ++i) {
    OverheadRound round;
    // Each comes first in some rounds.
    if (i % 2 == 0) SSMD_RETURN_IF_ERROR(MeasureAlone(&round));
    SSMD_RETURN_IF_ERROR(MeasureServed(&round));
    if (i % 2 == 1) SSMD_RETURN_IF_ERROR(MeasureAlone(&round));
    round.ratio = round.daemon_tok_s / round.engine_tok_s;
    rounds.push_back(round);
  }
  return rounds;
}

}  // namespace

absl::StatusOr<std::vector<OverheadRound>> MeasureOverhead(const OverheadOptions& options,
                                                           const ServerFlags& flags,
                                                           ServerUnderTest* server) {
  std::vector<std::string> more;
  // A GPU's memory is for both.
  if (GpuOf(flags.device)) more = {"--state-slots", absl::StrCat(options.streams + kSpareSlots)};
  SSMD_RETURN_IF_ERROR(server->Start(more));
  SSMD_ASSIGN_OR_RETURN(const std::unique_ptr<kernels::Device> device,
                        MakeDevice(flags.device, {std::nullopt, flags.threads}));
  device->AdoptThread();
  ModelLoadOptions load;
  load.weights = kernels::ParseWeightFormat(flags.weights);
  SSMD_ASSIGN_OR_RETURN(std::unique_ptr<LanguageModel> model,
                        LoadLanguageModel(server->model_path(), load, device.get()));
  return OverheadBench(options, server, device.get(), std::move(model)).Run();
}

}  // namespace ssmd::bench
