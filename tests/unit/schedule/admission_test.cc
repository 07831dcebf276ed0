#include "engine/schedule/admission.h"

#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include <vector>

#include "engine/base/errors.h"

namespace ssmd {
namespace {

using ::testing::HasSubstr;

// An admission of eight slots that counts what its test says is held.
class AdmissionTest : public ::testing::Test {
 protected:
  Admission Make(int max_waiting, int64_t states_max = 100,
                 Duration max_queue_time = std::chrono::hours(10)) {
    AdmissionOptions options;
    options.model = "m";
    options.slots = 8;
    options.max_waiting = max_waiting;
    options.max_queue_time = max_queue_time;
    options.states_max = states_max;
    options.states_held = [this] { return held_; };
    return Admission(options);
  }
  // Turns end, one every `interval`, for long enough to be the average.
  void EndTurns(Admission* admission, Duration interval) {
    for (int i = 0; i < 200; ++i) admission->NoteEnd(now_ += interval);
  }

  int64_t held_ = 0;
  TimePoint now_{};
};

TEST_F(AdmissionTest, QueueTakesExactlyItsLimit) {
  Admission admission = Make(3);
  std::vector<Admission::Ticket> tickets;
  for (int i = 0; i < 3; ++i) {
    auto ticket = admission.Admit(1, 0, std::nullopt);
    ASSERT_TRUE(ticket.ok()) << i;
    tickets.push_back(*std::move(ticket));
  }
  const absl::Status refused = admission.Admit(1, 0, std::nullopt).status();
  EXPECT_TRUE(absl::IsResourceExhausted(refused));
  EXPECT_EQ(ReasonOf(refused), reason::kQueueFull);
  EXPECT_GE(RetryAfterOf(refused)->count(), 100);

  tickets[0].Started();  // a turn that runs does not wait
  EXPECT_EQ(admission.waiting(), 2);
  EXPECT_TRUE(admission.Admit(1, 0, std::nullopt).ok());
  tickets.clear();
  EXPECT_EQ(admission.waiting(), 0);
}

TEST_F(AdmissionTest, RetryDelayIsWhatTheQueueTakesAndIsBounded) {
  Admission admission = Make(2);
  auto one = admission.Admit(1, 0, std::nullopt);
  auto two = admission.Admit(1, 0, std::nullopt);
  EndTurns(&admission, std::chrono::seconds(2));
  EXPECT_NEAR(RetryAfterOf(admission.Admit(1, 0, std::nullopt).status())->count(), 4000, 10);
  EndTurns(&admission, std::chrono::hours(1));
  EXPECT_EQ(RetryAfterOf(admission.Admit(1, 0, std::nullopt).status())->count(), 30000);
}

TEST_F(AdmissionTest, RefusesWhoWouldWaitLongerThanTurnsMay) {
  Admission admission = Make(10, 100, std::chrono::seconds(5));
  auto one = admission.Admit(1, 0, std::nullopt);
  EndTurns(&admission, std::chrono::seconds(3));
  auto two = admission.Admit(1, 0, std::nullopt);
  EXPECT_TRUE(two.ok()) << "behind one that waits: three seconds";
  const absl::Status refused = admission.Admit(1, 0, std::nullopt).status();
  EXPECT_EQ(ReasonOf(refused), reason::kQueueFull);
  EXPECT_THAT(std::string(refused.message()), HasSubstr("--max-queue-time"));
  EXPECT_TRUE(RetryAfterOf(refused).has_value());
}

TEST_F(AdmissionTest, RefusesWhoseDeadlineWouldPassInTheQueue) {
  Admission admission = Make(10);
  EXPECT_TRUE(admission.Admit(1, 0, std::chrono::milliseconds(1)).ok()) << "nobody waits";
  auto one = admission.Admit(1, 0, std::nullopt);
  EndTurns(&admission, std::chrono::seconds(3));
  EXPECT_TRUE(admission.Admit(1, 0, std::chrono::seconds(4)).ok());
  EXPECT_THAT(std::string(admission.Admit(1, 0, std::chrono::seconds(2)).status().message()),
              HasSubstr("deadline"));
}

TEST_F(AdmissionTest, StatesOfSessionsMustFitTheTiers) {
  Admission admission = Make(10, 3);
  held_ = 1;
  auto first = admission.Admit(1, 1, std::nullopt);
  ASSERT_TRUE(first.ok());
  EXPECT_TRUE(admission.CheckRoom(1).ok());
  EXPECT_FALSE(admission.CheckRoom(2).ok());
  auto second = admission.Admit(1, 1, std::nullopt);  // still running: its state counts already
  ASSERT_TRUE(second.ok());
  const absl::Status third = admission.Admit(1, 1, std::nullopt).status();
  EXPECT_EQ(ReasonOf(third), reason::kSlotsHeld);
  EXPECT_THAT(std::string(third.message()), HasSubstr("--host-state-bytes"));
  EXPECT_TRUE(admission.Admit(1, 0, std::nullopt).ok()) << "turns that leave no state are welcome";
  second->Release();
  EXPECT_TRUE(admission.Admit(1, 1, std::nullopt).ok()) << "a turn that failed leaves none";
}

TEST_F(AdmissionTest, RefusesMoreChoicesThanThereAreSlots) {
  Admission admission = Make(10);
  EXPECT_TRUE(admission.Admit(8, 0, std::nullopt).ok());
  EXPECT_TRUE(absl::IsInvalidArgument(admission.Admit(9, 0, std::nullopt).status()));
}

TEST_F(AdmissionTest, DrainsWhenTheLastTurnIsGone) {
  Admission admission = Make(10);
  auto turn = admission.Admit(1, 0, std::nullopt);
  admission.Drain();
  const absl::Status refused = admission.Admit(1, 0, std::nullopt).status();
  EXPECT_TRUE(absl::IsUnavailable(refused));
  EXPECT_EQ(ReasonOf(refused), reason::kDraining);
  EXPECT_FALSE(admission.drained());
  turn->Release();
  EXPECT_TRUE(admission.drained());
}

}  // namespace
}  // namespace ssmd
