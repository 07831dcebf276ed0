// One history of a simulated server, made from a seed: callers who take turns on sessions and
// without, fork, rewind, checkpoint, export and delete them, read slowly, cancel, come again; a log
// and a store that answer late, fail and lose; time that passes; restarts, crashes among them.
//
// Everything is done by one thread in an order that the seed decides, and held against the truth
// (truth.h) at once: each change when it is written, each answer when it is read, every session and
// the bytes of its state at every look. Differences are test failures.
#ifndef SSMD_TESTS_SIM_WORLD_H_
#define SSMD_TESTS_SIM_WORLD_H_

#include <cstdint>
#include <functional>
#include <map>
#include <memory>
#include <optional>
#include <string>
#include <vector>

#include "engine/schedule/read_turn.h"
#include "tests/sim/dice.h"
#include "tests/sim/machine.h"
#include "tests/sim/truth.h"
#include "tests/unit/schedule/check_answer.h"

namespace ssmd::sim {

// A generation as its caller sees it.
struct Call {
  GenerateRequest request;
  std::shared_ptr<OutputStream> stream;
  testing::Answer answer;
  int eagerness = 100;              // of its reader, in percent
  bool hangs_up = false;            // nothing that comes now is accepted
  int64_t accepted = 0;             // tokens of choice 0 that the transport has taken
  int64_t accepted_by_earlier = 0;  // the most that one taken over had taken
  bool cancelled = false;
  bool session_deleted = false;
  bool poisoned = false;

  // Since its commit was written:
  bool proposed = false;
  bool committed = false;
  bool partial = false;
  OracleSession before;
  std::vector<OracleChoice> expected;

  bool on_session() const { return !request.session_id.empty(); }
  const std::vector<int32_t>& prompt() const {
    return std::get<std::vector<int32_t>>(request.prompt);
  }
};

class World {
 public:
  explicit World(uint64_t seed);

  // Everything, to the end or the first difference.
  void Run();
  // Of all that happened: the same for the same seed.
  uint64_t digest() const { return digest_; }

 private:
  using Calls = std::vector<std::shared_ptr<Call>>;

  // --- The course of things (world.cc) ---
  MachineOptions RandomOptions();
  void Start();
  void Act();
  bool Tidy();  // whether there is something to step
  void Step();
  void PassTime();
  void Answer();  // the log and the store do
  void Restart();
  void ShutDown();
  void Crash();
  void Compact();
  void Settle();
  void ComeToAnEnd();
  void Note(uint64_t what) { digest_ = testing::Mix(digest_, what); }

  // --- Callers (world_calls.cc) ---
  GenerateRequest RandomRequest();
  void CallOnSession();
  void CallWithoutSession();
  absl::Status Submit(const GenerateRequest& request);
  void CheckRefusal(const absl::Status& status, const GenerateRequest& request);
  void Read(int percent);
  void ReadOne(Call* call, int events);
  void CancelOne();
  void Retry();
  void CheckResult(const TurnResult& result, const TrueResult& expected);
  std::optional<ReadStart> Reads(const std::vector<int32_t>& ids);
  void Score();
  void Encode();
  void CheckEnd(const Call& call);
  bool MayEndWith(const Call& call, const absl::Status& status);
  void CheckCutShort(const Call& call);

  // --- Sessions (world_sessions.cc) ---
  TrueSession* AnySession();
  // The present one, or now and then another; none in so many of a hundred cases.
  std::optional<uint64_t> SomeRevision(const TrueSession& session, int percent);
  bool IsFree(const TrueSession& session) const;
  void Write(absl::StatusOr<Proposal> proposal);
  // The same, if the session was at the revision that was `expected`; else it has to be refused.
  void WriteIf(const TrueSession& session, std::optional<uint64_t> expected,
               absl::StatusOr<Proposal> proposal);
  void CreateSession();
  void Fork();
  void Rewind();
  void Checkpoint();
  void Delete();
  void DeleteOne(const TrueSession& session);
  void ExportAndImport();
  void KeepHouse();
  void LoseState();

  // --- What is written (world_writes.cc) ---
  WatchedLog::Record OnWrite(const std::vector<SessionChange>& changes);
  std::shared_ptr<Call> CallOf(const std::string& session, const std::string& request_id,
                               bool children);
  std::function<void()> Effect(const SessionCreated& change);
  std::function<void()> Effect(const SessionImage& change);
  std::function<void()> Effect(const SessionCommitted& change);
  std::function<void()> Effect(const SessionForked& change);
  std::function<void()> Effect(const SessionRewound& change);
  std::function<void()> Effect(const SessionCheckpointed& change);
  std::function<void()> Effect(const SessionDeleted& change);
  std::function<void()> Effect(const ResultKept& change);
  std::function<void()> Effect(const StateStored& change);
  OracleSession CommittedBy(Call* call, const SessionCommitted& change);
  std::function<void()> Add(const SessionKey& key, uint64_t revision, OracleSession content);

  // --- Looks (world_looks.cc) ---
  void Look();
  void LookAt(const TrueSession& session);
  void LookAtState(const TrueSession& session, const std::string& checkpoint,
                   const OracleSession& content);
  void LookAtStore();
  void CheckNothingIsLeft();

  Dice dice_;
  uint64_t digest_ = 0;

  // what may go wrong in this history
  const bool late_copies_;
  const bool lasting_;
  const bool log_fails_;
  const bool puts_fail_;
  const bool states_get_lost_;
  const int ages_;  // sessions with a lifetime, in percent
  SessionLimits limits_;
  size_t sessions_wanted_;

  FakeClock clock_;
  int64_t unix_ms_ = 1700000000000;
  testing::FakeProbe probe_;
  testing::Oracle oracle_;
  Disk disk_;
  std::unique_ptr<Machine> machine_;
  bool off_ = false;  // or about to be: nobody hears what happens
  std::vector<SessionTable::Unstored> storing_;
  std::vector<SessionKey> deleted_;  // with turns that have to be told

  std::map<std::string, TrueSession> truth_;
  std::map<std::string, std::map<uint64_t, OracleSession>> past_;  // of sessions that are gone
  Calls calls_;                                                    // whose end was not read
  Calls made_;                                                     // with an id, to be made again
  std::shared_ptr<Call> writing_;  // whose children are being written
  size_t next_child_ = 0;
  bool forking_ = false;  // what is written is a fork that was asked for as one
  OracleSession imported_;
  uint64_t next_request_ = 1;
};

}  // namespace ssmd::sim

#endif  // SSMD_TESTS_SIM_WORLD_H_
