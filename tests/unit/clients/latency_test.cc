#include "clients/ssmctl/latency.h"

#include <gtest/gtest.h>

#include <vector>

namespace ssmd::ctl {
namespace {

v1::Latency Histogram(const std::vector<double>& bounds, const std::vector<uint64_t>& counts) {
  v1::Latency latency;
  latency.mutable_bounds_ms()->Assign(bounds.begin(), bounds.end());
  latency.mutable_counts()->Assign(counts.begin(), counts.end());
  return latency;
}

TEST(Latency, PercentilesLieWithinTheirBucket) {
  const auto found = PercentilesOf(Histogram({10, 20, 40}, {50, 90, 100, 100}), {});
  ASSERT_TRUE(found.has_value());
  EXPECT_EQ(found->count, 100U);
  EXPECT_DOUBLE_EQ(found->p50_ms, 10);
  EXPECT_DOUBLE_EQ(found->p95_ms, 30);
  EXPECT_DOUBLE_EQ(found->p99_ms, 38);
}

TEST(Latency, OnlyWhatIsNewCounts) {
  const auto found = PercentilesOf(Histogram({10, 20}, {1000, 1010, 1010}),
                                   Histogram({10, 20}, {1000, 1000, 1000}));
  ASSERT_TRUE(found.has_value());
  EXPECT_EQ(found->count, 10U);
  EXPECT_DOUBLE_EQ(found->p50_ms, 15);
}

TEST(Latency, PastTheLastBoundIsThatBound) {
  EXPECT_DOUBLE_EQ(PercentilesOf(Histogram({10}, {0, 5}), {})->p99_ms, 10);
}

TEST(Latency, NothingNewAndNonsenseHaveNone) {
  const v1::Latency some = Histogram({10}, {5, 5});
  EXPECT_FALSE(PercentilesOf(some, some).has_value());
  EXPECT_FALSE(PercentilesOf({}, {}).has_value());
  EXPECT_FALSE(PercentilesOf(Histogram({}, {5}), {}).has_value());
  EXPECT_FALSE(PercentilesOf(Histogram({10}, {5}), {}).has_value());
  EXPECT_FALSE(PercentilesOf(Histogram({10}, {5, 4}), {}).has_value()) << "not cumulative";
  EXPECT_FALSE(PercentilesOf(some, Histogram({10}, {6, 6})).has_value()) << "went back";
  EXPECT_FALSE(PercentilesOf(some, Histogram({10, 20}, {1, 1, 1})).has_value());
}

}  // namespace
}  // namespace ssmd::ctl
