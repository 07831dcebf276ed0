// World: the course of things. See world_*.cc for what is done and how it is checked.
#include "tests/sim/world.h"

#include <gtest/gtest.h>

#include <limits>
#include <utility>

#include "engine/base/errors.h"
#include "tests/sim/counted_ids.h"

namespace ssmd::sim {
namespace {

using std::chrono::milliseconds;

constexpr int kEvents = 260;        // of a history
constexpr int kRoundsToEnd = 5000;  // in which whatever goes on has come to an end

}  // namespace

World::World(uint64_t seed)
    : dice_(seed),
      late_copies_(seed % 3 == 0),
      lasting_(dice_.Chance(65)),
      log_fails_(lasting_ && dice_.Chance(25)),
      puts_fail_(lasting_ && dice_.Chance(25)),
      states_get_lost_(lasting_ && dice_.Chance(20)),
      ages_(dice_.Chance(20) ? 30 : 0),
      sessions_wanted_(static_cast<size_t>(dice_.Pick(3, dice_.Chance(50) ? 10 : 40))) {
  StartIds(seed);
  limits_.checkpoints = dice_.Pick(1, 4);
  limits_.turn_ends = dice_.Pick(0, dice_.Chance(50) ? 4 : 64);
  limits_.turn_end_states = dice_.Pick(0, 4);
  limits_.turn_end_bytes = dice_.Chance(50) ? 1 << 20 : dice_.Pick(0, 2000);
  limits_.waiting_turns = dice_.Pick(1, 8);
  limits_.results = dice_.Pick(1, 8);
}

MachineOptions World::RandomOptions() {
  MachineOptions options;
  options.lasting = lasting_;
  options.late_copies = late_copies_;
  options.slots = dice_.Pick(2, dice_.Chance(70) ? 5 : 12);
  options.host_states = dice_.Chance(50) ? 0 : dice_.Pick(0, lasting_ ? 8 : 60);
  options.token_budget = dice_.Pick(1, dice_.Chance(50) ? 4 : 24);
  options.prompt_budget = dice_.Pick(1, 24);
  options.logit_rows = dice_.Pick(1, 4);
  options.output_events = dice_.Chance(50) ? dice_.Pick(1, 6) : 1000;
  if (dice_.Chance(60)) {
    options.prefix_bytes = dice_.Pick(0, dice_.Chance(50) ? 3000 : 100000);
    options.prefix_grid = dice_.Pick(1, 16);
  }
  options.compact_bytes = dice_.Pick(1, 4000);
  options.sessions = limits_;
  return options;
}

void World::Start() {
  off_ = false;
  machine_ = std::make_unique<Machine>(
      RandomOptions(),
      Machine::Surroundings{&disk_, &clock_, &probe_, [this] { return unix_ms_; },
                            [this](const auto& changes) { return OnWrite(changes); }});
  ASSERT_TRUE(machine_->recovered().ok()) << machine_->recovered();
}

void World::Run() {
  Start();
  for (int event = 0; event < kEvents && !::testing::Test::HasFailure(); ++event) {
    SCOPED_TRACE("event " + std::to_string(event));
    Act();
  }
  if (!::testing::Test::HasFailure()) ComeToAnEnd();
  off_ = true;
  calls_.clear();
  storing_.clear();
  machine_ = nullptr;
}

void World::Act() {
  struct Event {
    int weight;
    void (World::*happens)();
  };
  static constexpr Event kAll[] = {
      {24, &World::CallOnSession}, {8, &World::CallWithoutSession},
      {8, &World::CreateSession},  {6, &World::Fork},
      {5, &World::Rewind},         {5, &World::Checkpoint},
      {2, &World::Delete},         {3, &World::ExportAndImport},
      {5, &World::CancelOne},      {6, &World::Retry},
      {2, &World::Score},          {2, &World::Encode},
      {6, &World::PassTime},       {14, &World::Answer},
      {6, &World::KeepHouse},      {2, &World::Compact},
      {1, &World::LoseState},      {1, &World::Restart},
      {5, &World::Look},           {1, &World::Settle},
  };
  static const int total = [] {
    int sum = 0;
    for (const Event& event : kAll) sum += event.weight;
    return sum;
  }();
  int drawn = dice_.Pick(1, total);
  const Event* event = kAll;
  for (; drawn > event->weight; ++event) drawn -= event->weight;
  Note(static_cast<uint64_t>(event - kAll));
  Tidy();
  (this->*event->happens)();
  for (int steps = dice_.Pick(0, 3); steps > 0; --steps) Step();
  Read(0);
}

// The log's answers are taken up before anybody else proposes anything, as by a thread that waits
// for them.
bool World::Tidy() {
  for (const SessionKey& key : std::exchange(deleted_, {})) {
    machine_->runner->DropSession(key, absl::CancelledError("deleted"));
  }
  // What is written while the log answers at once may answer what somebody waited for in vain.
  size_t waiting = 0;
  bool has_work = false;
  do {
    waiting = machine_->log->waiting().size();
    has_work = machine_->runner->Tidy();
  } while (waiting != machine_->log->waiting().size());
  return has_work;
}

void World::Step() {
  if (Tidy()) machine_->runner->Step();
}

void World::PassTime() {
  const int ms = dice_.Chance(15) ? 61000 : dice_.Pick(1, 200);
  clock_.Advance(milliseconds(ms));
  unix_ms_ += ms;
}

void World::Answer() {
  if (!lasting_) return;
  machine_->store->fail_puts = puts_fail_ && dice_.Chance(40);
  if (dice_.Chance(50)) machine_->store->Run();
  machine_->commit_log->AcknowledgeAtOnce(dice_.Chance(30));
  for (int records = dice_.Pick(0, 6); records > 0; --records) {
    if (log_fails_ && dice_.Chance(15)) {
      machine_->commit_log->Fail(absl::ResourceExhaustedError("the disk is full"));
    } else {
      machine_->commit_log->Acknowledge();
    }
  }
  Tidy();
}

void World::Compact() {
  if (!lasting_) return;
  int step = dice_.Chance(60) ? std::numeric_limits<int>::max() : dice_.Pick(0, 6);
  const bool crashes = dice_.Chance(50);
  machine_->commit_log->set_on_step([&](test::FakeCommitLog::Step) {
    if (step-- > 0) return absl::OkStatus();
    if (crashes && !off_) Crash();
    return absl::AbortedError("the compaction was cut short");
  });
  machine_->log->Maintain().IgnoreError();
  machine_->commit_log->set_on_step(nullptr);
  if (off_) {
    Restart();
  } else {
    Tidy();
  }
}

void World::Restart() {
  if (!lasting_) return;
  if (!off_) dice_.Chance(60) ? Crash() : ShutDown();
  calls_.clear();
  storing_.clear();
  deleted_.clear();
  machine_ = nullptr;
  Start();
  Look();
  LookAtStore();
}

// What was acknowledged stays; of what was not, as much as the disk has.
void World::Crash() {
  const auto waiting = machine_->log->waiting();
  const int records = dice_.Pick(0, static_cast<int>(waiting.size()));
  off_ = true;
  auto record = waiting.begin();
  for (int i = 0; i < records; ++i) (*record++)->apply();
  machine_->PowerOff(static_cast<size_t>(records), dice_.Chance(50));
}

void World::ShutDown() {
  off_ = true;
  machine_->store->fail_puts = false;
  machine_->runner->EndAll(absl::UnavailableError("the server is shutting down"));
  for (int round = 0; round < kRoundsToEnd && !machine_->runner->idle(); ++round) {
    while (machine_->commit_log->Acknowledge()) {
    }
    Tidy();
  }
  while (machine_->commit_log->Acknowledge()) {
  }
  EXPECT_TRUE(machine_->runner->idle());
  for (const auto& call : Calls(calls_)) ReadOne(call.get(), std::numeric_limits<int>::max());
  EXPECT_TRUE(calls_.empty()) << "a stream has no end";
}

// Everybody reads, the log and the store answer: all that goes on comes to an end.
void World::Settle() {
  if (lasting_) machine_->store->fail_puts = false;
  int round = 0;
  for (; round < kRoundsToEnd && !(calls_.empty() && machine_->runner->idle()); ++round) {
    if (lasting_) {
      while (machine_->commit_log->Acknowledge()) {
      }
      machine_->store->Run();
      machine_->service.tiers->RetryStores();
    }
    Step();
    for (const auto& call : Calls(calls_)) ReadOne(call.get(), std::numeric_limits<int>::max());
    if (::testing::Test::HasFailure()) return;
  }
  EXPECT_LT(round, kRoundsToEnd) << calls_.size() << " calls are stuck";
  if (lasting_) {
    while (machine_->commit_log->Acknowledge()) {
    }
    Tidy();
  }
}

void World::ComeToAnEnd() {
  SCOPED_TRACE("the end");
  Settle();
  Look();
  storing_.clear();
  while (!truth_.empty() && !::testing::Test::HasFailure()) {
    DeleteOne(truth_.begin()->second);
    Settle();
  }
  if (!::testing::Test::HasFailure()) CheckNothingIsLeft();
}

}  // namespace ssmd::sim
