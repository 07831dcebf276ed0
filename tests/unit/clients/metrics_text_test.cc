#include "clients/bench/metrics_text.h"

#include <gtest/gtest.h>

namespace ssmd::bench {
namespace {

constexpr char kMetrics[] = R"(# HELP ssmd_requests_total Ended requests by outcome
# TYPE ssmd_requests_total counter
ssmd_requests_total{model="a",outcome="ok"} 12
ssmd_requests_total{model="b",outcome="ok"} 3
ssmd_requests_total{model="a",outcome="cancelled"} 5
ssmd_requests_total_more 100
ssmd_step_seconds_count{model="a"} 10
ssmd_step_seconds_bucket{model="a",phase="decode",le="0.001"} 1
ssmd_step_seconds_bucket{model="a",phase="decode",le="0.01"} 5
ssmd_step_seconds_bucket{model="a",phase="decode",le="+Inf"} 6
ssmd_step_seconds_bucket{model="a",phase="mixed",le="0.001"} 1
ssmd_step_seconds_bucket{model="a",phase="mixed",le="0.01"} 3
ssmd_step_seconds_bucket{model="a",phase="mixed",le="+Inf"} 4
)";

TEST(MetricsText, SumsSamplesByNameAndLabel) {
  EXPECT_EQ(MetricsSum(kMetrics, "ssmd_requests_total"), 20);
  EXPECT_EQ(MetricsSum(kMetrics, "ssmd_requests_total", "outcome=\"ok\""), 15);
  EXPECT_EQ(MetricsSum(kMetrics, "ssmd_requests"), 0);
  EXPECT_EQ(MetricsSum("", "ssmd_requests_total"), 0);
}

TEST(MetricsText, QuantilesAreEvenWithinABucket) {
  const MetricsHistogram histogram = MetricsHistogramOf(kMetrics, "ssmd_step_seconds");
  EXPECT_EQ(histogram.count(), 10);
  EXPECT_DOUBLE_EQ(histogram.Quantile(0.1), 0.0005);
  EXPECT_DOUBLE_EQ(histogram.Quantile(0.2), 0.001);
  EXPECT_DOUBLE_EQ(histogram.Quantile(0.5), 0.0055);
  EXPECT_DOUBLE_EQ(histogram.Quantile(0.8), 0.01);
  EXPECT_DOUBLE_EQ(histogram.Quantile(1), 0.01);  // somewhere past it
}

TEST(MetricsText, AHistogramOfNothingHasNoQuantiles) {
  EXPECT_EQ(MetricsHistogramOf(kMetrics, "ssmd_other").Quantile(0.5), 0);
  const MetricsHistogram histogram = MetricsHistogramOf(kMetrics, "ssmd_step_seconds");
  EXPECT_EQ(histogram.Since(histogram).Quantile(0.99), 0);
}

TEST(MetricsText, ADifferenceHasWhatCameBetweenAndMergesHaveBoth) {
  MetricsHistogram before;
  before.Add(1, 4);
  before.Add(2, 6);
  MetricsHistogram after;
  after.Add(1, 4);
  after.Add(2, 10);
  EXPECT_DOUBLE_EQ(after.Since(before).Quantile(0.5), 1.5);
  MetricsHistogram both = before;
  both.Merge(after);
  EXPECT_EQ(both.count(), 16);
  EXPECT_DOUBLE_EQ(both.Quantile(0.5), 1);
}

}  // namespace
}  // namespace ssmd::bench
