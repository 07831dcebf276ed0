// A runner over the fake model, driven step by step, and what a caller's thread does for it.
#ifndef SSMD_TESTS_UNIT_SCHEDULE_RUNNER_BENCH_H_
#define SSMD_TESTS_UNIT_SCHEDULE_RUNNER_BENCH_H_

#include <gtest/gtest.h>

#include <atomic>
#include <cstdint>
#include <functional>
#include <memory>
#include <string>
#include <utility>
#include <vector>

#include "engine/schedule/encode_turn.h"
#include "engine/schedule/generate_turn.h"
#include "engine/schedule/model_runner.h"
#include "engine/schedule/prepare.h"
#include "engine/schedule/score_turn.h"
#include "tests/unit/schedule/fake_model.h"
#include "tests/unit/schedule/fake_tokenizer.h"
#include "tests/unit/schedule/harness.h"

namespace ssmd::testing {

struct RunnerOptions {
  int slots = 8;
  int token_budget = 7;
  int prompt_budget = 7;
  int output_events = 1000;
  int max_running = 100;
  bool prefixes = false;
  int64_t grid = 512;
  int64_t host_bytes = 1 << 20;
  Observer* observer = nullptr;
  std::function<void()> before_write = {};  // of the log
};

// Applies at once, as without a state directory, but for what the test does before.
class HookedLog final : public SessionLog {
 public:
  HookedLog(SessionTable* table, std::function<void()> before_write)
      : log_(SessionLog::InMemory(table)), before_write_(std::move(before_write)) {}
  void Write(Proposal proposal, Durability durability, Done done) override {
    if (before_write_) before_write_();
    log_->Write(std::move(proposal), durability, std::move(done));
  }
  absl::Status Maintain() override { return log_->Maintain(); }
  bool lasting() const override { return log_->lasting(); }
  CommitLogFigures figures() const override { return log_->figures(); }

 private:
  const std::unique_ptr<SessionLog> log_;
  const std::function<void()> before_write_;
};

class Bench {
 public:
  explicit Bench(const RunnerOptions& options = RunnerOptions())
      : device_(kernels::MakeCpuDevice({std::nullopt, 1})),
        host_(options.host_bytes),
        output_events_(options.output_events) {
    service_.name = "fake";
    service_.model = std::make_unique<FakeModel>(&probe, options.token_budget);
    service_.tokenizer = std::make_unique<FakeTokenizer>();
    service_.pool =
        *StatePool::Create(device_.get(), service_.model->state_layout(), options.slots);
    StateTiers::Options tiers;
    tiers.pool = service_.pool.get();
    tiers.host = &host_;
    tiers.wake = [] {};
    tiers.relief = [this] { return service_.prefixes != nullptr && service_.prefixes->EvictOne(); };
    service_.tiers = std::make_unique<StateTiers>(tiers);
    if (options.prefixes) {
      service_.prefixes =
          std::make_unique<PrefixTree>(PrefixTreeOptions{1 << 20, options.grid, &clock});
    }
    AdmissionOptions admission;
    admission.model = "fake";
    admission.slots = options.slots;
    admission.max_waiting = 100;
    admission.states_max = 100;
    service_.admission = std::make_unique<Admission>(admission);
    service_.token_budget = options.token_budget;
    service_.prompt_budget = options.prompt_budget;
    service_.max_history_tokens = 100000;
    SessionLimits limits;
    limits.turn_end_states = 0;
    sessions =
        std::make_unique<SessionTable>(limits, std::vector<ModelOfSessions>{{"fake", "", 64}});
    log_ = std::make_unique<HookedLog>(sessions.get(), options.before_write);
    ModelRunner::Context context;
    context.model = &service_;
    context.device = device_.get();
    context.log = log_.get();
    context.clock = &clock;
    context.observer = options.observer;
    context.wake = [] {};
    runner = std::make_unique<ModelRunner>(
        context,
        RunnerLimits{options.max_running, std::chrono::seconds(60), std::chrono::seconds(5)});
  }
  ~Bench() {
    runner->EndAll(absl::UnavailableError("the test is over"));
    EXPECT_TRUE(runner->idle());
    EXPECT_EQ(probe.violations, 0);
    runner.reset();
    log_.reset();
    service_.tiers->CloseStore();
    sessions.reset();
  }

  std::string NewSession() {
    auto proposal = sessions->ProposeCreate("tenant", "fake", {});
    EXPECT_TRUE(proposal.ok()) << proposal.status();
    return sessions->Apply(*std::move(proposal)).front().session_id;
  }

  std::shared_ptr<OutputStream> Submit(const GenerateRequest& request) {
    PreparedGeneration prepared;
    TurnHead head = Head(request.deadline);
    head.tenant = request.tenant;
    head.priority = request.priority;
    head.session_id = request.session_id;
    head.working_slots = request.choices;
    if (!request.session_id.empty()) {
      prepared.lease = *sessions->Enqueue(request.tenant, request.session_id, request.when_busy,
                                          std::nullopt, request.key);
    }
    head.ticket = *service_.admission->Admit(request.choices, 0, std::nullopt);
    prepared.prompt.at_start = prepared.prompt.later = std::get<1>(request.prompt);
    prepared.sampling = request.sampling;
    prepared.stops = MakeStopRules(service_, request.stop, request.max_tokens, false);
    prepared.choices = request.choices;
    prepared.echo = request.echo;
    prepared.top_logprobs = request.top_logprobs;
    prepared.key = request.key;
    prepared.commit = request.commit;
    auto stream = std::make_shared<OutputStream>(static_cast<size_t>(output_events_), [] {});
    prepared.stream = stream;
    runner->Submit(std::make_unique<GenerateTurn>(std::move(head), std::move(prepared), &service_,
                                                  sessions.get()));
    return stream;
  }
  void SubmitScore(std::vector<int32_t> ids, ScoreTurn::Done done) {
    runner->Submit(std::make_unique<ScoreTurn>(Reads(std::move(ids)), 0, std::move(done)));
  }
  void SubmitEncode(std::vector<int32_t> ids, Pooling pooling, EncodeTurn::Done done) {
    runner->Submit(std::make_unique<EncodeTurn>(Reads(std::move(ids)), pooling, false,
                                                FakeModel::kWidth, std::move(done)));
  }
  ReadStart Reads(std::vector<int32_t> ids) {
    ReadStart start{Head(std::nullopt), std::move(ids), "profile",
                    std::make_shared<std::atomic<bool>>(false)};
    start.head.ticket = *service_.admission->Admit(1, 0, std::nullopt);
    return start;
  }

  void Step(int steps = 1) {
    for (; steps > 0; --steps) {
      ASSERT_TRUE(runner->Tidy());
      runner->Step();
    }
  }
  void RunToEnd() {
    while (runner->Tidy()) runner->Step();
  }
  Answer RunToAnswer(const GenerateRequest& request) {
    auto stream = Submit(request);
    RunToEnd();
    return ReadAll(stream.get());
  }
  FakeState StateOf(const std::string& session_id) {
    const StateRef state = sessions->Image("tenant", session_id, "")->state;
    FakeState read;
    service_.tiers->Fetch(
        state, [&](absl::StatusOr<StateBytes> bytes) { read = *(*bytes)->as<const FakeState>(); });
    service_.tiers->Tend();
    return read;
  }
  FakeState StateAt(int32_t slot) {
    const auto& layout = service_.model->state_layout();
    return *reinterpret_cast<const FakeState*>(
        service_.pool->field({layout.fields()[0].offset}).at(slot));
  }
  int free_slots() const { return service_.pool->free_slots(); }

  FakeProbe probe;
  FakeClock clock;

 private:
  TurnHead Head(std::optional<TimePoint> deadline) {
    TurnHead head;
    head.request_id = "request" + std::to_string(next_sequence_);
    head.tenant = "tenant";
    head.deadline = deadline;
    head.submitted = clock.Now();
    head.sequence = next_sequence_++;
    return head;
  }

  std::unique_ptr<kernels::Device> device_;
  HostBudget host_;
  ModelInService service_;
  std::unique_ptr<SessionLog> log_;
  uint64_t next_sequence_ = 1;
  int output_events_;

 public:
  std::unique_ptr<SessionTable> sessions;
  std::unique_ptr<ModelRunner> runner;
};

// UNKNOWN while it goes on.
inline absl::StatusCode CodeOf(OutputStream* stream) {
  while (stream->Pop().has_value()) {
  }
  return stream->status().value_or(absl::UnknownError("still going")).code();
}

}  // namespace ssmd::testing

#endif  // SSMD_TESTS_UNIT_SCHEDULE_RUNNER_BENCH_H_
