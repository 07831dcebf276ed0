// A client that has sessions and changes them at random (turns that end and turns that it leaves,
// forks, rewinds, checkpoints, creations, deletions), one change at a time, until its daemon is
// gone; and that knows afterwards what must be there: what was acknowledged, and perhaps the one
// change that was under way.
//
// One thread at a time. What it does is a function of its seed and of what it is answered.
#ifndef SSMD_TESTS_FAULT_LOAD_CLIENT_H_
#define SSMD_TESTS_FAULT_LOAD_CLIENT_H_

#include <cstdint>
#include <functional>
#include <optional>
#include <random>
#include <string>
#include <vector>

#include "tests/fault/ledger.h"

namespace ssmd::test {

class LoadClient {
 public:
  // The oracle outlives it and serves other threads, too.
  LoadClient(uint64_t seed, client::Client* oracle) : random_(seed), oracle_(oracle) {}

  // Changes sessions until a call fails. `heard` is called at each sign of life of a call, which is
  // when an interesting moment begins. Returns the error.
  client::Error RunUntilCut(client::Client& client, const std::function<void()>& heard);

  // After the restart. Every session is at its last acknowledged change, or at the one that was
  // under way, and each goes on exactly.
  void Settle(client::Client& client);
  // Of sessions that nobody was told of, those that the change under way has not made: a new
  // session, or all the children of a fork, or none. Once.
  std::vector<v1::Session> Claim(const std::vector<v1::Session>& strangers);

  const std::vector<Ledger>& sessions() const { return sessions_; }

  // What the crashes met: a test that never sees these proves little.
  struct Seen {
    int cut = 0;            // changes to a session that were under way
    int cut_committed = 0;  // of those, the ones that had happened
    int left = 0;           // turns that were left by their caller
    int left_partly = 0;    // of those, the ones of which a part was kept
    int from_disk = 0;      // sessions that went on from a stored state
    int replayed = 0;       // and those that read some of their history again
  };
  const Seen& seen() const { return seen_; }

 private:
  enum class Change : uint8_t { kNone, kCreate, kTurn, kFork, kRewind, kCheckpoint, kDelete };
  // What was asked for and not answered.
  struct Cut {
    Change change = Change::kNone;
    size_t session = 0;
    v1::GenerateRequest turn;
    int64_t read = 0;  // tokens of its answer
    int children = 0;
    TokenLog history;  // that a rewind or a fork leads to
  };

  size_t Below(size_t bound) {
    return std::uniform_int_distribution<size_t>(0, bound - 1)(random_);
  }
  bool OneIn(size_t count) { return Below(count) == 0; }
  std::vector<int32_t> RandomPrompt();
  Change PickChange();

  // Each fills in cut_ before it asks, and empties it when it is answered.
  std::optional<client::Error> Ask(client::Client& client, const std::function<void()>& heard);
  std::optional<client::Error> AskCreate(client::Client& client);
  std::optional<client::Error> AskTurn(client::Client& client, const std::function<void()>& heard);
  std::optional<client::Error> AskTurnAndLeave(client::Client& client,
                                               const std::function<void()>& heard);
  std::optional<client::Error> AskFork(client::Client& client);
  std::optional<client::Error> AskRewind(client::Client& client);
  std::optional<client::Error> AskCheckpoint(client::Client& client);
  std::optional<client::Error> AskDelete(client::Client& client);

  // Finds out whether the change under way happened, and writes it into the ledger if it did.
  void SettleCut(client::Client& client);
  void SettleTurn(client::Client& client, const v1::Session& found);
  // What the turn under way, which has happened, kept of its answer.
  std::vector<int32_t> KeptAnswer(const v1::Session& found);
  void GoOn(client::Client& client, Ledger* ledger);
  void GoOnFromMark(client::Client& client, const Ledger& ledger);

  std::mt19937_64 random_;
  client::Client* oracle_;
  std::vector<Ledger> sessions_;
  Cut cut_;
  Seen seen_;
  uint64_t requests_ = 0;
};

}  // namespace ssmd::test

#endif  // SSMD_TESTS_FAULT_LOAD_CLIENT_H_
