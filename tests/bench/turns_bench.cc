#include "tests/bench/turns_bench.h"

#include <algorithm>
#include <cstdio>
#include <utility>

#include "absl/strings/str_format.h"
#include "engine/base/status_macros.h"
#include "tests/bench/measured_turn.h"
#include "tests/support/process.h"

namespace ssmd::bench {
namespace {

constexpr int kWarmUps = 2;  // turns of each history that are not counted

// More states than a daemon keeps in memory that has as little of it as can be: 2 slots and a floor
// of 8 in host memory. Turns on so many others drive a state to the disk.
constexpr int kOthers = 16;
constexpr int64_t kOthersHistory = 8;

class TurnsBench {
 public:
  TurnsBench(const TurnsOptions& options, ServerUnderTest* server)
      : options_(options), server_(*server) {
    for (const int64_t history : options.histories) rows_.emplace_back().history = history;
  }

  absl::Status Run();
  std::vector<HistoryTimes> TakeRows() { return std::move(rows_); }

 private:
  struct Session {
    std::string id;
    int64_t history = 0;
  };
  absl::StatusOr<Session> MakeSession(int64_t history);
  absl::Status MakeSessions();
  // Into `times`, where that is given, if the state was at `source`.
  absl::Status TakeTurn(const Session& session, v1::StateSource source, TurnTimes* times);
  absl::Status Rewind(const Session& session);
  absl::Status TakeTurns();
  absl::Status Reread();
  std::vector<int32_t> Prompt() const {
    return AnyTokens(options_.prompt_tokens, server_.model().vocabulary_size(), 1);
  }

  const TurnsOptions options_;
  ServerUnderTest& server_;
  const test::TempDir folder_;  // the daemon's state directory
  std::vector<HistoryTimes> rows_;
  std::vector<Session> sessions_;  // one a row
  std::vector<Session> others_;
};

void Add(const MeasuredTurn& turn, TurnTimes* times) {
  const v1::Timings& timings = turn.final.timings();
  times->first_token.push_back(turn.first_token_ms);
  times->server_first_token.push_back(timings.first_token_ms());
  times->queue.push_back(timings.queue_ms());
  times->load.push_back(timings.load_ms());
  times->first_token_unloaded.push_back(turn.first_token_ms - timings.load_ms());
  times->total.push_back(turn.total_ms);
}

// A conversation of turns, as it would have come about.
absl::StatusOr<TurnsBench::Session> TurnsBench::MakeSession(int64_t history) {
  SSMD_ASSIGN_OR_RETURN(const v1::Session made,
                        ValueOf(server_.client().CreateSession(server_.model().name())));
  Session session{made.session_id(), 0};
  while (session.history < history) {
    const int64_t count = std::min<int64_t>(options_.history_turn, history - session.history);
    const std::vector<int32_t> tokens = AnyTokens(count, server_.model().vocabulary_size(),
                                                  static_cast<uint32_t>(2 + session.history));
    SSMD_RETURN_IF_ERROR(
        MeasureTurn(server_.client(), TurnRequest(session.id, tokens, 0)).status());
    session.history += count;
  }
  return session;
}

absl::Status TurnsBench::MakeSessions() {
  for (const HistoryTimes& row : rows_) {
    SSMD_ASSIGN_OR_RETURN(Session session, MakeSession(row.history));
    sessions_.push_back(std::move(session));
  }
  while (server_.is_ours() && others_.size() < kOthers) {
    SSMD_ASSIGN_OR_RETURN(Session session, MakeSession(kOthersHistory));
    others_.push_back(std::move(session));
  }
  return absl::OkStatus();
}

absl::Status TurnsBench::TakeTurn(const Session& session, v1::StateSource source,
                                  TurnTimes* times) {
  SSMD_ASSIGN_OR_RETURN(
      const MeasuredTurn turn,
      MeasureTurn(server_.client(), TurnRequest(session.id, Prompt(), options_.answer_tokens)));
  if (times == nullptr) return absl::OkStatus();
  if (turn.final.state_source() != source) {
    return absl::FailedPreconditionError(absl::StrFormat(
        "a turn after %d tokens found its state at %s, not at %s", session.history,
        v1::StateSource_Name(turn.final.state_source()), v1::StateSource_Name(source)));
  }
  Add(turn, times);
  return absl::OkStatus();
}

absl::Status TurnsBench::Rewind(const Session& session) {
  v1::RewindSessionRequest request;
  request.set_session_id(session.id);
  request.set_position(session.history);
  return ValueOf(server_.client().RewindSession(request)).status();
}

// Two turns on each history: what the first one loaded and left in its slot, the second one finds.
absl::Status TurnsBench::TakeTurns() {
  for (int round = -kWarmUps; round < options_.repeats; ++round) {
    const bool counts = round >= 0;
    for (size_t i = 0; i < rows_.size(); ++i) {
      // Each comes first in some rounds.
      const size_t row = (i + static_cast<size_t>(round + kWarmUps)) % rows_.size();
      HistoryTimes& times = rows_[row];
      if (server_.is_ours()) {
        SSMD_RETURN_IF_ERROR(
            TakeTurn(sessions_[row], v1::STATE_SOURCE_DISK, counts ? &times.disk : nullptr));
      }
      SSMD_RETURN_IF_ERROR(
          TakeTurn(sessions_[row], v1::STATE_SOURCE_RESIDENT, counts ? &times.resident : nullptr));
      SSMD_RETURN_IF_ERROR(Rewind(sessions_[row]));
    }
    for (const Session& other : others_) {
      SSMD_RETURN_IF_ERROR(TakeTurn(other, v1::STATE_SOURCE_UNSPECIFIED, nullptr));
      SSMD_RETURN_IF_ERROR(Rewind(other));
    }
  }
  return absl::OkStatus();
}

absl::Status TurnsBench::Reread() {
  for (int round = 0; round < options_.reread_repeats; ++round) {
    for (HistoryTimes& row : rows_) {
      const std::vector<int32_t> tokens =
          AnyTokens(row.history + options_.prompt_tokens, server_.model().vocabulary_size(), 2);
      SSMD_ASSIGN_OR_RETURN(
          const MeasuredTurn turn,
          MeasureTurn(server_.client(), TurnRequest("", tokens, options_.answer_tokens)));
      if (turn.final.usage().reused_tokens() > 0) {
        return absl::FailedPreconditionError(
            "a prompt was not read again but found in the prefix cache: start the daemon with "
            "--prefix-cache-bytes=0");
      }
      Add(turn, &row.reread);
    }
  }
  return absl::OkStatus();
}

absl::Status TurnsBench::Run() {
  SSMD_RETURN_IF_ERROR(server_.Start({"--state-dir", folder_.path(), "--prefix-cache-bytes", "0"}));
  SSMD_RETURN_IF_ERROR(MakeSessions());
  SSMD_RETURN_IF_ERROR(Reread());
  if (server_.is_ours()) {
    SSMD_RETURN_IF_ERROR(server_.Stop());
    SSMD_RETURN_IF_ERROR(server_.Start(
        {"--state-dir", folder_.path(), "--state-slots", "2", "--host-state-bytes", "0"}));
  }
  return TakeTurns();
}

}  // namespace

absl::StatusOr<std::vector<HistoryTimes>> MeasureTurns(const TurnsOptions& options,
                                                       ServerUnderTest* server) {
  if (options.histories.size() < 2) {
    return absl::InvalidArgumentError("--histories needs two lengths, to be compared");
  }
  TurnsBench bench(options, server);
  SSMD_RETURN_IF_ERROR(bench.Run());
  return bench.TakeRows();
}

}  // namespace ssmd::bench
