// Where the daemon computes. The GPU's own tests are elsewhere: here is what it does without one.
#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include <algorithm>

#include "tests/support/daemon.h"

namespace ssmd::test {
namespace {

using ::testing::AnyOf;
using ::testing::StartsWith;

#if defined(SSMD_TEST_WITH_CUDA)
constexpr bool kWithCuda = true;
#else
constexpr bool kWithCuda = false;
#endif

TEST(DeviceTest, AGpuThatIsNotThereIsRefusedAndTheReasonIsTold) {
  const Finished run = RunDaemon({"--model", "tales=" + TalesModel(), "--device", "cuda:99"});
  EXPECT_EQ(run.status, 1);
  const std::string prefix = "ssmd: --device cuda:99: ";
  if (kWithCuda) {
    // The CUDA runtime's words where there is a driver and no GPU for it, else ours.
    EXPECT_THAT(run.errors,
                AnyOf(StartsWith(prefix + "no GPU can be used here: this machine has no NVIDIA "
                                          "driver (libcuda.so.1)"),
                      StartsWith(prefix + "no GPU can be used here: CUDA driver version is "
                                          "insufficient for CUDA runtime version"),
                      StartsWith(prefix + "no GPU can be used here: no CUDA-capable device"),
                      StartsWith(prefix + "there are only ")));
  } else {
    EXPECT_THAT(run.errors, StartsWith(prefix + "this ssmd was built without CUDA"));
  }
  EXPECT_EQ(std::count(run.errors.begin(), run.errors.end(), '\n'), 1) << run.errors;
}

}  // namespace
}  // namespace ssmd::test
