// `ssmd-bench overload`.
#include <cstdint>
#include <cstdio>
#include <memory>
#include <string>
#include <vector>

#include "absl/strings/str_format.h"
#include "absl/strings/str_join.h"
#include "clients/bench/percentiles.h"
#include "engine/base/status_macros.h"
#include "tests/bench/commands.h"
#include "tests/bench/overload_bench.h"
#include "tests/bench/server_under_test.h"
#include "tests/bench/times_json.h"

namespace ssmd::bench {
namespace {

constexpr char kOverloadExplanation[] =
    R"(Finds the arrivals at which the daemon serves the most (one compute thread; this program keeps to
one other CPU), then offers four times as many, and compares: how much is still served, how soon the
others are refused, and how evenly the accepted streams get their tokens. What was served and the
tokens' intervals are the server's figures (/metrics); the refusals are timed by the clients.

Examples:
  ssmd-bench overload                                 # the bundled model; some five minutes
  ssmd-bench overload --random=mamba-130m --seconds=30 --json)";

struct OverloadFlags {
  ServerFlags server;
  OverloadOptions overload;
  bool json = false;
};

double Milliseconds(const MetricsHistogram& seconds, double share) {
  return 1e3 * seconds.Quantile(share);
}

// What the promise is judged by.
struct Verdict {
  double goodput = 0;              // at the overload, by that at the peak
  double refused_p99_ms = 0;       // at the overload
  double inter_token_p99 = 0;      // by that at the peak; the server's histogram
  double clients_inter_token = 0;  // the same as the clients saw it
};

Verdict Judge(const OverloadOptions& options, const OverloadFigures& figures) {
  const auto p99 = [](const std::vector<double>& values) { return PercentilesOf(values).p99; };
  const LoadFigures& peak = figures.peak;
  const LoadFigures& overload = figures.overload;
  return {TokensPerSecond(options, overload) / TokensPerSecond(options, peak),
          p99(overload.calls.refused_ms),
          overload.inter_token.Quantile(0.99) / peak.inter_token.Quantile(0.99),
          p99(overload.calls.inter_token_ms) / p99(peak.calls.inter_token_ms)};
}

std::string LoadJson(const OverloadOptions& options, const LoadFigures& load) {
  std::vector<std::string> errors;
  for (const auto& [code, count] : load.calls.errors) {
    errors.push_back(absl::StrFormat(R"("%s":%d)", code, count));
  }
  return absl::StrFormat(
      R"({"planned_rate":%.2f,"offered_rate":%.2f,"seconds":%.2f,"goodput_tok_s":%.1f,)"
      R"("server_inter_token_p50_ms":%.3f,"server_inter_token_p99_ms":%.3f,)"
      R"("server_first_token_p99_ms":%.1f,"inter_token_ms":%s,"first_token_ms":%s,)"
      R"("refused_ms":%s,"errors":{%s}})",
      load.rate, load.offered_rate(), load.seconds, TokensPerSecond(options, load),
      Milliseconds(load.inter_token, 0.5), Milliseconds(load.inter_token, 0.99),
      Milliseconds(load.first_token, 0.99), TimesJson(load.calls.inter_token_ms),
      TimesJson(load.calls.first_token_ms), TimesJson(load.calls.refused_ms),
      absl::StrJoin(errors, ","));
}

void PrintJson(const OverloadFlags& flags, const ServerUnderTest& server,
               const OverloadFigures& figures) {
  const OverloadOptions& options = flags.overload;
  std::vector<std::string> ramp;
  for (const LoadFigures& rung : figures.ramp) ramp.push_back(LoadJson(options, rung));
  const Verdict verdict = Judge(options, figures);
  std::printf(
      R"({%s,"load":{"max_running":%d,"max_waiting":%d,"prompt_tokens":%d,"answer_tokens":%d,)"
      R"("factor":%g},"goodput_by_peak":%.3f,"refused_p99_ms":%.2f,"inter_token_p99_by_peak":%.3f,)"
      R"("clients_inter_token_p99_by_peak":%.3f,"peak":%s,"overload":%s,"ramp":[%s]})"
      "\n",
      server.HeaderJson("overload").c_str(), options.running, options.waiting,
      options.prompt_tokens, options.answer_tokens, options.factor, verdict.goodput,
      verdict.refused_p99_ms, verdict.inter_token_p99, verdict.clients_inter_token,
      LoadJson(options, figures.peak).c_str(), LoadJson(options, figures.overload).c_str(),
      absl::StrJoin(ramp, ",").c_str());
}

void PrintRow(const OverloadOptions& options, const char* name, const LoadFigures& load) {
  const auto refused = load.calls.errors.find("RESOURCE_EXHAUSTED");
  std::printf("%-9s %9.1f %10.0f %12.2f %12.2f %11.1f %9lld %12.2f\n", name, load.offered_rate(),
              TokensPerSecond(options, load), Milliseconds(load.inter_token, 0.99),
              PercentilesOf(load.calls.inter_token_ms).p99, Milliseconds(load.first_token, 0.99),
              static_cast<long long>(refused == load.calls.errors.end() ? 0 : refused->second),
              PercentilesOf(load.calls.refused_ms).p99);
}

void PrintTable(const OverloadFlags& flags, const ServerUnderTest& server,
                const OverloadFigures& figures) {
  const OverloadOptions& options = flags.overload;
  std::printf(
      "%s: prompts of %d tokens, answers of %d; %d run, %d may wait. p99 in milliseconds\n\n",
      server.model().name().c_str(), options.prompt_tokens, options.answer_tokens, options.running,
      options.waiting);
  std::printf("%-9s %9s %10s %12s %12s %11s %9s %12s\n", "", "calls/s", "tokens/s", "inter-token",
              "at clients", "first token", "refused", "refused, p99");
  for (const LoadFigures& rung : figures.ramp) PrintRow(options, "", rung);
  PrintRow(options, "peak", figures.peak);
  PrintRow(options, "overload", figures.overload);
  const Verdict verdict = Judge(options, figures);
  std::printf(
      "\nat %g times the peak's arrivals: %.1f%% of its tokens are served, 99%% of the refusals "
      "come "
      "within %.2f ms,\nand the p99 between tokens is %.2f times that at the peak (at the clients: "
      "%.2f)\n",
      options.factor, 100 * verdict.goodput, verdict.refused_p99_ms, verdict.inter_token_p99,
      verdict.clients_inter_token);
}

absl::Status RunOverload(OverloadFlags flags) {
  if (flags.server.threads == 0) flags.server.threads = 1;
  ServerUnderTest server(flags.server);
  SSMD_ASSIGN_OR_RETURN(const OverloadFigures figures, MeasureOverload(flags.overload, &server));
  flags.json ? PrintJson(flags, server, figures) : PrintTable(flags, server, figures);
  return server.Stop();
}

}  // namespace

void AddOverloadCommand(CLI::App& app, int* exit_code) {
  auto flags = std::make_shared<OverloadFlags>();  // lives as long as the callback
  CLI::App* command = app.add_subcommand(
      "overload", "What is served of more than can be, and how the rest is refused");
  command->footer(kOverloadExplanation);
  OverloadOptions& options = flags->overload;
  const auto add = [command](const char* name, auto* value, double low, double high,
                             const char* help) {
    command->add_option(name, *value, help)->check(CLI::Range(low, high))->capture_default_str();
  };
  add("--running", &options.running, 1, 1024, "Turns that the daemon runs at once");
  add("--waiting", &options.waiting, 1, 1024, "Turns that may wait; more are refused");
  add("--prompt", &options.prompt_tokens, 1, 65536, "Tokens of each call's prompt");
  add("--generate", &options.answer_tokens, 2, 65536, "Tokens of its answer");
  add("--factor", &options.factor, 1, 100, "Overload, as a multiple of the peak's arrivals");
  add("--seconds", &options.seconds, 0.1, 3600, "Of each measurement");
  add("--warm-up", &options.warm_up_s, 0, 3600, "Seconds before each");
  add("--pairs", &options.pairs, 1, 100, "Measurements of peak and overload, in turn");
  command->add_flag("--json", flags->json, "One JSON object on standard output");
  AddServerFlags(command, &flags->server);
  RunAsCallback(command, exit_code, [flags] { return RunOverload(*flags); });
}

}  // namespace ssmd::bench
