// Starts on a GPU that is not there, or is too small: one line that says what to change.
#include <gmock/gmock.h>

#include "tests/e2e/emulated/emulated_fixture.h"
#include "tests/support/eventually.h"

namespace ssmd::test {
namespace {

using ::testing::HasSubstr;
using ::testing::MatchesRegex;

constexpr int64_t kMiB = 1 << 20;

using EmulatedStartTest = EmulatedFixture;

TEST_F(EmulatedStartTest, WithoutADriverThereIsOneLine) {
  const Finished refused = RunEmulated("cuda", {"--model", "tales=" + TalesModel()},
                                       {{"SSMD_SIMT_NO_DRIVER", "the driver is too old"}});
  EXPECT_EQ(refused.status, 1);
  EXPECT_EQ(refused.errors,
            "ssmd: --device cuda:0: no GPU can be used here: the driver is too old\n");
  EXPECT_EQ(refused.output, "");
}

TEST_F(EmulatedStartTest, AGpuThatIsNotThereIsNamed) {
  const Finished refused = RunEmulated("cuda:3", {"--model", "tales=" + TalesModel()}, {});
  EXPECT_EQ(refused.status, 1);
  EXPECT_EQ(refused.errors, "ssmd: --device cuda:3: there is no such GPU, only 1, from 0 on\n");
}

struct Shortage {
  const char* name;
  const char* memory;
  std::vector<std::string> flags;
  const char* want;
};

class EmulatedShortageTest : public EmulatedStartTest,
                             public ::testing::WithParamInterface<Shortage> {};

TEST_P(EmulatedShortageTest, SaysWhatToChange) {
  std::vector<std::string> flags = {"--model", "tales=" + TalesModel()};
  flags.insert(flags.end(), GetParam().flags.begin(), GetParam().flags.end());
  const Finished refused =
      RunEmulated("cuda", flags, {{"SSMD_SIMT_MEMORY_BYTES", GetParam().memory}});
  EXPECT_EQ(refused.status, 1);
  EXPECT_THAT(refused.errors, MatchesRegex("ssmd: [^\n]*\n")) << "one line";
  EXPECT_THAT(refused.errors, HasSubstr(GetParam().want));
}

INSTANTIATE_TEST_SUITE_P(
    , EmulatedShortageTest,
    ::testing::Values(
        Shortage{"Weights", "5000000", {"--token-budget", "512"}, "keep the weights in fewer bits"},
        Shortage{"Activations",
                 "5000000",
                 {"--token-budget", "4096"},
                 "no memory for activations of 4096 rows"},
        Shortage{"Slots", "100000000", {"--state-slots", "1000"}, "use fewer slots"}),
    [](const auto& shortage) { return shortage.param.name; });

TEST_F(EmulatedStartTest, SlotsFillWhatIsFree) {
  int slots_before = 0;
  for (const int64_t memory : {64 * kMiB, 96 * kMiB}) {
    ASSERT_NO_FATAL_FAILURE(StartEmulated({"--state-slots", "auto", "--token-budget", "16"},
                                          {{"SSMD_SIMT_MEMORY_BYTES", std::to_string(memory)}}));
    const v1::ModelStats stats = StatsOf(*client_);
    const int slots = stats.slots_free();
    EXPECT_TRUE(Eventually([&] {
      return daemon_->log().find("state_slots=" + std::to_string(slots)) != std::string::npos;
    })) << daemon_->log();
    EXPECT_GT(slots, slots_before);
    slots_before = slots;
    ASSERT_NO_FATAL_FAILURE(End());
  }
}

}  // namespace
}  // namespace ssmd::test
