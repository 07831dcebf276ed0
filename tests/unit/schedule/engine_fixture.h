// The engine over the fake model, as a test fixture: turns that are checked against the oracle, and
// a gate that holds the step thread still.
#ifndef SSMD_TESTS_UNIT_SCHEDULE_ENGINE_FIXTURE_H_
#define SSMD_TESTS_UNIT_SCHEDULE_ENGINE_FIXTURE_H_

#include <gtest/gtest.h>

#include <atomic>
#include <functional>
#include <future>
#include <memory>
#include <string>
#include <utility>

#include "engine/engine.h"
#include "tests/unit/schedule/check_answer.h"

namespace ssmd::testing {

// Holds the step thread before its next step until it is opened.
class Gate {
 public:
  explicit Gate(FakeProbe* probe) {
    probe->before_forward = [this] {
      if (closed_.exchange(false)) {
        reached_.set_value();
        opened_.get_future().wait();
      }
    };
  }
  void AwaitStep() { reached_.get_future().wait(); }
  void Open() { opened_.set_value(); }

 private:
  std::atomic<bool> closed_{true};
  std::promise<void> reached_;
  std::promise<void> opened_;
};

class EngineTest : public ::testing::Test {
 protected:
  void TearDown() override {
    engine_.reset();
    EXPECT_EQ(probe_.violations, 0);
  }
  void Start(FakeEngineOptions options = FakeEngineOptions()) {
    engine_ = MakeFakeEngine(&probe_, std::move(options), &wake_);
  }
  std::string NewSession(const std::string& tenant = "tenant") {
    auto session = CreateSession(engine_.get(), tenant);
    EXPECT_TRUE(session.ok()) << session.status();
    return session.ok() ? session->session_id : "";
  }
  // Runs a turn and checks all of it against the oracle, which takes the session on.
  Answer RunChecked(const GenerateRequest& request, OracleSession* session) {
    Answer answer = RunTurn(engine_.get(), request);
    *session = CheckAnswer(&oracle_, answer, request, *session)[0].after;
    return answer;
  }
  absl::Status Refusal(const GenerateRequest& request) {
    return engine_->Generate(request, "refused").status();
  }
  absl::StatusOr<ScoreResult> Score(ScoreRequest request) {
    std::promise<absl::StatusOr<ScoreResult>> done;
    request.tenant = "tenant";
    engine_->Score(std::move(request), "score",
                   [&](absl::StatusOr<ScoreResult> result) { done.set_value(std::move(result)); });
    return done.get_future().get();
  }

  absl::StatusOr<EncodeResult> Encode(EncodeRequest request) {
    std::promise<absl::StatusOr<EncodeResult>> done;
    request.tenant = "tenant";
    engine_->Encode(std::move(request), "encode", [&](absl::StatusOr<EncodeResult> result) {
      done.set_value(std::move(result));
    });
    return done.get_future().get();
  }

  FakeProbe probe_;
  Oracle oracle_;
  std::function<void()> wake_;
  std::unique_ptr<Engine> engine_;
};

}  // namespace ssmd::testing

#endif  // SSMD_TESTS_UNIT_SCHEDULE_ENGINE_FIXTURE_H_
