// A server of its own for one fault: an engine with a tiny model over a state folder that holds
// some sessions already, and what each session is expected to be. Their next tokens have to be
// those of an engine that nothing happens to.
#ifndef SSMD_TESTS_FAULT_FAULT_WORLD_H_
#define SSMD_TESTS_FAULT_FAULT_WORLD_H_

#include <unistd.h>

#include <cstdint>
#include <functional>
#include <map>
#include <memory>
#include <optional>
#include <string>
#include <vector>

#include "absl/status/status.h"
#include "absl/status/statusor.h"
#include "engine/engine.h"
#include "tests/support/temp_folder.h"
#include "tests/unit/schedule/harness.h"

namespace ssmd::testing {

using TokenIds = std::vector<int32_t>;

struct ExpectedSession {
  uint64_t revision = 0;
  TokenIds history;
  // A change that was asked for and not acknowledged: a restart may find it, whole.
  struct Doubt {
    bool deleted = false;
    uint64_t revision = 0;
    TokenIds history;
  };
  std::optional<Doubt> doubt;
};
using ExpectedSessions = std::map<std::string, ExpectedSession>;  // by id

using Adjust = std::function<void(EngineOptions*)>;
using MadeDevice = absl::StatusOr<std::unique_ptr<kernels::Device>>;
using DeviceMaker = std::function<MadeDevice()>;

// A tiny model, what an engine with it says that nothing happens to, and a state folder to begin
// with.
class Undisturbed {
 public:
  explicit Undisturbed(DeviceMaker make_device);
  const std::string& model() const { return model_; }
  absl::StatusOr<std::unique_ptr<Engine>> Make(EngineOptions options) const;
  // What is sampled after `history` and `prompt`.
  const TokenIds& Sampled(const TokenIds& history, const TokenIds& prompt);

  const std::string& state_folder() const { return state_; }
  const ExpectedSessions& sessions() const { return sessions_; }  // in it
  // The one that operations are about: at its second turn's end, with a checkpoint at the first's.
  // Its fork and another session are bystanders.
  const std::string& victim() const { return victim_; }

 private:
  const DeviceMaker make_device_;
  const TempFolder folder_;
  const std::string model_;
  const std::string state_;
  std::unique_ptr<Engine> engine_;
  std::map<std::pair<TokenIds, TokenIds>, TokenIds> known_;
  ExpectedSessions sessions_;
  std::string victim_;
};

// Thousands of syncs take minutes on a disk, and say nothing more.
inline std::string MemoryFolder() {
  const char* const shared_memory = "/dev/shm";
  return access(shared_memory, W_OK) == 0 ? shared_memory : ::testing::TempDir();
}

class FaultWorld {
 public:
  // Begins with a copy of `undisturbed`'s state folder and the sessions in it. `adjust`: of the
  // engine's options until the restart; `share`: all the time, so that sessions are shared. Both
  // may be null.
  FaultWorld(Undisturbed* undisturbed, Adjust adjust, Adjust share);
  // With an empty folder that is given.
  FaultWorld(Undisturbed* undisturbed, const std::string& state_folder);

  Engine* engine() { return engine_.get(); }
  const std::string& victim() const { return victim_; }
  const ExpectedSessions& sessions() const { return sessions_; }

  absl::Status Start();
  void Restart();  // must succeed
  void Stop() { engine_ = nullptr; }
  void LoseFolder();  // for what is shared alone

  // Operations. What they do is expected from then on if they say that it is done.
  absl::Status Create();
  absl::Status Turn(const std::string& id, Durability durability = Durability::kProcess);
  absl::Status Anonymous();
  absl::Status Fork();
  absl::Status Rewind();
  absl::Status Checkpoint();
  absl::StatusOr<std::string> Export();
  absl::Status Import(const std::string& snapshot);  // of the victim
  absl::Status Delete(const std::string& id);
  absl::Status TurnOfEach(Durability durability);  // the first error

  // Until nothing is under way.
  void Settle();

  // Looks at every session and lets each have a turn. `restarted`: since the operation. True where
  // the log takes nothing more: then it says so, and it must not where not `may_be_broken`.
  bool Look(bool restarted, bool may_be_broken);
  // Deletes all sessions, and looks that nothing of them is left.
  void LookAtEmpty();
  // Names of files that were not finished.
  std::vector<std::string> Unfinished() const;

 private:
  EngineOptions Options() const;
  TokenIds PromptOf(const ExpectedSession& session) const;
  absl::Status Refused(const absl::Status& status, const std::string& id,
                       ExpectedSession::Doubt doubt);
  void CheckMessage(const absl::Status& status) const;
  void AwaitShared();
  void LookAtSessions(bool restarted);
  void LookAtFigures();

  Undisturbed* const undisturbed_;
  const TempFolder folder_{MemoryFolder()};
  const Adjust adjust_;
  const Adjust share_;
  std::unique_ptr<Engine> engine_;
  ExpectedSessions sessions_;
  std::string victim_;
  int unknown_ = 0;  // sessions that were asked for and not acknowledged
};

}  // namespace ssmd::testing

#endif  // SSMD_TESTS_FAULT_FAULT_WORLD_H_
