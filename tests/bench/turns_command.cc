// `ssmd-bench turns`.
#include <algorithm>
#include <cstdio>
#include <memory>
#include <string>
#include <vector>

#include "absl/strings/str_cat.h"
#include "absl/strings/str_format.h"
#include "absl/strings/str_join.h"
#include "clients/bench/percentiles.h"
#include "engine/base/status_macros.h"
#include "tests/bench/commands.h"
#include "tests/bench/server_under_test.h"
#include "tests/bench/times_json.h"
#include "tests/bench/turns_bench.h"

namespace ssmd::bench {
namespace {

constexpr char kTurnsExplanation[] =
    R"(Measures the time to the first token of one and the same turn after histories of several lengths:
with the session's state in its slot, with the state on the disk, and without a session, where the
whole history is read again. The first should not depend on the length; the second should be later
by no more than the load time that the server reports.

Examples:
  ssmd-bench turns                                         # the bundled model; about a minute
  ssmd-bench turns --random=mamba-130m --reread-repeats=1  # 10 minutes on two cores
  ssmd-bench turns --json > turns.json && tests/bench/plot_turn_latency.py turns.json turns.svg
With --address the daemon cannot be restarted with small tiers: "disk" is left out.)";

struct TurnsFlags {
  ServerFlags server;
  TurnsOptions turns;
  bool json = false;
};

double Median(const std::vector<double>& values) { return PercentilesOf(values).p50; }

// What the promise is judged by.
struct Verdict {
  double resident_ratio = 0;  // the slowest history's median by the fastest's
  double disk_ratio = 0;      // the worst of (first token - load) from disk, by the resident median
};

Verdict Judge(const std::vector<HistoryTimes>& rows) {
  Verdict verdict;
  std::vector<double> medians;
  for (const HistoryTimes& row : rows) {
    medians.push_back(Median(row.resident.first_token));
    verdict.disk_ratio =
        std::max(verdict.disk_ratio, Median(row.disk.first_token_unloaded) / medians.back());
  }
  const auto [fastest, slowest] = std::minmax_element(medians.begin(), medians.end());
  verdict.resident_ratio = *slowest / *fastest;
  return verdict;
}

std::string KindJson(const TurnTimes& times) {
  if (times.first_token.empty()) return "null";
  return absl::StrFormat(
      R"({"turns":%d,"first_token_ms":%s,"server_first_token_ms":%s,"queue_ms":%s,"load_ms":%s,)"
      R"("first_token_without_load_ms":%s,"turn_ms":%s})",
      times.first_token.size(), TimesJson(times.first_token), TimesJson(times.server_first_token),
      TimesJson(times.queue), TimesJson(times.load), TimesJson(times.first_token_unloaded),
      TimesJson(times.total));
}

void PrintJson(const TurnsFlags& flags, const ServerUnderTest& server,
               const std::vector<HistoryTimes>& rows) {
  std::vector<std::string> texts;
  texts.reserve(rows.size());
  for (const HistoryTimes& row : rows) {
    texts.push_back(absl::StrFormat(R"({"history":%d,"resident":%s,"disk":%s,"reread":%s})",
                                    row.history, KindJson(row.resident), KindJson(row.disk),
                                    KindJson(row.reread)));
  }
  const Verdict verdict = Judge(rows);
  std::printf(
      R"({%s,"turn":{"prompt_tokens":%d,"answer_tokens":%d},"resident_slowest_by_fastest":%.3f,)"
      R"("disk_without_load_by_resident":%s,"rows":[%s]})"
      "\n",
      server.HeaderJson("turns").c_str(), flags.turns.prompt_tokens, flags.turns.answer_tokens,
      verdict.resident_ratio,
      server.is_ours() ? absl::StrFormat("%.3f", verdict.disk_ratio).c_str() : "null",
      absl::StrJoin(texts, ",").c_str());
}

void PrintTable(const TurnsFlags& flags, const ServerUnderTest& server,
                const std::vector<HistoryTimes>& rows) {
  std::printf("First token of a turn of %d tokens after a history, %s, milliseconds, medians\n\n",
              flags.turns.prompt_tokens, server.model().name().c_str());
  std::printf("%9s %10s %10s %10s %14s %12s\n", "history", "resident", "from disk", "of it load",
              "disk - load", "read again");
  for (const HistoryTimes& row : rows) {
    std::printf("%9lld %10.2f %10.2f %10.2f %14.2f %12.1f\n", static_cast<long long>(row.history),
                Median(row.resident.first_token), Median(row.disk.first_token),
                Median(row.disk.load), Median(row.disk.first_token_unloaded),
                Median(row.reread.first_token));
  }
  const Verdict verdict = Judge(rows);
  std::printf("\nresident: the slowest is %.1f%% later than the fastest\n",
              100 * (verdict.resident_ratio - 1));
  if (!server.is_ours()) return;
  std::printf("from disk: later than resident by the load time and at most %.1f%%\n",
              100 * (verdict.disk_ratio - 1));
}

absl::Status RunTurns(const TurnsFlags& flags) {
  ServerUnderTest server(flags.server);
  SSMD_ASSIGN_OR_RETURN(const std::vector<HistoryTimes> rows, MeasureTurns(flags.turns, &server));
  flags.json ? PrintJson(flags, server, rows) : PrintTable(flags, server, rows);
  return server.Stop();
}

}  // namespace

void AddTurnsCommand(CLI::App& app, int* exit_code) {
  auto flags = std::make_shared<TurnsFlags>();  // lives as long as the callback
  CLI::App* command =
      app.add_subcommand("turns", "First token of a turn, by the length of the history before it");
  command->footer(kTurnsExplanation);
  TurnsOptions& turns = flags->turns;
  command->add_option("--histories", turns.histories, "Lengths in tokens, two or more")
      ->delimiter(',')
      ->check(CLI::Range(1, 1 << 20))
      ->capture_default_str();
  const auto add = [command](const char* name, int* value, const char* help) {
    command->add_option(name, *value, help)->check(CLI::Range(1, 1 << 20))->capture_default_str();
  };
  add("--repeats", &turns.repeats, "Turns on each history, resident and from disk");
  add("--reread-repeats", &turns.reread_repeats, "Times that each history is read again");
  add("--prompt", &turns.prompt_tokens, "Tokens of the turn's prompt");
  add("--generate", &turns.answer_tokens, "Tokens of its answer");
  add("--history-turn", &turns.history_turn, "Tokens of each turn that made the history");
  command->add_flag("--json", flags->json, "One JSON object on standard output");
  AddServerFlags(command, &flags->server);
  RunAsCallback(command, exit_code, [flags] { return RunTurns(*flags); });
}

}  // namespace ssmd::bench
