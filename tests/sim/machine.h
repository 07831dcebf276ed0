// A server without threads and without a network: what ServingEngine puts together, over a model,
// a log and a store that are in memory and do what they are told. Destroyed and made again by a
// restart; the Disk outlives it.
#ifndef SSMD_TESTS_SIM_MACHINE_H_
#define SSMD_TESTS_SIM_MACHINE_H_

#include <cstdint>
#include <functional>
#include <map>
#include <memory>
#include <string>

#include "engine/schedule/model_in_service.h"
#include "engine/schedule/model_runner.h"
#include "engine/state/host_budget.h"
#include "tests/sim/watched_log.h"
#include "tests/support/fake_commit_log.h"
#include "tests/support/fake_state_store.h"
#include "tests/unit/schedule/fake_model.h"

namespace ssmd::sim {

struct MachineOptions {
  bool lasting = false;  // with a log and a store
  int slots = 2;
  int host_states = 0;       // for which the budget has room
  bool late_copies = false;  // from slots to host memory, as a GPU makes them
  int token_budget = 1;
  int prompt_budget = 1;
  int logit_rows = 1;
  int output_events = 1;
  int64_t prefix_bytes = -1;  // -1: no prefix tree
  int64_t prefix_grid = 1;
  int64_t compact_bytes = 1;
  SessionLimits sessions;
};

struct Disk {
  test::FakeLogMedium log;
  std::map<std::string, Snapshot> states;
};

class Machine {
 public:
  static constexpr Duration kSlowReader = std::chrono::seconds(60);

  struct Surroundings {  // all outlive the machine
    Disk* disk = nullptr;
    FakeClock* clock = nullptr;
    testing::FakeProbe* probe = nullptr;
    std::function<int64_t()> unix_ms;
    WatchedLog::OnWrite on_write;
  };
  Machine(const MachineOptions& options, Surroundings surroundings);
  ~Machine();

  // Of the log's reading. The machine is of no use unless it is OK.
  const absl::Status& recovered() const { return recovered_; }

  // Nothing reaches the disk any more, but for the first `records` of those that wait for the log
  // and, if so said, what waits for the store.
  void PowerOff(size_t records, bool stores);

  const std::unique_ptr<kernels::Device> device;
  ModelInService service;
  HostBudget host;
  std::unique_ptr<testing::FakeStateStore> store;  // null: no disk
  std::unique_ptr<SessionTable> sessions;
  test::FakeCommitLog* commit_log = nullptr;  // null: no disk; the log's
  std::unique_ptr<WatchedLog> log;
  std::unique_ptr<ModelRunner> runner;
  const MachineOptions options;

 private:
  void PutInService();
  absl::Status OpenSessions();

  const Surroundings around_;
  absl::Status recovered_;
  bool off_ = false;
};

}  // namespace ssmd::sim

#endif  // SSMD_TESTS_SIM_MACHINE_H_
