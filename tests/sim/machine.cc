#include "tests/sim/machine.h"

#include <utility>
#include <vector>

#include "engine/base/status_macros.h"
#include "engine/engine_limits.h"
#include "engine/schedule/answer_text.h"
#include "engine/session/lasting_session_log.h"
#include "engine/session/recovered_states.h"
#include "engine/session/session_recovery.h"
#include "kernels/device.h"
#include "tests/support/late_device.h"
#include "tests/unit/schedule/fake_tokenizer.h"

namespace ssmd::sim {
namespace {

int64_t SlotBytes() {
  testing::FakeProbe probe;
  return static_cast<int64_t>(testing::FakeModel(&probe, 1).state_layout().bytes_per_slot());
}

// Of the FakeModel's ops there are only these.
class LateCpu final : public testing::LateDevice {
 public:
  LateCpu() : LateDevice(1) {}
  void Sample(const kernels::SampleParams& params) override { cpu_->Sample(params); }
  void Logprobs(const kernels::LogprobParams& params) override { cpu_->Logprobs(params); }

 private:
  const std::unique_ptr<kernels::Device> cpu_ = kernels::MakeCpuDevice({std::nullopt, 1});
};

std::unique_ptr<kernels::Device> MakeDevice(const MachineOptions& options) {
  if (options.late_copies) return std::make_unique<LateCpu>();
  return kernels::MakeCpuDevice({std::nullopt, 1});
}

}  // namespace

Machine::Machine(const MachineOptions& options_in, Surroundings surroundings)
    : device(MakeDevice(options_in)),
      host(options_in.host_states * SlotBytes()),
      options(options_in),
      around_(std::move(surroundings)) {
  if (options.lasting) {
    store = std::make_unique<testing::FakeStateStore>();
    store->states = around_.disk->states;
  }
  PutInService();
  recovered_ = OpenSessions();
  if (!recovered_.ok()) return;
  ModelRunner::Context context;
  context.model = &service;
  context.device = device.get();
  context.log = log.get();
  context.clock = around_.clock;
  context.wake = [] {};
  runner = std::make_unique<ModelRunner>(std::move(context),
                                         RunnerLimits{64, kSlowReader, std::chrono::seconds(5)});
}

// In ServingEngine's order.
Machine::~Machine() {
  runner.reset();
  log.reset();
  service.tiers->CloseStore();
  if (store != nullptr && !off_) {
    store->Run();
    around_.disk->states = store->states;
  }
  store.reset();
  sessions.reset();
  service.prefixes.reset();
  service.tiers.reset();
}

void Machine::PutInService() {
  service.name = "fake";
  service.model =
      std::make_unique<testing::FakeModel>(around_.probe, options.token_budget, options.logit_rows);
  service.tokenizer = std::make_unique<testing::FakeTokenizer>();
  service.pool = *StatePool::Create(device.get(), service.model->state_layout(), options.slots);
  service.identity = {"print", "profile", service.model->state_layout().Describe()};
  service.token_budget = options.token_budget;
  service.prompt_budget = options.prompt_budget;
  service.max_history_tokens = 100000;
  StateTiers::Options tiers;
  tiers.pool = service.pool.get();
  tiers.host = &host;
  tiers.store = store.get();
  tiers.identity = service.identity;
  tiers.wake = [] {};
  tiers.relief = [this] {
    return (sessions != nullptr && sessions->DropTurnEndState()) ||
           (service.prefixes != nullptr && service.prefixes->EvictOne());
  };
  service.tiers = std::make_unique<StateTiers>(std::move(tiers));
  if (options.prefix_bytes >= 0) {
    service.prefixes = std::make_unique<PrefixTree>(
        PrefixTreeOptions{options.prefix_bytes, options.prefix_grid, around_.clock});
  }
  EngineLimits limits;
  limits.host_state_bytes = host.limit();
  StateDirOptions state_dir;
  state_dir.path = options.lasting ? "disk" : "";
  AdmissionOptions admission;
  admission.model = service.name;
  admission.slots = options.slots;
  admission.max_waiting = 64;
  admission.states_max =
      StatesMax(limits, state_dir, options.slots, service.pool->bytes_per_slot());
  admission.states_held = [this] { return sessions->StatesOf("fake"); };
  service.admission = std::make_unique<Admission>(std::move(admission));
}

absl::Status Machine::OpenSessions() {
  const std::vector<ModelOfSessions> models = {
      {service.name, service.identity.fingerprint, SlotBytes(),
       [tokenizer = service.tokenizer.get()](const History& history, int64_t length) {
         return TextRemainder(*tokenizer, history, length);
       }}};
  sessions = std::make_unique<SessionTable>(options.sessions, models, around_.unix_ms);
  if (!options.lasting) {
    log = std::make_unique<WatchedLog>(SessionLog::InMemory(sessions.get()), around_.on_write);
    return absl::OkStatus();
  }
  SSMD_ASSIGN_OR_RETURN(const std::vector<std::string> stored, store->List());
  SessionRecovery recovery(sessions.get(), NameStates(stored));
  Disk* disk = around_.disk;
  SSMD_RETURN_IF_ERROR(
      disk->log.ReadAll([&](std::string_view record) { return recovery.Add(record); }));
  auto commits = std::make_unique<test::FakeCommitLog>(&disk->log);
  commit_log = commits.get();
  log = std::make_unique<WatchedLog>(
      std::make_unique<LastingSessionLog>(sessions.get(), std::move(commits),
                                          recovery.next_number(), options.compact_bytes),
      around_.on_write);
  BindStates(sessions.get(), store.get(), stored,
             [this](const std::string& /*model*/) { return service.tiers.get(); });
  return absl::OkStatus();
}

void Machine::PowerOff(size_t records, bool stores) {
  commit_log->Crash(records);
  if (stores) store->Run();
  around_.disk->states = store->states;
  off_ = true;
}

}  // namespace ssmd::sim
