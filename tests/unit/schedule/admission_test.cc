#include "engine/schedule/admission.h"

#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include <vector>

#include "engine/base/errors.h"

namespace ssmd {
namespace {

using ::testing::HasSubstr;

TEST(Admission, QueueTakesExactlyItsLimit) {
  Admission admission("m", 8, 3);
  std::vector<Admission::Ticket> tickets;
  for (int i = 0; i < 3; ++i) {
    auto ticket = admission.Admit(1, 0);
    ASSERT_TRUE(ticket.ok()) << i;
    tickets.push_back(*std::move(ticket));
  }
  const absl::Status refused = admission.Admit(1, 0).status();
  EXPECT_TRUE(absl::IsResourceExhausted(refused));
  EXPECT_EQ(ReasonOf(refused), reason::kQueueFull);
  EXPECT_GE(RetryAfterOf(refused)->count(), 100);

  tickets[0].Started();  // a turn that runs does not wait
  EXPECT_EQ(admission.waiting(), 2);
  EXPECT_TRUE(admission.Admit(1, 0).ok());
  tickets.clear();
  EXPECT_EQ(admission.waiting(), 0);
}

TEST(Admission, RetryDelayGrowsWithTheLengthOfTurnsAndIsBounded) {
  Admission admission("m", 8, 1);
  auto ticket = admission.Admit(1, 0);
  admission.NoteTurn(std::chrono::seconds(4));
  EXPECT_EQ(RetryAfterOf(admission.Admit(1, 0).status())->count(), 4000);
  for (int i = 0; i < 100; ++i) admission.NoteTurn(std::chrono::hours(1));
  EXPECT_EQ(RetryAfterOf(admission.Admit(1, 0).status())->count(), 30000);
}

TEST(Admission, SessionsMayHoldAllSlotsButOne) {
  Admission admission("m", 3, 10);
  auto first = admission.Admit(1, 1);
  ASSERT_TRUE(first.ok());
  first->BecameResident(1);
  first->Release();
  auto second = admission.Admit(1, 1);  // still running: its slot counts already
  ASSERT_TRUE(second.ok());
  const absl::Status third = admission.Admit(1, 1).status();
  EXPECT_EQ(ReasonOf(third), reason::kSlotsHeld);
  EXPECT_THAT(std::string(third.message()), HasSubstr("--state-slots"));
  EXPECT_TRUE(admission.Admit(1, 0).ok()) << "turns that leave no slot behind are welcome";
}

TEST(Admission, AFailedTurnGivesItsPromisedSlotBack) {
  Admission admission("m", 2, 10);
  auto failed = admission.Admit(1, 1);
  EXPECT_FALSE(admission.Admit(1, 1).ok());
  failed->Release();
  EXPECT_TRUE(admission.Admit(1, 1).ok());
}

TEST(Admission, DeletingASessionMakesRoom) {
  Admission admission("m", 2, 10);
  auto turn = admission.Admit(1, 1);
  turn->BecameResident(1);
  turn->Release();
  EXPECT_FALSE(admission.Admit(1, 1).ok());
  EXPECT_FALSE(admission.CheckStartable(2).ok());
  admission.ResidentDeleted();
  EXPECT_TRUE(admission.CheckStartable(2).ok());
  EXPECT_TRUE(admission.Admit(1, 1).ok());
}

TEST(Admission, RefusesWhatCanNeverGetItsSlots) {
  Admission admission("m", 4, 10);
  EXPECT_TRUE(admission.Admit(4, 0).ok());
  EXPECT_TRUE(absl::IsInvalidArgument(admission.Admit(5, 0).status()));
  auto turn = admission.Admit(1, 1);
  turn->BecameResident(1);
  EXPECT_TRUE(admission.Admit(3, 0).ok());
  EXPECT_EQ(ReasonOf(admission.Admit(4, 0).status()), reason::kSlotsHeld);
}

TEST(Admission, DrainsWhenTheLastTurnIsGone) {
  Admission admission("m", 4, 10);
  auto turn = admission.Admit(1, 0);
  admission.Drain();
  const absl::Status refused = admission.Admit(1, 0).status();
  EXPECT_TRUE(absl::IsUnavailable(refused));
  EXPECT_EQ(ReasonOf(refused), reason::kDraining);
  EXPECT_FALSE(admission.drained());
  turn->Release();
  EXPECT_TRUE(admission.drained());
}

}  // namespace
}  // namespace ssmd
