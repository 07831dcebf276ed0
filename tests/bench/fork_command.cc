// `ssmd-bench fork`.
#include <chrono>
#include <cstdint>
#include <cstdio>
#include <memory>
#include <string>
#include <utility>
#include <vector>

#include "absl/strings/str_format.h"
#include "clients/bench/percentiles.h"
#include "engine/base/status_macros.h"
#include "tests/bench/commands.h"
#include "tests/bench/measured_turn.h"
#include "tests/bench/server_under_test.h"
#include "tests/bench/times_json.h"
#include "tests/support/process.h"

namespace ssmd::bench {
namespace {

constexpr char kForkExplanation[] =
    R"(Measures what a fork of a session costs: the time of a ForkSession call, as its client sees it and
with a commit log on the disk, and the bytes that it adds. A fork copies no state: its child shares
the parent's until its first turn, which then adds one state.

Examples:
  ssmd-bench fork                                  # random weights of mamba-130m's shape
  ssmd-bench fork --model=tales-2m=deploy/models/tales-2m --history=50000 --json)";

constexpr int kManyAtOnce = 100;  // children of one call, for comparison

struct ForkFlags {
  ServerFlags server;
  int history = 2000;
  int repeats = 1000;
  bool json = false;
};

struct ForkFigures {
  std::vector<double> fork_ms;       // of each call
  double many_ms = 0;                // of one that makes kManyAtOnce
  double states_a_fork = 0;          // held states that a fork adds
  double resident_bytes_a_fork = 0;  // that the daemon's process grew by
  int64_t first_turn_states = 0;     // that a child's first turn adds
};

double MillisecondsSince(std::chrono::steady_clock::time_point start) {
  return std::chrono::duration<double, std::milli>(std::chrono::steady_clock::now() - start)
      .count();
}

// The milliseconds of one call; the last child's id goes into `child`.
absl::StatusOr<double> Fork(client::Client& client, const std::string& parent, int count,
                            std::string* child) {
  v1::ForkSessionRequest request;
  request.set_session_id(parent);
  request.set_count(count);
  const auto start = std::chrono::steady_clock::now();
  auto children = client.ForkSession(request);
  const double passed = MillisecondsSince(start);
  SSMD_ASSIGN_OR_RETURN(const std::vector<v1::Session> made, ValueOf(std::move(children)));
  *child = made.back().session_id();
  return passed;
}

absl::StatusOr<int64_t> ResidentBytes(client::Client& client) {
  SSMD_ASSIGN_OR_RETURN(const v1::GetStatsResponse stats, ValueOf(client.GetStats()));
  return stats.resident_bytes();
}

absl::StatusOr<ForkFigures> MeasureForks(const ForkFlags& flags, ServerUnderTest* server) {
  client::Client& client = server->client();
  SSMD_ASSIGN_OR_RETURN(const v1::Session parent,
                        ValueOf(client.CreateSession(server->model().name())));
  const int32_t vocabulary = server->model().vocabulary_size();
  SSMD_RETURN_IF_ERROR(MeasureTurn(client, TurnRequest(parent.session_id(),
                                                       AnyTokens(flags.history, vocabulary, 1), 1))
                           .status());
  std::string child;
  SSMD_RETURN_IF_ERROR(Fork(client, parent.session_id(), 1, &child).status());

  ForkFigures figures;
  SSMD_ASSIGN_OR_RETURN(const v1::ModelStats before, server->Stats());
  SSMD_ASSIGN_OR_RETURN(const int64_t bytes_before, ResidentBytes(client));
  for (int i = 0; i < flags.repeats; ++i) {
    SSMD_ASSIGN_OR_RETURN(const double fork_ms, Fork(client, parent.session_id(), 1, &child));
    figures.fork_ms.push_back(fork_ms);
  }
  SSMD_ASSIGN_OR_RETURN(const int64_t bytes_after, ResidentBytes(client));
  SSMD_ASSIGN_OR_RETURN(const v1::ModelStats after, server->Stats());
  SSMD_RETURN_IF_ERROR(
      MeasureTurn(client, TurnRequest(child, AnyTokens(4, vocabulary, 2), 4)).status());
  SSMD_ASSIGN_OR_RETURN(const v1::ModelStats after_turn, server->Stats());
  SSMD_ASSIGN_OR_RETURN(figures.many_ms, Fork(client, parent.session_id(), kManyAtOnce, &child));

  figures.states_a_fork =
      static_cast<double>(after.held_states() - before.held_states()) / flags.repeats;
  figures.resident_bytes_a_fork = static_cast<double>(bytes_after - bytes_before) / flags.repeats;
  figures.first_turn_states = after_turn.held_states() - after.held_states();
  return figures;
}

void PrintJson(const ForkFlags& flags, const ServerUnderTest& server, const ForkFigures& figures) {
  const auto state_bytes = server.model().state_bytes_per_session();
  std::printf(
      R"({%s,"history":%d,"forks":%d,"fork_ms":%s,"fork_of_%d_ms":%.3f,)"
      R"("state_bytes_a_fork":%.1f,"resident_bytes_a_fork":%.0f,"state_bytes_a_first_turn":%d})"
      "\n",
      server.HeaderJson("fork").c_str(), flags.history, flags.repeats,
      TimesJson(figures.fork_ms).c_str(), kManyAtOnce, figures.many_ms,
      figures.states_a_fork * static_cast<double>(state_bytes), figures.resident_bytes_a_fork,
      static_cast<int>(figures.first_turn_states * state_bytes));
}

void PrintTable(const ForkFlags& flags, const ServerUnderTest& server, const ForkFigures& figures) {
  const Percentiles times = PercentilesOf(figures.fork_ms);
  const auto state_bytes = static_cast<double>(server.model().state_bytes_per_session());
  std::printf("%d forks of a session of %s after %d tokens; a state has %.2f MB\n\n", flags.repeats,
              server.model().name().c_str(), flags.history, state_bytes / 1e6);
  std::printf("a fork, ms           median %.2f, p99 %.2f, longest %.2f\n", times.p50, times.p99,
              times.max);
  std::printf("%d forks at once, ms  %.2f\n", kManyAtOnce, figures.many_ms);
  std::printf("a fork adds          %.0f bytes of states, %.0f bytes to the process\n",
              figures.states_a_fork * state_bytes, figures.resident_bytes_a_fork);
  std::printf("a child's first turn %lld state%s\n",
              static_cast<long long>(figures.first_turn_states),
              figures.first_turn_states == 1 ? "" : "s");
}

absl::Status RunFork(ForkFlags flags) {
  if (flags.server.model.empty() && flags.server.random.empty()) {
    flags.server.random = "mamba-130m";
  }
  ServerUnderTest server(flags.server);
  const test::TempDir folder;
  SSMD_RETURN_IF_ERROR(server.Start({"--state-dir", folder.path()}));
  SSMD_ASSIGN_OR_RETURN(const ForkFigures figures, MeasureForks(flags, &server));
  flags.json ? PrintJson(flags, server, figures) : PrintTable(flags, server, figures);
  return server.Stop();
}

}  // namespace

void AddForkCommand(CLI::App& app, int* exit_code) {
  auto flags = std::make_shared<ForkFlags>();  // lives as long as the callback
  CLI::App* command = app.add_subcommand("fork", "Time and bytes of a session's fork");
  command->footer(kForkExplanation);
  command->add_option("--history", flags->history, "Tokens of the session")
      ->check(CLI::Range(1, 1 << 18))
      ->capture_default_str();
  command->add_option("--repeats", flags->repeats, "Forks, a call each")
      ->check(CLI::Range(1, 9000))
      ->capture_default_str();
  command->add_flag("--json", flags->json, "One JSON object on standard output");
  AddServerFlags(command, &flags->server);
  RunAsCallback(command, exit_code, [flags] { return RunFork(*flags); });
}

}  // namespace ssmd::bench
