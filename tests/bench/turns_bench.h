// Does a turn cost more, the longer the conversation before it? Measures the time to the first
// token of one and the same turn after histories of several lengths:
//
//   resident  on a session whose state is in its slot,
//   disk      on a session whose state has to come from the state directory,
//   reread    without a session: the history is sent again and read again (no prefix cache).
//
// The turns of different histories, from the disk and resident, alternate, so that whatever the
// machine does meanwhile does it to all of them. Each session is taken back to its history after
// two turns (RewindSession), so that the length is what it says. A turn that finds its state
// elsewhere than it should is an error.
#ifndef SSMD_TESTS_BENCH_TURNS_BENCH_H_
#define SSMD_TESTS_BENCH_TURNS_BENCH_H_

#include <cstdint>
#include <string>
#include <vector>

#include "absl/status/statusor.h"
#include "tests/bench/server_under_test.h"

namespace ssmd::bench {

struct TurnsOptions {
  std::vector<int64_t> histories = {1000, 3000, 10000, 30000, 100000};  // tokens; two or more
  int repeats = 50;         // of the turn on each, where the state is held
  int reread_repeats = 5;   // and where it is not
  int prompt_tokens = 16;   // of the turn
  int answer_tokens = 8;    // and what it samples
  int history_turn = 1000;  // tokens of each turn that a history is made of
};

// Milliseconds, one number a turn.
struct TurnTimes {
  std::vector<double> first_token;           // as the client sees it
  std::vector<double> server_first_token;    // since the engine accepted it
  std::vector<double> queue;                 // of that, until the first step that ran for it
  std::vector<double> load;                  // and of that, bringing the state near
  std::vector<double> first_token_unloaded;  // first_token without load
  std::vector<double> total;
};

struct HistoryTimes {
  int64_t history = 0;
  TurnTimes resident;
  TurnTimes disk;  // empty for a daemon that is not ours
  TurnTimes reread;
};

// Starts `server`, twice where it is ours.
absl::StatusOr<std::vector<HistoryTimes>> MeasureTurns(const TurnsOptions& options,
                                                       ServerUnderTest* server);

}  // namespace ssmd::bench

#endif  // SSMD_TESTS_BENCH_TURNS_BENCH_H_
