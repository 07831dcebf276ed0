#include "clients/ssmctl/units.h"

#include <gtest/gtest.h>

#include <limits>
#include <utility>

namespace ssmd::ctl {
namespace {

TEST(Units, BytesHaveTwoOrThreeDigits) {
  const std::pair<int64_t, const char*> kCases[] = {{-5, "0 B"},
                                                    {0, "0 B"},
                                                    {999, "999 B"},
                                                    {1000, "1.0 KB"},
                                                    {1500, "1.5 KB"},
                                                    {99949, "99.9 KB"},
                                                    {196608, "197 KB"},
                                                    {999499, "999 KB"},
                                                    {999500, "1.0 MB"},
                                                    {1 << 30, "1.1 GB"},
                                                    {5'000'000'000'000, "5.0 TB"}};
  for (const auto& [bytes, text] : kCases) EXPECT_EQ(Bytes(bytes), text);
  EXPECT_EQ(Bytes(std::numeric_limits<int64_t>::max()), "9223 PB");
}

TEST(Units, AgesAreInTheirLargestUnit) {
  const std::pair<int64_t, const char*> kCases[] = {
      {-1, "0s"},         {999, "0s"},       {59'999, "59s"},         {60'000, "1m"},
      {3'599'999, "59m"}, {3'600'000, "1h"}, {86'400'000 - 1, "23h"}, {86'400'000 * 9LL, "9d"}};
  for (const auto& [ms, text] : kCases) EXPECT_EQ(Age(ms), text);
}

TEST(Units, TimesAreUtc) { EXPECT_EQ(UtcTime(1'700'000'000'000), "2023-11-14 22:13:20 UTC"); }

}  // namespace
}  // namespace ssmd::ctl
