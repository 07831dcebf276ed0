// What must be so: every session as its tokens, in the plainest way. No states, no sharing, no log.
#ifndef SSMD_TESTS_SIM_TRUTH_H_
#define SSMD_TESTS_SIM_TRUTH_H_

#include <cstdint>
#include <deque>
#include <map>
#include <string>
#include <vector>

#include "engine/session/session_table.h"
#include "tests/unit/schedule/fake_model.h"
#include "tests/unit/schedule/oracle.h"

namespace ssmd::sim {

using testing::OracleChoice;
using testing::OracleSession;

// How a request with an id was answered: a retry must find the same.
struct TrueResult {
  RequestKey key;
  std::vector<OracleChoice> choices;
  bool partial = false;  // its history alone says how far it came
};

struct TrueSession {
  struct End {  // of a turn, or of whatever else made a revision
    uint64_t revision = 0;
    int64_t position = 0;
    int64_t pending = 0;
  };
  struct Checkpoint {
    uint64_t revision = 0;
    OracleSession content;
  };

  std::string tenant;
  std::string id;
  OracleSession present;
  uint64_t revision = 0;
  std::deque<End> ends;  // before the present, oldest first, as many as are remembered
  std::map<std::string, Checkpoint> checkpoints;
  std::deque<TrueResult> results;          // oldest first, as many as are remembered
  std::map<uint64_t, OracleSession> past;  // what it was at each of its revisions

  void Become(uint64_t new_revision, OracleSession content);
  void Commit(const SessionLimits& limits, OracleSession content);
  void Rewind(const SessionLimits& limits, OracleSession target);
  void Keep(const SessionLimits& limits, TrueResult result);
  // Where a rewind to `position` may lead to: the pending counts of the points there.
  std::vector<int64_t> PendingAt(int64_t position) const;
};

int64_t Size(const OracleSession& session);
int64_t Consumed(const OracleSession& session);
// The first tokens of it, of which so many are pending.
OracleSession Beginning(const OracleSession& session, int64_t position, int64_t pending);
bool SameTokens(const TokenLog& a, const TokenLog& b);
// The history's hash, made from its tokens alone.
uint64_t HashOf(const TokenLog& history);
// What a model that was fed the first `count` tokens has become.
testing::FakeState StateAfter(const TokenLog& history, int64_t count);

}  // namespace ssmd::sim

#endif  // SSMD_TESTS_SIM_TRUTH_H_
