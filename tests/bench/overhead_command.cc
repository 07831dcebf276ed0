// `ssmd-bench overhead`.
#include <cstdio>
#include <memory>
#include <string>
#include <vector>

#include "absl/strings/str_format.h"
#include "absl/strings/str_join.h"
#include "clients/bench/percentiles.h"
#include "engine/base/status_macros.h"
#include "tests/bench/commands.h"
#include "tests/bench/overhead_bench.h"

namespace ssmd::bench {
namespace {

constexpr char kOverheadExplanation[] =
    R"(Measures tokens a second of a daemon with that many streams, read by clients over gRPC on the same
CPUs, beside those of the engine alone: the same model, format, threads, streams and tokens, in turn.
CPU is the time of all threads of the engine, the daemon and the clients, in microseconds a token.

Example:
  ssmd-bench overhead --random=mamba-130m --weights=q8 --threads=2)";

struct OverheadFlags {
  ServerFlags server;
  OverheadOptions overhead;
  bool json = false;
};

struct Column {
  const char* name;
  double OverheadRound::*value;
};
constexpr Column kColumns[] = {{"engine_tok_s", &OverheadRound::engine_tok_s},
                               {"daemon_tok_s", &OverheadRound::daemon_tok_s},
                               {"ratio", &OverheadRound::ratio},
                               {"engine_cpu_us", &OverheadRound::engine_cpu_us},
                               {"daemon_cpu_us", &OverheadRound::daemon_cpu_us},
                               {"clients_cpu_us", &OverheadRound::clients_cpu_us}};

// Each figure's by itself.
OverheadRound Median(const std::vector<OverheadRound>& rounds) {
  OverheadRound median;
  for (const Column& column : kColumns) {
    std::vector<double> values;
    values.reserve(rounds.size());
    for (const OverheadRound& round : rounds) values.push_back(round.*column.value);
    median.*column.value = PercentilesOf(values).p50;
  }
  return median;
}

std::string RoundJson(const OverheadRound& round) {
  return absl::StrJoin(kColumns, ",", [&](std::string* out, const Column& column) {
    absl::StrAppendFormat(out, R"("%s":%.4g)", column.name, round.*column.value);
  });
}

void PrintJson(const OverheadFlags& flags, const ServerUnderTest& server,
               const std::vector<OverheadRound>& rounds) {
  std::printf(R"({%s,"streams":%d,"generate":%d,%s,"rounds":[%s]})"
              "\n",
              server.HeaderJson("overhead").c_str(), flags.overhead.streams,
              flags.overhead.generate, RoundJson(Median(rounds)).c_str(),
              absl::StrJoin(rounds, ",", [](std::string* out, const OverheadRound& round) {
                absl::StrAppend(out, "{", RoundJson(round), "}");
              }).c_str());
}

void PrintRow(const char* name, const OverheadRound& round) {
  std::printf("%-8s %10.1f %10.1f %8.1f%% %12.0f %10.0f %10.0f\n", name, round.engine_tok_s,
              round.daemon_tok_s, 100 * round.ratio, round.engine_cpu_us, round.daemon_cpu_us,
              round.clients_cpu_us);
}

void PrintTable(const OverheadFlags& flags, const ServerUnderTest& server,
                const std::vector<OverheadRound>& rounds) {
  std::printf("%s (%s): %d streams of %d tokens\n\n", server.model().name().c_str(),
              server.model().numerics_profile().c_str(), flags.overhead.streams,
              flags.overhead.generate);
  std::printf("%-8s %21s %9s %34s\n%-8s %10s %10s %9s %12s %10s %10s\n", "", "tokens/s", "",
              "CPU us a token", "", "engine", "daemon", "ratio", "engine", "daemon", "clients");
  for (const OverheadRound& round : rounds) PrintRow("", round);
  PrintRow("median", Median(rounds));
}

absl::Status RunOverhead(const OverheadFlags& flags) {
  ServerUnderTest server(flags.server);
  SSMD_ASSIGN_OR_RETURN(const std::vector<OverheadRound> rounds,
                        MeasureOverhead(flags.overhead, flags.server, &server));
  flags.json ? PrintJson(flags, server, rounds) : PrintTable(flags, server, rounds);
  return server.Stop();
}

}  // namespace

void AddOverheadCommand(CLI::App& app, int* exit_code) {
  auto flags = std::make_shared<OverheadFlags>();  // lives as long as the callback
  CLI::App* command =
      app.add_subcommand("overhead", "What serving costs beside what the engine does alone");
  command->footer(kOverheadExplanation);
  OverheadOptions& options = flags->overhead;
  const auto add = [command](const char* name, int* value, int high, const char* help) {
    command->add_option(name, *value, help)->check(CLI::Range(1, high))->capture_default_str();
  };
  add("--streams", &options.streams, 64, "Streams at once");
  add("--generate", &options.generate, 65536, "Tokens of each");
  add("--rounds", &options.rounds, 1000, "Measurements of each, in turn");
  command->add_flag("--json", flags->json, "One JSON object on standard output");
  AddChildFlags(command, &flags->server);
  RunAsCallback(command, exit_code, [flags] { return RunOverhead(*flags); });
}

}  // namespace ssmd::bench
