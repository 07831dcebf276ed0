#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include "clients/ssmctl/samples.h"

namespace ssmd::ctl {
namespace {

using ::testing::ElementsAre;
using ::testing::HasSubstr;
using ::testing::Not;

std::string ProblemOf(const std::string& text) {
  std::vector<float> samples;
  return ParseSamples(text, 1, &samples).value_or("");
}

TEST(SamplesText, AFrameALine) {
  std::vector<float> samples;
  ASSERT_FALSE(
      ParseSamples("\xEF\xBB\xBF"
                   "1,2\n-3.5 4e0\r\n\n \n",
                   2, &samples));
  EXPECT_THAT(samples, ElementsAre(1, 2, -3.5, 4));
  EXPECT_EQ(ParseSamples("1,2\n3", 2, &samples),
            "line 2 has 1 numbers where the memory has 2 channels");
}

TEST(SamplesText, SamplesAreFiniteInF32) {
  EXPECT_EQ(ProblemOf("1\n2\nabc"), "line 3: 'abc' is no number");
  EXPECT_EQ(ProblemOf("1\nnan"), "line 2: 'nan' is not finite");
  EXPECT_EQ(ProblemOf("-inf"), "line 1: '-inf' is not finite");
  EXPECT_EQ(ProblemOf("1e39"), "line 1: '1e39' is beyond what a 32-bit float holds");
  EXPECT_EQ(ProblemOf("3.4e38\n1e-60"), "");
}

TEST(SamplesText, AnEmptyLineIsNoWayToLeaveASampleOut) {
  EXPECT_THAT(ProblemOf("1\n\n\n2"), HasSubstr("line 2 is empty, and samples follow"));
  EXPECT_THAT(ProblemOf("\n1"), HasSubstr("line 1 is empty"));
  EXPECT_EQ(ProblemOf("1\n\n\r\n"), "");
  EXPECT_EQ(ProblemOf("\n"), "");
}

TEST(SamplesText, NorIsAnEmptyCell) {
  std::vector<float> samples;
  for (const char* line : {"1,,2", "1,2,", ",1,2", "1, ,2"}) {
    EXPECT_EQ(ParseSamples(std::string("1,2\n") + line, 2, &samples),
              "line 2 has a comma without a number beside it")
        << line;
  }
  EXPECT_EQ(ParseSamples("1 , 2\r\n1,\t2\n", 2, &samples), std::nullopt);
}

TEST(SamplesText, OfALongWordTheStartIsShown) {
  EXPECT_EQ(ProblemOf(std::string(40, 'x')), "line 1: '" + std::string(40, 'x') + "' is no number");
  EXPECT_EQ(ProblemOf(std::string(1000, 'x')),
            "line 1: '" + std::string(40, 'x') + "…' is no number");
  // A character that does not fit is left out, and what is none is replaced.
  EXPECT_EQ(ProblemOf(std::string(39, 'x') + "éy"),
            "line 1: '" + std::string(39, 'x') + "…' is no number");
  EXPECT_THAT(ProblemOf("\xff\x80"), Not(HasSubstr("\xff")));
}

}  // namespace
}  // namespace ssmd::ctl
