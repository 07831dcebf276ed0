#include "engine/base/clock.h"

#include <gtest/gtest.h>

namespace ssmd {
namespace {

using std::chrono::milliseconds;

TEST(SteadyClock, DoesNotGoBack) {
  const SteadyClock clock;
  const TimePoint before = clock.Now();
  EXPECT_GE(clock.Now(), before);
}

TEST(FakeClock, MovesOnlyWhenTold) {
  FakeClock clock;
  const TimePoint start = clock.Now();
  EXPECT_EQ(clock.Now(), start);
  clock.Advance(milliseconds(1500));
  EXPECT_EQ(Seconds(clock.Now() - start), 1.5);
}

// A default TimePoint often means "none".
TEST(FakeClock, DoesNotStartAtTheDefaultTime) { EXPECT_NE(FakeClock().Now(), TimePoint()); }

}  // namespace
}  // namespace ssmd
