#include "engine/models/mixers/gguf_ssm.h"

#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include <string>

#include "engine/formats/json.h"

namespace ssmd {
namespace {

using ::testing::HasSubstr;

// Metadata as loading reads them: an inner width of 12.
absl::StatusOr<GgufSsmSizes> ReadSizes(const std::string& architecture, const std::string& rank,
                                       const std::string& groups) {
  const std::string prefix = "\"" + architecture + ".ssm.";
  const std::string json = "{" + prefix + "conv_kernel\": 4," + prefix + "inner_size\": 12," +
                           prefix + "state_size\": 16," + prefix + "time_step_rank\": " + rank +
                           (groups.empty() ? "" : "," + prefix + "group_count\": " + groups) + "}";
  const JsonDocument document = *JsonDocument::Parse(json, "m.gguf", {});
  return ReadGgufSsmSizes(architecture, ConfigObject(document.root(), "m.gguf: "));
}

TEST(GgufSsm, ReadsTheSizesOfMamba) {
  const auto sizes = ReadSizes("mamba", "5", "");
  ASSERT_TRUE(sizes.ok()) << sizes.status();
  EXPECT_EQ(sizes->conv_width, 4);
  EXPECT_EQ(sizes->d_inner, 12);
  EXPECT_EQ(sizes->state_size, 16);
  EXPECT_EQ(sizes->dt_rank, 5);
}

TEST(GgufSsm, ReadsTheHeadsAndGroupsOfMamba2) {
  const auto sizes = ReadSizes("mamba2", "6", "3");
  ASSERT_TRUE(sizes.ok()) << sizes.status();
  EXPECT_EQ(sizes->dt_rank, 6);
  EXPECT_EQ(sizes->groups, 3);
}

TEST(GgufSsm, RefusesHeadsAndGroupsThatDoNotDivide) {
  const struct {
    const char* heads;
    const char* groups;
    const char* error;
  } kCases[] = {
      {"5", "1", "m.gguf: mamba2.ssm.time_step_rank must divide the inner width, 12, got 5"},
      {"6", "4", "m.gguf: mamba2.ssm.group_count must divide the number of heads, 6, got 4"},
      {"6", "0", "m.gguf: mamba2.ssm.group_count must be a whole number in"},
      {"0", "1", "m.gguf: mamba2.ssm.time_step_rank must be a whole number in"},
      {"6", "", "m.gguf: mamba2.ssm.group_count is missing"},
  };
  for (const auto& c : kCases) {
    EXPECT_THAT(std::string(ReadSizes("mamba2", c.heads, c.groups).status().message()),
                HasSubstr(c.error));
  }
}

}  // namespace
}  // namespace ssmd
